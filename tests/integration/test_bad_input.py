"""What a person may get wrong, through the command that they type: one line that says what and what to do."""

import json
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
import yaml
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.vpcs import VPCBackend
from moto.server import ThreadedMotoServer

from cli.console import StopError
from cli.emulator import Emulator
from cli.images import ensure_images
from cli.toolchain import Toolchain
from components import catalogue
from components.containers import ROOT, Source
from components.settings import Settings
from tests.servers import free_port, wait_until_ready
from tests.user import User, copy_checkout


@pytest.fixture
def user(tmp_path: Path, source: Source, toolchain: Toolchain) -> User:  # noqa: ARG001 - built before it is timed
    user = User(tmp_path, source, free_port())
    user.configure(distribution={"proxy": {"port": user.port}})
    return user


def test_an_unknown_key_and_a_wrong_type_are_a_line_each(user: User) -> None:
    user.configure(distribution={"coordinator": {"replica": 3}, "proxy": {"port": "http"}})
    assert user.refused("up").splitlines() == [
        (
            "beamops: Pulumi.dev.yaml: beamops:distribution.coordinator.replica: unknown key; "
            "allowed here: active, autoscale, cpus, drain_seconds, memory_mib, release, replicas"
        ),
        'beamops: Pulumi.dev.yaml: beamops:distribution.proxy.port: given "http", should be a valid integer',
    ]


def test_a_stack_file_that_is_not_yaml_is_one_line(user: User) -> None:
    user.stack_file.write_text("config: {")
    (line,) = user.refused("up").splitlines()
    assert line.startswith("beamops: Pulumi.dev.yaml: not YAML: ")


def test_a_stack_that_is_not_there_is_one_line(user: User) -> None:
    line = "beamops: stack production: there is no such environment; use one of dev, staging, prod"
    assert user.refused("up", "production").splitlines() == [line]


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_nobody_signed_in_at_aws_is_one_line(user: User, stack: str) -> None:
    nobody = {
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        "AWS_EC2_METADATA_DISABLED": "1",
    }
    (line,) = user.refused("up", stack, **nobody, BEAMOPS_STACK_FILE=str(ROOT / f"Pulumi.{stack}.yaml")).splitlines()
    assert line == "beamops: no AWS credentials are found; sign in with `aws sso login`, or set AWS_PROFILE"


def answering(code: str) -> type[BaseHTTPRequestHandler]:
    """An AWS that refuses everything, by one code."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>".encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Refusing


def test_an_expired_token_is_one_line(user: User) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), answering("ExpiredToken")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        signed = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        at = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
        said = user.refused("up", "staging", **signed, **at, BEAMOPS_STACK_FILE=str(ROOT / "Pulumi.staging.yaml"))
        server.shutdown()
    (line,) = said.splitlines()
    assert line == "beamops: the AWS session has ended (ExpiredToken); sign in again with `aws sso login`"


@pytest.fixture
def account(user: User) -> Iterator[str]:
    """An emulated account of staging in this process, in the place where `up` looks for one."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    holder = subprocess.Popen(["sleep", "1200"])
    # `down` ends it, and waits until nothing of it is left.
    reaper = threading.Thread(target=holder.wait)
    reaper.start()
    known = Emulator(holder.pid, psutil.Process(holder.pid).create_time(), server.get_host_and_port()[1])
    folder = user.folder / "beamops"
    folder.mkdir(exist_ok=True)
    (folder / "emulator-staging.json").write_text(json.dumps(asdict(known)))
    given = yaml.safe_load((ROOT / "Pulumi.staging.yaml").read_text())["config"]
    chapters = {key.removeprefix("beamops:"): value for key, value in given.items()}
    user.configure(**chapters, distribution={"proxy": {"port": user.port}})
    yield known.endpoint
    code, output = user.run("down", "staging", "emulated")
    assert code == 0, output
    reaper.join()
    server.stop()


def test_a_quota_that_is_reached_is_told_and_nothing_stays(
    user: User,
    account: str,  # noqa: ARG001 - it is open
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = "The maximum number of VPCs has been reached."

    made = VPCBackend.create_vpc

    def make_default_alone(backend: Any, *given: Any, **named: Any) -> Any:
        if named.get("is_default"):
            return made(backend, *given, **named)
        raise EC2ClientError("VpcLimitExceeded", said)

    with monkeypatch.context() as full:
        full.setattr(VPCBackend, "create_vpc", make_default_alone)
        code, output = user.run("up", "staging", "emulated")
    assert code == 1
    assert f"error: ec2 CreateVpc: VpcLimitExceeded: {said}" in error_lines(output), output
    assert output.splitlines()[-1].startswith("beamops: `pulumi up` of staging did not end well"), output


def test_an_engine_that_does_not_answer_is_one_line(user: User) -> None:
    (line,) = user.refused("up", DOCKER_HOST=f"unix://{user.folder}/none.sock").splitlines()
    assert line.startswith(f"beamops: no Docker Engine answers at unix://{user.folder}/none.sock")
    assert line.endswith("start it, or set DOCKER_HOST to one that runs")


def error_lines(output: str) -> list[str]:
    return [line.strip() for line in output.splitlines() if line.strip().startswith("error:")]


def test_a_port_that_is_taken_stops_the_run_before_anything_is_made(user: User, engine: docker.DockerClient) -> None:
    before = engine.info()["Swarm"]["LocalNodeState"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", user.port))
        taken.listen()
        output = user.refused("up")
    assert f"port {user.port} is taken by " in output
    assert "set beamops:distribution.proxy.port to another" in output
    assert engine.info()["Swarm"]["LocalNodeState"] == before


def test_too_little_memory_and_disk_stop_the_run_before_anything_is_made(user: User) -> None:
    user.configure(plan={"reserved_memory_mib": 10**7, "free_disk_mib": 10**9})
    output = user.refused("up")
    assert "too little memory: the plan needs" in output
    assert "too little disk:" in output


def test_an_image_that_cannot_be_pulled_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, engine: docker.DockerClient
) -> None:
    nowhere = f"127.0.0.1:1/python@sha256:{'0' * 64}"
    monkeypatch.setattr(catalogue, "PYTHON", replace(catalogue.PYTHON, pull=nowhere))
    with pytest.raises(StopError, match="where no registry answers, set BEAMOPS_IMAGES=build") as refused:
        ensure_images(Settings(), "pull")
    assert len(str(refused.value).splitlines()) == 1
    assert not engine.images.list("127.0.0.1:1/python")


@pytest.fixture
def cleaned(user: User) -> Iterator[User]:
    yield user
    code, output = user.run("down")
    assert code == 0, output


def find_services(engine: docker.DockerClient, user: User) -> dict[str, str]:
    """Parts of the stack that are services, by id."""
    if not engine.info()["Swarm"]["ControlAvailable"]:
        return {}
    return {str(service.id): str(service.name).removeprefix(f"{user.name}-dev-") for service in engine.services.list()}


def test_what_was_made_and_not_noted_down_is_in_the_way_of_one_run_alone(cleaned: User) -> None:
    """As when the answer of the engine is lost on its way."""
    user = cleaned
    code, output = user.run("up")
    assert code == 0, output
    (file,) = (user.folder / "beamops" / "state").rglob("dev.json")
    state = json.loads(file.read_text())
    resources = state["checkpoint"]["latest"]["resources"]
    state["checkpoint"]["latest"]["resources"] = [
        one for one in resources if not one["urn"].endswith("docker:index/service:Service::proxy")
    ]
    assert len(state["checkpoint"]["latest"]["resources"]) == len(resources) - 1
    file.write_text(json.dumps(state))
    code, output = user.run("up")
    assert code != 0 and f"! {user.name}-dev-proxy was made and not noted down: it is removed." in output, output
    code, output = user.run("up")
    assert code == 0, output
    wait_until_ready(f"http://127.0.0.1:{user.port}")


def test_a_first_migration_that_fails_ends_the_run_and_leaves_nobody_waiting(
    cleaned: User, engine: docker.DockerClient, tmp_path: Path
) -> None:
    user = cleaned
    user.checkout = tmp_path / "checkout"
    copy_checkout(user.checkout)
    file = max((user.checkout / "app" / "coordinator" / "migrations" / "versions").glob("0*.py"))
    right = file.read_text()
    file.write_text(right + "\n\ndef upgrade() -> None:\n    op.execute('SELECT nothing')\n")
    code, output = user.run("up")
    assert code != 0 and 'column "nothing" does not exist' in output, output
    assert "did not converge" not in output, f"coordinators were waited for that waited in vain:\n{output}"
    assert "coordinator" not in find_services(engine, user).values()
    file.write_text(right)
    code, output = user.run("up")
    assert code == 0, output
    wait_until_ready(f"http://127.0.0.1:{user.port}")


def test_a_second_run_takes_nothing_from_the_first(cleaned: User, engine: docker.DockerClient) -> None:
    user = cleaned
    first = user.start("up")
    end = time.monotonic() + 300
    while "proxy" not in find_services(engine, user).values():
        assert first.poll() is None and time.monotonic() < end, first.communicate()[0]
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGSTOP)  # in the middle, and the second has all the time that it needs
    try:
        # The job ends by itself: plugins are in process groups of their own, and go on.
        there = {id_: part for id_, part in find_services(engine, user).items() if part != "migration"}
        for command in ("up", "down"):
            said = user.refused(command)
            assert "another run is at work on this stack" in said or "currently locked" in said, said
        assert there.items() <= find_services(engine, user).items(), "what the first run makes is gone"
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    output, _ = first.communicate(timeout=200)
    assert first.returncode == 0, output
    wait_until_ready(f"http://127.0.0.1:{user.port}")


def test_a_run_that_is_cut_off_goes_on_when_it_is_started_again(cleaned: User, engine: docker.DockerClient) -> None:
    user = cleaned
    for cut in (signal.SIGKILL, signal.SIGINT):
        # In the middle: there is still something to be made after either; and the first leaves a proxy on its port.
        parts = {"database", "proxy"} if cut is signal.SIGKILL else {"migration"}
        before = find_services(engine, user)
        process = user.start("up")
        end = time.monotonic() + 300
        while not parts <= {part for id_, part in find_services(engine, user).items() if id_ not in before}:
            assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
            time.sleep(0.05)
        # Plugins are in process groups of their own, and would stay: what cuts all off cuts them off too.
        plugins = psutil.Process(process.pid).children(recursive=True) if cut is signal.SIGKILL else []
        os.killpg(process.pid, cut)
        for plugin in plugins:
            with suppress(psutil.NoSuchProcess):
                plugin.kill()
        output, _ = process.communicate(timeout=200)
        print(output)
        assert process.returncode != 0
    code, output = user.run("up")
    print(output)
    assert code == 0, output
    wait_until_ready(f"http://127.0.0.1:{user.port}")

    # Cut off as Pulumi wrote what belongs to its state: this took a lucky kill.
    (notes,) = (user.folder / "beamops" / "state").rglob("dev.json.attrs")
    notes.write_text("")
    code, output = user.run("up")
    assert code == 0, output

    wrong = user.refused("up", PULUMI_CONFIG_PASSPHRASE=secrets.token_hex(4))
    (line,) = (line for line in wrong.splitlines() if line.startswith("beamops:"))
    assert line.startswith("beamops: the passphrase is not the one")
    assert (user.folder / "beamops" / "passphrase").stat().st_mode & 0o777 == 0o600
    assert ROOT.joinpath("Pulumi.dev.yaml").read_text().count("encryptionsalt") == 0
