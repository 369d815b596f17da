"""How work goes through: claims, completions, conflicts, how long it takes."""

from components.observability.dashboards.panel import Dashboard, Panel


def _duration(share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate(beamops_agent_work_duration_seconds_bucket[10m])))"


def _latency(share: float) -> str:
    buckets = "rate(beamops_agent_coordination_latency_seconds_bucket[1m])"
    return f"histogram_quantile({share}, sum by (le) ({buckets}))"


def _success_by_type() -> str:
    completed, failed = (
        f"sum by (work_type) (rate(beamops_agent_work_{end}_total[10m]))" for end in ("completed", "failed")
    )
    # A type of which nothing failed, or nothing was completed, has no such series.
    well, ill = f"({completed} or 0 * {failed})", f"({failed} or 0 * {completed})"
    return f"{well} / ({well} + {ill})"


COORDINATION = Dashboard(
    "coordination",
    "Coordination",
    (
        Panel(
            "Work flow",
            "ops",
            {
                "claimed": "sum(rate(beamops_agent_work_claimed_total[1m]))",
                "completed": "sum(rate(beamops_agent_work_completed_total[1m]))",
                "failed": "sum(rate(beamops_agent_work_failed_total[1m])) or vector(0)",
            },
            "Claimed and completed side by side: what is between them is held or lost.",
        ),
        Panel(
            "Completed by type",
            "ops",
            {"{{work_type}}": "sum by (work_type) (rate(beamops_agent_work_completed_total[5m]))"},
        ),
        Panel("Success by type", "percentunit", {"{{work_type}}": _success_by_type()}, "Completed, of what ended."),
        Panel("From claim to completion", "s", {"p50": _duration(0.5), "p90": _duration(0.9), "p99": _duration(0.99)}),
        Panel(
            "Answers to agents",
            "s",
            {"p50": _latency(0.5), "p95": _latency(0.95), "p99": _latency(0.99)},
            "Without the time that a claim chose to wait; 100 ms are promised for p99 of claims.",
        ),
        Panel(
            "Answers by operation, p95",
            "s",
            {
                "{{operation}}": "histogram_quantile(0.95, sum by (operation, le) "
                "(rate(beamops_agent_coordination_latency_seconds_bucket[5m])))"
            },
        ),
        Panel(
            "Refused because another was first",
            "ops",
            {"{{code}}": "sum by (code) (rate(beamops_agent_conflicts_total[5m]))"},
        ),
        Panel("Claims that ended well", "percentunit", {"share": "max(beamops_coordination_efficiency_ratio)"}),
        Panel("Claims that wait for work", "short", {"{{instance}}": "beamops_agent_waiting_claims"}),
    ),
)
