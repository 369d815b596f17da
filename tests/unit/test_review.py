"""The comment on a pull request: what a reviewer must see is seen, in the same order each time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.comment import LIMIT, MARK, render_markdown
from cli.console import StopError
from cli.github import publish, report_drift
from cli.review import Change, Review, read_events, render_json
from components.settings import ExemptionSettings
from tests.github import GitHub, serve_github


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    with serve_github() as (served, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield served


SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "hunter2"}
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def step(action: str, kind: str, name: str, chapter: str = "aws:Production", **more: Any) -> str:
    urn = f"urn:pulumi:prod::beamops::beamops:{chapter}${kind}::{name}"
    sides = {side: {"inputs": more.pop(side)} if side in more else None for side in ("old", "new")}
    detail = {path: {"diffKind": how} for path, how in more.pop("detail", {}).items()}
    return json.dumps(
        {"resourcePreEvent": {"metadata": {"op": action, "urn": urn, "type": kind, "detailedDiff": detail, **sides}}}
    )


def violation(rule: str, level: str, message: str) -> str:
    told = {"policyName": rule, "enforcementLevel": level, "message": f"What it says.\n{message}\n"}
    return json.dumps({"policyEvent": told})


DATABASE = step(
    "replace", "aws:rds/instance:Instance", "database",
    old={"identifier": "a", "password": SECRET, "instanceClass": "db.t4g.medium", "tags": {"x.y": "1"}},
    new={"identifier": "b", "password": SECRET, "instanceClass": "db.t4g.large", "tags": {"x.y": UNKNOWN}},
    detail={"identifier": "update-replace", "password": "update", "instanceClass": "update", 'tags["x.y"]': "update"},
)  # fmt: skip
REPLICAS = step(
    "update", "docker:index/service:Service", "coordinator", "chapters:Distribution",
    old={"mode": {"replicated": {"replicas": 2}}}, new={"mode": {"replicated": {"replicas": 3}}},
    detail={"mode.replicated.replicas": "update"},
)  # fmt: skip
EVENTS = [
    REPLICAS,
    step("create", "aws:ec2/subnet:Subnet", "public-c", "aws:Network", new={"cidrBlock": "10.20.160.0/20"}),
    step("delete", "aws:ec2/eip:Eip", "nat-b", "aws:Network", old={"domain": "vpc"}),
    step("same", "aws:ec2/vpc:Vpc", "vpc", "aws:Network", old={}, new={}),
    DATABASE,
    step("create-replacement", "aws:rds/instance:Instance", "database", new={}),
]


def read(*events: str, allowed: frozenset[str] = frozenset(), exemptions: tuple[ExemptionSettings, ...] = ()) -> Review:
    return read_events("prod", [*events, "not json"], exemptions, allowed)


def test_changes_are_told_by_chapter_with_the_dangerous_ones_first() -> None:
    text = render_markdown(read(*EVENTS))
    assert text.startswith(
        "## prod: ⛔ blocked\n\n"
        "**1 to be deleted** · **1 to be replaced** · **1 to be created** · **1 to be updated** · 1 unchanged"
    )
    assert (
        text.index("**Deleted:**")
        < text.index("**Replaced:**")
        < text.index("<details open><summary>Chapter Distribution: 1 updated")
    )
    assert "- **database** (aws:rds/instance:Instance), forced by `identifier` — **its data would be lost**" in text
    assert "  - `mode.replicated.replicas`: `2` → `3`" in text
    assert "  - **`identifier`**: `a` → `b`" in text
    assert '`tags["x.y"]`: `1` → `(known after the update)`' in text


def test_a_preview_is_told_the_same_whatever_order_the_engine_tells_it_in() -> None:
    assert render_markdown(read(*EVENTS)) == render_markdown(read(*reversed(EVENTS)))


@pytest.mark.parametrize("render", [render_markdown, render_json])
def test_no_secret_is_shown(render: Any) -> None:
    text = render(read(DATABASE))
    assert "hunter2" not in text
    assert "[secret]" in text


def test_what_keeps_data_is_lost_by_allowance_alone() -> None:
    (line,) = read(*EVENTS).blocked
    assert line == (
        "data would be lost: database: Instance (to be replaced); if that is meant, make a backup, and give "
        "ALLOW_DELETE=database to `make preview` and `make up`, which allows it once"
    )
    assert read(*EVENTS, allowed=frozenset({"database"})).blocked == []


def test_a_mandatory_rule_blocks_and_an_advisory_one_advises() -> None:
    review = read(
        violation("no-ssh", "mandatory", "x: let's @team in"), violation("logs-bounded", "advisory", "y: <b>")
    )
    assert review.blocked == ["no-ssh: x: let's @team in"]
    text = render_markdown(review)
    assert "- no-ssh: x: let's @<!-- -->team in" in text, "nobody is called by a comment"
    assert "Advice:\n\n- logs-bounded: y: &lt;b&gt;" in text


def test_what_the_engine_could_not_do_blocks() -> None:
    event = {"diagnosticEvent": {"severity": "error", "message": "no such\n zone"}}
    assert read(json.dumps(event)).blocked == ["no such zone"]


def test_exemptions_are_listed() -> None:
    given = ExemptionSettings(rule="no-ssh", resource="x", reason="until the new bastion", expires="2026-12-31")
    assert "- `no-ssh` of `x` until 2026-12-31: until the new bastion" in render_markdown(read(exemptions=(given,)))


def test_costs_are_told_with_what_changes() -> None:
    machine, group = "aws:ec2/launchTemplate:LaunchTemplate", "aws:autoscaling/group:Group"
    review = read(
        step("same", machine, "worker", old={"instanceType": "t4g.large"}, new={"instanceType": "t4g.large"}),
        step(
            "update",
            group,
            "workers",
            old={"desiredCapacity": 1},
            new={"desiredCapacity": 2},
            detail={"desiredCapacity": "update"},
        ),
    )
    assert "about 120 USD a month (+60)" in render_markdown(review)


def test_long_values_are_folded_and_a_long_preview_is_shortened() -> None:
    change = step("update", "aws:iam/role:Role", "r", old={"x": "a" * 500}, new={"x": "`" * 3}, detail={"x": "update"})
    text = render_markdown(read(change))
    assert "<details><summary>500 characters</summary>" in text
    assert "```` ``` ````" in text
    many = tuple(Change("create", "Network", "aws:ec2/subnet:Subnet", f"subnet-{number:05}") for number in range(2000))
    short = render_markdown(Review("prod", 0, many))
    assert len(short) <= LIMIT
    assert "**2000 to be created**" in short


def test_of_many_that_are_replaced_those_that_take_data_along_are_seen_at_once() -> None:
    many = [
        step(
            "replace", "aws:ec2/subnet:Subnet", f"s{number}", old={"x": 1}, new={"x": 2}, detail={"x": "update-replace"}
        )
        for number in range(11)
    ]
    text = render_markdown(read(*many, DATABASE))
    assert (
        text.index("**database**") < text.index("<details><summary>11 more replaced</summary>") < text.index("**s0**")
    )
    assert "<details open>" not in text, "many changes are folded"


def test_one_name_of_several_that_keep_data_says_that_it_allows_them_all() -> None:
    volume = step("delete", "docker:index/volume:Volume", "database", "chapters:Distribution", old={"name": "x"})
    (line,) = read(DATABASE, volume).blocked
    assert "database: Volume (to be deleted), Instance (to be replaced)" in line
    assert "allows all of them once" in line


def test_the_json_is_for_programs() -> None:
    told = json.loads(render_json(read(*EVENTS)))
    assert told["counts"] == {"delete": 1, "replace": 1, "create": 1, "update": 1, "same": 1}
    assert [change["name"] for change in told["changes"] if change["keeps_data"]] == ["database"]


def test_a_second_push_updates_the_one_comment(github: GitHub, tmp_path: Path) -> None:
    github.comments += [{"id": number, "body": "hello", "html_url": ""} for number in range(150)]
    for stack in ("staging", "dev"):
        (tmp_path / stack).mkdir()
        (tmp_path / stack / f"{stack}.md").write_text(f"## {stack}: first\n")
    assert publish(tmp_path, 7) == "https://x/150"
    assert github.comments[150]["body"] == f"{MARK}\n## dev: first\n\n## staging: first\n"
    (tmp_path / "dev" / "dev.md").write_text("## dev: second\n")
    assert publish(tmp_path, 7) == "https://x/150"
    assert len(github.comments) == 151
    assert "## dev: second" in github.comments[150]["body"]


def test_drift_is_one_issue_which_is_closed_when_it_is_gone(github: GitHub, tmp_path: Path) -> None:
    (tmp_path / "staging.md").write_text("## staging: no changes\n")
    (tmp_path / "prod.md").write_text("## prod: no changes\n")
    assert report_drift(tmp_path) == "nothing has drifted"
    assert github.issues == []
    (tmp_path / "prod.md").write_text("## prod: ✅ no rule is broken, no data is lost\n\n**1 to be updated**\n")
    assert report_drift(tmp_path) == "https://x/issues/0"
    (tmp_path / "prod.md").write_text("## prod: ✅ no rule is broken, no data is lost\n\n**2 to be updated**\n")
    assert report_drift(tmp_path) == "https://x/issues/0"
    (issue,) = github.issues
    assert issue["labels"] == ["drift"]
    assert "**2 to be updated**" in issue["body"]
    assert "staging" not in issue["body"], "what has not drifted is not told"
    (tmp_path / "prod.md").write_text("## prod: no changes\n")
    assert report_drift(tmp_path) == "nothing has drifted any more: https://x/issues/0 is closed"
    assert issue["state"] == "closed"


def test_nothing_to_say_and_nobody_to_say_it_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StopError, match="holds no preview"):
        publish(tmp_path, 7)
    (tmp_path / "dev.md").write_text("x")
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    with pytest.raises(StopError, match="GITHUB_TOKEN must be set, as"):
        publish(tmp_path, 7)
