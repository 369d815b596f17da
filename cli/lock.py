"""The lock files: every version and hash, and no registry's address."""

import re
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

from cli.commands import run
from cli.console import step
from components.containers import ROOT

_TOOL: Final = "pip-tools==7.5.*"
_FLAGS: Final = (
    "--quiet", "--generate-hashes", "--strip-extras", "--allow-unsafe", "--no-annotate", "--no-header",
    "--no-emit-index-url", "--no-emit-find-links", "--no-emit-options",
)  # fmt: skip


def lock() -> None:
    """Resolve both lock files anew; the coordinator's holds a part of the other's versions.

    Raises:
        StopError: the requirements cannot be resolved.
    """
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())
    app = tomllib.loads((ROOT / "app" / "pyproject.toml").read_text())["project"]["dependencies"]
    everything = [*own["project"]["dependencies"], *own["dependency-groups"]["dev"], *app]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run(sys.executable, "-m", "venv", str(folder / "venv"))
        run(str(folder / "venv" / "bin" / "pip"), "install", "--quiet", _TOOL)
        with step("requirements.lock"):
            _compile(folder, everything, ROOT / "requirements.lock")
        pinned = re.findall(r"^([a-z0-9._-]+==\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
        (folder / "pinned").write_text("\n".join(pinned))
        with step("app/requirements.lock"):
            _compile(folder, app, ROOT / "app" / "requirements.lock", "--constraint", str(folder / "pinned"))


def _compile(folder: Path, requirements: list[str], target: Path, *flags: str) -> None:
    (folder / "in").write_text("\n".join(requirements))
    run(str(folder / "venv" / "bin" / "pip-compile"), *_FLAGS, *flags, "--output-file", str(target), str(folder / "in"))
    # It remarks on setuptools, whatever it is told.
    lines = [line for line in target.read_text().splitlines() if line and not line.startswith("#")]
    target.write_text("\n".join(lines) + "\n")
