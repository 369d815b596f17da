"""Nodes and the swarm on them."""

from components.observability.dashboards.panel import Dashboard, Panel

NODES = Dashboard(
    "nodes",
    "Nodes and swarm",
    (
        Panel("Nodes that tell", "short", {"nodes": 'count(up{job="node"} == 1)'}, shape="number"),
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
            "Memory of containers",
            "bytes",
            {"{{service}}": "max by (service) (container_memory_used_bytes)"},
            "The largest of each service; without files that are kept for the next read.",
        ),
        Panel(
            "Memory of containers, of their limits",
            "percentunit",
            {
                "{{service}}": "max by (service) (container_memory_used_bytes / container_spec_memory_limit_bytes)",
            },
        ),
        Panel(
            "Processors that containers use",
            "short",
            {"{{service}}": "sum by (service) (rate(container_cpu_usage_seconds_total[1m]))"},
            "In cores, all of a service.",
        ),
        Panel(
            "Held back at the limit of processors",
            "percentunit",
            {"{{service}}": "max by (service) (rate(container_cpu_cfs_throttled_seconds_total[1m]))"},
            "Of the time.",
        ),
        Panel(
            "Networks of containers",
            "Bps",
            {
                "{{service}} in": "sum by (service) (rate(container_network_receive_bytes_total[1m]))",
                "{{service}} out": "sum by (service) (rate(container_network_transmit_bytes_total[1m]))",
            },
        ),
        Panel(
            "Containers of the engine",
            "short",
            {"{{instance}} {{state}}": "engine_daemon_container_states_containers"},
        ),
        Panel("The engine answers after", "s", {"{{instance}}": "engine_answer_seconds"}),
        Panel("Load", "short", {"{{instance}}": "node_load1"}),
    ),
)
