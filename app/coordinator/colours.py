"""Blue and green: of two versions that run side by side on one store, which one serves.

The store says it, so that every replica and every proxy follows the same word, and goes on with it after a restart.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Never

import structlog

from coordinator.loops import repeat
from coordinator.store import Store, Transaction

_log = structlog.get_logger()
_LOOK_SECONDS: Final = 0.5
_HOLD_SECONDS: Final = 3.0
"""How long the one that served serves on: the other must have looked, and the proxies have found it ready."""


class Colour(StrEnum):
    """Of a version that runs beside another one."""

    BLUE = "blue"
    GREEN = "green"


async def switch(transaction: Transaction, colour: Colour) -> None:
    """Let that colour serve from now on."""
    await transaction.run("set_colour", colour=colour)


async def find_active(transaction: Transaction) -> Colour:
    """The colour that serves: blue until somebody switched."""
    return Colour(await transaction.value("active_colour") or Colour.BLUE)


async def follow(store: Store, own: Colour, stand_by: Callable[[bool], None]) -> Never:
    """Say whether to stand by, whenever that changes, until cancelled; a replica begins by standing by."""
    standing = True

    async def look() -> None:
        nonlocal standing
        async with store.transaction() as transaction:
            serves = await find_active(transaction) == own
        if serves is standing:
            _log.info("serving" if serves else "standing by", colour=own)
            if not serves:
                await asyncio.sleep(_HOLD_SECONDS)
            standing = not serves
            stand_by(standing)
        await asyncio.sleep(_LOOK_SECONDS)

    await repeat("following the colour that serves", look)
