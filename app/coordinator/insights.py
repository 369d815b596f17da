"""Insights computed from what is in the store: what to do first, who should do it, and what stands in the way.

An adviser (coordinator.adviser) may say more; this is the analysis that is always there, and the check of its answer.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from coordinator.agents import list_agents
from coordinator.health import Health
from coordinator.model import Agent, AgentStatus, Priority, Status
from coordinator.reports import Teams, report_health, report_teams
from coordinator.store import Transaction

ITEMS_MAX: Final = 100
_ADVICE_MAX: Final = 20
_WEIGHT: Final = {Priority.CRITICAL: 8, Priority.HIGH: 4, Priority.MEDIUM: 2, Priority.LOW: 1}
_HOUR_MS: Final = 3_600_000
_FINE: Final = 100
_BUSY_WEEKS: Final = 1.0


class Kind(StrEnum):
    """What an insight is about."""

    PRIORITIES = "priorities"
    TEAMS = "teams"
    HEALTH = "health"
    RECOMMEND = "recommend"
    ASSIGNMENTS = "assignments"
    BOTTLENECKS = "bottlenecks"


class Advice(Struct):
    """One piece of advice: what to do, why, and the work item, agent or team that it is about."""

    action: str
    reason: str
    item: str | None = None
    agent: str | None = None
    team: str | None = None


class Insight(Struct):
    """Advice, the most useful first, and who made it: `computed`, or the name of a model."""

    kind: Kind
    source: str
    summary: str
    advice: list[Advice]
    note: str | None = None
    """Why a model was asked and did not answer, where that is so."""


class OpenItem(Struct):
    """A work item that is not finished, as insights look at it."""

    id: str
    title: str
    type: str
    priority: Priority
    team: str | None
    skills: list[str]
    points: int
    status: Status
    agent: str | None = None
    waited_ms: int = 0
    holds_up: int = 0
    """How many items wait for this one."""

    @property
    def urgency(self) -> float:
        """Priority, twice as much for each item that waits for it, and an hour of waiting for half a low item more."""
        return _WEIGHT[self.priority] * (1 + self.holds_up) + self.waited_ms / _HOUR_MS / 2


@dataclass(frozen=True)
class Facts:
    """All that an insight is made of."""

    items: list[OpenItem]
    agents: list[Agent]
    teams: Teams
    health: Health


async def gather_facts(transaction: Transaction, replicas_expected: int) -> Facts:
    """Look at the store, at most at the `ITEMS_MAX` most urgent items."""
    items = [
        msgspec.convert({**dict(row), "skills": msgspec.json.decode(row["skills"])}, OpenItem)
        for row in await transaction.rows("list_open", count=ITEMS_MAX)
    ]
    return Facts(
        items,
        await list_agents(transaction),
        await report_teams(transaction),
        await report_health(transaction, replicas_expected),
    )


def compute(kind: Kind, facts: Facts, agent: str | None = None) -> Insight:
    """The analysis of a kind; `agent` is whom a recommendation is for, None for anybody."""
    summary, advice = _ANALYSES[kind](facts, agent)
    return Insight(kind, "computed", summary, advice[:_ADVICE_MAX])


def keep_known(insight: Insight, facts: Facts) -> Insight:
    """What of an adviser's answer is about things that exist: titles are strangers' words, and may lead it astray."""
    items = {item.id for item in facts.items}
    agents = {agent.name for agent in facts.agents}
    teams = {team.team for team in facts.teams.teams}
    known = [
        one
        for one in insight.advice
        if (one.item is None or one.item in items)
        and (one.agent is None or one.agent in agents)
        and (one.team is None or one.team in teams)
    ]
    return msgspec.structs.replace(insight, advice=known[:_ADVICE_MAX])


def _prioritise(facts: Facts, _: str | None) -> tuple[str, list[Advice]]:
    waiting = sorted(
        (item for item in facts.items if item.status is not Status.CLAIMED), key=lambda item: -item.urgency
    )
    advice = [
        Advice("do first" if number < 3 else "do next", _why(item), item=item.id, team=item.team)  # noqa: PLR2004
        for number, item in enumerate(waiting)
    ]
    return f"{len(waiting)} items wait; {sum(item.holds_up > 0 for item in waiting)} of them hold others up", advice


def _weigh_teams(facts: Facts, _: str | None) -> tuple[str, list[Advice]]:
    advice = []
    busy = [team for team in facts.teams.teams if team.backlog_points > team.velocity * _BUSY_WEEKS]
    idle = [team for team in facts.teams.teams if team.agents and team.held < team.capacity and not team.backlog_points]
    for team in sorted(busy, key=lambda team: team.velocity - team.backlog_points):
        lender = next((other for other in idle if other is not team), None)
        action = f"lend it agents of {lender.team}" if lender else "give it more agents, or less work"
        reason = f"{team.backlog_points} points open, {team.velocity} done in seven days, {team.agents} agents"
        advice.append(Advice(action, reason, team=team.team))
    advice += [Advice("give it work", f"{team.capacity - team.held} items of room", team=team.team) for team in idle]
    return f"{len(busy)} of {len(facts.teams.teams)} teams have more than a week of work", advice


def _judge_health(facts: Facts, _: str | None) -> tuple[str, list[Advice]]:
    weak = sorted((part for part in facts.health.parts if part.score < _FINE), key=lambda part: part.score)
    advice = [
        Advice(
            f"look at {part.name}",
            f"{part.value:g} {part.unit}, good is {part.good:g}; it costs "
            f"{(_FINE - part.score) * part.weight / _FINE:.1f} points",
        )
        for part in weak
    ]
    return f"health {facts.health.score:g} of 100", advice


def _recommend(facts: Facts, agent: str | None) -> tuple[str, list[Advice]]:
    known = next((one for one in facts.agents if one.name == agent), None)
    ready = [item for item in facts.items if item.status is Status.READY and (known is None or _fits(item, known))]
    ready.sort(key=lambda item: (known is not None and item.team != known.team, -item.urgency))
    who = agent or "anybody"
    return f"{len(ready)} items fit {who}", [
        Advice("claim", _why(item), item=item.id, agent=agent if known else None, team=item.team) for item in ready
    ]


def _assign(facts: Facts, _: str | None) -> tuple[str, list[Advice]]:
    room = {one.name: (one.capacity or 1) - one.claimed for one in facts.agents if one.status is AgentStatus.ACTIVE}
    advice = []
    ready = sorted((item for item in facts.items if item.status is Status.READY), key=lambda item: -item.urgency)
    for item in ready:
        able = [one for one in facts.agents if room.get(one.name, 0) > 0 and _fits(item, one)]
        if not able:
            continue
        # Of its own team first, then whoever has most room.
        best = min(able, key=lambda one: (one.team != item.team, -room[one.name], one.name))
        room[best.name] -= 1
        reason = f"{_why(item)}; {best.name} has the skills and room"
        advice.append(Advice("assign", reason, item=item.id, agent=best.name, team=item.team))
    return f"{len(advice)} of {len(ready)} ready items have an agent with room and skills", advice


def _find_bottlenecks(facts: Facts, _: str | None) -> tuple[str, list[Advice]]:
    advice = [
        Advice(f"get it done: {item.holds_up} items wait for it", _why(item), item=item.id, team=item.team)
        for item in sorted(facts.items, key=lambda item: -item.holds_up)
        if item.holds_up
    ]
    offered = [set(one.skills) for one in facts.agents if one.status is AgentStatus.ACTIVE]
    lacking: dict[str, int] = Counter()
    for item in facts.items:
        if item.status is Status.READY and item.skills and not any(set(item.skills) <= has for has in offered):
            lacking[", ".join(sorted(item.skills))] += 1
    advice += [
        Advice(f"get an agent with the skills {skills}", f"{count} ready items need them and no active agent has them")
        for skills, count in lacking.items()
    ]
    alone: dict[str | None, int] = defaultdict(int)
    for item in facts.items:
        if item.status is Status.READY:
            alone[item.team] += 1
    manned = {one.team for one in facts.agents if one.status is AgentStatus.ACTIVE}
    advice += [
        Advice("give it agents", f"{count} ready items, no active agent", team=team)
        for team, count in alone.items()
        if team is not None and team not in manned
    ]
    return f"{len(advice)} bottlenecks", advice


def _fits(item: OpenItem, agent: Agent) -> bool:
    return set(item.skills) <= set(agent.skills)


def _why(item: OpenItem) -> str:
    facts = [f"{item.priority} priority", f"waited {item.waited_ms // 60_000} min"]
    if item.holds_up:
        facts.append(f"{item.holds_up} wait for it")
    if item.status is Status.BLOCKED:
        facts.append("blocked itself")
    return ", ".join(facts)


_ANALYSES: Final[dict[Kind, Any]] = {
    Kind.PRIORITIES: _prioritise,
    Kind.TEAMS: _weigh_teams,
    Kind.HEALTH: _judge_health,
    Kind.RECOMMEND: _recommend,
    Kind.ASSIGNMENTS: _assign,
    Kind.BOTTLENECKS: _find_bottlenecks,
}
