"""Coordinators as processes of their own, on loopback."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.waiting import wait_until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(url: str, seconds: float = 30, path: str = "/readyz") -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            answer = httpx.get(f"{url}{path}", timeout=2)
            if answer.status_code == 200:
                return
            said = answer.text
        except httpx.TransportError as error:
            said = repr(error)
        assert time.monotonic() < end, f"{url} is not ready after {seconds} s: {said}"
        time.sleep(0.05)


def post(client: httpx.Client, path: str, content: dict[str, Any]) -> httpx.Response:
    """As clients do: what no coordinator answered, or whose answer was lost, is asked again."""
    once = {"Idempotency-Key": secrets.token_hex(8)}
    answers: list[httpx.Response] = []

    def answered() -> bool:
        answers.append(client.post(path, json=content, headers=once))
        return answers[-1].status_code < httpx.codes.BAD_GATEWAY

    wait_until(f"{client.base_url} serves nobody", 60, answered, (httpx.HTTPError,))
    return answers[-1]


def migrate(store: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "coordinator", "migrate"], env={**os.environ, **store}, check=True)


def embed(folder: Path) -> dict[str, str]:
    """The environment that makes a coordinator use a fresh SQLite store."""
    store = {"COORDINATOR_DATABASE_URL": f"sqlite:///{folder / 'work.db'}"}
    migrate(store)
    return store


def make_token(store: dict[str, str], role: str, agent: str | None = None) -> str:
    """A token, made as an operator makes one."""
    command = [sys.executable, "-m", "coordinator", "admin", "create-token", "test", "--role", role]
    command += [] if agent is None else ["--agent", agent]
    return subprocess.run(
        command, env={**os.environ, **store}, capture_output=True, text=True, check=True
    ).stdout.strip()


def start(store: dict[str, str], port: int, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "coordinator", "serve"],
            env={**os.environ, **store, "COORDINATOR_PORT": str(port)},
            stdout=output,
            stderr=output,
        )


@contextmanager
def running(
    store: dict[str, str], log: Path, port: int | None = None
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A coordinator that is ready, by its address and its process; it has to end well."""
    port = port or free_port()
    process = start(store, port, log)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        assert process.wait(20) == 0, f"the coordinator did not end well:\n{log.read_text()}"


@contextmanager
def serve(store: dict[str, str], log: Path, port: int | None = None) -> Iterator[str]:
    with running(store, log, port) as (url, _):
        yield url
