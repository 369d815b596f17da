"""Dashboards as Grafana reads them."""

from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import Final

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, GridPos

from components.observability.dashboards.agents import AGENTS
from components.observability.dashboards.api import API
from components.observability.dashboards.capacity import CAPACITY
from components.observability.dashboards.coordination import COORDINATION
from components.observability.dashboards.flow import FLOW
from components.observability.dashboards.nodes import NODES
from components.observability.dashboards.overview import OVERVIEW
from components.observability.dashboards.panel import Dashboard, Panel
from components.observability.dashboards.postgresql import POSTGRESQL
from components.observability.dashboards.proxy import PROXY
from components.observability.dashboards.service_level import SERVICE_LEVEL
from components.observability.dashboards.telemetry import TELEMETRY

DASHBOARDS: Final = (
    OVERVIEW, COORDINATION, AGENTS, FLOW, API, SERVICE_LEVEL, PROXY, POSTGRESQL, NODES, TELEMETRY, CAPACITY
)  # fmt: skip
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${source}")
"""Whichever Prometheus is chosen on the page."""
_WIDTH: Final = 24
_NUMBER, _OTHERS = (4, 4), (12, 8)
"""Width and height of a panel."""
_ALERT_LIST: Final = {
    "viewMode": "list",
    "groupMode": "default",
    "sortOrder": 3,  # by importance
    "maxItems": 20,
    "showInstances": True,
    "stateFilter": {"firing": True, "pending": True, "error": True, "noData": False, "normal": False},
}
"""Grafana's own list, which reads rules from its data sources; the foundation's SDK has no builder for it."""


def render_dashboard(described: Dashboard) -> str:
    """A dashboard's JSON, as Grafana imports and provisions it."""
    builder = (
        dashboard.Dashboard(f"BEAMOps: {described.title}")
        .uid(f"beamops-{described.name}")
        .tags(["beamops"])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    for panel, place in zip(described.panels, place_panels(described.panels), strict=True):
        builder = builder.with_panel(_draw(panel).grid_pos(place))
    return JSONEncoder(sort_keys=True, indent=2).encode(builder.build()) + "\n"


def place_panels(panels: Sequence[Panel]) -> Iterator[GridPos]:
    """From left to right, and down where the next one has no room or another height."""
    x, y, before = 0, 0, 0
    for panel in panels:
        width, height = _NUMBER if panel.shape == "number" else _OTHERS
        if x + width > _WIDTH or (x and height != before):
            x, y = 0, y + before
        yield GridPos(height, width, x, y)
        x, before = x + width, height


def _draw(panel: Panel) -> dashboard.Panel | stat.Panel | timeseries.Panel:
    if panel.shape == "alerts":
        return dashboard.Panel().type("alertlist").title(panel.title).description(panel.says).options(_ALERT_LIST)
    drawn: stat.Panel | timeseries.Panel = stat.Panel() if panel.shape == "number" else timeseries.Panel()
    drawn = drawn.title(panel.title).description(panel.says).unit(panel.unit).datasource(_SOURCE)
    for letter, (legend, expression) in zip(ascii_uppercase, panel.queries.items(), strict=False):
        query = prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend).datasource(_SOURCE)
        # Exemplars are of histograms: from a latency to a trace that had it.
        lines = query.range().exemplar("_bucket" in expression)
        drawn = drawn.with_target(query.instant() if panel.shape == "number" else lines)
    return drawn
