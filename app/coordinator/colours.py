"""Blue and green: of two versions that run side by side on one store, which one serves.

The store says it, so that every replica and every proxy follows the same word, and goes on with it after a restart.
"""

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Never

import structlog

from coordinator.errors import StoreUnavailableError
from coordinator.loops import repeat, succeed
from coordinator.store import Store, Transaction

_log = structlog.get_logger()
_LOOK_SECONDS: Final = 0.5
_FRESH_MS: Final = 3000
"""A colour that was seen so long ago is there."""
_HOLD_SECONDS: Final = 3.0
"""How long the one that served serves on: the other must have looked, and the proxies have found it ready."""
_MISSING_SECONDS: Final = 5.0
"""How long the one that should serve may not be seen, before the other serves in its place."""


class Colour(StrEnum):
    """Of a version that runs beside another one."""

    BLUE = "blue"
    GREEN = "green"


async def switch(transaction: Transaction, colour: Colour) -> bool:
    """Let that colour serve from now on; False where no replica of it runs, and nothing is switched."""
    _, present = await _look(transaction)
    if colour in present:
        await transaction.run("choose_colour", name=colour)
    return colour in present


async def _look(transaction: Transaction) -> tuple[Colour, set[str]]:
    """The colour that should serve, blue until somebody switched, and those that are there."""
    rows = await transaction.rows("list_colours")
    chosen = next((row["name"] for row in rows if row["chosen"]), Colour.BLUE)
    return Colour(chosen), {row["name"] for row in rows if row["age_ms"] < _FRESH_MS}


class Turn:
    """Whose turn it is, as one replica sees it over time."""

    def __init__(self, own: Colour) -> None:
        self._own = own
        self._missing: float | None = None
        self._relieved: float | None = None
        self.standby = True

    def forget(self) -> None:
        """The store was away: who was not seen meanwhile is not missing for that."""
        self._missing = self._relieved = None

    def look(self, chosen: Colour, present: set[str], now: float) -> None:
        """Stand by or serve, after what the store said at that moment (seconds)."""
        if chosen == self._own:
            self.forget()
            self.standby = False
        elif chosen not in present:
            self._relieved = None
            self._missing = now if self._missing is None else self._missing
            if now - self._missing >= _MISSING_SECONDS:
                self.standby = False
        else:
            self._missing = None
            self._relieved = now if self._relieved is None else self._relieved
            if now - self._relieved >= _HOLD_SECONDS:
                self.standby = True


async def leave(store: Store) -> None:
    """A version without a colour serves always: what was chosen before it counts no more, should colours come again."""

    async def forget() -> None:
        async with store.transaction() as transaction:
            await transaction.run("forget_colours")

    await succeed("forgetting colours", forget)


async def follow(store: Store, own: Colour, stand_by: Callable[[bool], None]) -> Never:
    """Say whether to stand by, whenever that changes, until cancelled; a replica begins by standing by.

    One that serves stands by when another was chosen and has been there for a while; one that stands by serves when
    the chosen one is nowhere to be seen: the wrong version is better than none.
    """
    turn = Turn(own)

    async def look() -> None:
        before = turn.standby
        try:
            async with store.transaction() as transaction:
                await transaction.run("see_colour", name=own)
                chosen, present = await _look(transaction)
        except StoreUnavailableError:
            turn.forget()
            raise
        turn.look(chosen, present, time.monotonic())
        if turn.standby is not before:
            _log.info("standing by" if turn.standby else "serving", colour=own, chosen=chosen)
            stand_by(turn.standby)
        await asyncio.sleep(_LOOK_SECONDS)

    await repeat("following the colour that serves", look)
