"""What has to happen without being asked: leases end, agents go missing, what is old goes.

Every coordinator runs this; an advisory lock of the store lets one at a time do it, and the next one takes over
when that one's connection ends.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Never

import structlog

from coordinator import agents, metrics, reports, work
from coordinator.errors import StoreUnavailableError
from coordinator.loops import repeat
from coordinator.settings import Settings
from coordinator.store import Store

_log = structlog.get_logger()
_TICK_SECONDS: Final = 1.0
_RETENTION_SECONDS: Final = 60.0
_BATCH: Final = 100
_DAY_MS: Final = 86_400_000
_KEY_AGE_MS: Final = _DAY_MS
_MEASUREMENT_AGE_MS: Final = _DAY_MS


class Background:
    """The background work of one process; a version that stands by leaves it to the one that serves."""

    def __init__(self, store: Store, settings: Settings, stands_by: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._stands_by = stands_by
        self._retention_ms = settings.retention_days * _DAY_MS
        self._replicas = settings.replicas
        self._retained_at = 0.0
        self._published_at = 0.0
        self._leads = False

    def leads(self) -> bool:
        """Whether it is this process's turn."""
        return self._leads

    async def run(self) -> None:
        """Do it whenever it is this process's turn, until cancelled."""
        await repeat("background work", self._stand)

    async def _stand(self) -> None:
        if self._stands_by():
            await asyncio.sleep(_TICK_SECONDS)
            return
        try:
            async with self._store.lead() as leading:
                while not self._stands_by():
                    self._leads = await leading()
                    if self._leads:
                        await self.tick()
                    await asyncio.sleep(_TICK_SECONDS)
        finally:
            self._leads = False
            metrics.publish(None)

    async def tick(self) -> None:
        """Once through all of it."""
        for step in (work.expire_leases, agents.miss_agents):
            done = _BATCH
            while done == _BATCH:
                async with self._store.transaction() as transaction:
                    done = await step(transaction)
        if time.monotonic() - self._retained_at > _RETENTION_SECONDS:
            await self._forget()
            self._retained_at = time.monotonic()
        if time.monotonic() - self._published_at > reports.MEASURE_SECONDS:
            try:
                await self._publish()
            except StoreUnavailableError as error:
                # Figures can wait; leases and retention cannot wait for figures.
                _log.warning("figures of the whole were not measured", reason=str(error))
            self._published_at = time.monotonic()

    async def _publish(self) -> None:
        async with self._store.transaction() as transaction:
            measured = await reports.measure(transaction, self._replicas)
            metrics.publish(metrics.Whole(measured, await reports.report_teams(transaction)))

    async def _forget(self) -> None:
        for query, age_ms in (("delete_finished", self._retention_ms), ("delete_keys", _KEY_AGE_MS)):
            gone = True
            while gone:
                async with self._store.transaction() as transaction:
                    gone = bool(await transaction.rows(query, age_ms=age_ms))
        async with self._store.transaction() as transaction:
            await transaction.run("delete_agent_events", age_ms=self._retention_ms)
            await transaction.run("delete_measurements", age_ms=_MEASUREMENT_AGE_MS)


async def measure(store: Store, replica: str) -> Never:
    """Write down what this process measured of its own requests, every ten seconds, until cancelled."""

    async def write_down() -> None:
        window = metrics.WINDOW.take()
        values = {"requests": window.requests, "errors": window.errors, "p95_ms": window.p95_ms()}
        async with store.transaction() as transaction:
            await transaction.run("add_measurement", replica=replica, **values)
        await asyncio.sleep(reports.MEASURE_SECONDS)

    await repeat("measuring", write_down)
