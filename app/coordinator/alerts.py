"""What is wrong now, by the thresholds of the alerts: the same facts without Prometheus, and without its patience."""

from typing import Final

from msgspec import Struct

from coordinator.health import Measured, score_health

_SHARE_FAILED: Final = 10
_HEALTH: Final = 80
_EFFICIENCY: Final = 0.7
_ERRORS: Final = 1
_ANSWER_MS: Final = 100
_OLDEST_SECONDS: Final = 3600


class Alert(Struct):
    """One thing that is looked at: what it is now, and the threshold beyond which it is wrong."""

    name: str
    firing: bool
    value: float
    threshold: float
    advice: str


class Alerts(Struct):
    """All that is looked at, what is wrong first."""

    alerts: list[Alert]


def judge(measured: Measured) -> Alerts:
    """Hold what was measured against the thresholds (prior dashboards' own, or stricter)."""
    health = score_health(measured)
    part = {one.name: one.value for one in health.parts}
    active, efficiency = measured.agents_active, measured.efficiency
    found = [
        Alert("no active agents", active == 0, active, 1, "start agents, or see why they stopped renewing"),
        Alert(
            "efficiency",
            efficiency < _EFFICIENCY,
            efficiency,
            _EFFICIENCY,
            "see `report retrospective`: why claims fail",
        ),
        Alert("health", health.score < _HEALTH, health.score, _HEALTH, "see `health`: which part is low"),
        _above("failures %", part["failures"], _SHARE_FAILED, "see `report retrospective`: failure causes"),
        _above("errors %", part["errors"], _ERRORS, "see the coordinator's log"),
        _above("answers p95 ms", part["answers, p95"], _ANSWER_MS, "add replicas, or look at the store"),
        _above("oldest ready s", part["oldest ready work"], _OLDEST_SECONDS, "see `insight bottlenecks`"),
        _above("replicas missing %", part["replicas missing"], 0, "see the services of the stack"),
    ]
    return Alerts(sorted(found, key=lambda alert: not alert.firing))


def _above(name: str, value: float, threshold: float, advice: str) -> Alert:
    return Alert(name, value > threshold, value, threshold, advice)
