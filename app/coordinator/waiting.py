"""Long-polled claims: who waits for work is woken when there is some that fits, and only then.

Each process has one look at what is ready after a change, and once a second for what became ready by itself. For
every item it wakes the one who has waited longest and whom it fits, so a thousand who wait do not all run at once.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec

from coordinator.loops import repeat
from coordinator.model import ClaimRequest
from coordinator.store import Row, Store

_LOOK_SECONDS: Final = 1.0
_LOOK_ITEMS: Final = 100
_PATIENCE_SECONDS: Final = 10.0
"""After this long who waits looks for itself: what fits it may be further back than a look goes."""

_FULL_SECONDS: Final = 2.0
"""After this long one that had no room for work looks whether it has now."""


@dataclass(eq=False)
class _Waiter:
    request: ClaimRequest
    full: bool
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def fits(self, row: Row) -> bool:
        request = self.request
        return (
            not self.full
            and (request.id is None or request.id == row["id"])
            and (request.team is None or request.team == row["team"])
            and (request.type is None or request.type == row["type"])
            and (request.skills is None or set(msgspec.json.decode(row["skills"])) <= set(request.skills))
        )


class Waiters:
    """Those who wait in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[_Waiter] = []
        self._seen = store.changes.count

    async def wait(self, request: ClaimRequest, seconds: float, *, full: bool) -> None:
        """Wait until work that fits may be there, at most so many seconds; one that is full is not woken for any."""
        waiter = _Waiter(request, full)
        self._waiting.append(waiter)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(seconds, _FULL_SECONDS if full else _PATIENCE_SECONDS)):
                    await waiter.woken.wait()
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def wake_all(self) -> None:
        """Let everybody go: this process is about to end."""
        for waiter in self._waiting:
            waiter.woken.set()
        self._waiting.clear()

    async def run(self) -> None:
        """Wake whom new work fits, until cancelled."""
        await repeat("waking who waits", self._look_after_change)

    async def _look_after_change(self) -> None:
        self._seen = await self._store.changes.wait(self._seen, _LOOK_SECONDS)
        if self._waiting:
            await self._look()

    async def _look(self) -> None:
        async with self._store.transaction() as transaction:
            ready = await transaction.rows("list_ready", count=_LOOK_ITEMS)
        for row in ready:
            for waiter in self._waiting:
                if waiter.fits(row):
                    self._waiting.remove(waiter)
                    waiter.woken.set()
                    break
