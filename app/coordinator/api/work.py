"""Routes of work items."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Annotated, Any, Final

from litestar import get, post
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from coordinator import metrics, telemetry, work
from coordinator.access import Role
from coordinator.api.requests import ROLE, Ask, Filter, Key, identify, read, respond, write
from coordinator.model import (
    PAGE_MAX,
    Batch,
    Cancellation,
    Claim,
    ClaimRequest,
    Claims,
    Completion,
    Dependencies,
    Events,
    Failure,
    Priority,
    Reassignment,
    Release,
    Renewal,
    Status,
    Submission,
    WorkItem,
    WorkItems,
    WorkPage,
)
from coordinator.store import Transaction
from coordinator.work import Held
from coordinator.writes import NothingYetError

_AGENT: Final = {ROLE: Role.AGENT}
_BATCH_BODY_BYTES: Final = 8 * 1024 * 1024
_OPERATOR: Final = {ROLE: Role.OPERATOR}
_ITEM: Final = {200: ResponseSpec(WorkItem, description="The work item as it is now")}
_CLAIM: Final = {200: ResponseSpec(Claim, description="The claim as it is now")}


def _as(operation: str) -> dict[str, Any]:
    """What an agent does, and what its latency counts as."""
    return {**_AGENT, metrics.OPERATION: operation}


@post(
    "/work",
    opt=_as("submit"),
    responses={201: ResponseSpec(WorkItem, description="The new work item")},
)
async def submit_work(request: Ask, data: JSONBody[Submission], key: Key = None) -> ASGIApp:
    """Submit a work item."""
    answer = await request.app.state.writes.submit(await identify(request, key), data, telemetry.current_trace_id())
    return respond(answer, 201)


@post(
    "/work/batch",
    opt=_AGENT,
    request_max_body_size=_BATCH_BODY_BYTES,
    responses={201: ResponseSpec(WorkItems, description="The new work items")},
)
async def submit_batch(request: Ask, data: JSONBody[Batch], key: Key = None) -> ASGIApp:
    """Submit up to 100 work items, all or none; they may depend on each other by `#<ref>`."""
    trace = telemetry.current_trace_id()

    async def change(transaction: Transaction) -> WorkItems:
        return WorkItems(await work.submit_all(transaction, data.items, [trace] * len(data.items)))

    return respond(await request.app.state.writes.alone(await identify(request, key), change), 201)


@get("/work")
async def list_work(
    state: State,
    status: FromQuery[Status | None] = None,
    priority: FromQuery[Priority | None] = None,
    team: Filter = None,
    type: Filter = None,  # noqa: A002 - the domain's word
    agent: Filter = None,
    label: Filter = None,
    parent: Filter = None,
    before: Filter = None,
    count: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = 50,
) -> WorkPage:
    """List work items, newest first; `before` takes a page's `next`."""
    filters = {"status": status, "priority": priority, "team": team, "type": type, "agent": agent, "label": label}
    return await read(
        state,
        lambda transaction: work.list_items(transaction, count=count, parent=parent, before=before, **filters),
    )


@get("/work/{item:str}")
async def get_work(state: State, item: FromPath[str]) -> WorkItem:
    """Look a work item up."""
    return await read(state, lambda transaction: work.get_item(transaction, item))


@get("/work/{item:str}/history")
async def get_history(state: State, item: FromPath[str]) -> Events:
    """All that happened to a work item, in order."""
    return Events(await read(state, lambda transaction: work.list_history(transaction, item)))


@post(
    "/claims",
    opt=_as("claim"),
    responses={200: ResponseSpec(Claims, description="What was given")},
)
async def claim_work(request: Ask, data: JSONBody[ClaimRequest], key: Key = None) -> ASGIApp:
    """Claim one work item by id, or up to `count` by filter; with `wait_seconds`, as soon as there is something."""
    state = request.app.state
    request.state.caller.speak_for(data.agent)
    once = await identify(request, key)
    end = time.monotonic() + data.wait_seconds
    while True:
        patient = time.monotonic() < end and not state.lifecycle.draining
        try:
            answer = await state.writes.claim(once, data, patient=patient)
        except NothingYetError as nothing:
            request.scope["state"]["waited"] = True
            with metrics.WAITING.track_inprogress():
                left = await _leaves(request, state.waiters.wait(data, end - time.monotonic(), full=nothing.full))
            if left:
                return ASGIResponse(body=b"", status_code=499)
        else:
            for claim in answer.value.claims if answer.value else ():
                metrics.count(metrics.CLAIMED, claim.item)
            return respond(answer)


async def _leaves(request: Ask, waiting: Awaitable[None]) -> bool:
    """Wait, and say whether the client has gone meanwhile: what nobody would get is not claimed."""
    waiter = asyncio.ensure_future(waiting)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({waiter, gone}, return_when=asyncio.FIRST_COMPLETED)
        return gone.done() and gone.result()["type"] == "http.disconnect"
    finally:
        waiter.cancel()
        gone.cancel()
        await asyncio.gather(waiter, gone, return_exceptions=True)


@post("/work/{item:str}/renew", opt=_as("renew"), responses=_CLAIM)
async def renew_work(request: Ask, item: FromPath[str], data: JSONBody[Renewal], key: Key = None) -> ASGIApp:
    """Extend a lease, and note progress."""
    held = Held(item, data, request.state.caller.agent)
    return respond(await request.app.state.writes.renew(await identify(request, key), held))


@post("/work/{item:str}/complete", opt=_as("complete"), responses=_ITEM)
async def complete_work(request: Ask, item: FromPath[str], data: JSONBody[Completion], key: Key = None) -> ASGIApp:
    """Finish a work item."""
    held = Held(item, data, request.state.caller.agent)
    answer = await request.app.state.writes.complete(await identify(request, key), held)
    if answer.value:
        metrics.count_completed(answer.value)
    return respond(answer)


@post("/work/{item:str}/fail", opt=_as("fail"), responses=_ITEM)
async def fail_work(request: Ask, item: FromPath[str], data: JSONBody[Failure], key: Key = None) -> ASGIApp:
    """Say that the work could not be done: ready again after a while, or failed."""
    held = Held(item, data, request.state.caller.agent)
    answer = await request.app.state.writes.alone(
        await identify(request, key), lambda transaction: work.fail(transaction, held)
    )
    if answer.value:
        metrics.count(metrics.FAILED, answer.value)
    return respond(answer)


@post("/work/{item:str}/release", opt=_as("release"), responses=_ITEM)
async def release_work(request: Ask, item: FromPath[str], data: JSONBody[Release], key: Key = None) -> ASGIApp:
    """Give a work item back undone."""
    held = Held(item, data, request.state.caller.agent)
    return await write(request, key, lambda transaction: work.release(transaction, held))


@post("/work/{item:str}/cancel", opt=_OPERATOR, responses=_ITEM)
async def cancel_work(request: Ask, item: FromPath[str], data: JSONBody[Cancellation], key: Key = None) -> ASGIApp:
    """Say that work is not to be done any more."""
    return await write(request, key, lambda transaction: work.cancel(transaction, item, data))


@post("/work/{item:str}/retry", opt=_OPERATOR, responses=_ITEM, status_code=200)
async def retry_work(request: Ask, item: FromPath[str], key: Key = None) -> ASGIApp:
    """Make failed or cancelled work ready again."""
    return await write(request, key, lambda transaction: work.retry(transaction, item))


@post("/work/{item:str}/reassign", opt=_OPERATOR, responses=_CLAIM)
async def reassign_work(request: Ask, item: FromPath[str], data: JSONBody[Reassignment], key: Key = None) -> ASGIApp:
    """Give a work item to another agent."""
    return await write(request, key, lambda transaction: work.reassign(transaction, item, data))


@post("/work/{item:str}/dependencies", opt=_AGENT, responses=_ITEM)
async def add_dependencies(request: Ask, item: FromPath[str], data: JSONBody[Dependencies], key: Key = None) -> ASGIApp:
    """Make a work item that nobody has claimed wait for others too."""
    return await write(request, key, lambda transaction: work.add_dependencies(transaction, item, data.depends_on))


ROUTES: Final = [
    submit_work,
    submit_batch,
    list_work,
    get_work,
    get_history,
    claim_work,
    renew_work,
    complete_work,
    fail_work,
    release_work,
    cancel_work,
    retry_work,
    reassign_work,
    add_dependencies,
]
