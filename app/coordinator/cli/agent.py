"""`coordinator agent …` and `coordinator lock …`: who works, and what agents share."""

from typing import Annotated

import typer

from coordinator.cli.output import HOME, Json, Lease, Token, Url, confirm, connect, show
from coordinator.model import LEASE_SECONDS_DEFAULT, Agent, Lock, LockRequest, Registration, Release, Renewal

group = typer.Typer(no_args_is_help=True, help="Register, list, drain and remove agents.")
lock = typer.Typer(no_args_is_help=True, help="Take and release named locks.")
_Name = Annotated[str, typer.Argument(help="An agent's name.")]
_LockName = Annotated[str, typer.Argument(help="A lock's name.")]


@group.command()
def register(
    name: _Name,
    team: str | None = None,
    skill: Annotated[list[str] | None, typer.Option(help="May be given more than once.")] = None,
    capacity: Annotated[int, typer.Option(min=1, max=1000, help="Work items that it may hold at once.")] = 1,
    ttl: Annotated[int, typer.Option(min=5, max=86_400, help="Seconds of silence until it counts as gone.")] = 300,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Register an agent, or update what is known of it."""
    with connect(url) as client:
        show_agents([client.register(Registration(name, team, skill or [], capacity, ttl))], as_json)


@group.command("list")
def list_agents(url: Url = HOME, as_json: Json = False) -> None:
    """List agents by name."""
    with connect(url) as client:
        show_agents(client.list_agents(), as_json)


@group.command("show")
def show_agent(name: _Name, url: Url = HOME, as_json: Json = False) -> None:
    """Show one agent."""
    with connect(url) as client:
        show_agents([client.get_agent(name)], as_json)


@group.command()
def renew(name: _Name, url: Url = HOME, as_json: Json = False) -> None:
    """Say that an agent is there."""
    with connect(url) as client:
        show_agents([client.change_agent(name, "renew")], as_json)


@group.command()
def drain(name: _Name, url: Url = HOME, as_json: Json = False) -> None:
    """Give an agent no more work; what it holds it may finish."""
    with connect(url) as client:
        show_agents([client.change_agent(name, "drain")], as_json)


@group.command()
def activate(name: _Name, url: Url = HOME, as_json: Json = False) -> None:
    """Give a draining or offline agent work again."""
    with connect(url) as client:
        show_agents([client.change_agent(name, "activate")], as_json)


@group.command()
def fail(name: _Name, url: Url = HOME, as_json: Json = False) -> None:
    """Say that an agent is gone; what it held is ready again."""
    with connect(url) as client:
        show_agents([client.change_agent(name, "fail")], as_json)


@group.command()
def remove(name: _Name, url: Url = HOME, as_json: Json = False) -> None:
    """Forget an agent; what it held is ready again."""
    with connect(url) as client:
        client.remove_agent(name)
    confirm("removed", name, as_json)


@lock.command("take")
def take_lock(
    name: _LockName,
    agent: Annotated[str, typer.Option(help="Who takes it.")],
    lease: Lease = LEASE_SECONDS_DEFAULT,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Take a lock that is free."""
    with connect(url) as client:
        _show_locks([client.take_lock(name, LockRequest(agent, lease))], as_json)


@lock.command("renew")
def renew_lock(
    name: _LockName, token: Token, lease: Lease = LEASE_SECONDS_DEFAULT, url: Url = HOME, as_json: Json = False
) -> None:
    """Extend a lock's lease."""
    with connect(url) as client:
        _show_locks([client.renew_lock(name, Renewal(token, lease))], as_json)


@lock.command("release")
def release_lock(name: _LockName, token: Token, url: Url = HOME, as_json: Json = False) -> None:
    """Let go of a lock."""
    with connect(url) as client:
        client.release_lock(name, Release(token))
    confirm("released", name, as_json)


@lock.command("list")
def list_locks(url: Url = HOME, as_json: Json = False) -> None:
    """List locks that are held."""
    with connect(url) as client:
        _show_locks(client.list_locks(), as_json)


def show_agents(agents: list[Agent], as_json: bool) -> None:
    """A table of agents, or JSON."""
    rows = (
        (
            one.name,
            one.status,
            one.team,
            " ".join(one.skills),
            f"{one.claimed}/{one.capacity or '∞'}",
            f"{one.last_seen_at:%Y-%m-%d %H:%M:%S}",
        )
        for one in agents
    )
    show(agents, as_json, ("name", "status", "team", "skills", "claimed", "last seen (UTC)"), rows, "no agents")


def _show_locks(locks: list[Lock], as_json: bool) -> None:
    rows = ((one.name, one.agent, one.token, f"{one.lease_expires_at:%H:%M:%S} UTC") for one in locks)
    show(locks, as_json, ("name", "agent", "token", "lease until"), rows, "no locks are held")
