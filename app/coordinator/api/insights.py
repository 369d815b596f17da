"""Routes of insights."""

from dataclasses import replace
from typing import Final

from litestar import get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody

from coordinator import insights
from coordinator.api.requests import Filter, read
from coordinator.insights import Facts, Insight, Kind, OpenItem
from coordinator.model import Piped


async def _gather(state: State) -> Facts:
    return await read(state, lambda transaction: insights.gather_facts(transaction, state.settings.replicas))


@get("/insights/{kind:str}")
async def get_insight(state: State, kind: FromPath[Kind], agent: Filter = None) -> Insight:
    """Advice from what is in the store: a model's where a key is configured and it answers in time, else computed."""
    insight: Insight = await state.adviser.advise(kind, await _gather(state), agent)
    return insight


@post("/insights/{kind:str}", status_code=200)
async def analyse(state: State, kind: FromPath[Kind], data: JSONBody[Piped]) -> Insight:
    """Advice about work items that come with the request; computed."""
    facts = await _gather(state)
    items = [
        OpenItem(
            id=item.id,
            title=item.title,
            type=item.type,
            priority=item.priority,
            team=item.team,
            skills=item.skills,
            points=item.points,
            status=item.status,
            agent=item.agent,
        )
        for item in data.items[: insights.ITEMS_MAX]
        if item.finished_at is None
    ]
    return insights.compute(kind, replace(facts, items=items))


ROUTES: Final = [get_insight, analyse]
