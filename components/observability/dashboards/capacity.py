"""Cost and capacity: what is used of what there is, and what insights cost."""

from components.observability.dashboards.panel import Dashboard, Panel

CAPACITY = Dashboard(
    "capacity",
    "Cost and capacity",
    (
        Panel(
            "Requests a second that a coordinator's processor second carries",
            "reqps",
            {
                "requests": "sum(rate(coordinator_request_duration_seconds_count[5m])) / "
                'sum(rate(process_cpu_seconds_total{job="coordinator"}[5m]))',
            },
            "Falls when something became dearer.",
        ),
        Panel(
            "Connections of PostgreSQL in use",
            "percentunit",
            {"share": "sum(pg_stat_activity_count) / max(pg_settings_max_connections)"},
        ),
        Panel("Growth of the database a day", "bytes", {"{{datname}}": "deriv(pg_database_size_bytes[1h]) * 86400"}),
        Panel("What insights have cost", "currencyUSD", {"dollars": "sum(beamops_insight_cost_dollars_total)"}),
        Panel(
            "Of the model's rate limit, left",
            "percentunit",
            {"{{instance}}": "beamops_insight_rate_limit_remaining_ratio"},
        ),
        Panel("Series that Prometheus keeps", "short", {"series": "prometheus_tsdb_head_series"}),
        Panel(
            "Disk that metrics take",
            "bytes",
            {
                "blocks": "prometheus_tsdb_storage_blocks_bytes",
                "allowed": "prometheus_tsdb_retention_limit_bytes",
            },
        ),
    ),
)
