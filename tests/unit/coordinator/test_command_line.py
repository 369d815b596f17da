"""The command line against a real coordinator: every command runs, and a refusal is one line and an exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from coordinator.cli import app, walk
from coordinator.insights import Kind
from typer.main import get_command
from typer.testing import CliRunner

from tests.servers import free_port, serve, wait_until_ready

Run = Any


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("coordinator")
    store = {"COORDINATOR_DATABASE_URL": f"sqlite:///{folder / 'work.db'}"}
    with serve(store, folder / "log") as url:
        yield {**os.environ, **store, "COORDINATOR_URL": url}


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def run(*words: str, code: int = 0, given: str = "", **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "coordinator", *words],
            env={**environment, **variables},
            input=given,
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
    assert read(run("work", "show", item["id"], "--json"))["progress"] == 100


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
    token = str(read(run("lock", "take", "port", "--agent", "ada", "--json"))[0]["token"])
    assert "lock_held: port is held by ada" in run("lock", "take", "port", "--agent", "bob", code=1)
    run("lock", "renew", "port", "--token", token)
    assert "port" in run("lock", "list")
    run("lock", "release", "port", "--token", token)


def test_events_are_listed_and_followed_from_a_place(run: Run) -> None:
    run("work", "submit", "build", "x")
    run("work", "submit", "build", "y")
    newest, before = read(run("event", "list", "--count", "2", "--json"))
    assert read(run("event", "follow", "--after", before["id"], "--count", "1", "--json")) == newest


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
    "name", ["teams", "planning", "dependencies", "idle", "delivered", "retrospective", "board", "flow", "trend"]
)
def test_every_report_is_a_table_and_json(run: Run, name: str) -> None:
    run("claim", "docs", "Write", "--agent", "ada", "--team", "a")
    assert run("report", name)
    assert read(run("report", name, "--json")) is not None


@pytest.mark.parametrize("kind", [*Kind])
def test_every_insight_is_a_table_and_json(run: Run, kind: str) -> None:
    run("work", "submit", "docs", "Write", "--team", "insights")
    assert "(computed)" in run("insight", kind)
    assert read(run("insight", kind, "--json"))["kind"] == kind


def test_insights_are_applied_streamed_and_piped(run: Run) -> None:
    run("agent", "register", "lea", "--team", "solo", "--skill", "rust")
    (item,) = read(
        run("work", "submit", "build", "x", "--priority", "critical", "--skill", "rust", "--team", "solo", "--json")
    )
    run("insight", "assignments", "--apply")
    held = read(run("work", "show", item["id"], "--json"))
    assert (held["status"], held["agent"]) == ("claimed", "lea")
    listed = run("work", "list", "--team", "solo", "--json")
    assert read(run("insight", "pipe", "priorities", "--json", given=listed))["source"] == "computed"
    assert "standard input is not a list of work items" in run("insight", "pipe", "teams", given="{", code=2)
    assert read(run("insight", "stream", "teams", "--seconds", "0.1", "--json").splitlines()[0])["kind"] == "teams"


def test_what_is_recommended_is_claimed(run: Run) -> None:
    run("agent", "register", "max", "--team", "rec", "--skill", "zig", "--capacity", "5")
    (item,) = read(run("work", "submit", "build", "x", "--team", "rec", "--skill", "zig", "--json"))
    (held,) = read(run("work", "claim", "--agent", "max", "--recommended", "--json"))
    assert held["item"]["id"] == item["id"]
    assert "goes without --id" in run("work", "claim", "--agent", "max", "--recommended", "--team", "x", code=2)


def test_teams_are_listed_stopped_and_started(run: Run) -> None:
    run("agent", "register", "tim", "--team", "crew")
    assert "crew" in run("team", "list")
    run("work", "submit", "build", "x", "--team", "crew")
    assert len(read(run("team", "work", "crew", "--json"))) == 1
    assert read(run("team", "drain", "crew", "--json"))[0]["status"] == "draining"
    assert "no work fits" in run("work", "claim", "--agent", "tim", "--team", "crew")
    assert read(run("team", "activate", "crew", "--json"))[0]["status"] == "active"
    assert "tim" in run("team", "agents", "crew")
    assert "team_unknown" in run("team", "drain", "nobody", code=1)


def test_operators_see_alerts_settings_and_webhooks(run: Run) -> None:
    run("agent", "register", "ada")
    assert "no active agents" in run("admin", "alerts")
    assert "COORDINATOR_PORT" in run("admin", "config")
    assert "webhook_key_missing" in run("admin", "webhook", "add", "http://127.0.0.1:1/", code=1)
    assert "no webhooks" in run("admin", "webhook", "list")
    assert "webhook_unknown" in run("admin", "webhook", "retry", "none", code=1)
    assert "webhook_unknown" in run("admin", "webhook", "remove", "none", code=1)


def test_the_dashboard_shows_board_agents_and_events(run: Run) -> None:
    shown = run("dashboard", "--once")
    assert "Health" in shown and "Board" in shown and "Events" in shown


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("nonsense",), 2, "coordinator: No such command 'nonsense'; `coordinator --help` tells what there is"),
        (("work", "claim"), 2, "coordinator: Missing option '--agent'; `coordinator work claim --help` tells"),
        (("work", "claim", "--agent", "a", "--count", "x"), 2, "coordinator: Invalid value for '--count'"),
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


def test_every_command_explains_itself() -> None:
    found = [words for words, _ in walk(get_command(app))]
    assert len(found) > 40
    assert len(CliRunner().invoke(app, ["help"]).output.splitlines()) == len(found)
    without = {
        "serve",
        "autoscale",
        "engine-exporter",
        "engine-proxy",
        "migrate",
        "help",
        "admin metrics",
        "admin openapi",
    }  # the last two print what they print as it is
    for words in found:
        if " ".join(words) not in without:
            assert "--json" in CliRunner().invoke(app, [*words, "--help"]).output, words
        assert "Usage: " in CliRunner().invoke(app, [*words, "--help"]).output


def test_the_end_comes_although_nobody_reads_the_log_any_more(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "coordinator", "serve"],
        env={
            **os.environ,
            "COORDINATOR_DATABASE_URL": f"sqlite:///{tmp_path / 'work.db'}",
            "COORDINATOR_PORT": str(port),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    wait_until_ready(f"http://127.0.0.1:{port}")
    assert process.stdout is not None
    process.stdout.close()
    process.terminate()
    process.wait(15)
