"""The health check: what is starting is waited for, what never answers is told, in less than an engine waits."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from coordinator import probe
from coordinator.contract import LIVE_PATH


@contextmanager
def coordinator_that_says(*statuses: int) -> Iterator[int]:
    """What listens on that port, and answers so, the last again and again."""
    left = list(statuses)

    class Coordinator(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = left.pop(0) if len(left) > 1 else left[0]
            body = b"the schema is empty"
            self.send_response(status if self.path == LIVE_PATH else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Coordinator) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_one_that_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with coordinator_that_says(503, 503, 200) as port:
        monkeypatch.setenv("COORDINATOR_PORT", str(port))
        assert probe.main() == 0


def test_one_that_is_not_ready_in_time_is_told_with_its_own_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe, "_PATIENCE_SECONDS", 1)  # room for one answer, however busy the machine is
    with coordinator_that_says(503) as port:
        monkeypatch.setenv("COORDINATOR_PORT", str(port))
        assert probe.main() == 1
    assert capsys.readouterr().err == "the schema is empty\n"


def test_one_that_takes_the_question_and_says_nothing_does_not_hold_the_probe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe, "_PATIENCE_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("COORDINATOR_PORT", str(silent.getsockname()[1]))
        begin = time.monotonic()
        assert probe.main() == 1
    assert time.monotonic() - begin < 5, "it waits longer than it has patience"
    assert capsys.readouterr().err == "it does not answer\n"
