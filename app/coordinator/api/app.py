"""The application: its routes, what it runs beside them, and how it says that it is ready."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from litestar import Litestar, Response, Router, get
from litestar.datastructures import ResponseHeader, State
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.plugins.prometheus import PrometheusConfig, PrometheusController
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from coordinator import __version__
from coordinator.api import agents, events, problems, work
from coordinator.api.requests import require_role
from coordinator.background import Background
from coordinator.contract import LIVE_PATH, METRICS_PATH, READY_PATH
from coordinator.errors import CoordinatorError, StoreUnavailableError
from coordinator.settings import Settings
from coordinator.store import check_store, open_store
from coordinator.waiting import Waiters

_log = structlog.get_logger()
_BODY_BYTES: Final = 256 * 1024
_HEADERS: Final = [
    ResponseHeader(name="X-Content-Type-Options", value="nosniff"),
    ResponseHeader(name="X-Frame-Options", value="DENY"),
    ResponseHeader(name="Referrer-Policy", value="no-referrer"),
]


@dataclass
class Lifecycle:
    """How far this process is in its life."""

    started: bool = False
    draining: bool = False


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
        state.waiters.wake_all()
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
    """The application, with its store and its background work from start to end."""

    @asynccontextmanager
    async def run_beside(app: Litestar) -> AsyncIterator[None]:
        store = await open_store(settings)
        app.state.store, app.state.waiters = store, Waiters(store)
        beside = [
            asyncio.create_task(app.state.waiters.run()),
            asyncio.create_task(Background(store, settings.retention_days).run()),
        ]
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await store.close()

    metrics = PrometheusConfig(app_name="coordinator", prefix="coordinator", group_path=True)
    return Litestar(
        route_handlers=[
            Router("/v1", route_handlers=[*work.ROUTES, *agents.ROUTES, *events.ROUTES], guards=[require_role]),
            live,
            ready,
            _Metrics,
        ],
        lifespan=[run_beside],
        state=State({"lifecycle": lifecycle, "settings": settings}),
        middleware=[_log_requests, metrics.middleware],
        exception_handlers={
            CoordinatorError: problems.refuse,
            HTTPException: problems.reject,
            Exception: problems.hide,
        },
        response_headers=_HEADERS,
        logging_config=None,
        request_max_body_size=_BODY_BYTES,
        openapi_config=OpenAPIConfig(title="BEAMOps coordinator", version=__version__, path="/schema"),
    )
