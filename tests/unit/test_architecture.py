"""The picture in README is drawn from what the program of dev registers; GOLDEN=1 draws it anew."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
import yaml

from components import preflight
from components.containers import ROOT
from tests.program import run_program
from tests.unit.test_components import ENGINE, Recorder

README = ROOT / "README.md"
BEGIN, END = "<!-- drawn from the code by tests/unit/test_architecture.py -->\n", "<!-- end of what is drawn -->\n"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[pulumi.runtime.MockResourceArgs]]:
    for name in ("inspect_engine", "check_port", "_check_images"):
        monkeypatch.setattr(preflight, name, lambda *_: ENGINE)
    given = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    recorder = Recorder()
    with run_program(recorder, "dev", {key: json.dumps(value) for key, value in given.items()}):
        yield recorder.seen


def draw(seen: list[pulumi.runtime.MockResourceArgs]) -> str:
    """Mermaid: services by chapter, the networks that join them, the volumes that they keep data on."""
    chapters: dict[str, list[str]] = {}
    joins: list[str] = []
    networks = [args.name for args in seen if args.typ.endswith(":Network") and args.typ.startswith("docker:")]
    for args in sorted(seen, key=lambda one: one.name):
        if args.typ.endswith("/service:Service"):
            chapter, lines = describe(args.name, args.inputs)
            chapters.setdefault(chapter, []).append(lines[0])
            joins += lines[1:]
    lines = ["```mermaid", "flowchart LR"]
    for chapter, services in sorted(chapters.items()):
        lines += [f"  subgraph {chapter}", *(f"    {line}" for line in services), "  end"]
    lines += [f"  {network}{{{{{network}}}}}" for network in sorted(networks)]
    return "\n".join([*lines, *(f"  {join}" for join in joins), "```"]) + "\n"


def describe(name: str, inputs: dict[str, Any]) -> tuple[str, list[str]]:
    """The chapter of a service; its box, and its lines to what it is joined with."""
    chapter = next(one["value"] for one in inputs["labels"] if one["label"] == "beamops.chapter")
    many = inputs["mode"].get("replicated", {}).get("replicas")
    count = "<br/>on every node" if many is None else f"<br/>{many:.0f} replicas" if many > 1 else ""
    task = inputs["taskSpec"]
    lines = [f'{name}["{name}{count}"]']
    ports = inputs["endpointSpec"].get("ports", [])
    lines += [f'agents([agents]) -- ":{port["publishedPort"]:.0f}" --> {name}' for port in ports]
    lines += [f"{name} --- {network['id'].removesuffix('-id')}" for network in task["networksAdvanceds"]]
    lines += [
        f'{name} --- socket{{{{"engine\'s socket"}}}}'
        if mount["type"] == "bind"
        else f"{name} --- {name}-volume[(volume)]"
        for mount in task["containerSpec"]["mounts"]
    ]
    return chapter, lines


def test_the_picture_in_readme_is_what_the_program_makes(seen: list[pulumi.runtime.MockResourceArgs]) -> None:
    drawn, page = draw(seen), README.read_text()
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin and end, "README has no place for the picture"
    if os.environ.get("GOLDEN"):
        README.write_text(before + begin + drawn + end + after)
    else:
        assert rest.startswith(drawn + end), "the program makes something else; GOLDEN=1 draws it anew: look at it"
