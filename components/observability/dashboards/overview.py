"""The first look: is everybody served, and is anything wrong?"""

from components.observability.dashboards.panel import Dashboard, Panel

OVERVIEW = Dashboard(
    "overview",
    "Overview",
    (
        Panel("Health", "short", {"score": 'max(beamops_health_score{part="all"})'}, "Of 100.", shape="number"),
        Panel("Active agents", "short", {"agents": "max(beamops_agent_active_count)"}, shape="number"),
        Panel("Ready work", "short", {"items": 'sum(beamops_work_items{status="ready"})'}, shape="number"),
        Panel("Coordinators that answer", "short", {"replicas": 'count(up{job="coordinator"} == 1)'}, shape="number"),
        Panel(
            "Alerts that fire",
            "short",
            {"alerts": 'count(ALERTS{alertstate="firing",severity!="none"}) or vector(0)'},
            shape="number",
        ),
        Panel(
            "Which alerts fire",
            "short",
            {"{{alertname}} ({{severity}})": 'ALERTS{alertstate="firing"}'},
            "The watchdog always does; each other one has a page in docs/runbooks.",
            shape="alerts",
        ),
        Panel(
            "Work an hour",
            "short",
            {
                "claimed": "sum(rate(beamops_agent_work_claimed_total[5m])) * 3600",
                "completed": "sum(rate(beamops_agent_work_completed_total[5m])) * 3600",
                "failed": "(sum(rate(beamops_agent_work_failed_total[5m])) or vector(0)) * 3600",
            },
        ),
        Panel(
            "Requests by status",
            "reqps",
            {"{{status}}": "sum by (status) (rate(coordinator_request_duration_seconds_count[1m]))"},
        ),
        Panel(
            "Parts of the health score",
            "short",
            {"{{part}}": 'beamops_health_score{part!="all"}'},
            "The part that is low says where to look.",
        ),
        Panel("Memory of coordinators", "bytes", {"{{instance}}": 'process_resident_memory_bytes{job="coordinator"}'}),
        Panel(
            "Insights asked for",
            "ops",
            {"{{source}} {{outcome}}": "sum by (source, outcome) (rate(beamops_insights_total[5m]))"},
        ),
    ),
)
