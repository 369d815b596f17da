"""`coordinator admin …`: tokens, made and revoked where the store can be reached; no token is needed for it."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator import colours
from coordinator.access import Role
from coordinator.cli.output import HOME, Json, Url, confirm, connect, print_json, show, stop
from coordinator.colours import Colour
from coordinator.model import WebhookRequest
from coordinator.records import read_time
from coordinator.store import Transaction

group = typer.Typer(no_args_is_help=True, help="Tokens, alerts, settings, webhooks, metrics, the API's description.")
webhook = typer.Typer(no_args_is_help=True, help="Who is told of events: signed, tried again, given up in the end.")
group.add_typer(webhook, name="webhook")
_REGISTERED = re.compile(r"([0-9a-f]{32}):([0-9a-f]{64})")
_Webhook = Annotated[str, typer.Argument(help="A webhook's id.")]


@group.command()
def create_token(
    name: Annotated[str, typer.Argument(help="What the token is for.")],
    role: Annotated[Role, typer.Option(help="What it may do.")],
    agent: Annotated[str | None, typer.Option(help="The one agent that an agent's token speaks for.")] = None,
    register: Annotated[
        str | None, typer.Option(help="Of a token made elsewhere: its id and its secret's SHA-256, ID:DIGEST.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it; it cannot be read again."""
    from coordinator import access  # noqa: PLC0415

    if (role is Role.AGENT) != (agent is not None):
        stop("--agent goes with --role agent, and only with it", 2)
    if register is not None:
        given = _REGISTERED.fullmatch(register)
        if given is None:
            stop("--register takes ID:DIGEST, 32 and 64 hexadecimal digits", 2)
        _on_store(lambda transaction: access.register_token(transaction, given[1], given[2], name, role, agent))
        confirm("registered", given[1], as_json)
        return
    token = _on_store(lambda transaction: access.create_token(transaction, name, role, agent))
    if as_json:
        print_json({"token": token})
    else:
        typer.echo(token)


@group.command()
def list_tokens(as_json: Json = False) -> None:
    """List tokens, without what would let one be used."""
    from coordinator import access  # noqa: PLC0415

    tokens = [dict(row) for row in _on_store(access.list_tokens)]
    rows = (
        (one["id"], one["name"], one["role"], one["agent"], read_time(one["created_at"]), bool(one["revoked_at"]))
        for one in tokens
    )
    show(tokens, as_json, ("id", "name", "role", "agent", "created", "revoked"), rows, "no tokens")


@group.command()
def revoke_token(id: Annotated[str, typer.Argument(help="A token's id.")], as_json: Json = False) -> None:  # noqa: A002
    """Make a token worth nothing, within a second."""
    from coordinator import access  # noqa: PLC0415

    _on_store(lambda transaction: access.revoke_token(transaction, id))
    confirm("revoked", id, as_json)


@group.command()
def switch(
    colour: Annotated[Colour, typer.Argument(help="Of the version that is to serve.")], as_json: Json = False
) -> None:
    """Let one of two versions that run side by side serve, and the other stand by."""
    if not _on_store(lambda transaction: colours.switch(transaction, colour)):
        stop(f"no {colour} coordinator runs: nothing was switched", 1)
    confirm("serves", colour, as_json)


@group.command()
def admit_watcher(
    password_file: Annotated[Path, typer.Argument(help="File that holds the password that the role gets.")],
    as_json: Json = False,
) -> None:
    """Let PostgreSQL's role `watcher` measure it; it reads none of the coordinator's tables."""
    from coordinator import watcher  # noqa: PLC0415
    from coordinator.cli import read_settings  # noqa: PLC0415

    settings = read_settings()
    if settings.sqlite_path is not None:
        stop("the store is a file of SQLite, which has no roles", 2)
    try:
        password = password_file.read_text().strip()
    except OSError as error:
        stop(f"{password_file}: {error.strerror}", 2)
    asyncio.run(watcher.admit(settings.database_dsn(), password))
    confirm("admitted", watcher.ROLE, as_json)


@group.command()
def metrics(url: Url = HOME) -> None:
    """Print the coordinator's metrics, as Prometheus reads them."""
    with connect(url) as client:
        typer.echo(client.get_text("/metrics"))


@group.command()
def openapi(url: Url = HOME) -> None:
    """Print the API's description."""
    with connect(url) as client:
        typer.echo(client.get_text("/schema/openapi.json"))


@group.command()
def alerts(url: Url = HOME, as_json: Json = False) -> None:
    """What is wrong now, by the thresholds of the alerts."""
    with connect(url) as client:
        found = client.get_alerts()
    rows = (
        (one.name, "FIRING" if one.firing else "fine", f"{one.value:g}", f"{one.threshold:g}", one.advice)
        for one in found
    )
    show(found, as_json, ("alert", "state", "now", "threshold", "what to do"), rows, "nothing is looked at")


@group.command()
def config(url: Url = HOME, as_json: Json = False) -> None:
    """Show the settings of the coordinator that answers; no secret is among them."""
    with connect(url) as client:
        found = client.get_config()
    show(found, as_json, ("variable", "value"), found.items(), "no settings")


@webhook.command("add")
def add_webhook(
    target: Annotated[str, typer.Argument(help="Where events are posted to.")],
    kind: Annotated[list[str] | None, typer.Option(help="A kind of event; all if none is given.")] = None,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Tell events to a URL from now on; prints the secret of its signatures, which cannot be read again."""
    with connect(url) as client:
        made = client.add_webhook(WebhookRequest(target, kind or []))
    if as_json:
        print_json(made)
    else:
        typer.echo(made.secret)


@webhook.command("list")
def list_webhooks(url: Url = HOME, as_json: Json = False) -> None:
    """List webhooks, and how they fare."""
    with connect(url) as client:
        found = client.list_webhooks()
    rows = (
        (one.id, one.url, ", ".join(one.kinds) or "all", one.failures, "given up" if one.given_up else one.reason)
        for one in found
    )
    show(found, as_json, ("id", "url", "kinds", "failures", "last reason"), rows, "no webhooks")


@webhook.command("retry")
def retry_webhook(id: _Webhook, url: Url = HOME, as_json: Json = False) -> None:  # noqa: A002
    """Try again at once one that waits or was given up."""
    with connect(url) as client:
        client.retry_webhook(id)
    confirm("retried", id, as_json)


@webhook.command("remove")
def remove_webhook(id: _Webhook, url: Url = HOME, as_json: Json = False) -> None:  # noqa: A002
    """Tell a URL no more."""
    with connect(url) as client:
        client.remove_webhook(id)
    confirm("removed", id, as_json)


def _on_store(act: Callable[[Transaction], Awaitable[Any]]) -> Any:
    from coordinator.cli import read_settings  # noqa: PLC0415
    from coordinator.store import open_store  # noqa: PLC0415

    async def run() -> Any:
        store = await open_store(read_settings())
        try:
            async with store.transaction() as transaction:
                return await act(transaction)
        finally:
            await store.close()

    return asyncio.run(run())
