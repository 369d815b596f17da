"""An engine that cannot be used is told in one line; the engine here is a local server that speaks its API."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from components.engine import Engine, EngineError, check_port, inspect_engine

HERE = Engine("unix:///here.sock", "20.10", "x86_64", 2**34, "active", manager=True, free_disk_bytes=None)


@contextmanager
def engine_that_says(services: Any = None, **swarm: Any) -> Iterator[str]:
    answers = {
        "/version": {"ApiVersion": "1.41"},
        "/info": {
            "ServerVersion": "20.10",
            "Architecture": "x86_64",
            "MemTotal": 1,
            "DockerRootDir": "/",
            "Swarm": swarm,
        },
        "/services": services,
    }

    class Engine(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = next(answer for path, answer in answers.items() if self.path.endswith(path))
            body = json.dumps({"message": answer} if isinstance(answer, str) else answer).encode()
            self.send_response(500 if isinstance(answer, str) else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_engine_in_no_swarm_can_be_used() -> None:
    with engine_that_says(LocalNodeState="inactive", ControlAvailable=False) as host:
        engine = inspect_engine(host)
    assert (engine.version, engine.swarm, engine.free_disk_bytes) == ("20.10", "inactive", None)


def test_a_worker_is_refused_with_what_to_do() -> None:
    with engine_that_says(LocalNodeState="active", ControlAvailable=False) as host, pytest.raises(EngineError) as no:
        inspect_engine(host)
    assert str(no.value).splitlines() == [
        (
            f"the engine at {host} is a worker of a swarm; point DOCKER_HOST at a manager of it, "
            "or let the engine leave with `docker swarm leave`"
        )
    ]


def test_what_a_manager_runs_is_known() -> None:
    running = [{"ID": "x", "Spec": {"Name": "beamops-dev-proxy"}}]
    with engine_that_says(running, LocalNodeState="active", ControlAvailable=True) as host:
        assert inspect_engine(host).services == {"beamops-dev-proxy"}


def test_a_swarm_without_a_leader_is_refused_with_what_to_do() -> None:
    with (
        engine_that_says("The swarm has no leader.", LocalNodeState="active", ControlAvailable=True) as host,
        pytest.raises(EngineError, match=r"what it runs \(The swarm has no leader\.\); most of its managers must be"),
    ):
        inspect_engine(host)


def test_a_locked_manager_is_refused_with_what_to_do() -> None:
    with (
        engine_that_says(LocalNodeState="locked", ControlAvailable=False) as host,
        pytest.raises(EngineError, match="in state locked; repair it"),
    ):
        inspect_engine(host)


def test_an_engine_that_does_not_answer_is_one_line() -> None:
    with pytest.raises(EngineError, match=r"no Docker Engine answers at unix:///none\.sock") as refused:
        inspect_engine("unix:///none.sock")
    assert len(str(refused.value).splitlines()) == 1


def test_a_port_that_is_taken_names_its_holder() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=rf"port {port} is taken by .+ \(process \d+\); free it, or set"):
            check_port(HERE, port, "beamops-dev-proxy")
        check_port(replace(HERE, services=frozenset({"beamops-dev-proxy"})), port, "beamops-dev-proxy")


def test_the_ports_of_another_machine_are_not_ours_to_check() -> None:
    check_port(replace(HERE, host="tcp://127.0.0.1:1"), 22, "beamops-dev-proxy")
