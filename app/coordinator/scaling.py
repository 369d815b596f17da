"""How many replicas a load asks for: pure functions, nothing here asks anybody."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from coordinator.contract import MAXIMUM_LABEL, MINIMUM_LABEL

TOLERANCE: Final = 0.1
"""Around a target, within which nothing is changed (Kubernetes, "Horizontal Pod Autoscaling": its default)."""
UP_SECONDS: Final = 15
"""Cool-down from any change to a step up."""
DOWN_SECONDS: Final = 60
"""Cool-down from any change to a step down, and how long every look must have asked for fewer."""
STEP: Final = 2
"""At most so many times as many, or as few, in one step."""


@dataclass(frozen=True)
class Targets:
    """What a replica is to have, at most."""

    ready_per_replica: float
    """Work items that wait."""
    p95_seconds: float
    """Time within which 95 % of agents' requests are answered."""


@dataclass(frozen=True)
class Load:
    """What was measured."""

    ready: float
    p95_seconds: float | None
    """None where nobody asked for anything."""


@dataclass(frozen=True)
class Limits:
    """Never fewer, never more."""

    minimum: int
    maximum: int

    def hold(self, replicas: int) -> int:
        """The nearest number that is allowed."""
        return min(max(replicas, self.minimum), self.maximum)


def read_limits(spec: Mapping[str, Any]) -> Limits | None:
    """The limits that a swarm service's labels name; None where they name none: it is not to be scaled."""
    labels = spec.get("Labels") or {}
    if "Replicated" not in spec["Mode"] or not {MINIMUM_LABEL, MAXIMUM_LABEL} <= set(labels):
        return None
    return Limits(int(labels[MINIMUM_LABEL]), int(labels[MAXIMUM_LABEL]))


def is_rolling(service: Mapping[str, Any]) -> bool:
    """Whether a swarm service, as the engine tells it, is on its way to another version, or stuck on it.

    Scaled meanwhile, the swarm would forget which version it has to go back to.
    """
    state = (service.get("UpdateStatus") or {}).get("State", "completed")
    return state not in {"completed", "rollback_completed"}


@dataclass(frozen=True)
class Look:
    """One look: when, and what it proposed."""

    at: float
    proposed: int


@dataclass
class History:
    """What a decision has to know of what was before; times are of one clock, in seconds."""

    looks: list[Look] = field(default_factory=list)
    changed_at: float = -math.inf


def propose(replicas: int, load: Load, targets: Targets) -> int:
    """The replicas that a load asks for, by whichever of its two parts asks for more.

    `ceil(replicas x measured / target)`, and no change within the tolerance: the formula of Kubernetes' Horizontal
    Pod Autoscaler.
    """
    shares = [load.ready / (replicas * targets.ready_per_replica)]
    if load.p95_seconds is not None:
        shares.append(load.p95_seconds / targets.p95_seconds)
    share = max(shares)
    return replicas if abs(share - 1) <= TOLERANCE else math.ceil(round(replicas * share, 6))


def decide(replicas: int, now: float, limits: Limits, history: History) -> int:
    """The replicas that there should be now, by the looks of the history, the last of which is this one.

    Up soon, since agents wait; down late, and by the most that any look asked for meanwhile, since load comes back.
    """
    if limits.hold(replicas) != replicas:
        return limits.hold(replicas)
    since, wanted = now - history.changed_at, limits.hold(history.looks[-1].proposed)
    if wanted > replicas:
        return min(wanted, replicas * STEP) if since >= UP_SECONDS else replicas
    if since < DOWN_SECONDS or now - history.looks[0].at < DOWN_SECONDS:
        return replicas
    most = limits.hold(max(look.proposed for look in history.looks))
    return min(replicas, max(most, math.ceil(replicas / STEP)))


def remember(looks: Sequence[Look], look: Look) -> list[Look]:
    """The looks that still count, with a new one: those of the cool-down, and the last before it."""
    young = [one for one in looks if look.at - one.at < DOWN_SECONDS]
    before = [one for one in looks if look.at - one.at >= DOWN_SECONDS][-1:]
    return [*before, *young, look]
