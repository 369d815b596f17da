"""Other programs, run to their end: quiet when they succeed, one line when they do not."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.console import StopError


def run(*command: str) -> None:
    """Run a program.

    Raises:
        StopError: it failed; with the last line that it said.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise StopError(f"{Path(command[0]).name} failed: {lines[-1]}")


def install(*packages: str) -> None:
    """Install Debian packages.

    Raises:
        StopError: this is not Debian, we are not root, or they cannot be installed.
    """
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise StopError(f"{' and '.join(packages)} is needed; install it, or run as root on Debian")
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)


@contextmanager
def interrupts_left_to_child() -> Iterator[None]:
    """Ctrl-C reaches what we started by the terminal; it ends in order, and we wait for it.

    Where we were started with Ctrl-C ignored, as in the background of a script, it is not ignored in what we start:
    Pulumi ends its language host by this very signal, and waits 5 s for one that ignores it.
    """
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
