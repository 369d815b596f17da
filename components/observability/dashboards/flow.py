"""The queue: what waits, where, and for how long."""

from components.observability.dashboards.panel import Dashboard, Panel

FLOW = Dashboard(
    "flow",
    "Flow",
    (
        Panel("Work by state", "short", {"{{status}}": "sum by (status) (beamops_work_items)"}),
        Panel("Ready by team", "short", {"{{team}}": 'sum by (team) (beamops_work_items{status="ready"})'}),
        Panel("Blocked by team", "short", {"{{team}}": 'sum by (team) (beamops_work_items{status="blocked"})'}),
        Panel("Oldest ready work", "s", {"age": "max(beamops_work_oldest_ready_seconds)"}),
        Panel(
            "Share that failed",
            "percentunit",
            {
                "failed": "(sum(rate(beamops_agent_work_failed_total[10m])) or vector(0)) / "
                "((sum(rate(beamops_agent_work_failed_total[10m])) or vector(0)) + "
                "(sum(rate(beamops_agent_work_completed_total[10m])) or vector(0)))",
            },
        ),
        Panel(
            "Ready work for each coordinator",
            "short",
            {"items": 'sum(beamops_work_items{status="ready"}) / count(up{job="coordinator"} == 1)'},
            "What the autoscaler looks at, where it is on.",
        ),
    ),
)
