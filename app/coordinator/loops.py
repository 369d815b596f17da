"""Loops beside the requests: whatever happens in one round, there is a next."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Never

import structlog

from coordinator.errors import StoreUnavailableError

_log = structlog.get_logger()
_PAUSE_SECONDS: Final = 1.0


async def repeat(what: str, act: Callable[[], Awaitable[None]]) -> Never:
    """Do it again and again until cancelled; after a failure, which is logged, not before a second has passed."""
    while True:
        await succeed(what, act)


async def succeed(what: str, act: Callable[[], Awaitable[None]]) -> None:
    """Do it until it went well; after a failure, which is logged, not before a second has passed."""
    while True:
        try:
            return await act()
        except StoreUnavailableError as error:
            _log.warning(f"{what} waits for the store", reason=str(error))
        except Exception:  # noqa: BLE001 - nobody else would take the next round
            _log.exception(f"{what} failed")
        await asyncio.sleep(_PAUSE_SECONDS)
