"""Rules about what the coordinator stands on: its replicas, PostgreSQL, the proxy, the nodes, and who watches them."""

from components.observability.alert import Alert, Example, Expected, Subject

_ONE = 'up{job="coordinator",instance="10.0.1.3:4000"}'
_TWO = 'up{job="coordinator",instance="10.0.1.4:4000"}'
_LEADS = 'beamops_health_score{part="all",job="coordinator"}'
_USED = 'container_memory_used_bytes{job="engine",service="beamops-dev-database",container="c0ffee"}'
_LIMIT = 'container_spec_memory_limit_bytes{job="engine",service="beamops-dev-database",container="c0ffee"}'
_POSTGRESQL = 'pg_up{job="postgresql"}'
_SESSIONS = 'pg_stat_activity_count{job="postgresql",datname="coordinator",state="idle"}'
_SESSIONS_MAX = 'pg_settings_max_connections{job="postgresql"}'
_PROXY = 'up{job="proxy",instance="10.0.1.5:8405"}'
_SERVERS = 'haproxy_backend_active_servers{job="proxy",proxy="once"}'
_NODE = 'up{job="node",instance="10.0.1.6:9100"}'
_DATABASE = 'up{job="postgresql",instance="10.0.1.7:9187"}'
_ENGINE = 'up{job="engine",instance="10.0.1.10:4000"}'
_SCALES = 'beamops_autoscaler_replicas{job="autoscaler"}'
_TELLS = 'up{job="alertmanager",instance="10.0.1.8:9093"}'
_FREE = 'node_memory_MemAvailable_bytes{job="node"}'
_WHOLE = 'node_memory_MemTotal_bytes{job="node"}'
_DISK_FREE = 'node_filesystem_avail_bytes{job="node",mountpoint="/"}'
_DISK = 'node_filesystem_size_bytes{job="node",mountpoint="/"}'
_TOLD = 'alertmanager_notifications_failed_total{job="alertmanager",integration="webhook"}'
_RULES = 'prometheus_rule_evaluation_failures_total{job="prometheus",rule_group="api"}'

_COLLECTING = ("collector", "logs", "traces")
_COLLECTS = [f'up{{job="{job}",instance="10.0.1.9:8888"}}' for job in _COLLECTING]
_TELLING = dict.fromkeys((_NODE, _DATABASE, _TELLS, _ENGINE, _SCALES, *_COLLECTS), 1)
_WAITING = 'otelcol_exporter_queue_size{job="collector",exporter="otlp_http/logs"}'
_MAY_WAIT = 'otelcol_exporter_queue_capacity{job="collector",exporter="otlp_http/logs"}'
_BACKLOG = Alert(
    "TelemetryBacklog",
    "max by (exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity) > 0.5",
    2,
    "warning",
    "{{ $labels.exporter }} waits with {{ $value | humanizePercentage }} of what may wait",
    "Agents feel nothing; log lines or traces are lost when it is full",
    Example({_WAITING: 0, _MAY_WAIT: 500}, {_WAITING: 400}),
)

_MEMORY_HIGH = Alert(
    "ContainerMemoryHigh",
    "max by (service) (container_memory_used_bytes / container_spec_memory_limit_bytes) > 0.85",
    10,
    "warning",
    "A container of {{ $labels.service }} uses {{ $value | humanizePercentage }} of its memory",
    "It is killed at 100 %, and started again; what a coordinator was answering is repeated",
    Example({_USED: 100e6, _LIMIT: 256e6}, {_USED: 240e6}, minutes=20),
)

_TAKEN = 'otelcol_fluent_records_generated{job="collector"}'
_SENT = 'otelcol_exporter_sent_log_records{job="collector",exporter="otlp_http/logs"}'
_LOST = Alert(
    "TelemetryLost",
    "1 - sum(rate(otelcol_exporter_sent_log_records[10m])) / sum(rate(otelcol_fluent_records_generated[10m])) > 0.1",
    5,
    "warning",
    "{{ $value | humanizePercentage }} of the log lines are not passed on",
    "Agents feel nothing; what happens now cannot be looked up later",
    Example({_TAKEN: 600, _SENT: 600}, {_SENT: 300}, minutes=30),
)


def describe_platform(expected: Expected) -> Subject:
    """The rules that depend on how much there should be."""
    return Subject(
        "platform",
        (
            Alert(
                "CoordinatorDown",
                'absent(up{job="coordinator"} == 1)',
                1,
                "critical",
                "No coordinator answers",
                "Agents can neither claim nor complete; leases run out",
                Example({_ONE: 1, _TWO: 1}, {_ONE: 0, _TWO: None}),
            ),
            Alert(
                "CoordinatorReplicaMissing",
                f'count(up{{job="coordinator"}} == 1) < {expected.replicas}',
                2,
                "warning",
                f"{{{{ $value }}}} of {expected.replicas} coordinators answer",
                "The others carry its load; one more loss may be felt",
                Example({_ONE: 1, _TWO: 1}, {_TWO: None}),
            ),
            Alert(
                "LeaderMissing",
                'absent(beamops_health_score{part="all"}) and on() count(up{job="coordinator"} == 1) > 0',
                2,
                "critical",
                "Coordinators answer, and none of them leads",
                "Leases of agents that are gone do not end; webhooks and the health score stand still",
                Example({_ONE: 1, _LEADS: 99}, {_LEADS: None}),
            ),
            Alert(
                "DatabaseDown",
                # Of one that takes connections and says nothing the exporter tells nothing either.
                'max(pg_up) == 0 or absent(pg_up) and on() max(haproxy_backend_active_servers{proxy="once"}) == 0',
                1,
                "critical",
                "PostgreSQL does not answer",
                "Nothing can be claimed or completed; what was acknowledged is kept",
                Example({_POSTGRESQL: 1}, {_POSTGRESQL: 0}),
                (Example({_POSTGRESQL: 1, _SERVERS: 2}, {_POSTGRESQL: None, _SERVERS: 0}),),
            ),
            Alert(
                "DatabaseConnectionsHigh",
                "sum(pg_stat_activity_count) / max(pg_settings_max_connections) > 0.8",
                5,
                "warning",
                "{{ $value | humanizePercentage }} of PostgreSQL's connections are in use",
                "At 100 % a new replica cannot connect",
                Example({_SESSIONS: 20, _SESSIONS_MAX: 200}, {_SESSIONS: 190}),
            ),
            Alert(
                "ProxyDown",
                'absent(up{job="proxy"} == 1)',
                1,
                "critical",
                "No proxy answers",
                "Agents do not reach the coordinators",
                Example({_PROXY: 1}, {_PROXY: 0}),
            ),
            Alert(
                "ProxyHasNoServer",
                'max(haproxy_backend_active_servers{proxy="once"}) == 0',
                2,  # coordinators that are gone take a look longer to be seen, and are the cause
                "critical",
                "The proxy finds no coordinator that is ready",
                "Agents get 503",
                Example({_SERVERS: 2}, {_SERVERS: 0}),
            ),
            *([_MEMORY_HIGH] if expected.engine else []),
            Alert(
                "NodeMemoryHigh",
                "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > 0.85",
                5,
                "warning",
                "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory",
                "At 100 % the kernel kills what is largest",
                Example({_FREE: 8e9, _WHOLE: 16e9}, {_FREE: 1e9}),
            ),
            Alert(
                "NodeDiskFull",
                'min by (instance) (node_filesystem_avail_bytes{mountpoint="/"} / node_filesystem_size_bytes) < 0.15',
                10,
                "warning",
                "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its disk left",
                "A full disk stops PostgreSQL, and new images cannot come",
                Example({_DISK_FREE: 40e9, _DISK: 100e9}, {_DISK_FREE: 5e9}, minutes=20),
            ),
            Alert(
                "TargetDown",
                'up{job!~"coordinator|proxy"} == 0 or absent(up{job="postgresql"}) or absent(up{job="node"})'
                ' or absent(up{job="alertmanager"})'
                + (' or absent(up{job="engine"})' if expected.engine else "")
                + (' or absent(beamops_autoscaler_replicas{job="autoscaler"})' if expected.scaled else "")
                + "".join(f' or absent(up{{job="{job}"}})' for job in _COLLECTING if expected.collected),
                5,
                "warning",
                "{{ $labels.job }} {{ $labels.instance }} tells nothing of itself",
                "Alerts that rest on it are blind",
                Example(_TELLING, {_NODE: 0}),
                tuple(Example(_TELLING, {silent: None}) for silent in _TELLING),
            ),
            *([_BACKLOG, _LOST] if expected.collected else []),
            Alert(
                "NotificationsFail",
                "sum(rate(alertmanager_notifications_failed_total[5m])) > 0",
                5,
                "warning",
                "Alerts do not reach their receiver",
                "Nobody is woken, or nobody outside hears that all is well",
                Example({_TOLD: 0}, {_TOLD: 1}),
            ),
            Alert(
                "RulesFail",
                "sum(rate(prometheus_rule_evaluation_failures_total[5m])) > 0",
                5,
                "warning",
                "Prometheus cannot work out a rule",
                "An alert may be blind",
                Example({_RULES: 0}, {_RULES: 1}),
            ),
            Alert(
                "Watchdog",
                "vector(1)",
                0,
                "none",
                "Always fires: whoever no longer hears it knows that nobody watches",
                "None",
                Example({}, {}),
            ),
        ),
    )
