"""`coordinator event …`: what happened, and what happens."""

from typing import Annotated

import typer

from coordinator.cli.output import HOME, Json, Url, connect, print_json
from coordinator.cli.work import show_events

group = typer.Typer(no_args_is_help=True, help="List and follow events.")


@group.command("list")
def list_events(
    kind: str | None = None,
    agent: str | None = None,
    count: Annotated[int, typer.Option(min=1, max=500)] = 50,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """List events, newest first."""
    with connect(url) as client:
        show_events(client.list_events(kind=kind, agent=agent, count=count), as_json)


@group.command()
def follow(
    after: Annotated[str | None, typer.Option(help="An event's id: what came after it is told first.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Print every event as it comes, one a line."""
    with connect(url) as client:
        for number, event in enumerate(client.follow_events(after), 1):
            if as_json:
                print_json(event)
            else:
                typer.echo(f"{event.at:%H:%M:%S}  {event.kind}  {event.agent or '-'}  {event.item or '-'}")
            if number == count:
                return
