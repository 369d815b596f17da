"""The autoscaler: reads the load from Prometheus, moves the coordinator's replicas by the engine's proxy."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import structlog
from litestar import Litestar, Response, get
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from coordinator.contract import LIVE_PATH, METRICS_PATH, SPARE_LABEL
from coordinator.loops import repeat
from coordinator.scaling import History, Load, Look, Targets, decide, is_rolling, propose, read_limits, remember

_log = structlog.get_logger()
_LOOK_SECONDS: Final = 5
_TIMEOUT_SECONDS: Final = 5
READY_QUERY: Final = 'sum(beamops_work_items{status="ready"}) or 0 * max(beamops_health_score{part="all"})'
"""Of a stack that has had no work yet nothing is counted, and of one without a leader nothing is known."""
P95_QUERY: Final = "histogram_quantile(0.95, sum by (le) (rate(beamops_agent_coordination_latency_seconds_bucket[1m])))"


class NotScaledError(Exception):
    """Nothing can be decided now: the load is not known, or the service is not to be scaled."""


class Autoscaler:
    """Looks at the load again and again, and moves a service's replicas between the limits that its labels name."""

    def __init__(
        self, service: str, targets: Targets, prometheus: httpx.AsyncClient, engine: httpx.AsyncClient
    ) -> None:
        self._service = service
        self._targets = targets
        self._prometheus = prometheus
        self._engine = engine
        self._history = History()
        self.registry = CollectorRegistry()
        self._replicas = Gauge(
            "beamops_autoscaler_replicas", "Replicas, there and asked for.", ["which"], registry=self.registry
        )

    async def run(self) -> None:
        """Until cancelled; where the load is not known, or the engine does not answer, nothing is changed."""
        await repeat("scaling", self._round)

    async def _round(self) -> None:
        try:
            await self.look(time.monotonic())
        except (NotScaledError, httpx.HTTPError) as error:
            self._replicas.clear()  # nothing is told that is not known: an alert looks for it
            _log.warning("nothing is scaled", reason=str(error) or type(error).__name__)
        await asyncio.sleep(_LOOK_SECONDS)

    async def look(self, now: float) -> None:
        """Look once, and scale if it must be.

        Raises:
            NotScaledError: Prometheus knows of no load, or the service is not labelled.
            HTTPError: one of the two does not answer, or refuses.
        """
        found = (await self._engine.get(f"/services/{self._service}")).raise_for_status().json()
        spec: dict[str, Any] = found["Spec"]
        limits = read_limits(spec)
        if limits is None:
            raise NotScaledError(f"{self._service} is not labelled to be scaled")
        if is_rolling(found):
            raise NotScaledError(f"{self._service} is on its way to another version")
        # The one more of a move is not counted: whoever moves replicas leaves it at another number that is asked for.
        replicas = int(spec["Labels"].get(SPARE_LABEL, spec["Mode"]["Replicated"]["Replicas"]))
        load = await self._measure()
        proposed = propose(max(1, replicas), load, self._targets)
        self._history.looks = remember(self._history.looks, Look(now, proposed))
        wanted = decide(replicas, now, limits, self._history)
        self._replicas.labels("there").set(replicas)
        self._replicas.labels("asked for").set(proposed)
        if wanted == replicas:
            return
        spec["Mode"]["Replicated"]["Replicas"] = wanted
        version = {"version": found["Version"]["Index"]}
        (await self._engine.post(f"/services/{found['ID']}/update", params=version, json=spec)).raise_for_status()
        self._history.changed_at = now
        _log.info("scaled", replicas=replicas, to=wanted, ready=load.ready, p95_seconds=load.p95_seconds)

    async def _measure(self) -> Load:
        ready = await self._ask(READY_QUERY)
        if ready is None:
            raise NotScaledError("Prometheus knows of no work: no coordinator leads, or none was asked yet")
        return Load(ready, await self._ask(P95_QUERY))

    async def _ask(self, query: str) -> float | None:
        answer = (await self._prometheus.get("/api/v1/query", params={"query": query})).raise_for_status().json()
        result = answer["data"]["result"]
        value = float(result[0]["value"][1]) if result else math.nan
        return None if math.isnan(value) else value


def create_app(service: str, targets: Targets, prometheus: str, engine: str) -> Litestar:
    """The autoscaler as a process that can be watched: whether it lives, and what it wants."""

    @asynccontextmanager
    async def run_beside(app: Litestar) -> AsyncIterator[None]:
        async with (
            httpx.AsyncClient(base_url=prometheus, timeout=_TIMEOUT_SECONDS) as asked,
            httpx.AsyncClient(base_url=engine, timeout=_TIMEOUT_SECONDS) as moved,
        ):
            app.state.autoscaler = autoscaler = Autoscaler(service, targets, asked, moved)
            running = asyncio.create_task(autoscaler.run())
            try:
                yield
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    @get(LIVE_PATH)
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @get(METRICS_PATH, sync_to_thread=False)
    def tell_metrics() -> Response[bytes]:
        content = generate_latest(app.state.autoscaler.registry)
        return Response(content, headers={"content-type": CONTENT_TYPE_LATEST})

    app = Litestar([live, tell_metrics], lifespan=[run_beside], openapi_config=None)
    return app
