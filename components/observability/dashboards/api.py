"""The coordinator's API: rate, errors, duration; and its processes."""

from components.observability.dashboards.panel import Dashboard, Panel

_REQUESTS = "coordinator_request_duration_seconds"
_ERRORS = f'{_REQUESTS}_count{{status=~"5.."}}'

API = Dashboard(
    "api",
    "API",
    (
        Panel(
            "Requests by route",
            "reqps",
            {"{{method}} {{route}}": f"sum by (method, route) (rate({_REQUESTS}_count[1m]))"},
        ),
        Panel(
            "Errors by route",
            "reqps",
            {
                "{{route}} {{status}}": f"sum by (route, status) (rate({_ERRORS}[1m])) or vector(0)",
            },
        ),
        Panel(
            "Duration by route, p95",
            "s",
            {"{{route}}": f"histogram_quantile(0.95, sum by (route, le) (rate({_REQUESTS}_bucket[5m])))"},
            "A claim that waits for work counts whole here.",
        ),
        Panel(
            "Requests by replica",
            "reqps",
            {"{{instance}}": f"sum by (instance) (rate({_REQUESTS}_count[1m]))"},
        ),
        Panel("Processors in use", "short", {"{{instance}}": 'rate(process_cpu_seconds_total{job="coordinator"}[1m])'}),
        Panel("Open files", "short", {"{{instance}}": 'process_open_fds{job="coordinator"}'}),
    ),
)
