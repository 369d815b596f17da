"""What agents say of themselves, and what becomes of those that say nothing any more."""

from uuid_utils import uuid7

from coordinator.errors import UnknownAgentError
from coordinator.model import Agent, AgentStatus, Registration
from coordinator.records import encode, read_agent, record
from coordinator.store import Row, Transaction


async def register(transaction: Transaction, registration: Registration) -> Agent:
    """Make an agent known, or bring what is known of it up to date; its name is what it is known by."""
    row = await transaction.one(
        "put_agent",
        id=str(uuid7()),
        name=registration.name,
        team=registration.team,
        skills=encode(registration.skills),
        capacity=registration.capacity,
        ttl_ms=registration.ttl_seconds * 1000,
    )
    return await _note(transaction, "registered", row)


async def get_agent(transaction: Transaction, name: str) -> Agent:
    """Look an agent up. Raises UnknownAgentError."""
    return read_agent(_known(name, await transaction.row("get_agent", name=name)))


async def list_agents(transaction: Transaction) -> list[Agent]:
    """Every agent, by name."""
    return [read_agent(row) for row in await transaction.rows("list_agents")]


async def renew(transaction: Transaction, name: str) -> Agent:
    """Say that an agent is there; every claim and renewal of a lease says so too. Raises UnknownAgentError."""
    return read_agent(_known(name, await transaction.row("renew_agent", name=name)))


async def drain(transaction: Transaction, name: str) -> Agent:
    """Give an agent no more work; what it holds it may finish. Raises UnknownAgentError."""
    row = await transaction.row("set_agent_status", name=name, status=AgentStatus.DRAINING.value)
    return await _note(transaction, "draining", _known(name, row))


async def activate(transaction: Transaction, name: str) -> Agent:
    """Give a draining or offline agent work again. Raises UnknownAgentError."""
    row = await transaction.row("set_agent_status", name=name, status=AgentStatus.ACTIVE.value)
    return await _note(transaction, "activated", _known(name, row))


async def take_offline(transaction: Transaction, name: str, reason: str) -> Agent:
    """Say that an agent is gone, and make ready again what it held. Raises UnknownAgentError."""
    row = _known(name, await transaction.row("set_agent_status", name=name, status=AgentStatus.OFFLINE.value))
    await _return_work(transaction, name, reason)
    await _note(transaction, "offline", row)
    return await get_agent(transaction, name)


async def remove(transaction: Transaction, name: str) -> None:
    """Forget an agent, and make ready again what it held. Raises UnknownAgentError."""
    await take_offline(transaction, name, "agent removed")
    await transaction.value("delete_agent", name=name)


async def miss_agents(transaction: Transaction) -> int:
    """Take those offline that did not renew in time, at most 100; says how many."""
    rows = await transaction.rows("miss_agents")
    for row in rows:
        await _return_work(transaction, row["name"], "agent offline")
        await _note_event(transaction, "offline", row)
    return len(rows)


async def _return_work(transaction: Transaction, name: str, reason: str) -> None:
    for row in await transaction.rows("return_items", agent=name, reason=reason):
        await record(transaction, "returned", row, agent=name, reason=reason)


async def _note(transaction: Transaction, kind: str, row: Row) -> Agent:
    await _note_event(transaction, kind, row)
    return read_agent(row)


async def _note_event(transaction: Transaction, kind: str, row: Row) -> None:
    event = {"item": None, "kind": f"agent_{kind}", "agent": row["name"], "team": row["team"], "data": encode({})}
    await transaction.many("add_event", [event])


def _known(name: str, row: Row | None) -> Row:
    if row is None:
        raise UnknownAgentError(f"there is no agent {name}")
    return row
