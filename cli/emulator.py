"""The emulated AWS account of a stack: moto's server on loopback, from the first `up` to the `down`."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import boto3
import psutil
import requests

from cli.console import StopError, console, step
from cli.places import data_folder
from components.aws.settings import ProductionSettings

_START_SECONDS: Final = 60
_NOT_PROVEN: Final = (
    "the emulator accepts any credentials, starts no machine, sends no mail, and enforces no policy, quota or "
    "network; docs/aws.md says what that leaves unproven"
)


@dataclass(frozen=True)
class Emulator:
    """A running emulator; its process is told from another of the same number by when it was started."""

    pid: int
    started: float
    port: int

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


def ensure_emulator(stack: str, settings: ProductionSettings, region: str) -> Emulator:
    """Find the stack's emulated account, or open one.

    Raises:
        StopError: it does not start.
    """
    console.print(f"! AWS=emulated: {_NOT_PROVEN}.")
    emulator = find_emulator(stack)
    if emulator is None:
        with step("Opening an emulated AWS account"):
            emulator = _start(stack)
    furnish_emulator(emulator, settings, region)
    return emulator


def furnish_emulator(emulator: Emulator, settings: ProductionSettings, region: str, *, anew: bool = False) -> None:
    """Put into the account what one has before the stack; `anew` when all else in it is to go first."""
    if anew:
        requests.post(f"{emulator.endpoint}/moto-api/reset", timeout=_START_SECONDS).raise_for_status()
    if settings.hosted_zone is not None:
        _ensure_hosted_zone(emulator.endpoint, region, settings.hosted_zone)


def find_emulator(stack: str) -> Emulator | None:
    """The stack's emulator, if it runs."""
    file = _file(stack)
    if not file.exists():
        return None
    emulator = Emulator(**json.loads(file.read_text()))
    try:
        return emulator if psutil.Process(emulator.pid).create_time() == emulator.started else None
    except psutil.NoSuchProcess:
        return None


def stop_emulator(stack: str) -> None:
    """Close the emulated account: what is in it goes."""
    emulator = find_emulator(stack)
    if emulator is not None:
        process = psutil.Process(emulator.pid)
        process.terminate()
        process.wait(_START_SECONDS)
    _file(stack).unlink(missing_ok=True)


def _start(stack: str) -> Emulator:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = _file(stack).with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            # AWS's own policies are there in every account; a certificate need not wait a minute for its record.
            env={**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "MOTO_ACM_VALIDATION_WAIT": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    emulator = Emulator(process.pid, psutil.Process(process.pid).create_time(), port)
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            requests.get(emulator.endpoint, timeout=5)
            break
        except requests.RequestException as error:
            if time.monotonic() > end or process.poll() is not None:
                raise StopError(f"the emulated account does not open; its log is {log}") from error
            time.sleep(0.1)
    _file(stack).write_text(json.dumps(asdict(emulator)))
    return emulator


def _ensure_hosted_zone(endpoint: str, region: str, name: str) -> None:
    """A zone is something that an account has before the stack: the domain was bought."""
    client = boto3.client(
        "route53",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="emulated",
        aws_secret_access_key="emulated",  # noqa: S106 - an emulated account has no secrets
    )
    if not client.list_hosted_zones_by_name(DNSName=name)["HostedZones"]:
        client.create_hosted_zone(Name=name, CallerReference=name)


def _file(stack: str) -> Path:
    return data_folder() / f"emulator-{stack}.json"
