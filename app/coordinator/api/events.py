"""Routes of events: the newest, and a stream that a client can leave and take up again."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.datastructures import State
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from coordinator import events
from coordinator.api.requests import Filter, read
from coordinator.model import PAGE_MAX, Events

_HEARTBEAT_SECONDS: Final = 15.0


@get("/events")
async def list_events(
    state: State,
    kind: Filter = None,
    agent: Filter = None,
    count: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = 50,
) -> Events:
    """List events, newest first."""
    return Events(
        await read(state, lambda transaction: events.list_events(transaction, kind=kind, agent=agent, count=count))
    )


@get("/events/stream")
async def stream_events(
    state: State,
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID", max_length=64)] = None,
) -> ServerSentEvent:
    """Follow all events from now on, or from where `Last-Event-ID` left off."""
    place = await events.resume(state.store, last_event_id) if last_event_id else await events.find_place(state.store)

    async def messages() -> AsyncIterator[ServerSentEventMessage]:
        # At once, so that a client knows that it is connected, and from where it would go on.
        yield ServerSentEventMessage(id=str(place), data=None, comment="connected")
        spoken = time.monotonic()
        async for batch in events.follow(state.store, place):
            for event in batch:
                yield ServerSentEventMessage(id=event.id, event=event.kind, data=msgspec.json.encode(event).decode())
            if batch:
                spoken = time.monotonic()
            elif time.monotonic() - spoken > _HEARTBEAT_SECONDS:
                yield ServerSentEventMessage(data=None, comment="still here")
                spoken = time.monotonic()
            if state.lifecycle.draining:
                return

    return ServerSentEvent(messages())


ROUTES: Final = [list_events, stream_events]
