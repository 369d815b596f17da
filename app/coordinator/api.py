"""The HTTP interface: routes in, domain functions out, every write under an Idempotency-Key if one is given."""

import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
import structlog
from litestar import Litestar, Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.plugins.prometheus import PrometheusConfig, PrometheusController
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter

from coordinator import problems, telemetry, work
from coordinator.contract import LIVE_PATH, METRICS_PATH, READY_PATH
from coordinator.errors import CoordinatorError, StoreUnavailableError
from coordinator.model import (
    PAGE_MAX,
    Agent,
    Agents,
    Claim,
    ClaimRequest,
    Claims,
    Completion,
    Failure,
    Registration,
    Release,
    Renewal,
    Status,
    Submission,
    WorkItem,
    WorkPage,
)
from coordinator.settings import Settings
from coordinator.store import Store, Transaction, check_store, open_store

_log = structlog.get_logger()
_BODY_BYTES: Final = 256 * 1024
_IdempotencyKey = Annotated[str | None, HeaderParameter(name="Idempotency-Key", min_length=8, max_length=128)]
_Filter = Annotated[str | None, QueryParameter(max_length=64)]


@dataclass
class Lifecycle:
    """How far this process is in its life."""

    started: bool = False
    draining: bool = False


async def _write(
    request: Request[Any, Any, State],
    key: str | None,
    status: int,
    change: Callable[[Transaction], Awaitable[Any]],
) -> Response[bytes]:
    store: Store = request.app.state.store
    body = await request.body()
    fingerprint = hashlib.sha256(b"%s %s\n%s" % (request.method.encode(), request.url.path.encode(), body)).hexdigest()
    async with store.transaction() as transaction:

        async def answer() -> bytes:
            return msgspec.json.encode(await change(transaction))

        content = await work.answer_once(transaction, key, fingerprint, answer)
    return Response(content, status_code=status, media_type="application/json")


@post("/work", responses={201: ResponseSpec(WorkItem, description="The new work item")})
async def submit_work(
    request: Request[Any, Any, State], data: JSONBody[Submission], idempotency_key: _IdempotencyKey = None
) -> Response[bytes]:
    """Submit a work item."""
    return await _write(request, idempotency_key, 201, lambda transaction: work.submit(transaction, data))


@get("/work")
async def list_work(
    state: State,
    status: FromQuery[Status | None] = None,
    team: _Filter = None,
    type: _Filter = None,  # noqa: A002 - the domain's word
    agent: _Filter = None,
    before: _Filter = None,
    count: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = 50,
) -> WorkPage:
    """List work items, newest first; `before` takes a page's `next`."""
    async with state.store.transaction() as transaction:
        return await work.list_items(
            transaction, status=status, team=team, type=type, agent=agent, before=before, count=count
        )


@get("/work/{item:str}")
async def get_work(state: State, item: FromPath[str]) -> WorkItem:
    """Look a work item up."""
    async with state.store.transaction() as transaction:
        return await work.get_item(transaction, item)


@post("/claims", responses={200: ResponseSpec(Claims, description="What was given")})
async def claim_work(
    request: Request[Any, Any, State], data: JSONBody[ClaimRequest], idempotency_key: _IdempotencyKey = None
) -> Response[bytes]:
    """Claim one work item by id, or up to `count` by filter."""
    given: list[Claim] = []

    async def change(transaction: Transaction) -> Claims:
        given.extend(await work.claim(transaction, data))
        return Claims(given)

    response = await _write(request, idempotency_key, 200, change)
    for claim in given:
        telemetry.count(telemetry.CLAIMED, claim.item)
    return response


@post("/work/{item:str}/renew", responses={200: ResponseSpec(Claim, description="The claim, extended")})
async def renew_work(
    request: Request[Any, Any, State],
    item: FromPath[str],
    data: JSONBody[Renewal],
    idempotency_key: _IdempotencyKey = None,
) -> Response[bytes]:
    """Extend a lease, and note progress."""
    return await _write(request, idempotency_key, 200, lambda transaction: work.renew(transaction, item, data))


@post("/work/{item:str}/complete", responses={200: ResponseSpec(WorkItem, description="The item, completed")})
async def complete_work(
    request: Request[Any, Any, State],
    item: FromPath[str],
    data: JSONBody[Completion],
    idempotency_key: _IdempotencyKey = None,
) -> Response[bytes]:
    """Finish a work item."""
    return await _finish(
        request,
        idempotency_key,
        telemetry.COMPLETED,
        lambda transaction: work.complete(transaction, item, data),
    )


@post("/work/{item:str}/fail", responses={200: ResponseSpec(WorkItem, description="The item, ready again or failed")})
async def fail_work(
    request: Request[Any, Any, State],
    item: FromPath[str],
    data: JSONBody[Failure],
    idempotency_key: _IdempotencyKey = None,
) -> Response[bytes]:
    """Say that the work could not be done."""
    return await _finish(
        request, idempotency_key, telemetry.FAILED, lambda transaction: work.fail(transaction, item, data)
    )


@post("/work/{item:str}/release", responses={200: ResponseSpec(WorkItem, description="The item, ready again")})
async def release_work(
    request: Request[Any, Any, State],
    item: FromPath[str],
    data: JSONBody[Release],
    idempotency_key: _IdempotencyKey = None,
) -> Response[bytes]:
    """Give a work item back undone."""
    return await _write(request, idempotency_key, 200, lambda transaction: work.release(transaction, item, data))


async def _finish(
    request: Request[Any, Any, State],
    key: str | None,
    counter: Counter,
    change: Callable[[Transaction], Awaitable[WorkItem]],
) -> Response[bytes]:
    done: list[WorkItem] = []

    async def finish(transaction: Transaction) -> WorkItem:
        done.append(await change(transaction))
        return done[0]

    response = await _write(request, key, 200, finish)
    for item in done:
        telemetry.count(counter, item)
    return response


@post("/agents", responses={200: ResponseSpec(Agent, description="The agent as it is known now")})
async def register_agent(
    request: Request[Any, Any, State], data: JSONBody[Registration], idempotency_key: _IdempotencyKey = None
) -> Response[bytes]:
    """Register an agent, or update what is known of it."""
    return await _write(request, idempotency_key, 200, lambda transaction: work.register(transaction, data))


@get("/agents")
async def list_agents(state: State) -> Agents:
    """List agents by name."""
    async with state.store.transaction() as transaction:
        return Agents(await work.list_agents(transaction))


@get(LIVE_PATH, include_in_schema=False)
async def live(state: State) -> Response[dict[str, str]]:
    """Alive, and ready at least once since the start."""
    if not state.lifecycle.started:
        await _check(state)
    return Response({"status": "alive"})


@get(READY_PATH, include_in_schema=False)
async def ready(state: State) -> Response[dict[str, str]]:
    """Able to serve now: the store answers, and this process is not about to end."""
    if state.lifecycle.draining:
        raise StoreUnavailableError("draining: this replica is about to end")
    await _check(state)
    return Response({"status": "ready"})


async def _check(state: State) -> None:
    await check_store(state.store)
    state.lifecycle.started = True


def _log_requests(app: ASGIApp) -> ASGIApp:
    """One line a request, but for what probes and scrapers ask."""
    quiet = {LIVE_PATH, READY_PATH, METRICS_PATH}

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"] in quiet:
            await app(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, sent)
        finally:
            milliseconds = round((time.perf_counter() - begin) * 1000, 1)
            _log.info("request", method=scope["method"], path=scope["path"], status=status, ms=milliseconds)

    return logged


def close_connections_when_draining(app: ASGIApp, lifecycle: Lifecycle) -> ASGIApp:
    """Say `Connection: close` while draining: no proxy then reuses a connection that is about to end."""

    async def draining(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and lifecycle.draining:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await app(scope, receive, sent if scope["type"] == ScopeType.HTTP else send)

    return draining


class _Metrics(PrometheusController):
    path = METRICS_PATH
    include_in_schema = False


def create_app(settings: Settings, lifecycle: Lifecycle) -> Litestar:
    """The application, with its store opened at start and closed at the end."""

    @asynccontextmanager
    async def hold_store(app: Litestar) -> AsyncIterator[None]:
        app.state.store = await open_store(settings)
        try:
            yield
        finally:
            await app.state.store.close()

    metrics = PrometheusConfig(app_name="coordinator", prefix="coordinator", group_path=True)
    return Litestar(
        route_handlers=[
            Router(
                "/v1",
                route_handlers=[
                    submit_work,
                    list_work,
                    get_work,
                    claim_work,
                    renew_work,
                    complete_work,
                    fail_work,
                    release_work,
                    register_agent,
                    list_agents,
                ],
            ),
            live,
            ready,
            _Metrics,
        ],
        lifespan=[hold_store],
        state=State({"lifecycle": lifecycle}),
        middleware=[_log_requests, metrics.middleware],
        exception_handlers={
            CoordinatorError: problems.refuse,
            HTTPException: problems.reject,
            Exception: problems.hide,
        },
        logging_config=None,
        request_max_body_size=_BODY_BYTES,
        openapi_config=OpenAPIConfig(title="BEAMOps coordinator", version="1", path="/schema"),
    )
