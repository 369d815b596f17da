"""The order of all events, and following it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

from coordinator.errors import WrongEventIdError
from coordinator.model import Event
from coordinator.records import read_event
from coordinator.store import Store, Transaction

_BATCH = 200
_LARGEST = 2**63
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Place:
    """A place in the order of all events: an event's transaction, and its number within."""

    transaction: int
    number: int

    def __str__(self) -> str:
        return f"{self.transaction}-{self.number}"

    @classmethod
    def parse(cls, event_id: str) -> Self:
        """The place of the event with that id.

        Raises:
            WrongEventIdError: it is not an event's id.
        """
        try:
            transaction, _, number = event_id.partition("-")
            place = cls(int(transaction), int(number))
            if max(place.transaction, place.number) >= _LARGEST:
                raise ValueError  # noqa: TRY301 - told like any other wrong id
            return place  # noqa: TRY300
        except ValueError:
            raise WrongEventIdError(f"{event_id!r} is not an event's id") from None


async def list_events(transaction: Transaction, *, count: int, **filters: Any) -> list[Event]:
    """The newest events that fit every filter given, newest first."""
    return [read_event(row) for row in await transaction.rows("list_events", count=count, **filters)]


async def find_place(store: Store) -> Place:
    """Where the stream is now: what follows has not been told to anybody."""
    async with store.transaction() as transaction:
        last = await transaction.row("last_event")
    return Place(last["tx"], last["seq"]) if last else Place(0, 0)


async def resume(store: Store, event_id: str) -> Place:
    """The place of an event that this store has told, or the place before all events, `0-0`.

    Raises:
        WrongEventIdError: it is not an event's id, or the event is not here: forgotten since, or told by another
            store, such as there was before a restore.
    """
    place = Place.parse(event_id)
    if place == Place(0, 0):
        return place
    async with store.transaction() as transaction:
        if await transaction.value("find_event", tx=place.transaction, seq=place.number) is None:
            raise WrongEventIdError(f"{event_id!r} is no event of this store: follow without an id")
    return place


async def follow(store: Store, place: Place) -> AsyncIterator[list[Event]]:
    """Every event after a place, none left out; an empty list whenever nothing came for a while.

    Events of transactions that ran side by side come by transaction, not by time: `number` of an event's id, and
    its history, have the order in which things happened to one item.
    """
    while True:
        seen = store.changes.count
        async with store.transaction() as transaction:
            rows = await transaction.rows("read_events", tx=place.transaction, seq=place.number, count=_BATCH)
        if rows:
            place = Place(rows[-1]["tx"], rows[-1]["seq"])
        yield [read_event(row) for row in rows]
        if len(rows) < _BATCH:
            await store.changes.wait(seen, _LOOK_SECONDS)
