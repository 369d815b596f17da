"""The promise to agents: 99.9 % of requests answered, claims within 100 ms (p99)."""

from components.observability.dashboards.panel import Dashboard, Panel
from components.observability.service_level import AVAILABILITY, BUDGET, CLAIMS_P99

_CLAIMS = "beamops_agent_coordination_latency_seconds"

SERVICE_LEVEL = Dashboard(
    "service-level",
    "Service level",
    (
        Panel(
            "Answered in an hour",
            "percentunit",
            {"share": "1 - beamops:request_errors:ratio_rate1h"},
            f"{AVAILABILITY:.1%} are promised.",
            number=True,
        ),
        Panel(
            "Error budget left of 30 days, were all like the last six hours",
            "percentunit",
            {"share": f"1 - beamops:request_errors:ratio_rate6h / {BUDGET}"},
            "Below 0: the promise is broken.",
            number=True,
        ),
        Panel(
            "How fast the budget burns",
            "short",
            {window: f"beamops:request_errors:ratio_rate{window} / {BUDGET}" for window in ("5m", "30m", "1h", "6h")},
            "1: used up in exactly a month. 14.4 wakes somebody.",
        ),
        Panel("Claims, p99", "s", {"p99": CLAIMS_P99}, "0.1 s are promised."),
        Panel(
            "Claims within 100 ms",
            "percentunit",
            {
                "share": f'sum(rate({_CLAIMS}_bucket{{operation="claim",le="0.1"}}[5m])) / '
                f'sum(rate({_CLAIMS}_count{{operation="claim"}}[5m]))',
            },
        ),
    ),
)
