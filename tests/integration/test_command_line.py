"""The command line against a real coordinator: every command runs, and a refusal is one line and an exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest
from coordinator.cli import app
from typer.main import get_command
from typer.testing import CliRunner

from tests.servers import serve

Run = Any


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("coordinator")
    store = {"COORDINATOR_DATABASE_URL": f"sqlite:///{folder / 'work.db'}"}
    with serve(store, folder / "log") as url:
        yield {**os.environ, **store, "COORDINATOR_URL": url}


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def run(*words: str, code: int = 0, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "coordinator", *words],
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"{words}: exit code {done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout or done.stderr

    return run


def read(output: str) -> Any:
    return json.loads(output)


def test_work_from_submission_to_completion(run: Run) -> None:
    (item,) = read(run("work", "submit", "build", "Build it", "--team", "a", "--label", "x", "--json"))
    (held,) = read(run("work", "claim", "--agent", "ada", "--team", "a", "--json"))
    assert held["item"]["id"] == item["id"]
    token = str(held["token"])
    run("work", "renew", item["id"], "--token", token)
    run("work", "progress", item["id"], "50", "--token", token)
    (done,) = read(run("work", "complete", item["id"], "--token", token, "--result", '{"a": "\\"quoted\\""}', "--json"))
    assert done["result"] == {"a": '"quoted"'}
    assert [event["kind"] for event in read(run("work", "history", item["id"], "--json"))] == [
        "submitted",
        "claimed",
        "progressed",
        "completed",
    ]
    assert item["id"] in run("work", "list", "--status", "completed", "--team", "a")
    assert read(run("work", "show", item["id"]))["progress"] == 100


def test_the_other_ways_that_work_can_go(run: Run) -> None:
    def submit() -> str:
        identity: str = read(run("work", "submit", "build", "x", "--json"))[0]["id"]
        return identity

    first, second = submit(), submit()
    run("work", "claim", "--agent", "ada", "--id", first)
    assert read(run("work", "release", first, "--token", "1", "--json"))[0]["status"] == "ready"
    run("work", "claim", "--agent", "ada", "--id", first)
    assert read(run("work", "reassign", first, "--agent", "bob", "--json"))[0]["token"] == 3
    failed = read(run("work", "fail", first, "--token", "3", "--reason", "no", "--no-retry", "--json"))[0]
    assert failed["status"] == "failed"
    assert read(run("work", "retry", first, "--json"))[0]["status"] == "ready"
    assert read(run("work", "depend", second, first, "--json"))[0]["status"] == "blocked"
    assert read(run("work", "cancel", first, "--json"))[0]["status"] == "cancelled"
    assert read(run("claim", "docs", "Write", "--agent", "ada", "--json"))[0]["token"] == 1


def test_agents_and_locks(run: Run) -> None:
    assert read(run("agent", "register", "eve", "--capacity", "3", "--skill", "go", "--json"))[0]["capacity"] == 3
    for action, status in (("drain", "draining"), ("activate", "active"), ("fail", "offline"), ("renew", "active")):
        assert read(run("agent", action, "eve", "--json"))[0]["status"] == status
    assert "eve" in run("agent", "list")
    assert "eve" in run("agent", "show", "eve")
    run("agent", "remove", "eve")
    assert "agent_unknown" in run("agent", "show", "eve", code=1)
    assert read(run("lock", "take", "port", "--agent", "ada", "--json"))[0]["token"] == 1
    assert "lock_held: port is held by ada" in run("lock", "take", "port", "--agent", "bob", code=1)
    run("lock", "renew", "port", "--token", "1")
    assert "port" in run("lock", "list")
    run("lock", "release", "port", "--token", "1")


def test_events_are_listed_and_followed_from_a_place(run: Run) -> None:
    run("work", "submit", "build", "x")
    run("work", "submit", "build", "y")
    newest, before = read(run("event", "list", "--count", "2", "--json"))
    assert read(run("event", "follow", "--after", before["id"], "--count", "1")) == newest


def test_tokens_are_made_listed_and_revoked(run: Run) -> None:
    token = run("admin", "create-token", "ci", "--role", "viewer").strip()
    assert token.startswith("cbt_")
    (listed,) = read(run("admin", "list-tokens", "--json"))
    assert (listed["name"], listed["role"], listed["revoked_at"]) == ("ci", "viewer", None)
    run("admin", "revoke-token", listed["id"])
    assert "token_unknown" in run("admin", "revoke-token", listed["id"], code=1)
    assert "--agent goes with --role agent" in run("admin", "create-token", "x", "--role", "agent", code=2)


def test_what_it_says_of_itself(run: Run) -> None:
    assert "ready" in run("status")
    assert read(run("health", "--json"))["score"] > 0
    assert "store round trip" in run("health")
    assert "beamops_agent_work_claimed_total" in run("admin", "metrics")
    assert read(run("admin", "openapi"))["info"]["title"] == "BEAMOps coordinator"
    run("migrate")


@pytest.mark.parametrize(
    "name", ["teams", "planning", "dependencies", "idle", "delivered", "retrospective", "board", "flow"]
)
def test_every_report_is_a_table_and_json(run: Run, name: str) -> None:
    run("claim", "docs", "Write", "--agent", "ada", "--team", "a")
    assert run("report", name)
    assert read(run("report", name, "--json")) is not None


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("work", "show", "none"), 1, "coordinator: item_unknown: there is no work item none"),
        (("work", "complete", "x", "--token", "1", "--result", "{"), 2, "coordinator: --result is not JSON"),
        (("work", "claim", "--agent", "a b"), 1, "coordinator: invalid_request: agent"),
        (("status", "--url", "http://127.0.0.1:1"), 3, "coordinator: no coordinator answers at http://127.0.0.1:1"),
    ],
)
def test_a_refusal_is_one_line_and_an_exit_code(run: Run, words: tuple[str, ...], code: int, line: str) -> None:
    (said,) = run(*words, code=code).splitlines()
    assert said.startswith(line)


def test_wrong_settings_are_named_by_their_variable(run: Run) -> None:
    assert "COORDINATOR_PORT" in run("serve", code=2, COORDINATOR_PORT="http")
    assert "would serve without authentication" in run("serve", code=2, COORDINATOR_HOST="0.0.0.0")


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        for name, child in command.commands.items():  # type: ignore[union-attr,unused-ignore]
            yield from commands(child, (*path, name))
    else:
        yield path


def test_every_command_explains_itself() -> None:
    found = list(commands(get_command(app)))  # type: ignore[arg-type,unused-ignore]
    assert len(found) > 40
    for words in found:
        assert "Usage: " in CliRunner().invoke(app, [*words, "--help"]).output
