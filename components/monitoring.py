"""Chapter 12, Monitoring: Prometheus keeps what is measured and works out the rules, Alertmanager tells people.

Where there is a collector, VictoriaLogs keeps log lines, and Jaeger traces.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_docker as docker

from components import catalogue
from components.catalogue import ProgramImage
from components.chapter import Chapter
from components.naming import Names
from components.network import Network
from components.observability.alert import Expected
from components.observability.collector import LOGS_PORT, TRACES_ADMIN_PORT
from components.observability.configuration import (
    ALERTMANAGER_PORT,
    PROMETHEUS_PORT,
    RULES_FILE,
    Target,
    render_alertmanager,
    render_prometheus,
)
from components.observability.rules import render_rules
from components.service import File, LogDriver, fetch, keep_data, make_config, make_service
from components.settings import InstrumentationSettings, MonitoringSettings

ALERTMANAGER_MEMORY_MIB: Final = 64
LOGS_MEMORY_MIB: Final = 192
TRACES_MEMORY_MIB: Final = 256


@dataclass(frozen=True)
class MonitoringArgs:
    """What is watched, and who is told."""

    settings: MonitoringSettings
    instrumentation: InstrumentationSettings
    images: Mapping[str, pulumi.Input[str]]
    log_driver: LogDriver
    network: Network
    targets: Sequence[Target]
    expected: Expected
    data_here: bool
    """Whether the node that keeps data is the one whose engine makes what the program asks for."""
    swarm: pulumi.Resource
    """Before any configuration."""


class Monitoring(Chapter):
    """All but Jaeger keep their data on volumes of the node that has PostgreSQL's; none has a port on any node."""

    number = 12

    def __init__(self, names: Names, args: MonitoringArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args, settings = args, args.settings
        assert args.network.observability is not None  # noqa: S101 - there where this chapter is
        observability = args.network.observability.id
        configuration = self._config("prometheus", render_prometheus(names, args.targets), _file("prometheus"))
        self._make_keeper(
            "prometheus",
            f"{PROMETHEUS_PORT}/-/ready",
            image=args.images[catalogue.PROMETHEUS.name],
            user=catalogue.PROMETHEUS.user,
            command=[
                "prometheus",
                f"--config.file={configuration.path}",
                "--storage.tsdb.path=/prometheus",
                f"--storage.tsdb.retention.time={settings.retention_days}d",
                f"--storage.tsdb.retention.size={settings.storage_mib}MB",
                "--enable-feature=exemplar-storage",
                *(["--web.enable-remote-write-receiver"] if args.instrumentation.collector else []),
            ],
            volumes={"/prometheus": keep_data(self, "prometheus", here=args.data_here)},
            networks=[observability],
            memory_mib=settings.memory_mib,
            configs=[configuration, self._config("rules", render_rules(args.expected), RULES_FILE)],
        )
        told = self._make_secret(render_alertmanager(settings.webhook, settings.heartbeat))
        self._make_keeper(
            "alertmanager",
            f"{ALERTMANAGER_PORT}/-/ready",
            image=args.images[catalogue.ALERTMANAGER.name],
            user=catalogue.ALERTMANAGER.user,
            command=[
                "alertmanager",
                f"--config.file={told.path}",
                "--storage.path=/alertmanager",
                "--cluster.listen-address=",
            ],
            # Its receivers are beyond the swarm.
            networks=[observability, args.network.edge.id],
            memory_mib=ALERTMANAGER_MEMORY_MIB,
            secrets=[told],
            volumes={"/alertmanager": keep_data(self, "alertmanager", here=args.data_here)},
        )
        if args.instrumentation.collector:
            self._make_logs(observability)
            self._make_traces(observability)
        self.register_outputs({})

    def _config(self, part: str, content: str, path: str) -> File:
        return make_config(self, part, content, path, self._args.swarm)

    def _make_secret(self, content: str) -> File:
        """Alertmanager's configuration: whoever knows a webhook's address can write to it, so it is a secret."""
        secret = docker.Secret(
            "alertmanager",
            docker.SecretArgs(
                name=self.names.versioned("alertmanager", content),
                data=pulumi.Output.secret(base64.b64encode(content.encode()).decode()),
                labels=self.label(docker.SecretLabelArgs),
            ),
            self.options(depends_on=[self._args.swarm], delete_before_replace=False),
        )
        return File(secret.id, secret.name, _file("alertmanager"))

    def _make_logs(self, observability: pulumi.Input[str]) -> None:
        settings = self._args.instrumentation
        self._make_program(
            catalogue.LOGS,
            f"{LOGS_PORT}/health",
            arguments=[
                f"-httpListenAddr=:{LOGS_PORT}",
                "-storageDataPath=/data",
                f"-retentionPeriod={settings.retention_days}d",
                f"-retention.maxDiskSpaceUsageBytes={settings.storage_mib}MiB",
                f"-memory.allowedBytes={LOGS_MEMORY_MIB // 2}MiB",
            ],
            networks=[observability],
            memory_mib=LOGS_MEMORY_MIB,
            volumes={"/data": keep_data(self, catalogue.LOGS.name, here=self._args.data_here)},
        )

    def _make_traces(self, observability: pulumi.Input[str]) -> None:
        # Its store on disk (Badger) took more than 400 MB after 350,000 spans; what is in memory has a bound.
        self._make_program(
            catalogue.TRACES,
            f"{TRACES_ADMIN_PORT}/",
            arguments=[
                f"--admin.http.host-port=:{TRACES_ADMIN_PORT}",
                f"--memory.max-traces={self._args.instrumentation.traces}",
            ],
            env={"SPAN_STORAGE_TYPE": "memory", "GOMEMLIMIT": f"{TRACES_MEMORY_MIB * 3 // 4}MiB"},
            networks=[observability],
            memory_mib=TRACES_MEMORY_MIB,
        )

    def _make_program(self, image: ProgramImage, health: str, **values: Any) -> None:
        self._make_keeper(
            image.name,
            health,
            image=self._args.images[image.name],
            user=image.user,
            command=[image.program],
            **values,
        )

    def _make_keeper(self, part: str, health: str, **values: Any) -> None:
        make_service(
            self,
            part,
            health=fetch(f"http://127.0.0.1:{health}"),
            cpus=0.5,
            order="stop-first",  # a data folder has one holder
            constraints=[self.names.data_constraint],
            start_seconds=120,
            log_driver=self._args.log_driver,
            **values,
        )


def _file(part: str) -> str:
    return f"/etc/beamops/{part}.yml"
