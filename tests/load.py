"""Work that waits, and a client that keeps asking at a steady rate and remembers what failed."""

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

from tests.servers import post

BY_WHAT_WAITS = {"ready_per_replica": 25, "p95_ms": 60_000}
"""Targets of an autoscaler that a busy machine of two cores does not move: an answer may take seconds there, and twenty
agents at work have up to twenty items ready. A hundred that wait are four replicas' share."""


@contextmanager
def queued(client: httpx.Client, count: int) -> Iterator[None]:
    """So many items are ready and nobody takes them, until the context ends."""
    queue = [{"type": "queue", "title": str(number)} for number in range(count)]
    items = post(client, "/v1/work/batch", {"items": queue}).raise_for_status().json()["items"]
    yield
    for item in items:
        post(client, f"/v1/work/{item['id']}/cancel", {}).raise_for_status()


@dataclass
class Load:
    """Requests to a coordinator, every second one a write without an Idempotency-Key, until the context ends."""

    url: str
    per_second: int = 50
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    gap_seconds: float = 0
    """The longest time between two answers that were not failures."""

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._answered = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)

    @property
    def median_ms(self) -> float:
        return statistics.median(self.took_ms)

    @property
    def figures(self) -> dict[str, float]:
        """What is kept of a scenario."""
        slowest = round(max(self.took_ms, default=0) / 1000, 2)
        return {
            "requests": self.sent,
            "failed": len(self.failures),
            "slowest_s": slowest,
            "gap_s": round(self.gap_seconds, 2),
        }

    def report(self) -> str:
        slowest_ms = max(self.took_ms, default=0)
        return (
            f"{len(self.failures)} of {self.sent} requests failed at {self.per_second}/s, "
            f"slowest {slowest_ms:.0f} ms, longest gap {self.gap_seconds:.2f} s; first: {self.failures[:3]}"
        )

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        async with httpx.AsyncClient(base_url=self.url, timeout=30, limits=limits) as client:
            begin = time.monotonic()
            asked: set[asyncio.Task[None]] = set()
            while not self._stop.is_set():
                task = asyncio.create_task(self._ask(client, self.sent))
                asked.add(task)
                task.add_done_callback(asked.discard)
                self.sent += 1
                await asyncio.sleep(max(0, begin + self.sent / self.per_second - time.monotonic()))
            await asyncio.gather(*asked)

    async def _ask(self, client: httpx.AsyncClient, number: int) -> None:
        begin = time.monotonic()
        try:
            if number % 2:
                answer = await client.post("/v1/work", json={"type": "load", "title": str(number)})
            else:
                answer = await client.get("/v1/work", params={"count": 1})
            if answer.status_code >= 400:
                self.failures.append(f"{answer.status_code} {answer.text[:80]}")
                return
        except httpx.TransportError as error:
            self.failures.append(repr(error))
            return
        now = time.monotonic()
        self.took_ms.append((now - begin) * 1000)
        self.gap_seconds = max(self.gap_seconds, now - self._answered)
        self._answered = now
