"""Waiting for something to change: in this process, and by PostgreSQL's NOTIFY in the others."""

import asyncio
from contextlib import suppress


class Changes:
    """A count of changes that can be waited on."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Event()

    def bump(self) -> None:
        """Say that something has changed."""
        self.count += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seen: int, seconds: float) -> int:
        """Wait until the count is not `seen` any more, at most so many seconds; gives the count."""
        if self.count == seen:
            # Not wait_for, which in Python 3.11 may swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        return self.count
