"""What the Docker Engine says of itself, asked before anything is registered."""

import errno
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker
import psutil
import requests
from coordinator import contract

from components.aws.session import ROOT, ensure_key, explain_session, is_session, ssh_options

SOCKET_GROUP: Final = 2375
"""Number of the group that may use the engine's socket, on machines of an account: node.sh gives it that one."""
ENGINE_FOLDER: Final = "/var/lib/docker"
"""Where an engine keeps what is its own, if it is not told otherwise."""
_TIMEOUT_SECONDS: Final = 10
_TUNNEL_SECONDS: Final = 60
_ATTEMPTS: Final = 5
_OUT_OF_TIME: Final = (124, 143)
"""What `timeout` ends with, by the kind of it."""


class EngineError(Exception):
    """The engine cannot be used as it is; one line that says why and what to do."""


@dataclass(frozen=True)
class Engine:
    """Facts about an engine."""

    host: str
    version: str
    architecture: str
    """As the engine writes it: x86_64 or aarch64."""
    memory_bytes: int
    swarm: str
    manager: bool
    free_disk_bytes: int | None
    """None where it cannot be known: the engine is on another machine."""
    folder: str = ENGINE_FOLDER
    """Where it keeps what is its own."""
    socket_group: int | None = None
    """Number of the group that may use the engine's socket; None where it has none on this machine."""
    services: frozenset[str] = frozenset()
    """Names of those that it runs as a manager."""


def engine_host(configured: str | None) -> str:
    """The engine's address: the setting, else DOCKER_HOST, else the local socket."""
    return configured or os.environ.get("DOCKER_HOST") or f"unix://{contract.ENGINE_SOCKET}"


@contextmanager
def connect(host: str, timeout_seconds: int = _TIMEOUT_SECONDS) -> Iterator[docker.DockerClient]:
    """A client of the engine.

    Raises:
        EngineError: nothing answers there.
    """
    with ExitStack() as opened:
        address = opened.enter_context(_tunnel(host)) if is_session(host) else host
        try:
            client = docker.DockerClient(base_url=address, version="auto", timeout=timeout_seconds)
        except (docker.errors.DockerException, requests.RequestException) as error:
            reason = str(error).replace("Error while fetching server API version: ", "")
            raise EngineError(
                f"no Docker Engine answers at {host} ({reason}); start it, or set DOCKER_HOST to one that runs"
            ) from error
        opened.callback(client.close)
        yield client


@contextmanager
def _tunnel(host: str) -> Iterator[str]:
    """The socket of an engine behind Session Manager, here."""
    ensure_key()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "docker.sock"
        # A connection of its own: one that is shared keeps the forwarding, and this process ends at once.
        alone = ["-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes"]
        command = ["ssh", *alone, *ssh_options(), "-N", "-L", f"{here}:{contract.ENGINE_SOCKET}"]
        with (Path(folder) / "said").open("w+") as said:
            ssh = subprocess.Popen([*command, host], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            try:
                end = time.monotonic() + _TUNNEL_SECONDS
                while not here.exists():
                    if ssh.poll() is not None or time.monotonic() > end:
                        said.seek(0)
                        reason = explain_session(host) or said.read() or "nothing is said why"
                        raise EngineError(f"no session with the swarm at {host}: {' '.join(reason.split())}")
                    time.sleep(0.05)
                yield f"unix://{here}"
            finally:
                ssh.terminate()
                ssh.wait(_TUNNEL_SECONDS)


def inspect_engine(host: str) -> Engine:
    """Ask the engine about itself.

    Raises:
        EngineError: nothing answers, or it belongs to a swarm that it does not manage, or that has no leader.
    """
    with connect(host) as client:
        facts = client.info()
        swarm = facts["Swarm"]
        services = _list_services(client) if swarm["ControlAvailable"] else frozenset()
    if swarm["LocalNodeState"] not in {"inactive", "active"}:
        raise EngineError(
            f"the engine at {host} is in a swarm in state {swarm['LocalNodeState']}; "
            "repair it, or let the engine leave it with `docker swarm leave`"
        )
    if swarm["LocalNodeState"] == "active" and not swarm["ControlAvailable"]:
        raise EngineError(
            f"the engine at {host} is a worker of a swarm; point DOCKER_HOST at a manager of it, "
            "or let the engine leave with `docker swarm leave`"
        )
    return Engine(
        host=host,
        version=facts["ServerVersion"],
        architecture=facts["Architecture"],
        memory_bytes=facts["MemTotal"],
        swarm=swarm["LocalNodeState"],
        folder=facts["DockerRootDir"],
        manager=swarm["ControlAvailable"],
        free_disk_bytes=_free_disk(facts["DockerRootDir"]) if _is_local(host) else None,
        socket_group=Path(contract.ENGINE_SOCKET).stat().st_gid if host == f"unix://{contract.ENGINE_SOCKET}" else None,
        services=services,
    )


def _list_services(client: docker.DockerClient) -> frozenset[str]:
    try:
        return frozenset(str(service.name) for service in client.services.list())
    except docker.errors.APIError as error:
        raise EngineError(
            f"the swarm does not say what it runs ({error.explanation}); most of its managers must be there: "
            "see `docker node ls`"
        ) from error


def check_port(engine: Engine, port: int, service: str) -> None:
    """Make sure that the proxy can have its port.

    Raises:
        EngineError: something other than the stack's own proxy listens there.
    """
    if not _is_local(engine.host) or service in engine.services:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - the port is published on every address
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise EngineError(
                f"port {port} is taken{_holder(port)}; free it, or set beamops:distribution.proxy.port to another"
            ) from error


def find_services(client: docker.DockerClient, name: str) -> list[Any]:
    """The service of exactly that name, where there is one: the engine's own filter takes beginnings too."""
    return [service for service in client.services.list(filters={"name": name}) if service.name == name]


def find_container(client: docker.DockerClient, service: str) -> Any | None:
    """A running container of that service on this engine, where there is one."""
    label = f"com.docker.swarm.service.name={service}"
    return next(iter(client.containers.list(filters={"label": label, "status": "running"}, ignore_removed=True)), None)


def run_in(container: Any, command: Sequence[str], **more: Any) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors of a command that says something: a busy engine now and then loses what was said.

    It is run again then, so it must be one that may; `more` is for Docker's client.

    Raises:
        EngineError: nobody knows how the command ended.
    """
    for _ in range(_ATTEMPTS):
        done = container.exec_run(list(command), demux=True, **more)
        said, complaint = (part or b"" for part in done.output)
        if said or complaint or done.exit_code in _OUT_OF_TIME:
            break
    if done.exit_code is None:
        raise EngineError("the engine lost what a command in a container said: run it again")
    return done.exit_code, said, complaint


def has_image(client: docker.DockerClient, reference: str) -> bool:
    """Whether the engine has an image."""
    try:
        client.images.get(reference)
    except docker.errors.ImageNotFound:
        return False
    return True


def _holder(port: int) -> str:
    for connection in psutil.net_connections("tcp"):
        address = connection.laddr
        if connection.status == psutil.CONN_LISTEN and address and address.port == port and connection.pid:
            return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""


def _is_local(host: str) -> bool:
    return host.startswith("unix://")


def _free_disk(folder: str) -> int | None:
    try:
        return psutil.disk_usage(folder).free
    except OSError:
        return None
