"""Every image by name: where it is pulled from, and the folder that builds it where no registry answers.

Version and digest of what is pulled stand together, and change together.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Image:
    """A third-party image."""

    name: str
    pull: str
    """Its reference in a registry, pinned by digest."""
    user: str
    """uid:gid that it runs as, the same however the image came about."""


@dataclass(frozen=True)
class ProgramImage(Image):
    """An image that has a program in Go and no more, whether it is pulled or built: no Debian package has it.

    images/program lays a folder for data and busybox on it.
    """

    program: str
    """Where the official image has it, and ours too."""
    package: str
    """What is built of the modules in images/<name>."""


PYTHON: Final = Image(
    "python",
    "python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b",
    "10001:10001",
)
POSTGRESQL: Final = Image(
    "postgresql",
    "postgres:15-bookworm@sha256:539ceaaae49b3a7c8a04467cf00cc6788d8e3f1675df41860d86eebc4c40524f",
    "999:999",
)
PROXY: Final = Image(
    "proxy",
    "haproxy:3.2-alpine@sha256:79799e8b2977e60802774fa53d29e6b54e045402cdd8a8b9fe43923e7095a047",
    "99:99",
)
PROMETHEUS: Final = Image(
    "prometheus",
    "prom/prometheus:v3.5.0@sha256:63805ebb8d2b3920190daf1cb14a60871b16fd38bed42b857a3182bc621f4996",
    "65534:65534",
)
ALERTMANAGER: Final = Image(
    "alertmanager",
    "prom/alertmanager:v0.28.1@sha256:27c475db5fb156cab31d5c18a4251ac7ed567746a2483ff264516437a39b15ba",
    "65534:65534",
)
NODE_EXPORTER: Final = Image(
    "node-exporter",
    "prom/node-exporter:v1.9.1@sha256:d00a542e409ee618a4edc67da14dd48c5da66726bbd5537ab2af9c1dfc442c8a",
    "65534:65534",
)
POSTGRES_EXPORTER: Final = Image(
    "postgres-exporter",
    "quay.io/prometheuscommunity/postgres-exporter:v0.17.1"
    "@sha256:38606faa38c54787525fb0ff2fd6b41b4cfb75d455c1df294927c5f611699b17",
    "65534:65534",
)
BUSYBOX: Final = Image(
    "busybox",
    "busybox:1.37.0@sha256:9db7b59979c38555a39def84a31fb98b5296952f9e3afd4f6f11f05b07adfab0",
    "10001:10001",
)
COLLECTOR: Final = ProgramImage(
    "collector",
    "otel/opentelemetry-collector-contrib:0.160.0"
    "@sha256:799dc6cf12c96192af37b5bdba804da8c10b3bc563b43cb90c3f3c58d9572ad6",
    "10001:10001",
    "/otelcol-contrib",
    ".",
)
LOGS: Final = ProgramImage(
    "logs",
    "victoriametrics/victoria-logs:v1.52.0@sha256:47b820890d64c4575a2a0a46415dcd8a4fd59a0f1fcd6a377693d7aea639442e",
    "10001:10001",
    "/victoria-logs-prod",
    "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs",
)
TRACES: Final = ProgramImage(
    "traces",
    "jaegertracing/all-in-one:1.62.0@sha256:836e9b69c88afbedf7683ea7162e179de63b1f981662e83f5ebb68badadc710f",
    "10001:10001",
    "/go/bin/all-in-one-linux",
    "github.com/jaegertracing/jaeger/cmd/all-in-one",
)
GRAFANA: Final = Image(
    "grafana",
    "grafana/grafana:12.3.0@sha256:70d9599b186ce287be0d2c5ba9a78acb2e86c1a68c9c41449454d0fc3eeb84e8",
    "472:0",
)
TELEMETRY: Final = (COLLECTOR, LOGS, TRACES)
MONITORING: Final = (PROMETHEUS, ALERTMANAGER, NODE_EXPORTER, POSTGRES_EXPORTER)
