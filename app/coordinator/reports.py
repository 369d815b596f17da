"""Reports from what is in the store: nothing is invented, and an empty store gives empty reports."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

import msgspec
from msgspec import Struct

from coordinator.agents import list_agents
from coordinator.health import WINDOW_SECONDS, Health, Measured, score_health, share_completed
from coordinator.model import Agent, AgentStatus, Status, WorkItem
from coordinator.records import read_item
from coordinator.store import Row, Transaction

_DAY_MS: Final = 86_400_000
_WEEK_MS: Final = 7 * _DAY_MS
MEASURE_SECONDS: Final = 10
"""How often each replica writes down what it measured."""


class Percentiles(Struct):
    """Seconds that half, 85 % and 95 % of `count` stay under."""

    count: int
    p50: float
    p85: float
    p95: float


class TeamReport(Struct):
    """A team's work by state and points, and how it does; `team` is None for work of no team.

    Velocity is points completed in seven days; collaboration the share of its blocked items that wait for another team;
    efficiency the share of its claims that were completed, of those that ended in seven days (1 of none).
    """

    team: str | None
    items: dict[str, int]
    backlog_points: int
    agents: int
    capacity: int
    held: int
    velocity: int
    collaboration: float
    efficiency: float


class Teams(Struct):
    """All teams, by name."""

    teams: list[TeamReport]


class Plan(Struct):
    """A team's backlog against what it gets done: `weeks` is None while nothing is."""

    team: str | None
    backlog_points: int
    velocity: int
    weeks: float | None
    agents: int
    capacity: int


class Planning(Struct):
    """All teams with a backlog or agents, the longest backlog first."""

    plans: list[Plan]


class Blocker(Struct):
    """What one item waits for."""

    item: str
    title: str
    team: str | None
    needs: str
    needs_title: str
    needs_team: str | None
    needs_status: Status


class Blockers(Struct):
    """All that holds work up."""

    blockers: list[Blocker]


class Idle(Struct):
    """Active agents with room for more, and how much in all."""

    agents: list[Agent]
    capacity: int


class Delivered(Struct):
    """What was completed, newest first, and its points."""

    items: list[WorkItem]
    points: int


class Period(Struct):
    """How work went in a span of time."""

    completed: int
    failed: int
    retried: int
    expired: int
    lead_seconds: Percentiles


class Retrospective(Struct):
    """A span of time against the one before it, and why work failed."""

    now: Period
    before: Period
    failure_causes: dict[str, int]


class Board(Struct):
    """Items by parent and state."""

    parents: list[dict[str, Any]]


class Trend(Struct):
    """How it went lately, one value a span of `span_seconds`; `starts` are seconds since 1970.

    `p95_ms` is of answers to agents, None where nobody asked; `oldest_ready_seconds` is None where nobody measured.
    """

    span_seconds: int
    starts: list[int]
    submitted: list[int]
    claimed: list[int]
    completed: list[int]
    requests: list[int]
    errors: list[int]
    p95_ms: list[float | None]
    oldest_ready_seconds: list[float | None]


class Flow(Struct):
    """Time that finished work spent in each state, in seconds."""

    states: dict[str, Percentiles]


async def measure(transaction: Transaction, replicas_expected: int) -> Measured:
    """What the health score is made from."""
    begin = time.perf_counter()
    oldest_ms = await transaction.value("oldest_ready_ms")
    store_ms = (time.perf_counter() - begin) * 1000
    kinds = await _kinds(transaction, WINDOW_SECONDS * 1000, 0)
    agents = {row["status"]: int(row["agents"]) for row in await transaction.rows("count_agents")}
    served = await transaction.one("sum_measurements", age_ms=WINDOW_SECONDS * 1000)
    # Whoever answers this is there, also before it has measured anything.
    replicas = max(1, await transaction.value("count_replicas", age_ms=3 * MEASURE_SECONDS * 1000))
    return Measured(
        completed=kinds["completed"],
        failures=kinds["failed"] + kinds["retried"],
        claimed=kinds["claimed"],
        expired=kinds["expired"] + kinds["returned"],
        oldest_ready_seconds=int(oldest_ms) / 1000,
        agents=sum(agents.values()),
        agents_offline=agents.get(AgentStatus.OFFLINE, 0),
        store_ms=store_ms,
        requests=int(served["requests"]),
        errors=int(served["errors"]),
        p95_ms=float(served["p95_ms"]),
        replicas=replicas,
        replicas_expected=replicas_expected,
        agents_active=agents.get(AgentStatus.ACTIVE, 0),
    )


async def report_health(transaction: Transaction, replicas_expected: int) -> Health:
    """Measure, and score."""
    return score_health(await measure(transaction, replicas_expected))


async def report_teams(transaction: Transaction) -> Teams:
    """Work, people and results of every team."""
    items: dict[str | None, dict[str, int]] = defaultdict(dict)
    backlog: Counter[str | None] = Counter()
    for row in await transaction.rows("count_by_team"):
        items[row["team"]][row["status"]] = int(row["items"])
        if row["status"] in {Status.BLOCKED, Status.READY, Status.CLAIMED}:
            backlog[row["team"]] += int(row["points"])
    capacity = {row["team"]: row for row in await transaction.rows("sum_capacity")}
    delivered = await transaction.rows("sum_delivered", age_ms=_WEEK_MS)
    velocity = Counter({row["team"]: int(row["points"]) for row in delivered})
    kinds: dict[str | None, Counter[str]] = defaultdict(Counter)
    for row in await transaction.rows("count_kinds_by_team", from_ms=_WEEK_MS):
        kinds[row["team"]][row["kind"]] = int(row["events"])
    waits: dict[str | None, set[tuple[str, bool]]] = defaultdict(set)
    for row in await transaction.rows("list_blockers"):
        waits[row["team"]].add((row["item"], row["needs_team"] != row["team"]))
    return Teams(
        [
            TeamReport(
                team=team,
                items=items.get(team, {}),
                backlog_points=backlog[team],
                agents=int(capacity[team]["agents"]) if team in capacity else 0,
                capacity=int(capacity[team]["capacity"]) if team in capacity else 0,
                held=int(capacity[team]["held"]) if team in capacity else 0,
                velocity=velocity[team],
                collaboration=_share({item for item, other in waits[team] if other}, {item for item, _ in waits[team]}),
                efficiency=_efficiency(kinds[team]),
            )
            for team in sorted({*items, *capacity}, key=lambda team: (team is None, team or ""))
        ]
    )


async def report_planning(transaction: Transaction) -> Planning:
    """Backlog in points against velocity."""
    plans = [
        Plan(
            team=one.team,
            backlog_points=one.backlog_points,
            velocity=one.velocity,
            weeks=round(one.backlog_points / one.velocity, 1) if one.velocity else None,
            agents=one.agents,
            capacity=one.capacity,
        )
        for one in (await report_teams(transaction)).teams
        if one.backlog_points or one.agents
    ]
    return Planning(sorted(plans, key=lambda plan: -plan.backlog_points))


async def report_dependencies(transaction: Transaction) -> Blockers:
    """What blocked work waits for."""
    return Blockers([msgspec.convert(dict(row), Blocker) for row in await transaction.rows("list_blockers")])


async def report_idle(transaction: Transaction) -> Idle:
    """Capacity that nobody uses."""
    room = [
        one
        for one in await list_agents(transaction)
        if one.status is AgentStatus.ACTIVE and one.claimed < (one.capacity or 1)
    ]
    return Idle(room, sum((one.capacity or 1) - one.claimed for one in room))


async def report_delivered(transaction: Transaction, days: float) -> Delivered:
    """What was completed in so many days."""
    items = [read_item(row) for row in await transaction.rows("list_delivered", age_ms=int(days * _DAY_MS))]
    return Delivered(items, sum(item.points for item in items))


async def report_retrospective(transaction: Transaction, days: float) -> Retrospective:
    """So many days against as many before them."""
    span = int(days * _DAY_MS)
    causes = await transaction.rows("count_reasons", age_ms=span)
    return Retrospective(
        await _period(transaction, span, 0),
        await _period(transaction, 2 * span, span),
        {row["reason"] or "": int(row["items"]) for row in causes},
    )


async def report_board(transaction: Transaction) -> Board:
    """Parents, and how far their children are."""
    parents: dict[str, dict[str, Any]] = {}
    for row in await transaction.rows("count_by_parent"):
        facts = {"id": row["id"], "title": row["title"], "status": row["parent_status"], "children": {}}
        parents.setdefault(row["id"], facts)["children"][row["status"]] = int(row["items"])
    return Board(list(parents.values()))


async def report_flow(transaction: Transaction, days: float) -> Flow:
    """Time in each state of what was finished in so many days."""
    changes: dict[str, list[Row]] = defaultdict(list)
    for row in await transaction.rows("list_changes", age_ms=int(days * _DAY_MS)):
        changes[row["item"]].append(row)
    spent: dict[str, list[float]] = defaultdict(list)
    for rows in changes.values():
        total: Counter[str] = Counter()
        for one, following in pairwise(rows):
            total[msgspec.json.decode(one["data"])["status"]] += following["at"] - one["at"]
        for status, milliseconds in total.items():
            spent[status].append(milliseconds / 1000)
    return Flow({status: percentiles(seconds) for status, seconds in sorted(spent.items())})


async def report_trend(transaction: Transaction, minutes: float) -> Trend:
    """The last so many minutes, in at most 60 spans."""
    age_ms = int(minutes * 60_000)
    span_ms = max(10_000, age_ms // 60 // 10_000 * 10_000)
    values = {"age_ms": age_ms, "span_ms": span_ms}
    events: Counter[tuple[int, str]] = Counter()
    for row in await transaction.rows("count_throughput", **values):
        events[row["span"], row["kind"]] = int(row["events"])
    served = {row["span"]: row for row in await transaction.rows("list_measurements", **values)}
    last = await transaction.value("now") // span_ms
    spans = range(last - age_ms // span_ms + 1, last + 1)

    def sums(name: str) -> list[int]:
        return [int(served[span][name]) if span in served else 0 for span in spans]

    return Trend(
        span_seconds=span_ms // 1000,
        starts=[span * span_ms // 1000 for span in spans],
        submitted=[events[span, "submitted"] for span in spans],
        claimed=[events[span, "claimed"] for span in spans],
        completed=[events[span, "completed"] for span in spans],
        requests=sums("requests"),
        errors=sums("errors"),
        p95_ms=[
            round(served[span]["p95_ms"], 1) if span in served and served[span]["p95_ms"] else None for span in spans
        ],
        oldest_ready_seconds=[
            int(served[span]["oldest_ready_ms"]) / 1000 if span in served else None for span in spans
        ],
    )


def percentiles(seconds: Iterable[float]) -> Percentiles:
    """Nearest-rank percentiles; all 0 of nothing."""
    ordered = sorted(seconds)

    def rank(percent: int) -> float:
        return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 3) if ordered else 0.0

    return Percentiles(len(ordered), rank(50), rank(85), rank(95))


async def _period(transaction: Transaction, from_ms: int, to_ms: int) -> Period:
    kinds = await _kinds(transaction, from_ms, to_ms)
    times = await transaction.rows("list_lead_times", from_ms=from_ms, to_ms=to_ms)
    return Period(
        completed=kinds["completed"],
        failed=kinds["failed"],
        retried=kinds["retried"],
        expired=kinds["expired"],
        lead_seconds=percentiles(row["lead_ms"] / 1000 for row in times),
    )


async def _kinds(transaction: Transaction, from_ms: int, to_ms: int) -> Counter[str]:
    rows = await transaction.rows("count_kinds", from_ms=from_ms, to_ms=to_ms)
    return Counter({row["kind"]: int(row["events"]) for row in rows})


def _efficiency(kinds: Counter[str]) -> float:
    return share_completed(
        kinds["completed"], sum(kinds[kind] for kind in ("failed", "retried", "expired", "returned"))
    )


def _share(part: set[str], whole: set[str]) -> float:
    return round(len(part) / len(whole), 3) if whole else 0.0
