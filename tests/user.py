"""Somebody who types the project's commands."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.containers import ROOT, Source


def copy_checkout(folder: Path) -> None:
    """This checkout as somebody else's, who may change it; it shares the virtual environment."""
    ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", "build", "*.egg-info", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=ignored)
    (folder / ".venv").symlink_to(ROOT / ".venv")


@dataclass
class User:
    """Somebody with a data folder and a stack file of their own."""

    folder: Path
    source: Source
    port: int
    checkout: Path = ROOT

    @property
    def name(self) -> str:
        """What the names of all that this user makes begin with."""
        return f"t{self.folder.name[-6:].replace('_', 'x').lower()}"

    def configure(self, **chapters: Any) -> None:
        given = {"plan": {"name": self.name}, **chapters}
        content = {"config": {f"beamops:{key}": value for key, value in given.items()}}
        self.stack_file.write_text(yaml.safe_dump(content))

    @property
    def stack_file(self) -> Path:
        return self.folder / "Pulumi.dev.yaml"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "XDG_DATA_HOME": str(self.folder),
            "BEAMOPS_STACK_FILE": str(self.stack_file),
            "BEAMOPS_IMAGES": self.source,
        }

    def start(
        self, command: str, stack: str = "dev", aws: str = "account", *arguments: str, **variables: str
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "cli", command, "--stack", stack, "--aws", aws, *arguments],
            cwd=self.checkout, env={**self.environment, **variables}, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(
        self, command: str, stack: str = "dev", aws: str = "account", *arguments: str, **variables: str
    ) -> tuple[int, str]:
        process = self.start(command, stack, aws, *arguments, **variables)
        try:
            output, _ = process.communicate(timeout=400)
        except subprocess.TimeoutExpired:
            # What goes on would hold the stack's lock, and nobody could take it down.
            os.killpg(process.pid, signal.SIGINT)
            output, _ = process.communicate(timeout=120)
            raise AssertionError(f"{command} does not end:\n{output}") from None
        return process.returncode, output

    def refused(self, command: str, stack: str = "dev", **variables: str) -> str:
        code, output = self.run(command, stack, **variables)
        assert code == 1, output
        assert "Traceback" not in output
        return output
