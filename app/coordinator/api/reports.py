"""Routes of reports and of the health score."""

from typing import Annotated, Final

from litestar import get
from litestar.datastructures import State
from litestar.params import QueryParameter

from coordinator import reports
from coordinator.api.requests import read
from coordinator.health import Health

_Days = Annotated[float, QueryParameter(gt=0, le=365, description="How many days back.")]


@get("/health")
async def get_health(state: State) -> Health:
    """The health score, 0 to 100, with each of its parts."""
    return await read(state, lambda transaction: reports.report_health(transaction, state.settings.replicas))


@get("/reports/teams")
async def get_teams(state: State) -> reports.Teams:
    """Work, capacity, velocity and collaboration of every team."""
    return await read(state, reports.report_teams)


@get("/reports/planning")
async def get_planning(state: State) -> reports.Planning:
    """Backlog in points against velocity."""
    return await read(state, reports.report_planning)


@get("/reports/dependencies")
async def get_dependencies(state: State) -> reports.Blockers:
    """What blocked work waits for."""
    return await read(state, reports.report_dependencies)


@get("/reports/idle")
async def get_idle(state: State) -> reports.Idle:
    """Capacity that nobody uses."""
    return await read(state, reports.report_idle)


@get("/reports/board")
async def get_board(state: State) -> reports.Board:
    """Parents, and how far their children are."""
    return await read(state, reports.report_board)


@get("/reports/delivered")
async def get_delivered(state: State, days: _Days = 7) -> reports.Delivered:
    """What was completed."""
    return await read(state, lambda transaction: reports.report_delivered(transaction, days))


@get("/reports/retrospective")
async def get_retrospective(state: State, days: _Days = 7) -> reports.Retrospective:
    """A span of time against the one before it."""
    return await read(state, lambda transaction: reports.report_retrospective(transaction, days))


@get("/reports/flow")
async def get_flow(state: State, days: _Days = 7) -> reports.Flow:
    """Time that finished work spent in each state."""
    return await read(state, lambda transaction: reports.report_flow(transaction, days))


@get("/reports/trend")
async def get_trend(
    state: State, minutes: Annotated[float, QueryParameter(ge=1, le=1440, description="How many minutes back.")] = 60
) -> reports.Trend:
    """Throughput, latency and queue age over the last minutes."""
    return await read(state, lambda transaction: reports.report_trend(transaction, minutes))


ROUTES: Final = [
    get_health,
    get_teams,
    get_planning,
    get_dependencies,
    get_idle,
    get_board,
    get_delivered,
    get_retrospective,
    get_flow,
    get_trend,
]
