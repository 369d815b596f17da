"""The lock files hold what is asked for, by hash, and no registry's address."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def asked_by(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=;~! ]", requirement)[0].lower() for requirement in requirements}


def locked(file: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", file.read_text(), re.MULTILINE))


def test_every_requirement_is_locked() -> None:
    own, app = project(ROOT), project(ROOT / "app")["project"]["dependencies"]
    everything = [*own["project"]["dependencies"], *own["dependency-groups"]["dev"], *app]
    assert asked_by(everything) <= locked(ROOT / "requirements.lock"), "run `make lock`"
    assert asked_by(app) <= locked(ROOT / "app" / "requirements.lock"), "run `make lock`"


@pytest.mark.parametrize("file", ["requirements.lock", "app/requirements.lock"])
def test_every_line_is_a_version_or_a_hash(file: str) -> None:
    for line in (ROOT / file).read_text().splitlines():
        assert re.match(r"^([a-z0-9._-]+(\[[a-z,]+\])?==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?)$", line), (
            line
        )


def test_what_both_lock_is_the_same_version() -> None:
    def versions(file: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9._-]+==\S+", (ROOT / file).read_text(), re.MULTILINE))

    assert versions("app/requirements.lock") <= versions("requirements.lock")
