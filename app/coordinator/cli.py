"""The command line: `coordinator …`; tables for people, `--json` for programs.

Exit codes: 0 done, 1 refused by the coordinator, 2 wrong usage, 3 no coordinator answers.
"""

import asyncio
import json
import sys
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from coordinator.model import (
    LEASE_SECONDS_DEFAULT,
    Agent,
    Claim,
    ClaimRequest,
    Completion,
    Failure,
    Priority,
    Registration,
    Release,
    Renewal,
    Status,
    Submission,
    WorkItem,
)

app = typer.Typer(
    no_args_is_help=True, help="Work for a thousand agents, never given twice.", pretty_exceptions_enable=False
)
work = typer.Typer(no_args_is_help=True, help="Submit, claim and finish work items.")
agent = typer.Typer(no_args_is_help=True, help="Register and list agents.")
app.add_typer(work, name="work")
app.add_typer(agent, name="agent")

_Url = Annotated[str, typer.Option("--url", envvar="COORDINATOR_URL", help="The coordinator's address.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Token = Annotated[int, typer.Option(help="The fencing token that the claim gave.")]
_Lease = Annotated[int, typer.Option(min=1, max=3600, help="Seconds until the lease ends unless renewed.")]
_Document = Annotated[str | None, typer.Option(help="A JSON document.")]
_HOME = "http://127.0.0.1:4000"


@app.command()
def serve() -> None:
    """Serve the API; settings come from COORDINATOR_… variables."""
    from coordinator import server  # noqa: PLC0415 - clients start without it

    server.serve(_settings())


@app.command()
def migrate(
    example_work: Annotated[bool, typer.Option(help="Put a few work items into an empty store.")] = False,
) -> None:
    """Bring the store to the schema that this version needs."""
    from coordinator import schema, telemetry  # noqa: PLC0415

    telemetry.configure_logs()
    settings = _settings()
    schema.migrate(settings)
    if example_work:
        from coordinator import example  # noqa: PLC0415

        asyncio.run(example.submit_examples(settings))


@work.command("submit")
def submit_work(
    type: Annotated[str, typer.Argument(help="What kind of work it is.")],  # noqa: A002
    title: Annotated[str, typer.Argument()],
    description: Annotated[str, typer.Option()] = "",
    priority: Annotated[Priority, typer.Option()] = Priority.MEDIUM,
    team: Annotated[str | None, typer.Option()] = None,
    label: Annotated[list[str] | None, typer.Option(help="May be given more than once.")] = None,
    skill: Annotated[list[str] | None, typer.Option(help="A skill that the work needs; may be repeated.")] = None,
    points: Annotated[int, typer.Option(min=0, max=1000)] = 1,
    payload: _Document = None,
    max_attempts: Annotated[int, typer.Option(min=1, max=100)] = 3,
    url: _Url = _HOME,
    as_json: _Json = False,
) -> None:
    """Submit a work item."""
    submission = Submission(
        type,
        title,
        description,
        priority,
        team,
        label or [],
        skill or [],
        points,
        _document("--payload", payload),
        max_attempts,
    )
    with _client(url) as client:
        _show_items([client.submit(submission)], as_json)


@work.command("claim")
def claim_work(
    agent: Annotated[str, typer.Option(help="Who claims.")],
    id: Annotated[str | None, typer.Option(help="One work item, by its id.")] = None,  # noqa: A002
    team: Annotated[str | None, typer.Option()] = None,
    type: Annotated[str | None, typer.Option()] = None,  # noqa: A002
    skill: Annotated[list[str] | None, typer.Option(help="A skill that the agent has; may be repeated.")] = None,
    count: Annotated[int, typer.Option(min=1, max=100)] = 1,
    lease: _Lease = LEASE_SECONDS_DEFAULT,
    url: _Url = _HOME,
    as_json: _Json = False,
) -> None:
    """Claim work: one item by id, or the most urgent that fit."""
    with _client(url) as client:
        _show_claims(client.claim(ClaimRequest(agent, id, team, type, skill or None, count, lease)), as_json)


@work.command("renew")
def renew_work(
    item: str,
    token: _Token,
    lease: _Lease = LEASE_SECONDS_DEFAULT,
    progress: Annotated[int | None, typer.Option(min=0, max=100)] = None,
    url: _Url = _HOME,
    as_json: _Json = False,
) -> None:
    """Extend a lease, and note progress."""
    with _client(url) as client:
        _show_claims([client.renew(item, Renewal(token, lease, progress))], as_json)


@work.command("complete")
def complete_work(
    item: str, token: _Token, result: _Document = None, url: _Url = _HOME, as_json: _Json = False
) -> None:
    """Finish a work item."""
    with _client(url) as client:
        _show_items([client.complete(item, Completion(token, _document("--result", result)))], as_json)


@work.command("fail")
def fail_work(
    item: str,
    token: _Token,
    reason: Annotated[str, typer.Option()],
    retry: Annotated[bool, typer.Option(help="May it be tried again?")] = True,
    url: _Url = _HOME,
    as_json: _Json = False,
) -> None:
    """Say that the work could not be done."""
    with _client(url) as client:
        _show_items([client.fail(item, Failure(token, reason, retry))], as_json)


@work.command("release")
def release_work(item: str, token: _Token, url: _Url = _HOME, as_json: _Json = False) -> None:
    """Give a work item back undone."""
    with _client(url) as client:
        _show_items([client.release(item, Release(token))], as_json)


@work.command("show")
def show_work(item: str, url: _Url = _HOME) -> None:
    """Show all that is known of a work item, as JSON."""
    with _client(url) as client:
        _print_json(client.get_item(item))


@work.command("list")
def list_work(
    status: Annotated[Status | None, typer.Option()] = None,
    team: Annotated[str | None, typer.Option()] = None,
    type: Annotated[str | None, typer.Option()] = None,  # noqa: A002
    agent: Annotated[str | None, typer.Option()] = None,
    count: Annotated[int, typer.Option(min=1, max=500)] = 50,
    url: _Url = _HOME,
    as_json: _Json = False,
) -> None:
    """List work items, newest first."""
    with _client(url) as client:
        page = client.list_items(status=status, team=team, type=type, agent=agent, count=count)
    _show_items(page.items, as_json)


@agent.command("register")
def register_agent(
    name: str,
    team: Annotated[str | None, typer.Option()] = None,
    skill: Annotated[list[str] | None, typer.Option(help="May be given more than once.")] = None,
    capacity: Annotated[int, typer.Option(min=1, max=1000)] = 1,
    url: _Url = _HOME,
    as_json: _Json = False,
) -> None:
    """Register an agent, or update what is known of it."""
    with _client(url) as client:
        _show_agents([client.register(Registration(name, team, skill or [], capacity))], as_json)


@agent.command("list")
def list_agents(url: _Url = _HOME, as_json: _Json = False) -> None:
    """List agents by name."""
    with _client(url) as client:
        _show_agents(client.list_agents(), as_json)


def main() -> None:
    """Run the command line; a refusal is one line on standard error."""
    from coordinator.client import Problem, UnreachableError  # noqa: PLC0415 - `serve` starts without httpx

    try:
        app()
    except Problem as problem:
        _stop(f"{problem.code}: {problem}", 1)
    except UnreachableError as error:
        _stop(str(error), 3)
    except msgspec.ValidationError as error:
        _stop(str(error), 2)


def _settings() -> Any:
    from pydantic import ValidationError  # noqa: PLC0415

    from coordinator.settings import Settings  # noqa: PLC0415

    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"COORDINATOR_{str(fault['loc'][0]).upper()}: {fault['msg']}" if fault["loc"] else fault["msg"]
            for fault in error.errors()
        )
        _stop(faults.replace("Value error, ", ""), 2)


def _client(url: str) -> Any:
    from coordinator.client import Client  # noqa: PLC0415

    return Client(url)


def _document(option: str, text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        _stop(f"{option} is not JSON: {error}", 2)


def _stop(line: str, code: int) -> None:
    sys.stderr.write(f"coordinator: {line}\n")
    raise SystemExit(code)


def _print_json(value: Any) -> None:
    typer.echo(msgspec.json.encode(value))


def _show_items(items: list[WorkItem], as_json: bool) -> None:
    if as_json:
        _print_json(items)
        return
    table = Table("id", "status", "priority", "type", "title", "team", "agent", "attempt")
    for item in items:
        table.add_row(
            item.id,
            item.status,
            item.priority,
            item.type,
            item.title,
            item.team,
            item.agent,
            f"{item.attempt}/{item.max_attempts}",
        )
    _print_table(table, "no work items")


def _show_claims(claims: list[Claim], as_json: bool) -> None:
    if as_json:
        _print_json(claims)
        return
    table = Table("id", "token", "type", "title", "priority", "lease until")
    for claim in claims:
        item = claim.item
        table.add_row(
            item.id, str(claim.token), item.type, item.title, item.priority, f"{claim.lease_expires_at:%H:%M:%S} UTC"
        )
    _print_table(table, "no work fits: nothing claimed")


def _show_agents(agents: list[Agent], as_json: bool) -> None:
    if as_json:
        _print_json(agents)
        return
    table = Table("name", "team", "skills", "claimed", "last seen")
    for one in agents:
        table.add_row(
            one.name,
            one.team,
            " ".join(one.skills),
            f"{one.claimed}/{one.capacity}",
            f"{one.last_seen_at:%H:%M:%S} UTC",
        )
    _print_table(table, "no agents")


def _print_table(table: Table, empty: str) -> None:
    if table.row_count:
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    else:
        typer.echo(empty)
