"""Life cycles a second of procrastinate: jobs deferred in batches, and fetched by a worker of so many at once.

Its own best way, from its documentation ("How-to guides": batch defer, concurrency); it has no HTTP between.
"""

import asyncio
import sys
import time
from typing import Any

import procrastinate

JOBS, BATCH = 4_000, 100


async def run(url: str, concurrency: int) -> float:
    """Life cycles a second of `JOBS` jobs that do nothing."""
    connector = procrastinate.PsycopgConnector(conninfo=url, min_size=1, max_size=concurrency + 2)
    app = procrastinate.App(connector=connector)

    @app.task(name="nothing")
    async def nothing(number: int) -> None:
        pass

    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        begin = time.perf_counter()
        for first in range(0, JOBS, BATCH):
            numbers: list[dict[str, Any]] = [{"number": number} for number in range(first, first + BATCH)]
            await nothing.batch_defer_async(*numbers)
        await app.run_worker_async(
            concurrency=concurrency, wait=False, listen_notify=False, install_signal_handlers=False
        )
        return JOBS / (time.perf_counter() - begin)


if __name__ == "__main__":
    print(asyncio.run(run(sys.argv[1], int(sys.argv[2]))))
