"""Reports and the health score say what happened, and only that."""

from collections.abc import Callable
from typing import Any

import httpx
from coordinator.health import Measured, score_health
from coordinator.reports import percentiles
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import Clock

Do = Callable[..., Any]
FINE = Measured(
    completed=100,
    failures=0,
    claimed=100,
    expired=0,
    oldest_ready_seconds=1,
    agents=10,
    agents_offline=0,
    store_ms=1,
    requests=1000,
    errors=0,
    p95_ms=5,
    replicas=2,
    replicas_expected=2,
    agents_active=10,
)


async def report(client: httpx.AsyncClient, name: str, **parameters: Any) -> Any:
    answer = await client.get(f"/v1/reports/{name}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_all_well_is_a_hundred_and_nothing_well_is_nothing() -> None:
    assert score_health(FINE).score == 100
    worst = Measured(0, 10, 10, 10, 10**6, 4, 4, 10**4, 10, 10, 10**4, 1, 4, 0)
    assert score_health(worst).score == 0


@given(
    st.builds(
        Measured,
        *[st.integers(0, 10**6)] * 4,
        st.floats(0, 10**9),
        *[st.integers(0, 1000)] * 2,
        st.floats(0, 10**6),
        *[st.integers(0, 10**6)] * 2,
        st.floats(0, 10**6),
        *[st.integers(0, 100)] * 3,
    )
)
def test_the_score_is_never_out_of_bounds(measured: Measured) -> None:
    health = score_health(measured)
    assert 0 <= health.score <= 100
    assert sum(part.weight for part in health.parts) == 100


async def test_the_health_of_an_empty_coordinator_is_measured(client: httpx.AsyncClient) -> None:
    health = (await client.get("/v1/health")).json()
    assert health["score"] > 80
    assert {part["name"] for part in health["parts"]} >= {"failures", "store round trip"}


async def test_failures_lower_the_health(client: httpx.AsyncClient, submit: Do, claim: Do) -> None:
    before = (await client.get("/v1/health")).json()["score"]
    item = await submit()
    await claim()
    await client.post(f"/v1/work/{item['id']}/fail", json={"token": 1, "reason": "broken", "retryable": False})
    assert (await client.get("/v1/health")).json()["score"] <= before - 19


async def test_teams_and_planning_count_what_is_there(client: httpx.AsyncClient, submit: Do, claim: Do) -> None:
    await client.post("/v1/agents", json={"name": "ada", "team": "a", "capacity": 3})
    done = await submit(team="a", points=5)
    await claim("ada")
    await client.post(f"/v1/work/{done['id']}/complete", json={"token": 1})
    open_ = await submit(team="a", points=15)
    await submit(team="b", points=2, depends_on=[open_["id"]])
    a, b = (await report(client, "teams"))["teams"]
    assert (a["team"], a["items"], a["backlog_points"], a["velocity"]) == ("a", {"completed": 1, "ready": 1}, 15, 5)
    assert (a["agents"], a["capacity"], a["held"]) == (1, 3, 0)
    assert (b["team"], b["collaboration"]) == ("b", 1.0)
    plans = (await report(client, "planning"))["plans"]
    assert [(plan["team"], plan["weeks"]) for plan in plans] == [("a", 3.0), ("b", None)]


async def test_dependencies_and_board_show_who_waits_for_whom(client: httpx.AsyncClient, submit: Do) -> None:
    epic = await submit(type="epic", title="Release")
    build = await submit(title="Build", team="a", parent=epic["id"])
    await submit(title="Deploy", team="b", depends_on=[build["id"]], parent=epic["id"])
    (blocker,) = (await report(client, "dependencies"))["blockers"]
    assert (blocker["title"], blocker["needs_title"], blocker["needs_team"]) == ("Deploy", "Build", "a")
    (parent,) = (await report(client, "board"))["parents"]
    assert (parent["title"], parent["children"]) == ("Release", {"blocked": 1, "ready": 1})


async def test_idle_capacity_is_what_active_agents_have_free(client: httpx.AsyncClient, submit: Do, claim: Do) -> None:
    await client.post("/v1/agents", json={"name": "ada", "capacity": 2})
    await client.post("/v1/agents", json={"name": "bob", "capacity": 5})
    await client.post("/v1/agents/bob/drain")
    await submit()
    await claim("ada")
    idle = await report(client, "idle")
    assert ([agent["name"] for agent in idle["agents"]], idle["capacity"]) == (["ada"], 1)


async def test_flow_and_retrospective_measure_time_in_states(
    client: httpx.AsyncClient, submit: Do, claim: Do, clock: Clock
) -> None:
    item = await submit()
    clock.advance(60)
    await claim()
    clock.advance(30)
    await client.post(f"/v1/work/{item['id']}/complete", json={"token": 1})
    states = (await report(client, "flow"))["states"]
    assert 60 <= states["ready"]["p50"] < 62
    assert 30 <= states["claimed"]["p95"] < 32
    retrospective = await report(client, "retrospective", days=1)
    assert (retrospective["now"]["completed"], retrospective["before"]["completed"]) == (1, 0)
    assert 90 <= retrospective["now"]["lead_seconds"]["p50"] < 93
    assert (await report(client, "delivered", days=1))["points"] == 1
    clock.advance(3 * 86_400)
    assert (await report(client, "delivered", days=1))["items"] == []


async def test_a_span_that_nobody_measured_has_no_age_of_ready_work(client: httpx.AsyncClient, submit: Do) -> None:
    await submit()
    trend = await report(client, "trend", minutes=1)
    assert sum(trend["submitted"]) == 1 and trend["oldest_ready_seconds"][0] is None


def test_percentiles_are_by_nearest_rank() -> None:
    found = percentiles(range(1, 101))
    assert (found.count, found.p50, found.p85, found.p95) == (100, 50, 85, 95)
    assert percentiles([]).p95 == 0
