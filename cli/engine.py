"""A Docker Engine: used if one answers, installed and started where it is missing and we may, else one clear line."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

import psutil

from cli.commands import install
from cli.console import StopError, step
from cli.places import data_folder
from components.engine import EngineError, connect, engine_host

_START_SECONDS: Final = 60


def ensure_engine(configured: str | None) -> bool:
    """Make sure that an engine answers; True when it had to be started.

    Raises:
        StopError: none does, and this machine does not let us start one.
    """
    host = engine_host(configured)
    try:
        with connect(host):
            return False
    except EngineError as error:
        _check_that_we_may(host, error)
    if shutil.which("dockerd") is None:
        with step("Installing Docker from Debian's packages"):
            install("docker.io", "iptables")
    with step("Starting Docker"):
        _start(host)
    return True


def stop_engine() -> None:
    """Stop the engine that `ensure_engine` started."""
    if _has_systemd():
        subprocess.run(["systemctl", "stop", "docker"], check=False, capture_output=True)
        return
    engine = psutil.Process(int(_pid_file().read_text()))
    engine.terminate()
    engine.wait(_START_SECONDS)
    _pid_file().unlink()


def _has_systemd() -> bool:
    return Path("/run/systemd/system").exists()


def _pid_file() -> Path:
    return data_folder() / "dockerd.pid"


def _check_that_we_may(host: str, error: EngineError) -> None:
    if host != engine_host(None) or "DOCKER_HOST" in os.environ:
        raise StopError(str(error))
    if os.geteuid() != 0:
        raise StopError(f"{error}; or run as root, and it is started for you")
    if shutil.which("dockerd") is None and not Path("/etc/debian_version").exists():
        raise StopError(f"{error}; it is installed for you on Debian alone")


def _start(host: str) -> None:
    log = data_folder() / "dockerd.log"
    if _has_systemd():
        subprocess.run(["systemctl", "start", "docker"], check=False, capture_output=True)
    else:
        with log.open("ab") as output:
            engine = subprocess.Popen(
                ["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        _pid_file().write_text(str(engine.pid))
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            with connect(host):
                return
        except EngineError as error:
            if time.monotonic() > end:
                raise StopError(f"Docker does not start; its log is {log} ({error})") from error
            time.sleep(0.3)
