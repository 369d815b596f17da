"""`coordinator dashboard`: what the page shows, in a terminal, live."""

import time
from typing import Annotated, Any, Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from coordinator.cli.output import HOME, Json, Url, connect, print_json
from coordinator.model import Status

_EVENTS: Final = 10
_AGENTS: Final = 15
_LOOK_SECONDS: Final = 1.0


def watch(
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Show the board, agents, health and events, live; Ctrl-C ends it. With --json, once."""
    console = Console()
    with connect(url) as client:
        if as_json:
            facts = {"health": client.get_health(), "teams": client.report_teams().teams}
            print_json(facts | {"agents": client.list_agents(), "events": client.list_events(count=_EVENTS)})
            return
        if once:
            console.print(_draw(client))
            return
        with Live(_draw(client), console=console, auto_refresh=False, screen=True) as live:
            try:
                while True:
                    time.sleep(_LOOK_SECONDS)
                    live.update(_draw(client), refresh=True)
            except KeyboardInterrupt:
                return


def _draw(client: Any) -> Group:
    health = client.get_health()
    board = Table("team", *Status, title="Board", title_justify="left")
    for team in client.report_teams().teams:
        board.add_row(team.team or "(none)", *(str(team.items.get(status, 0)) for status in Status))
    agents = Table("agent", "status", "team", "holds", "last seen", title="Agents", title_justify="left")
    for agent in client.list_agents()[:_AGENTS]:
        seen = f"{agent.last_seen_at:%H:%M:%S}"
        agents.add_row(agent.name, agent.status, agent.team or "", f"{agent.claimed}/{agent.capacity or '∞'}", seen)
    events = Table("at", "what", "agent", "item", title="Events", title_justify="left")
    for event in client.list_events(count=_EVENTS):
        events.add_row(f"{event.at:%H:%M:%S}", event.kind, event.agent or "", event.item or "")
    weak = ", ".join(f"{part.name} {part.value:g} {part.unit}" for part in health.parts if part.score < 100)  # noqa: PLR2004
    return Group(f"Health {health.score:g}/100" + (f": {weak}" if weak else ""), board, agents, events)
