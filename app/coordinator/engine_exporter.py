"""The engine's exporter: what the engine runs, and what each container uses, told to Prometheus.

It holds the engine's socket and forwards nothing: two pages without parameters are all that can be asked of it.
Metrics have cAdvisor's names where it has them, and the engine's own elsewhere.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from litestar import Litestar, Response, get
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from coordinator.contract import LIVE_PATH, METRICS_PATH
from coordinator.engine import Engine, EngineAwayError

_TIMEOUT_SECONDS: Final = 4
"""For all that one answer takes: Prometheus waits five."""
_NANO: Final = 1e-9
_SERVICE_LABEL: Final = "com.docker.swarm.service.name"
_ID_LENGTH: Final = 12

Use = Callable[[Mapping[str, Any]], float | None]


def _read(*path: str, factor: float = 1) -> Use:
    def read(stats: Mapping[str, Any]) -> float | None:
        found: Any = stats
        for key in path:
            found = (found or {}).get(key)
        return None if found is None else found * factor

    return read


def _sum_networks(key: str) -> Use:
    def read(stats: Mapping[str, Any]) -> float | None:
        networks = stats.get("networks")
        return None if networks is None else sum(network[key] for network in networks.values())

    return read


def _memory_used(stats: Mapping[str, Any]) -> float | None:
    """What cannot be given back: files that are kept for the next read can (cgroup 1 calls them total_…)."""
    memory = stats.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    kept = memory.get("stats") or {}
    files = sum(kept.get(f"total_{name}", kept.get(name, 0)) for name in ("active_file", "inactive_file"))
    return float(max(0, memory["usage"] - files))


_COUNTED: Final[Mapping[str, tuple[str, Use]]] = {
    "container_cpu_usage_seconds": ("Processor time.", _read("cpu_stats", "cpu_usage", "total_usage", factor=_NANO)),
    "container_cpu_cfs_throttled_seconds": (
        "Time in which it was held back at its limit of processors.",
        _read("cpu_stats", "throttling_data", "throttled_time", factor=_NANO),
    ),
    "container_network_receive_bytes": ("Over all its networks.", _sum_networks("rx_bytes")),
    "container_network_transmit_bytes": ("Over all its networks.", _sum_networks("tx_bytes")),
}
_MEASURED: Final[Mapping[str, tuple[str, Use]]] = {
    "container_memory_used_bytes": ("Without files that are kept for the next read.", _memory_used),
    "container_spec_memory_limit_bytes": ("At which it is killed.", _read("memory_stats", "limit")),
    "container_processes": ("Processes and threads.", _read("pids_stats", "current")),
}


def describe_containers(used: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Iterator[Metric]:
    """What containers use: of each what the engine's list says of it, and its statistics."""
    labels = [
        ([one["Labels"].get(_SERVICE_LABEL, one["Names"][0].lstrip("/")), one["Id"][:_ID_LENGTH]], stats)
        for one, stats in used
    ]
    kinds = ((CounterMetricFamily, _COUNTED), (GaugeMetricFamily, _MEASURED))
    for kind, metrics in kinds:
        for name, (text, use) in metrics.items():
            family = kind(name, text, labels=["service", "container"])
            for label, stats in labels:
                if (value := use(stats)) is not None:
                    family.add_metric(label, value)
            yield family


def describe_engine(info: Mapping[str, Any], seconds: float) -> Iterator[Metric]:
    """What the engine says of itself, and how long it took to say it."""
    states = GaugeMetricFamily("engine_daemon_container_states_containers", "Containers, by state.", labels=["state"])
    for state in ("running", "paused", "stopped"):
        states.add_metric([state], info[f"Containers{state.capitalize()}"])
    yield states
    version = GaugeMetricFamily("engine_daemon_engine_info", "Which engine it is.", labels=["version"])
    version.add_metric([info["ServerVersion"]], 1)
    yield version
    yield GaugeMetricFamily("engine_images", "Images that it has.", value=info["Images"])
    yield GaugeMetricFamily("engine_answer_seconds", "Until it had answered what it runs.", value=seconds)
    swarm = info["Swarm"]
    if swarm.get("ControlAvailable"):
        yield GaugeMetricFamily("engine_swarm_nodes", "Nodes of its swarm.", value=swarm["Nodes"])
        yield GaugeMetricFamily("engine_swarm_managers", "Managers of its swarm.", value=swarm["Managers"])


class _Told(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def create_app(socket: Path, label: str) -> Litestar:
    """The exporter of the engine whose socket that is, for containers that have the label, `key=value`."""
    engine = Engine(socket, _TIMEOUT_SECONDS)
    chosen = {"filters": json.dumps({"label": [label]})}

    async def fetch(path: str, **params: str) -> Any:
        answer = await engine.ask("GET", path, params=params)
        if answer.is_error:
            raise EngineAwayError(f"the engine answers {answer.status_code}")
        return answer.json()

    async def measure(container: Mapping[str, Any]) -> Any:
        try:
            return await fetch(f"/containers/{container['Id']}/stats", **{"stream": "false", "one-shot": "true"})
        except EngineAwayError:
            return None  # one that is just ending keeps nothing of the others back

    @get(LIVE_PATH)
    async def live() -> dict[str, str]:
        return await engine.ping()

    @get(METRICS_PATH)
    async def metrics() -> Response[bytes]:
        begin = time.monotonic()
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                info, containers = await asyncio.gather(fetch("/info"), fetch("/containers/json", **chosen))
                seconds = time.monotonic() - begin
                stats = await asyncio.gather(*map(measure, containers))
        except TimeoutError as error:
            raise EngineAwayError(f"the engine takes longer than {_TIMEOUT_SECONDS} s") from error
        used = [(one, found) for one, found in zip(containers, stats, strict=True) if found]
        registry = CollectorRegistry()
        registry.register(_Told([*describe_engine(info, seconds), *describe_containers(used)]))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Litestar([live, metrics], on_shutdown=[engine.close], openapi_config=None)
