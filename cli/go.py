"""Go's own tool, as everything that is built here needs it: pinned modules, the same bytes wherever it runs."""

import os
import shutil
import subprocess
from pathlib import Path

from cli.console import StopError, console, step


def go(folder: Path, what: str, command: str, *arguments: str) -> str:
    """Run `go <command>` in a folder and give what it says; as a step of its own where `what` says what it makes.

    Raises:
        StopError: there is no Go, or it fails; its output is shown.
    """
    if shutil.which("go") is None:
        raise StopError(f"no Go is on PATH to build {folder.name} with; install it")

    def run() -> str:
        # The version control stamp would change with every commit of whatever repository is around.
        flags = ["-trimpath", "-buildvcs=false"] if command in {"build", "run"} else []
        done = subprocess.run(
            ["go", command, *flags, *arguments],
            cwd=folder,
            env={**os.environ, "GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            console.print(done.stderr[-4000:], markup=False)
            raise StopError(f"go {command} of {folder.name} failed; its output is above")
        return done.stdout

    if not what:
        return run()
    with step(f"  {what}"):
        return run()
