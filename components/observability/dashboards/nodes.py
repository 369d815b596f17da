"""Nodes and the swarm on them."""

from components.observability.dashboards.panel import Dashboard, Panel

NODES = Dashboard(
    "nodes",
    "Nodes and swarm",
    (
        Panel("Nodes that tell", "short", {"nodes": 'count(up{job="node"} == 1)'}, number=True),
        Panel("Services that tell", "short", {"{{job}}": "count by (job) (up == 1)"}),
        Panel(
            "Processors in use",
            "percentunit",
            {"{{instance}}": '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m]))'},
        ),
        Panel(
            "Memory in use",
            "percentunit",
            {"{{instance}}": "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"},
        ),
        Panel(
            "Disk left",
            "percentunit",
            {
                "{{instance}}": "min by (instance) (node_filesystem_avail_bytes"
                '{mountpoint="/"} / node_filesystem_size_bytes)'
            },
            "Where the engine keeps images and volumes.",
        ),
        Panel(
            "Memory of programs",
            "bytes",
            {"{{job}} {{instance}}": "process_resident_memory_bytes"},
            "Of each that tells its own: not PostgreSQL and the proxy; the collectors' is on Telemetry.",
        ),
        Panel(
            "Processors that programs use",
            "short",
            {"{{job}} {{instance}}": "rate(process_cpu_seconds_total[1m])"},
            "Against the limits of their services, in cores.",
        ),
        Panel("Load", "short", {"{{instance}}": "node_load1"}),
    ),
)
