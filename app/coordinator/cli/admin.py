"""`coordinator admin …`: tokens, made and revoked where the store can be reached; no token is needed for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from coordinator.access import Role
from coordinator.cli.output import HOME, Json, Url, connect, show, stop
from coordinator.records import read_time
from coordinator.store import Transaction

group = typer.Typer(no_args_is_help=True, help="Tokens, metrics, the API's description.")


@group.command()
def create_token(
    name: Annotated[str, typer.Argument(help="What the token is for.")],
    role: Annotated[Role, typer.Option(help="What it may do.")],
    agent: Annotated[str | None, typer.Option(help="The one agent that an agent's token speaks for.")] = None,
) -> None:
    """Make a token and print it; it cannot be read again."""
    from coordinator import access  # noqa: PLC0415

    if (role is Role.AGENT) != (agent is not None):
        stop("--agent goes with --role agent, and only with it", 2)
    typer.echo(_on_store(lambda transaction: access.create_token(transaction, name, role, agent)))


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
def revoke_token(id: Annotated[str, typer.Argument(help="A token's id.")]) -> None:  # noqa: A002
    """Make a token worth nothing."""
    from coordinator import access  # noqa: PLC0415

    _on_store(lambda transaction: access.revoke_token(transaction, id))


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
