"""Metrics: counters of what this process did, and gauges of the whole, which the leading process tells."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from litestar.types import HTTPScope
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from coordinator.health import Measured, score_health
from coordinator.model import Status, WorkItem
from coordinator.reports import Teams, percentiles

OPERATION: Final = "operation"
"""The key of a route's `opt` that names what its latency counts as."""

_WINDOW_MAX: Final = 20_000
_WORK: Final = ("work_type", "team", "priority")
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_WORK_SECONDS: Final = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)

CLAIMED: Final = Counter("beamops_agent_work_claimed", "Claims given.", _WORK)
COMPLETED: Final = Counter("beamops_agent_work_completed", "Work items completed.", _WORK)
FAILED: Final = Counter("beamops_agent_work_failed", "Failures reported by agents.", _WORK)
CONFLICTS: Final = Counter("beamops_agent_conflicts", "Claims and writes refused because another was first.", ["code"])
_REQUESTS: Final = Histogram(
    "coordinator_request_duration_seconds", "Requests: rate, errors by status, duration.",
    ["method", "route", "status"], buckets=_SECONDS,
)  # fmt: skip
_DURATION: Final = Histogram(
    "beamops_agent_work_duration_seconds", "From claim to completion.", _WORK, buckets=_WORK_SECONDS
)
_LATENCY: Final = Histogram(
    "beamops_agent_coordination_latency_seconds", "Answers to agents; without the time that a claim chose to wait.",
    ["operation"], buckets=_SECONDS,
)  # fmt: skip
WAITING: Final = Gauge("beamops_agent_waiting_claims", "Claims that wait for work at this replica.")
INSIGHTS: Final = Counter("beamops_insights", "Insights asked for.", ["source", "outcome"])
for _outcome in ("answered", "failed"):
    INSIGHTS.labels("anthropic", _outcome)  # there from the beginning: a rule that asks for it finds it
INSIGHT_TOKENS: Final = Counter("beamops_insight_tokens", "Tokens read and written by the model.", ["direction"])
INSIGHT_COST: Final = Counter("beamops_insight_cost_dollars", "What the model has cost, by the configured prices.")
INSIGHT_LEFT: Final = Gauge("beamops_insight_rate_limit_remaining_ratio", "Share of the API's rate limit that is left.")
INSIGHT_LEFT.set(1)


@dataclass
class Window:
    """Requests of this process since the last time that somebody asked."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    requests: int = 0

    def take(self) -> "Window":
        """What was counted, which is then forgotten here."""
        taken = Window(self.seconds, self.errors, self.requests)
        self.seconds, self.errors, self.requests = [], 0, 0
        return taken

    def p95_ms(self) -> float:
        """Milliseconds that 95 % of the requests stayed under; 0 of none."""
        return percentiles(self.seconds).p95 * 1000


WINDOW: Final = Window()


_NAMES_MAX: Final = 200
_types: set[str] = set()
_teams: set[str] = set()


def count(counter: Counter, item: WorkItem) -> None:
    """Count what happened to a work item."""
    counter.labels(*_labels(item)).inc()


def count_completed(item: WorkItem) -> None:
    """Count a completion, and how long the work took."""
    count(COMPLETED, item)
    if item.claimed_at is not None and item.finished_at is not None:
        seconds = (item.finished_at - item.claimed_at).total_seconds()
        _DURATION.labels(*_labels(item)).observe(seconds)


def _labels(item: WorkItem) -> tuple[str, str, str]:
    return _bound(_types, item.type), _bound(_teams, item.team or ""), item.priority


def _bound(known: set[str], name: str) -> str:
    """The name, or `(other)` once there are too many: whoever submits work must not fill the memory of who measures."""
    if name not in known:
        if len(known) >= _NAMES_MAX:
            return "(other)"
        known.add(name)
    return name


def count_request(scope: HTTPScope, status: int, seconds: float, trace_id: str | None = None) -> None:
    """Count a request; one that chose to wait says nothing of how fast this is.

    A trace that is kept becomes the exemplar of its buckets: from a latency to a request that had it.
    """
    exemplar = None if trace_id is None else {"trace_id": trace_id}
    _REQUESTS.labels(scope["method"], scope["path_template"] or "(none)", status).observe(seconds, exemplar)
    WINDOW.requests += 1
    WINDOW.errors += status >= HTTPStatus.INTERNAL_SERVER_ERROR
    operation = scope["route_handler"].opt.get(OPERATION) if "route_handler" in scope else None
    if operation is not None and not scope["state"].get("waited"):
        _LATENCY.labels(operation).observe(seconds, exemplar)
        if len(WINDOW.seconds) < _WINDOW_MAX:
            WINDOW.seconds.append(seconds)


@dataclass(frozen=True)
class Whole:
    """What the coordinator as a whole is like, whichever process tells."""

    measured: Measured
    teams: Teams


class _WholeCollector(Collector):
    """Tells of the whole what the leading process measured last, and nothing in the others: each gauge exists once."""

    whole: Whole | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        whole = self.whole
        if whole is None:
            return
        measured = whole.measured
        yield GaugeMetricFamily("beamops_agent_active_count", "Agents that are active.", value=measured.agents_active)
        yield GaugeMetricFamily(
            "beamops_coordination_efficiency_ratio",
            "Of the claims that ended in ten minutes, the share that was completed.",
            value=measured.efficiency,
        )
        health = GaugeMetricFamily("beamops_health_score", "0 to 100, and each of its parts.", labels=["part"])
        score = score_health(measured)
        health.add_metric(["all"], score.score)
        for part in score.parts:
            health.add_metric([part.name], part.score)
        yield health
        yield GaugeMetricFamily(
            "beamops_work_oldest_ready_seconds",
            "How long the oldest ready work has waited.",
            value=measured.oldest_ready_seconds,
        )
        items = GaugeMetricFamily("beamops_work_items", "Work items.", labels=["team", "status"])
        velocity = GaugeMetricFamily("beamops_team_velocity", "Points completed in seven days.", labels=["team"])
        collaboration = GaugeMetricFamily(
            "beamops_team_collaboration_score",
            "Of a team's blocked items, the share that waits for another team.",
            labels=["team"],
        )
        efficiency = GaugeMetricFamily(
            "beamops_team_efficiency_ratio",
            "Of a team's claims that ended in seven days, the share that was completed.",
            labels=["team"],
        )
        for team in whole.teams.teams[:_NAMES_MAX]:
            name = team.team or ""
            velocity.add_metric([name], team.velocity)
            collaboration.add_metric([name], team.collaboration)
            efficiency.add_metric([name], team.efficiency)
            for status in Status:
                items.add_metric([name, status], team.items.get(status, 0))
        yield from (items, velocity, collaboration, efficiency)


_WHOLE: Final = _WholeCollector()
REGISTRY.register(_WHOLE)


def publish(whole: Whole | None) -> None:
    """Tell this of the whole from now on, or nothing: only the process that leads tells."""
    _WHOLE.whole = whole
