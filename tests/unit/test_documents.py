"""Documents say what the code says, and what they point at is there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from coordinator import errors
from coordinator.cli import app
from coordinator.settings import Settings
from pydantic import ValidationError
from typer.main import get_command

from components.reference import render_page, render_schema
from components.settings import Settings as StackSettings
from components.settings import read_settings
from policies import reference as policies

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("configuration.md", render_page()),
        ("settings.schema.json", render_schema()),
        ("policies.md", policies.render_page()),
    ],
)
def test_a_page_that_is_made_is_fresh(file: str, content: str) -> None:
    assert (ROOT / "docs" / file).read_text() == content, f"docs/{file} is stale: run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z0-9-]+)", page.read_text()))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_coordinator_command_that_is_shown_exists(page: Path) -> None:
    command = get_command(app)
    groups = "work|agent|team|lock|report|insight|event|admin"
    shown = rf"\bcoordinator ((?:{groups}) [a-z-]+|serve|migrate|dashboard|help)\b([^`\n]*)"
    for words, rest in re.findall(shown, page.read_text()):
        found = command
        for word in words.split():
            found = found.commands[word]  # type: ignore[attr-defined]
        options = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert set(re.findall(r"(?<= )--[a-z-]+", rest)) <= options, f"coordinator {words}{rest}"


def is_known(setting: str) -> bool:
    """Whether there is such a setting, whatever it may be set to."""
    *path, last = setting.split(".")
    given: dict[str, Any] = {last: object()}
    for key in reversed(path):
        given = {key: given}
    try:
        StackSettings.model_validate(given)
    except ValidationError as refused:
        return not any(fault["type"] == "extra_forbidden" for fault in refused.errors())
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"\bbeamops:([a-z_]+(?:\.[a-z_]+)*)`", page.read_text()))
    assert {setting for setting in named if not is_known(setting)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_stack_file_that_is_shown_is_one(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        content = yaml.safe_load(block)
        if "config" in content:
            read_settings("dev", {key: json.dumps(value) for key, value in content["config"].items()})


def test_every_chapter_has_its_page() -> None:
    sources = [file.read_text() for file in (ROOT / "components").rglob("*.py")]
    chapters = {
        (int(number), name.lower())
        for source in sources
        for name, number in re.findall(r"class (\w+)\((?:Aws)?Chapter\):.*?\n    number = (\d+)", source, re.DOTALL)
    }
    pages = {page.stem for page in (ROOT / "docs" / "chapters").glob("[0-9]*.md")}
    numbered = {number for number, _ in chapters}
    assert {int(page[:2]) for page in pages} == numbered
    named = {f"{number:02}-{name}" for number, name in chapters}
    assert pages <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_of_the_code_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`((?:components|cli|tests|app|policies|toolchain|images)/[\w./-]+)`", page.read_text())
    assert [file for file in named if not (ROOT / file).exists()] == []


def test_every_error_code_is_explained() -> None:
    page = (ROOT / "docs" / "coordinator.md").read_text()
    codes = {kind.code for kind in vars(errors).values() if hasattr(kind, "code")}
    assert {code for code in codes if f"`{code}`" not in page} == set()


def test_every_setting_of_the_coordinator_is_explained() -> None:
    page = (ROOT / "docs" / "coordinator.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"| `COORDINATOR_{name.upper()}` |" in page and str(field.description) in page, name


def test_every_metric_of_the_coordinator_is_explained() -> None:
    page = (ROOT / "docs" / "coordinator.md").read_text()
    written = (ROOT / "app" / "coordinator" / "metrics.py").read_text()
    for name in set(re.findall(r'"((?:beamops|coordinator)_[a-z_]+)"', written)):
        short = name.removeprefix("beamops_agent_work")
        assert name in page or f"`…{short}" in page, name
