"""`coordinator team …`: teams, and all agents of one at once."""

from typing import Annotated, Literal

import typer

from coordinator.cli.agent import show_agents
from coordinator.cli.output import HOME, Json, Url, connect, show, stop
from coordinator.cli.work import show_items

group = typer.Typer(no_args_is_help=True, help="Teams: how they do, what they hold; stop and start one.")
_Team = Annotated[str, typer.Argument(help="A team's name.")]


@group.command("list")
def list_teams(url: Url = HOME, as_json: Json = False) -> None:
    """List teams: work, agents, velocity, collaboration, efficiency."""
    with connect(url) as client:
        found = client.report_teams().teams
    rows = (
        (
            one.team or "(none)",
            " ".join(f"{status}:{count}" for status, count in one.items.items()),
            one.backlog_points,
            f"{one.held}/{one.capacity}",
            one.agents,
            one.velocity,
            f"{one.collaboration:.0%}",
            f"{one.efficiency:.0%}",
        )
        for one in found
    )
    columns = ("team", "items", "backlog", "held", "agents", "velocity", "collaboration", "efficiency")
    show(found, as_json, columns, rows, "no teams")


@group.command()
def agents(team: _Team, url: Url = HOME, as_json: Json = False) -> None:
    """List a team's agents."""
    with connect(url) as client:
        show_agents([agent for agent in client.list_agents() if agent.team == team], as_json)


@group.command()
def work(team: _Team, url: Url = HOME, as_json: Json = False) -> None:
    """List a team's newest work items."""
    with connect(url) as client:
        show_items(client.list_items(team=team).items, as_json)


@group.command()
def drain(team: _Team, url: Url = HOME, as_json: Json = False) -> None:
    """Give a team's agents no more work; what they hold they may finish."""
    _change(team, "drain", url, as_json)


@group.command()
def activate(team: _Team, url: Url = HOME, as_json: Json = False) -> None:
    """Give a team's draining agents work again."""
    _change(team, "activate", url, as_json)


def _change(team: str, action: Literal["drain", "activate"], url: str, as_json: bool) -> None:
    with connect(url) as client:
        members = [agent for agent in client.list_agents() if agent.team == team]
        if not members:
            stop(f"team_unknown: no agent is of team {team}", 1)
        show_agents([client.change_agent(agent.name, action) for agent in members], as_json)
