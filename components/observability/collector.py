"""What the collector is told: whom to listen to, what to make of a log line, where to send it."""

from typing import Any, Final

import yaml

from components.naming import Names
from components.observability.configuration import PROMETHEUS_PORT

COLLECTOR_PORT: Final = 4318
"""OTLP over HTTP."""
COLLECTOR_METRICS_PORT: Final = 8888
COLLECTOR_HEALTH_PORT: Final = 13133
LOGS_PORT: Final = 9428
TRACES_PORT: Final = 4318
TRACES_ADMIN_PORT: Final = 14269
TRACES_QUERY_PORT: Final = 16686
SOCKETS_FOLDER: Final = "/run/beamops"
LOGS_SOCKET: Final = "logs.sock"
SERVICE_LABEL: Final = "com.docker.swarm.service.name"
_MEMORY_MIB, _SPIKE_MIB = 80, 20
"""In use, from where on the collector frees what it can at once; that less the second, from where on it refuses."""
_QUEUE: Final = {"sizer": "bytes", "queue_size": 16_000_000}
"""What waits for who keeps it, far below what makes the collector refuse; what is more is dropped, the newest first."""
_RETRY: Final = {"max_elapsed_time": "5m"}


def render_collector(names: Names) -> str:
    """The collector's configuration.

    A line of a container becomes a record with its service, its node's container, and the trace that a JSON line
    names: by these it is found. Batches wait in a bounded queue; a collector that has no memory left refuses.
    """
    processors = ["memory_limiter", "batch"]
    logs, traces, prometheus = (names.of(part) for part in ("logs", "traces", "prometheus"))
    content: dict[str, Any] = {
        "extensions": {"health_check": {"endpoint": f"0.0.0.0:{COLLECTOR_HEALTH_PORT}"}},
        "receivers": {
            "fluent_forward": {"endpoint": f"unix://{SOCKETS_FOLDER}/{LOGS_SOCKET}"},
            "otlp": {"protocols": {"http": {"endpoint": f"0.0.0.0:{COLLECTOR_PORT}"}}},
        },
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_mib": _MEMORY_MIB, "spike_limit_mib": _SPIKE_MIB},
            "batch": {"timeout": "1s", "send_batch_size": 1000, "send_batch_max_size": 2000},
            "transform": {
                # A line that is not as expected is kept as it is.
                "error_mode": "silent",
                "log_statements": [
                    f'set(log.attributes["service"], log.attributes["{SERVICE_LABEL}"])',
                    'set(log.attributes["container"], log.attributes["container_id"])',
                    'set(log.attributes["stream"], log.attributes["source"])',
                    'keep_keys(log.attributes, ["service", "container", "stream"])',
                    'merge_maps(log.cache, ParseJSON(log.body), "upsert") where IsMatch(log.body, "^[{]")',
                    'set(log.trace_id.string, log.cache["trace_id"]) where log.cache["trace_id"] != nil',
                    'set(log.severity_text, log.cache["level"]) where log.cache["level"] != nil',
                ],
            },
        },
        "exporters": {
            "otlp_http/logs": {
                "logs_endpoint": f"http://{logs}:{LOGS_PORT}/insert/opentelemetry/v1/logs",
                "headers": {"VL-Stream-Fields": "service,stream"},
                "sending_queue": _QUEUE,
                "retry_on_failure": _RETRY,
            },
            "otlp_http/traces": {
                "endpoint": f"http://{traces}:{TRACES_PORT}",
                "sending_queue": _QUEUE,
                "retry_on_failure": _RETRY,
            },
            "prometheus_remote_write": {
                "endpoint": f"http://{prometheus}:{PROMETHEUS_PORT}/api/v1/write",
                "retry_on_failure": _RETRY,
            },
        },
        "service": {
            "extensions": ["health_check"],
            "telemetry": {
                "metrics": {
                    "readers": [
                        {"pull": {"exporter": {"prometheus": {"host": "0.0.0.0", "port": COLLECTOR_METRICS_PORT}}}}  # noqa: S104
                    ]
                }
            },
            "pipelines": {
                "logs": {
                    "receivers": ["fluent_forward"],
                    "processors": ["memory_limiter", "transform", "batch"],
                    "exporters": ["otlp_http/logs"],
                },
                "logs/otlp": {"receivers": ["otlp"], "processors": processors, "exporters": ["otlp_http/logs"]},
                "traces": {"receivers": ["otlp"], "processors": processors, "exporters": ["otlp_http/traces"]},
                "metrics": {"receivers": ["otlp"], "processors": processors, "exporters": ["prometheus_remote_write"]},
            },
        },
    }
    return str(yaml.safe_dump(content, sort_keys=False, width=1000))
