"""Agents and their teams."""

from components.observability.dashboards.panel import Dashboard, Panel

AGENTS = Dashboard(
    "agents",
    "Agents and teams",
    (
        Panel("Active agents", "short", {"agents": "max(beamops_agent_active_count)"}),
        Panel("Held by team", "short", {"{{team}}": 'sum by (team) (beamops_work_items{status="claimed"})'}),
        Panel("Points in seven days", "short", {"{{team}}": "beamops_team_velocity"}),
        Panel("Of a team's claims, completed", "percentunit", {"{{team}}": "beamops_team_efficiency_ratio"}),
        Panel("Blocked by another team", "percentunit", {"{{team}}": "beamops_team_collaboration_score"}),
        Panel(
            "Completed by priority",
            "ops",
            {"{{priority}}": "sum by (priority) (rate(beamops_agent_work_completed_total[5m]))"},
        ),
    ),
)
