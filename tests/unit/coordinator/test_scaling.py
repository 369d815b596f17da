"""How many replicas a load asks for, and when: the autoscaler's decisions, one look after the other."""

import json
from typing import Any

import httpx
import pytest
from coordinator.autoscaler import P95_QUERY, READY_QUERY, Autoscaler, NotScaledError
from coordinator.contract import MAXIMUM_LABEL, MINIMUM_LABEL, SPARE_LABEL
from coordinator.scaling import (
    DOWN_SECONDS,
    STEP,
    TOLERANCE,
    UP_SECONDS,
    History,
    Limits,
    Load,
    Look,
    Targets,
    decide,
    propose,
    read_limits,
    remember,
)
from hypothesis import given
from hypothesis import strategies as some

TARGETS = Targets(ready_per_replica=50, p95_seconds=0.1)
LIMITS = Limits(2, 8)


@pytest.mark.parametrize(
    ("replicas", "load", "proposed"),
    [
        (2, Load(0, None), 0),
        (2, Load(100, 0.1), 2),
        (2, Load(109, None), 2),
        (2, Load(111, None), 3),
        (2, Load(400, 0.01), 8),
        (2, Load(0, 0.25), 5),
        (4, Load(150, 0.05), 3),
    ],
)
def test_the_part_of_the_load_that_asks_for_more_decides(replicas: int, load: Load, proposed: int) -> None:
    assert propose(replicas, load, TARGETS) == proposed


def follow(proposals: list[int], replicas: int = 2, step_seconds: int = 5) -> list[int]:
    """Replicas after each look, where every look proposes the next number."""
    history, seen = History(), []
    for number, proposed in enumerate(proposals):
        now = number * step_seconds
        history.looks = remember(history.looks, Look(now, proposed))
        wanted = decide(replicas, now, LIMITS, history)
        if wanted != replicas:
            replicas, history.changed_at = wanted, now
        seen.append(replicas)
    return seen


def test_more_load_is_met_at_once_and_in_steps() -> None:
    assert follow([8] * 8) == [4, 4, 4, 8, 8, 8, 8, 8]


def test_less_load_is_followed_a_minute_later_and_in_steps() -> None:
    looks = DOWN_SECONDS // 5
    assert follow([1] * (2 * looks + 1), replicas=8) == [8] * looks + [4] * looks + [2]


def test_a_load_that_comes_back_meanwhile_keeps_what_it_asked_for() -> None:
    looks = DOWN_SECONDS // 5
    seen = follow([1] * (looks - 1) + [6] + [1] * looks, replicas=6)
    assert seen == [6] * len(seen)


def test_what_is_outside_its_limits_is_brought_back_at_once() -> None:
    assert follow([5], replicas=12) == [8]
    assert follow([5], replicas=0) == [2]


@given(some.lists(some.integers(0, 50), max_size=80), some.integers(2, 8))
def test_steps_and_limits_hold_whatever_is_proposed(proposals: list[int], replicas: int) -> None:
    before, changed_at = replicas, -DOWN_SECONDS
    for number, now in enumerate(follow(proposals, replicas)):
        assert LIMITS.minimum <= now <= LIMITS.maximum
        assert now <= before * STEP and now * STEP >= before
        if now != before:
            assert 5 * number - changed_at >= (UP_SECONDS if now > before else DOWN_SECONDS)
            changed_at = 5 * number
        before = now


@given(some.integers(1, 12), some.floats(0, 10_000), some.floats(0, 10))
def test_a_proposal_would_bring_the_load_to_its_target(replicas: int, ready: float, p95: float) -> None:
    proposed = propose(replicas, Load(ready, p95), TARGETS)
    shares = (ready / TARGETS.ready_per_replica, replicas * p95 / TARGETS.p95_seconds)
    assert proposed >= max(shares) / (1 + TOLERANCE) - 1e-6
    assert proposed == replicas or proposed < max(shares) + 1


class Around:
    """Prometheus and the engine's proxy, as the autoscaler sees them."""

    def __init__(self) -> None:
        self.replicas = 2
        self.answers: dict[str, str | None] = {READY_QUERY: "400", P95_QUERY: "NaN"}
        self.labels = {MINIMUM_LABEL: "2", MAXIMUM_LABEL: "8"}
        self.state = "completed"
        self.updates: list[dict[str, Any]] = []

    def prometheus(self, request: httpx.Request) -> httpx.Response:
        value = self.answers[request.url.params["query"]]
        result = [] if value is None else [{"metric": {}, "value": [0, value]}]
        return httpx.Response(200, json={"status": "success", "data": {"result": result}})

    def engine(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            assert request.url.params["version"] == "7"
            self.updates.append(json.loads(request.content))
            self.replicas = self.updates[-1]["Mode"]["Replicated"]["Replicas"]
            return httpx.Response(200, json={"Warnings": None})
        spec = {"Name": "c", "Labels": self.labels, "Mode": {"Replicated": {"Replicas": self.replicas}}}
        found = {"ID": "abc", "Version": {"Index": 7}, "Spec": spec, "UpdateStatus": {"State": self.state}}
        return httpx.Response(200, json=found)


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
def autoscaler(around: Around) -> Autoscaler:
    prometheus = httpx.AsyncClient(transport=httpx.MockTransport(around.prometheus), base_url="http://prometheus")
    engine = httpx.AsyncClient(transport=httpx.MockTransport(around.engine), base_url="http://engine")
    return Autoscaler("c", TARGETS, prometheus, engine)


async def test_the_number_of_replicas_is_changed_and_nothing_else(around: Around, autoscaler: Autoscaler) -> None:
    await autoscaler.look(0)
    (update,) = around.updates
    assert update == {"Name": "c", "Labels": around.labels, "Mode": {"Replicated": {"Replicas": 4}}}
    await autoscaler.look(5)
    assert len(around.updates) == 1, "the cool-down of a step up"
    await autoscaler.look(UP_SECONDS)
    assert around.replicas == 8
    there, asked = (autoscaler.registry.get_sample_value("beamops_autoscaler_replicas", {"which": which})
                    for which in ("there", "asked for"))  # fmt: skip
    assert (there, asked) == (4, 8)


async def test_a_replica_that_is_being_moved_is_not_counted_and_does_not_hold_the_others(
    around: Around, autoscaler: Autoscaler
) -> None:
    around.labels, around.replicas, around.answers[READY_QUERY] = {**around.labels, SPARE_LABEL: "2"}, 3, "100"
    await autoscaler.look(0)
    assert around.updates == [], "two are enough, and the third goes when the move is over"
    around.answers[READY_QUERY] = "400"
    await autoscaler.look(UP_SECONDS)
    assert around.replicas == 4


async def test_a_load_that_is_not_known_changes_nothing(around: Around, autoscaler: Autoscaler) -> None:
    around.answers[READY_QUERY] = None
    with pytest.raises(NotScaledError, match="no coordinator leads"):
        await autoscaler.look(0)
    around.answers[READY_QUERY], around.state = "400", "updating"
    with pytest.raises(NotScaledError, match="on its way to another version"):
        await autoscaler.look(3)
    around.labels = {}
    with pytest.raises(NotScaledError, match="not labelled"):
        await autoscaler.look(5)
    assert around.updates == []


def test_a_service_on_every_node_has_no_limits() -> None:
    labels = {MINIMUM_LABEL: "1", MAXIMUM_LABEL: "2"}
    assert read_limits({"Labels": labels, "Mode": {"Global": {}}}) is None
    assert read_limits({"Labels": labels, "Mode": {"Replicated": {}}}) == Limits(1, 2)
