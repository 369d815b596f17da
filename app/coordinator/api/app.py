"""The application: its routes, what it runs beside them, and how it says that it is ready."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from litestar import Litestar, Request, Response, Router, get
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

import coordinator
from coordinator import __version__, colours, telemetry, webhooks
from coordinator.adviser import Adviser
from coordinator.api import admin, agents, events, insights, mcp, problems, reports, work
from coordinator.api.requests import Gate, require_role
from coordinator.background import Background, measure
from coordinator.colours import Colour
from coordinator.contract import LIVE_PATH, METRICS_PATH, READY_PATH
from coordinator.errors import CoordinatorError, ForbiddenError, StoreUnavailableError
from coordinator.loops import succeed
from coordinator.settings import Settings
from coordinator.store import Store, check_store, open_store
from coordinator.waiting import Waiters
from coordinator.writes import Writes

_BODY_BYTES: Final = 256 * 1024
_WEB: Final = Path(coordinator.__file__).parent / "web"
_PARTS: Final = (work, agents, events, reports, insights, admin)
_HEADERS: Final = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]


@dataclass
class Lifecycle:
    """How far this process is in its life."""

    started: bool = False
    draining: bool = False
    standby: bool = False
    """Whether another colour serves."""


@get(LIVE_PATH, include_in_schema=False)
async def live(state: State) -> Response[dict[str, str]]:
    """Alive, and ready at least once since the start."""
    if not state.lifecycle.started:
        await _check(state)
    return Response({"status": "alive"})


@get(READY_PATH, include_in_schema=False)
async def ready(state: State) -> Response[dict[str, str]]:
    """Able to serve now: the store answers, this process is not about to end, and its colour's turn it is."""
    if state.lifecycle.draining:
        state.waiters.wake_all()
        raise StoreUnavailableError("draining: this replica is about to end")
    if state.lifecycle.standby:
        raise StoreUnavailableError("standby: the other colour serves")
    await _check(state)
    return Response({"status": "ready"})


async def _check(state: State) -> None:
    await check_store(state.store)
    state.lifecycle.started = True


def add_headers(app: ASGIApp, lifecycle: Lifecycle) -> ASGIApp:
    """Tell browsers to take nothing from elsewhere; and every client, while draining, to close its connection.

    No proxy then reuses a connection that is about to end.
    """

    async def headed(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                closing = [(b"connection", b"close")] if lifecycle.draining else []
                message["headers"] = [*message["headers"], *_HEADERS, *closing]
            await send(message)

        await app(scope, receive, sent if scope["type"] == ScopeType.HTTP else send)

    return headed


@get(METRICS_PATH, include_in_schema=False, sync_to_thread=True)
def tell_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """All metrics of this process, in the form that who asks can read: the newer one alone has exemplars.

    They are for who asks a node itself. What came through a load balancer carries this header; a proxy would have to
    know each way to write the path.

    Raises:
        ForbiddenError: it came through a load balancer.
    """
    if "x-forwarded-proto" in request.headers:
        raise ForbiddenError("metrics are for who asks a node itself")
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(REGISTRY), headers={"content-type": kind})


async def _run_loops(waiters: Waiters, store: Store, settings: Settings, lifecycle: Lifecycle) -> None:
    """What goes on beside the requests, from when the store has this version's schema: it may start beside it."""
    await succeed("starting", partial(check_store, store))
    background = Background(store, settings, lambda: lifecycle.standby)
    async with asyncio.TaskGroup() as loops:
        loops.create_task(waiters.run())
        loops.create_task(background.run())
        loops.create_task(webhooks.deliver(store, settings.webhook_key_file, background.leads))
        loops.create_task(measure(store, f"{socket.gethostname()}-{secrets.token_hex(4)}"))
        if settings.colour is None:
            loops.create_task(colours.leave(store))
        else:
            stand_by = partial(setattr, lifecycle, "standby")
            loops.create_task(colours.follow(store, Colour(settings.colour), stand_by))


def create_app(settings: Settings, lifecycle: Lifecycle) -> Litestar:
    """The application, with its store and its background work from start to end."""

    @asynccontextmanager
    async def run_beside(app: Litestar) -> AsyncIterator[None]:
        store = await open_store(settings)
        app.state.store, app.state.waiters, app.state.writes = store, Waiters(store), Writes(store)
        lifecycle.standby = settings.colour is not None
        beside = asyncio.create_task(_run_loops(app.state.waiters, store, settings, lifecycle))
        app.state.tools, app.state.adviser = mcp.Tools(app), Adviser(settings)
        try:
            async with app.state.tools.run():
                yield
        finally:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)
            await app.state.adviser.close()
            await store.close()

    return Litestar(
        route_handlers=[
            Router(
                "/v1",
                route_handlers=[
                    *work.ROUTES,
                    *agents.ROUTES,
                    *events.ROUTES,
                    *reports.ROUTES,
                    *insights.ROUTES,
                    *admin.ROUTES,
                ],
                guards=[require_role],
            ),
            create_static_files_router("/", [_WEB], html_mode=True, include_in_schema=False),
            mcp.mount(),
            live,
            ready,
            tell_metrics,
        ],
        lifespan=[run_beside],
        state=State({"lifecycle": lifecycle, "settings": settings, "gate": Gate(settings)}),
        middleware=[telemetry.observe],
        exception_handlers={
            CoordinatorError: problems.refuse,
            HTTPException: problems.reject,
            Exception: problems.hide,
        },
        logging_config=None,
        request_max_body_size=_BODY_BYTES,
        openapi_config=OpenAPIConfig(
            title="BEAMOps coordinator",
            version=__version__,
            path="/schema",
            render_plugins=[JsonRenderPlugin()],  # the others load scripts from elsewhere
        ),
    )
