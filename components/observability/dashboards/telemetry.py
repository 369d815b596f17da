"""Telemetry: what the collectors take, what waits, what is lost, and what is kept of it."""

from components.observability.dashboards.panel import Dashboard, Panel

TELEMETRY = Dashboard(
    "telemetry",
    "Telemetry",
    (
        Panel("Collectors that answer", "short", {"collectors": 'count(up{job="collector"} == 1)'}, shape="number"),
        Panel(
            "Of what may wait, waits",
            "percentunit",
            {"{{exporter}}": "max by (exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)"},
            "Rises when who keeps it is away or slow; at 100 % the newest is dropped.",
        ),
        Panel(
            "Log lines a second",
            "short",
            {
                "taken": "sum(rate(otelcol_fluent_records_generated[5m]))",
                "sent": "sum(rate(otelcol_exporter_sent_log_records[5m]))",
            },
        ),
        Panel(
            "Spans a second",
            "short",
            {
                "taken": 'sum(rate(otelcol_receiver_accepted_spans{receiver="otlp"}[5m]))',
                "sent": "sum(rate(otelcol_exporter_sent_spans[5m]))",
            },
        ),
        Panel(
            "Log lines that are not passed on",
            "percentunit",
            {
                "share": "1 - sum(rate(otelcol_exporter_sent_log_records[10m])) / "
                "sum(rate(otelcol_fluent_records_generated[10m]))",
            },
            "Refused for want of memory, or dropped after five minutes of trying.",
        ),
        Panel("Memory of a collector", "bytes", {"{{instance}}": "otelcol_process_memory_rss"}),
        Panel("Disk that log lines take", "bytes", {"kept": "sum(vl_data_size_bytes)"}),
        Panel("Memory of who keeps it", "bytes", {"{{job}}": 'process_resident_memory_bytes{job=~"logs|traces"}'}),
    ),
)
