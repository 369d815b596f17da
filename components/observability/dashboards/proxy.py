"""The proxy: what it lets through, and where to."""

from components.observability.dashboards.panel import Dashboard, Panel

PROXY = Dashboard(
    "proxy",
    "Proxy",
    (
        Panel("Requests", "reqps", {"{{instance}}": 'rate(haproxy_frontend_http_requests_total{proxy="public"}[1m])'}),
        Panel(
            "Answers by class",
            "reqps",
            {"{{code}}": 'sum by (code) (rate(haproxy_frontend_http_responses_total{proxy="public"}[1m]))'},
        ),
        Panel("Coordinators that it sees", "short", {"{{proxy}}": "min by (proxy) (haproxy_backend_active_servers)"}),
        Panel("Requests that wait", "short", {"{{proxy}}": "sum by (proxy) (haproxy_backend_current_queue)"}),
        Panel("Sent again", "ops", {"{{proxy}}": "sum by (proxy) (rate(haproxy_backend_retry_warnings_total[5m]))"}),
        Panel("Connections", "short", {"{{instance}}": 'haproxy_frontend_current_sessions{proxy="public"}'}),
        Panel(
            "Answers of coordinators",
            "s",
            {"{{proxy}}": "max by (proxy) (haproxy_backend_response_time_average_seconds)"},
        ),
    ),
)
