"""The proxy's configuration, rendered: HAProxy finds replicas by DNS and checks each one itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from typing import Final

SLOTS: Final = 24
"""Servers that the proxy has room for: the most replicas allowed, twice, for updates that start first."""
GRAFANA_PATH: Final = "/grafana"
"""Below which it is at the proxy's port."""
GRAFANA_PORT: Final = 3000
GRAFANA_HEALTH_PATH: Final = f"{GRAFANA_PATH}/api/health"
HEALTH_PORT: Final = 8404
HEALTH_PATH: Final = "/healthz"
EXPORTER_PORT: Final = 8405
"""Where the proxy tells its own metrics, on the overlay networks alone."""


@dataclass(frozen=True)
class ProxyConfig:
    """Where requests come in, and where they go."""

    port: int
    services: Sequence[str]
    """Each a version; the one that stands by says that it is not ready."""
    service_port: int
    ready_path: str
    metrics_path: str
    grafana: str | None
    """Its service, where there is one."""
    observed: bool
    """Whether somebody asks the proxy for its metrics."""
    balanced: bool
    """Whether a load balancer stands before it, which has to see it go before it goes."""


def render_proxy(config: ProxyConfig) -> str:
    """The configuration file.

    A request is sent again only when no connection came about, or when it carries an Idempotency-Key and its
    connection broke before an answer: then the coordinator does it once all the same.
    """
    configuration = _TEMPLATE.substitute(
        grace=_GRACE if config.balanced else "",
        leave=_LEAVE.format(config.ready_path) if config.balanced else "",
        port=config.port,
        servers="\n".join(
            f"    server-template {prefix} {SLOTS} tasks.{service}:{config.service_port}"
            for prefix, service in zip(("replica", "beside"), config.services, strict=False)
        ),
        ready_path=config.ready_path,
        metrics_path=config.metrics_path,
        graphs="" if config.grafana is None else _GRAPHS,
        health_port=HEALTH_PORT,
        health_path=HEALTH_PATH,
    )
    shown = "" if config.grafana is None else _GRAFANA.substitute(service=config.grafana)
    return configuration + shown + (_EXPORTER if config.observed else "")


GRACE_SECONDS: Final = 12
"""Longer than a load balancer takes to see two checks fail (components/aws/production.py: every 5 s)."""
_GRACE: Final = f"    grace {GRACE_SECONDS}s\n"
_LEAVE: Final = """\
    # Told to go: it says so to whoever checks it, and serves on until nobody sends it anything any more.
    http-request return status 503 if {{ path {} }} {{ stopping }}
"""
_TEMPLATE: Final = Template("""\
global
    log stdout format raw local0 notice
    maxconn 4000
    hard-stop-after 5s
$grace
defaults
    mode http
    log global
    timeout connect 2s
    timeout client 75s
    timeout server 75s
    timeout http-request 10s
    timeout http-keep-alive 60s
    timeout queue 10s
    retries 3
    option redispatch 1
    # A coordinator whose node is gone says nothing, not even that: its connections end after some seconds.
    option srvtcpka
    srvtcpka-idle 3s
    srvtcpka-intvl 1s
    srvtcpka-cnt 3
    option httplog
    option dontlog-normal

resolvers docker
    nameserver engine 127.0.0.11:53
    timeout resolve 500ms
    timeout retry 500ms
    hold valid 500ms
    hold obsolete 0s

frontend public
    bind :$port
    option forwardfor
$leave$graphs    use_backend metrics if { path $metrics_path }
    acl repeatable req.hdr(Idempotency-Key) -m found
    use_backend repeatable if repeatable or { method GET HEAD OPTIONS }
    default_backend once

backend once
    balance leastconn
    retry-on conn-failure
    option httpchk GET $ready_path
    default-server check inter 500ms fall 1 rise 1 tcp-ut 6s resolvers docker init-addr none
$servers

backend repeatable
    balance leastconn
    retry-on conn-failure empty-response response-timeout
    option httpchk GET $ready_path
    default-server check inter 500ms fall 1 rise 1 tcp-ut 6s resolvers docker init-addr none
$servers

# Each in turn, however long the others' requests last: one of them alone tells of the work.
backend metrics
    balance roundrobin
    option httpchk GET $ready_path
    default-server check inter 2s fall 1 rise 1 resolvers docker init-addr none
$servers

frontend health
    bind 127.0.0.1:$health_port
    monitor-uri $health_path
""")

_GRAPHS: Final = f"""\
    use_backend grafana if {{ path {GRAFANA_PATH} }} or {{ path_beg {GRAFANA_PATH}/ }}
"""
_GRAFANA: Final = Template(f"""
backend grafana
    option httpchk GET {GRAFANA_HEALTH_PATH}
    default-server check inter 2s fall 2 rise 1 resolvers docker init-addr none
    server-template grafana 1 tasks.$service:{GRAFANA_PORT}
""")
_EXPORTER: Final = f"""
frontend exporter
    bind :{EXPORTER_PORT}
    http-request use-service prometheus-exporter if {{ path /metrics }}
"""
