"""The health score: what is measured, how each part counts, and nothing that is not measured."""

from dataclasses import dataclass
from typing import Final

from msgspec import Struct

WINDOW_SECONDS: Final = 600


@dataclass(frozen=True)
class Measured:
    """What the score is made from; counts are of the last `WINDOW_SECONDS`."""

    completed: int
    failures: int
    claimed: int
    expired: int
    oldest_ready_seconds: float
    agents: int
    agents_offline: int
    store_ms: float
    """One round trip to the store."""
    requests: int
    errors: int
    """Requests that ended with a fault of the coordinator's, of all replicas."""
    p95_ms: float
    """95 % of the answers to agents were faster, at the slowest replica."""
    replicas: int
    replicas_expected: int
    agents_active: int

    @property
    def efficiency(self) -> float:
        """Of the claims that ended, the share that was completed."""
        return share_completed(self.completed, self.failures + self.expired)


class Part(Struct):
    """One part of the score: 100 at `good` or better, 0 at `bad` or worse, straight between."""

    name: str
    value: float
    unit: str
    good: float
    bad: float
    weight: float
    score: float


class Health(Struct):
    """The weighted mean of all parts, 0 to 100."""

    score: float
    parts: list[Part]


def score_health(measured: Measured) -> Health:
    """Score what was measured; a share of nothing is 0."""
    missing = max(0, measured.replicas_expected - measured.replicas)
    parts = [
        _part("failures", 100 * _share(measured.failures, measured.completed + measured.failures), "%", 1, 25, 20),
        _part("leases expired", 100 * _share(measured.expired, measured.claimed), "%", 1, 25, 15),
        _part("oldest ready work", measured.oldest_ready_seconds, "s", 60, 3600, 15),
        _part("agents offline", 100 * _share(measured.agents_offline, measured.agents), "%", 5, 50, 10),
        _part("store round trip", measured.store_ms, "ms", 20, 500, 10),
        _part("errors", 100 * _share(measured.errors, measured.requests), "%", 0.1, 5, 10),
        # Good is the target of the design: 99 % under 100 ms, so 95 % well under it.
        _part("answers, p95", measured.p95_ms, "ms", 100, 1000, 10),
        _part("replicas missing", 100 * _share(missing, measured.replicas_expected), "%", 0, 50, 10),
    ]
    return Health(round(sum(part.score * part.weight for part in parts) / sum(part.weight for part in parts), 1), parts)


def share_completed(completed: int, lost: int) -> float:
    """Of the claims that ended, the share that was completed; 1 where none ended."""
    return round(completed / (completed + lost), 3) if completed + lost else 1.0


def _part(name: str, value: float, unit: str, good: float, bad: float, weight: float) -> Part:
    score = 100 * min(1.0, max(0.0, (bad - value) / (bad - good)))
    return Part(name, round(value, 2), unit, good, bad, weight, round(score, 1))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
