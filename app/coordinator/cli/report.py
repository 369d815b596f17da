"""`coordinator report …`: what the store tells of teams, plans and flow."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from coordinator.cli.output import HOME, Json, Url, connect, show
from coordinator.cli.team import list_teams
from coordinator.cli.work import show_items

group = typer.Typer(no_args_is_help=True, help="Reports from what really happened.")
_Days = Annotated[float, typer.Option(min=0.001, max=365, help="How many days back.")]


@group.command()
def teams(url: Url = HOME, as_json: Json = False) -> None:
    """Work, agents, velocity, collaboration and efficiency of every team."""
    list_teams(url, as_json)


@group.command()
def planning(url: Url = HOME, as_json: Json = False) -> None:
    """Backlog in points against what teams get done."""
    with connect(url) as client:
        found = client.report_planning().plans
    rows = (
        (one.team or "(none)", one.backlog_points, one.velocity, one.weeks, one.agents, one.capacity) for one in found
    )
    show(found, as_json, ("team", "backlog", "velocity", "weeks", "agents", "capacity"), rows, "nothing to plan")


@group.command()
def dependencies(url: Url = HOME, as_json: Json = False) -> None:
    """What blocked work waits for, and whose it is."""
    with connect(url) as client:
        found = client.report_dependencies().blockers
    rows = (
        (one.title, one.team or "(none)", one.needs_title, one.needs_team or "(none)", one.needs_status)
        for one in found
    )
    show(found, as_json, ("blocked", "of team", "waits for", "of team", "which is"), rows, "nothing is blocked")


@group.command()
def idle(url: Url = HOME, as_json: Json = False) -> None:
    """Capacity that nobody uses."""
    with connect(url) as client:
        found = client.report_idle()
    rows = ((one.name, one.team, f"{one.claimed}/{one.capacity or 1}") for one in found.agents)
    show(found, as_json, ("agent", "team", "claimed"), rows, "nobody is idle")


@group.command()
def delivered(days: _Days = 7, url: Url = HOME, as_json: Json = False) -> None:
    """What was completed."""
    with connect(url) as client:
        show_items(client.report_delivered(days).items, as_json)


@group.command()
def retrospective(days: _Days = 7, url: Url = HOME, as_json: Json = False) -> None:
    """A span of time against the one before it, and why work failed."""
    with connect(url) as client:
        found = client.report_retrospective(days)
    now, before = found.now, found.before
    rows = [
        ("completed", now.completed, before.completed),
        ("failed", now.failed, before.failed),
        ("retried", now.retried, before.retried),
        ("leases expired", now.expired, before.expired),
        ("lead time p50, s", now.lead_seconds.p50, before.lead_seconds.p50),
        ("lead time p95, s", now.lead_seconds.p95, before.lead_seconds.p95),
        *((f"failed: {cause}", count, "") for cause, count in found.failure_causes.items()),
    ]
    show(found, as_json, ("", f"last {days:g} days", "before"), rows, "")


@group.command()
def board(url: Url = HOME, as_json: Json = False) -> None:
    """Parents, and how far their children are."""
    with connect(url) as client:
        found = client.report_board().parents
    rows = (
        (one["title"], one["status"], " ".join(f"{status}:{count}" for status, count in one["children"].items()))
        for one in found
    )
    show(found, as_json, ("parent", "status", "children"), rows, "no work item has children")


@group.command()
def flow(days: _Days = 7, url: Url = HOME, as_json: Json = False) -> None:
    """Time that finished work spent in each state."""
    with connect(url) as client:
        found = client.report_flow(days).states
    rows = ((status, one.count, one.p50, one.p85, one.p95) for status, one in found.items())
    show(found, as_json, ("state", "items", "p50 s", "p85 s", "p95 s"), rows, "nothing was finished")


@group.command()
def trend(
    minutes: Annotated[float, typer.Option(min=1, max=1440, help="How many minutes back.")] = 60,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Throughput, latency and queue age over the last minutes."""
    with connect(url) as client:
        found = client.report_trend(minutes)
    rows = zip(
        (f"{datetime.fromtimestamp(start, UTC):%H:%M:%S}" for start in found.starts),
        found.submitted,
        found.claimed,
        found.completed,
        found.requests,
        found.errors,
        found.p95_ms,
        found.oldest_ready_seconds,
        strict=True,
    )
    columns = ("from", "submitted", "claimed", "completed", "requests", "errors", "p95 ms", "oldest ready s")
    show(found, as_json, columns, rows, "nothing yet")
