"""`coordinator insight …`: advice, by a model where the coordinator has a key for one, else computed."""

import json
import sys
import time
from typing import Annotated, Any

import msgspec
import typer

from coordinator.cli.output import HOME, Json, Lease, Url, connect, show, stop
from coordinator.insights import Insight, Kind
from coordinator.model import LEASE_SECONDS_DEFAULT, Reassignment, WorkItem

group = typer.Typer(no_args_is_help=True, help="Advice: what to do first, who should do it, what is in the way.")
_LOOK_SECONDS = 5.0


@group.command()
def priorities(url: Url = HOME, as_json: Json = False) -> None:
    """What to do first, and why."""
    _advise(url, Kind.PRIORITIES, as_json)


@group.command()
def teams(url: Url = HOME, as_json: Json = False) -> None:
    """Which teams have too much work, and which too little."""
    _advise(url, Kind.TEAMS, as_json)


@group.command()
def health(url: Url = HOME, as_json: Json = False) -> None:
    """What costs the health score most."""
    _advise(url, Kind.HEALTH, as_json)


@group.command()
def bottlenecks(url: Url = HOME, as_json: Json = False) -> None:
    """What holds most work up."""
    _advise(url, Kind.BOTTLENECKS, as_json)


@group.command()
def recommend(
    agent: Annotated[str | None, typer.Option(help="For whom.")] = None, url: Url = HOME, as_json: Json = False
) -> None:
    """What to claim next; `work claim --recommended` does it."""
    _advise(url, Kind.RECOMMEND, as_json, agent)


@group.command()
def assignments(
    apply: Annotated[bool, typer.Option("--apply", help="Give the work to the agents named.")] = False,
    lease: Lease = LEASE_SECONDS_DEFAULT,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Which agent should do which ready work."""
    from coordinator.client import Problem  # noqa: PLC0415 - `serve` starts without httpx

    insight = _advise(url, Kind.ASSIGNMENTS, as_json)
    if not apply:
        return
    with connect(url) as client:
        for advice in insight.advice:
            if advice.item is None or advice.agent is None:
                continue
            try:
                claim = client.reassign(advice.item, Reassignment(advice.agent, lease))
            except Problem as problem:
                # Somebody was faster; the others are still to be given.
                sys.stderr.write(f"coordinator: {advice.item}: {problem.code}: {problem}\n")
            else:
                sys.stderr.write(f"{claim.item.id} is {advice.agent}'s, token {claim.token}\n")


@group.command()
def stream(
    kind: Annotated[Kind, typer.Argument(help="What about.")],
    seconds: Annotated[float, typer.Option(min=0, help="How long; for ever if 0.")] = 60,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Print an insight, again whenever it has changed; with --json, one object a line."""
    end = time.monotonic() + seconds
    last = None
    with connect(url) as client:
        while True:
            insight = client.get_insight(kind)
            if insight != last:
                _show(insight, as_json)
                last = insight
            left = end - time.monotonic() if seconds else _LOOK_SECONDS
            if left <= 0:
                return
            time.sleep(min(_LOOK_SECONDS, left))


@group.command()
def pipe(
    kind: Annotated[Kind, typer.Argument(help="What about.")],
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Advice about work items on standard input, as `work list --json` prints them."""
    try:
        given = json.load(sys.stdin)
        items = msgspec.convert(given["items"] if isinstance(given, dict) else given, list[WorkItem], strict=False)
    except (ValueError, KeyError) as error:
        stop(f"standard input is not a list of work items as `work list --json` prints it: {error}", 2)
    with connect(url) as client:
        _show(client.analyse(kind, items), as_json)


def _advise(url: str, kind: Kind, as_json: bool, agent: str | None = None) -> Insight:
    with connect(url) as client:
        insight: Insight = client.get_insight(kind, agent)
    _show(insight, as_json)
    return insight


def _show(insight: Insight, as_json: bool) -> None:
    rows: Any = ((one.action, one.item or one.agent or one.team, one.agent, one.reason) for one in insight.advice)
    show(insight, as_json, ("advice", "about", "agent", "why"), rows, "no advice")
    if not as_json:
        note = f"; {insight.note}" if insight.note else ""
        typer.echo(f"{insight.summary} ({insight.source}{note})")
