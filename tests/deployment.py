"""A stack dev of a test's own, from a checkout of its own that the test may change, through the Automation API."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi import automation

from cli.toolchain import Toolchain
from components.containers import ROOT, Source
from tests.servers import free_port

COPIED = ("__main__.py", "Pulumi.yaml", "app", "components", "images")


@dataclass
class Deployment:
    """A checkout of its own, deployed as a stack of its own, so that nothing of a user's is touched."""

    folder: Path
    name: str
    port: int
    stack: automation.Stack

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def configure(self, **chapters: Any) -> None:
        file = self.folder / "Pulumi.dev.yaml"
        content = yaml.safe_load(file.read_text()) if file.exists() else {}
        config = content.setdefault("config", {})
        config |= {f"beamops:{chapter}": value for chapter, value in chapters.items()}
        file.write_text(yaml.safe_dump(content))

    def edit(self, path: str, before: str, after: str) -> None:
        file = self.folder / path
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))

    def up(self, **options: Any) -> automation.UpResult:
        return self.stack.up(on_output=print, **options)


@contextmanager
def prepare_deployment(toolchain: Toolchain, source: Source, folder: Path) -> Iterator[Deployment]:
    """Nothing is deployed yet; at the end nothing is any more."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copyfile(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (state := folder / "state").mkdir()
    name, port = f"t{secrets.token_hex(3)}", free_port()
    environment = {
        **toolchain.environment,
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": secrets.token_hex(8),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "BEAMOPS_IMAGES": source,
    }
    patch = pytest.MonkeyPatch()
    for key, value in environment.items():
        patch.setenv(key, value)
    stack = automation.create_stack(
        "dev", work_dir=str(folder), opts=automation.LocalWorkspaceOptions(env_vars=environment)
    )
    made = Deployment(folder, name, port, stack)
    made.configure(plan={"name": name}, distribution={"proxy": {"port": port}})
    try:
        yield made
    finally:
        stack.destroy()
        patch.undo()
