"""The promise to agents: 99.9 % of requests answered, claims within 100 ms (p99)."""

from components.observability.dashboards.panel import Dashboard, Panel
from components.observability.service_level import (
    AVAILABILITY,
    BUDGET,
    CLAIM_SECONDS,
    CLAIMS_P99,
    ERRORS,
    SLOW_BUDGET,
    SLOW_CLAIMS,
    WINDOWS,
)

SERVICE_LEVEL = Dashboard(
    "service-level",
    "Service level",
    (
        Panel(
            "Answered in an hour",
            "percentunit",
            {"share": f"1 - {ERRORS}1h"},
            f"{AVAILABILITY:.1%} are promised.",
            shape="number",
        ),
        Panel(
            "Error budget left of 30 days, were all like the last six hours",
            "percentunit",
            {"share": f"1 - {ERRORS}6h / {BUDGET}"},
            "Below 0: the promise is broken.",
            shape="number",
        ),
        Panel(
            "How fast the budget burns",
            "short",
            {window: f"{ERRORS}{window} / {BUDGET}" for window in WINDOWS},
            "1: used up in exactly a month. 14.4 wakes somebody.",
        ),
        Panel("Claims, p99", "s", {"p99": CLAIMS_P99}, f"{CLAIM_SECONDS} s are promised."),
        Panel("Claims within 100 ms", "percentunit", {"share": f"1 - {SLOW_CLAIMS}5m"}, "99 % are promised."),
        Panel(
            "How fast the budget of slow claims burns",
            "short",
            {window: f"{SLOW_CLAIMS}{window} / {SLOW_BUDGET}" for window in WINDOWS},
            "1: used up in exactly a month.",
        ),
    ),
)
