"""Routes of agents and of the locks that they share."""

from typing import Final

from litestar import delete, get, post
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody
from litestar.types import ASGIApp

from coordinator import agents, locks
from coordinator.access import Role
from coordinator.api.requests import ROLE, Ask, Key, read, write
from coordinator.model import Agent, Agents, Lock, LockRequest, Locks, Registration, Release, Renewal
from coordinator.store import Transaction

_BY_AGENT: Final = {ROLE: Role.AGENT}
_BY_OPERATOR: Final = {ROLE: Role.OPERATOR}
_AGENT: Final = {200: ResponseSpec(Agent, description="The agent as it is known now")}
_LOCK: Final = {200: ResponseSpec(Lock, description="The lock as it is now")}


@post("/agents", opt=_BY_AGENT, responses=_AGENT)
async def register_agent(request: Ask, data: JSONBody[Registration], key: Key = None) -> ASGIApp:
    """Register an agent, or update what is known of it."""
    request.state.caller.speak_for(data.name)
    return await write(request, key, lambda transaction: agents.register(transaction, data))


@get("/agents")
async def list_agents(state: State) -> Agents:
    """List agents by name."""
    return Agents(await read(state, agents.list_agents))


@get("/agents/{name:str}")
async def get_agent(state: State, name: FromPath[str]) -> Agent:
    """Look an agent up."""
    return await read(state, lambda transaction: agents.get_agent(transaction, name))


@post("/agents/{name:str}/renew", opt=_BY_AGENT, responses=_AGENT)
async def renew_agent(request: Ask, name: FromPath[str], key: Key = None) -> ASGIApp:
    """Say that an agent is there."""
    request.state.caller.speak_for(name)
    return await write(request, key, lambda transaction: agents.renew(transaction, name))


@post("/agents/{name:str}/drain", opt=_BY_AGENT, responses=_AGENT)
async def drain_agent(request: Ask, name: FromPath[str], key: Key = None) -> ASGIApp:
    """Give an agent no more work."""
    request.state.caller.speak_for(name)
    return await write(request, key, lambda transaction: agents.drain(transaction, name))


@post("/agents/{name:str}/activate", opt=_BY_AGENT, responses=_AGENT)
async def activate_agent(request: Ask, name: FromPath[str], key: Key = None) -> ASGIApp:
    """Give a draining or offline agent work again."""
    request.state.caller.speak_for(name)
    return await write(request, key, lambda transaction: agents.activate(transaction, name))


@post("/agents/{name:str}/fail", opt=_BY_OPERATOR, responses=_AGENT)
async def fail_agent(request: Ask, name: FromPath[str], key: Key = None) -> ASGIApp:
    """Say that an agent is gone; what it held is ready again."""
    return await write(request, key, lambda transaction: agents.take_offline(transaction, name, "agent failed"))


@delete("/agents/{name:str}", opt=_BY_OPERATOR, status_code=200)
async def remove_agent(request: Ask, name: FromPath[str], key: Key = None) -> ASGIApp:
    """Forget an agent; what it held is ready again."""
    return await write(request, key, lambda transaction: agents.remove(transaction, name))


@post("/locks/{name:str}", opt=_BY_AGENT, responses=_LOCK)
async def take_lock(request: Ask, name: FromPath[str], data: JSONBody[LockRequest], key: Key = None) -> ASGIApp:
    """Take a named lock."""
    request.state.caller.speak_for(data.agent)
    return await write(request, key, lambda transaction: locks.take(transaction, name, data))


@post("/locks/{name:str}/renew", opt=_BY_AGENT, responses=_LOCK)
async def renew_lock(request: Ask, name: FromPath[str], data: JSONBody[Renewal], key: Key = None) -> ASGIApp:
    """Extend a lock's lease."""

    async def change(transaction: Transaction) -> Lock:
        request.state.caller.speak_for(await locks.get_holder(transaction, name))
        return await locks.renew(transaction, name, data)

    return await write(request, key, change)


@post("/locks/{name:str}/release", opt=_BY_AGENT, status_code=200)
async def free_lock(request: Ask, name: FromPath[str], data: JSONBody[Release], key: Key = None) -> ASGIApp:
    """Let go of a lock."""

    async def change(transaction: Transaction) -> None:
        request.state.caller.speak_for(await locks.get_holder(transaction, name))
        await locks.free(transaction, name, data)

    return await write(request, key, change)


@get("/locks")
async def list_locks(state: State) -> Locks:
    """List locks that are held."""
    return Locks(await read(state, locks.list_locks))


ROUTES: Final = [
    register_agent,
    list_agents,
    get_agent,
    renew_agent,
    drain_agent,
    activate_agent,
    fail_agent,
    remove_agent,
    take_lock,
    renew_lock,
    free_lock,
    list_locks,
]
