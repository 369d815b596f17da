"""`coordinator work …`: submit, claim and finish work items."""

from typing import Annotated

import msgspec
import typer

from coordinator.cli.output import (
    HOME,
    Document,
    Json,
    Lease,
    Token,
    Url,
    connect,
    read_document,
    show,
    stop,
)
from coordinator.model import (
    LEASE_SECONDS_DEFAULT,
    Cancellation,
    Claim,
    ClaimRequest,
    Completion,
    Dependencies,
    Event,
    Failure,
    Priority,
    Reassignment,
    Release,
    Renewal,
    Status,
    Submission,
    WorkItem,
)

group = typer.Typer(no_args_is_help=True, help="Submit, claim and finish work items.")
_Item = Annotated[str, typer.Argument(help="A work item's id.")]
_Many = typer.Option(help="May be given more than once.")


@group.command()
def submit(
    type: Annotated[str, typer.Argument(help="What kind of work it is.")],  # noqa: A002
    title: Annotated[str, typer.Argument()],
    description: str = "",
    priority: Priority = Priority.MEDIUM,
    team: str | None = None,
    label: Annotated[list[str] | None, _Many] = None,
    skill: Annotated[list[str] | None, _Many] = None,
    points: Annotated[int, typer.Option(min=0, max=1000)] = 1,
    payload: Document = None,
    max_attempts: Annotated[int, typer.Option(min=1, max=100)] = 3,
    depends_on: Annotated[list[str] | None, _Many] = None,
    parent: str | None = None,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Submit a work item."""
    submission = Submission(
        type=type,
        title=title,
        description=description,
        priority=priority,
        team=team,
        labels=label or [],
        skills=skill or [],
        points=points,
        payload=read_document("--payload", payload),
        max_attempts=max_attempts,
        depends_on=depends_on or [],
        parent=parent,
    )
    with connect(url) as client:
        show_items([client.submit(submission)], as_json)


@group.command("claim")
def claim_work(
    agent: Annotated[str, typer.Option(help="Who claims.")],
    id: Annotated[str | None, typer.Option(help="One work item, by its id.")] = None,  # noqa: A002
    team: str | None = None,
    type: str | None = None,  # noqa: A002
    skill: Annotated[list[str] | None, typer.Option(help="A skill that the agent has; may be repeated.")] = None,
    count: Annotated[int, typer.Option(min=1, max=100)] = 1,
    lease: Lease = LEASE_SECONDS_DEFAULT,
    wait: Annotated[int, typer.Option(min=0, max=60, help="Seconds to wait for work.")] = 0,
    recommended: Annotated[bool, typer.Option("--recommended", help="What `insight recommend` says.")] = False,
    retries: Annotated[int, typer.Option(min=0, max=3, help="How often to try again for an item that is held.")] = 0,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Claim work: one item by id, the most urgent that fit, or what is recommended."""
    if recommended and (id or team or type or skill):
        stop("--recommended chooses by itself: it goes without --id, --team, --type and --skill", 2)
    request = ClaimRequest(agent, id, team, type, skill or None, count, lease, wait)
    with connect(url) as client:
        claims = client.claim_recommended(agent, lease) if recommended else client.claim(request, retries=retries)
        show_claims(claims, as_json)


@group.command()
def renew(
    item: _Item,
    token: Token,
    lease: Lease = LEASE_SECONDS_DEFAULT,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Extend a lease."""
    with connect(url) as client:
        show_claims([client.renew(item, Renewal(token, lease))], as_json)


@group.command()
def progress(
    item: _Item,
    percent: Annotated[int, typer.Argument(min=0, max=100)],
    token: Token,
    lease: Lease = LEASE_SECONDS_DEFAULT,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Note progress, which extends the lease too."""
    with connect(url) as client:
        show_claims([client.renew(item, Renewal(token, lease, percent))], as_json)


@group.command()
def complete(
    item: _Item,
    token: Token,
    result: Document = None,
    points: Annotated[int | None, typer.Option(min=0, max=1000)] = None,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Finish a work item."""
    with connect(url) as client:
        show_items([client.complete(item, Completion(token, read_document("--result", result), points))], as_json)


@group.command()
def fail(
    item: _Item,
    token: Token,
    reason: Annotated[str, typer.Option()],
    retry: Annotated[bool, typer.Option(help="May it be tried again?")] = True,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Say that the work could not be done."""
    with connect(url) as client:
        show_items([client.fail(item, Failure(token, reason, retry))], as_json)


@group.command()
def release(item: _Item, token: Token, url: Url = HOME, as_json: Json = False) -> None:
    """Give a work item back undone."""
    with connect(url) as client:
        show_items([client.release(item, Release(token))], as_json)


@group.command()
def cancel(item: _Item, reason: str = "cancelled", url: Url = HOME, as_json: Json = False) -> None:
    """Say that work is not to be done any more."""
    with connect(url) as client:
        show_items([client.cancel(item, Cancellation(reason))], as_json)


@group.command("retry")
def retry_work(item: _Item, url: Url = HOME, as_json: Json = False) -> None:
    """Make failed or cancelled work ready again."""
    with connect(url) as client:
        show_items([client.retry(item)], as_json)


@group.command()
def reassign(
    item: _Item,
    agent: Annotated[str, typer.Option(help="Who has it from now on.")],
    lease: Lease = LEASE_SECONDS_DEFAULT,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Give a work item to another agent."""
    with connect(url) as client:
        show_claims([client.reassign(item, Reassignment(agent, lease))], as_json)


@group.command()
def depend(
    item: _Item,
    needs: Annotated[list[str], typer.Argument(help="Ids of what it waits for.")],
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Make a work item wait for others too."""
    with connect(url) as client:
        show_items([client.add_dependencies(item, Dependencies(needs))], as_json)


@group.command("show")
def show_work(item: _Item, url: Url = HOME, as_json: Json = False) -> None:
    """Show all that is known of a work item."""
    with connect(url) as client:
        found = client.get_item(item)
    show(found, as_json, ("field", "value"), msgspec.to_builtins(found).items(), "")


@group.command()
def history(item: _Item, url: Url = HOME, as_json: Json = False) -> None:
    """Show all that happened to a work item."""
    with connect(url) as client:
        show_events(client.get_history(item), as_json)


@group.command("list")
def list_work(
    status: Status | None = None,
    priority: Priority | None = None,
    team: str | None = None,
    type: str | None = None,  # noqa: A002
    agent: str | None = None,
    label: str | None = None,
    parent: str | None = None,
    count: Annotated[int, typer.Option(min=1, max=500)] = 50,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """List work items, newest first."""
    filters = {"status": status, "priority": priority, "team": team, "type": type, "agent": agent}
    with connect(url) as client:
        page = client.list_items(count=count, label=label, parent=parent, **filters)
    show_items(page.items, as_json)


def show_items(items: list[WorkItem], as_json: bool) -> None:
    """Work items as a table or JSON."""
    rows = (
        (
            one.id,
            one.status,
            one.priority,
            one.type,
            one.title,
            one.team,
            one.agent,
            f"{one.attempt}/{one.max_attempts}",
        )
        for one in items
    )
    columns = ("id", "status", "priority", "type", "title", "team", "agent", "attempt")
    show(items, as_json, columns, rows, "no work items")


def show_claims(claims: list[Claim], as_json: bool) -> None:
    """Claims as a table or JSON."""
    rows = (
        (
            claim.item.id,
            claim.token,
            claim.item.type,
            claim.item.title,
            claim.item.priority,
            f"{claim.lease_expires_at:%H:%M:%S} UTC",
        )
        for claim in claims
    )
    columns = ("id", "token", "type", "title", "priority", "lease until")
    show(claims, as_json, columns, rows, "no work fits: nothing claimed")


def show_events(events: list[Event], as_json: bool) -> None:
    """Events as a table or JSON."""
    rows = (
        (
            f"{event.at:%Y-%m-%d %H:%M:%S}",
            event.kind,
            event.item,
            event.agent,
            " ".join(f"{key}={value}" for key, value in event.data.items()),
        )
        for event in events
    )
    show(events, as_json, ("at (UTC)", "what", "item", "agent", "more"), rows, "no events")
