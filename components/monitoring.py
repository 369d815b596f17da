"""Chapter 12, Monitoring: Prometheus keeps what is measured and works out the rules, Alertmanager tells people."""

import base64
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker

from components import catalogue
from components.chapter import Chapter
from components.naming import Names
from components.network import Network
from components.observability.alert import Plan
from components.observability.configuration import (
    ALERTMANAGER_PORT,
    PROMETHEUS_PORT,
    RULES_FILE,
    Target,
    render_alertmanager,
    render_prometheus,
)
from components.observability.rules import render_rules
from components.service import File, ServiceSpec, service_args
from components.settings import MonitoringSettings

_CONFIGURATION: Final = "/etc/beamops/{}.yml"
ALERTMANAGER_MEMORY_MIB: Final = 64


@dataclass(frozen=True)
class MonitoringArgs:
    """What is watched, and who is told."""

    settings: MonitoringSettings
    prometheus: pulumi.Input[str]
    alertmanager: pulumi.Input[str]
    network: Network
    targets: tuple[Target, ...]
    plan: Plan
    constraint: str
    """The node that keeps data."""
    swarm: pulumi.Resource
    """Before any configuration."""


class Monitoring(Chapter):
    """Both keep their data on volumes of the node that has PostgreSQL's; neither has a port on any node."""

    number = 12

    def __init__(self, names: Names, args: MonitoringArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args, settings = args, args.settings
        assert args.network.observability is not None  # noqa: S101 - there where this chapter is
        self._observability = args.network.observability
        rules = self._config("rules", render_rules(args.plan))
        configuration = self._config("prometheus", render_prometheus(names, args.targets))
        prometheus_file = _CONFIGURATION.format("prometheus")
        self._make_service(
            "prometheus",
            args.prometheus,
            catalogue.PROMETHEUS.user,
            [
                "prometheus",
                f"--config.file={prometheus_file}",
                "--storage.tsdb.path=/prometheus",
                f"--storage.tsdb.retention.time={settings.retention_days}d",
                f"--storage.tsdb.retention.size={settings.storage_mib}MB",
            ],
            "/prometheus",
            PROMETHEUS_PORT,
            settings.memory_mib,
            configs=[
                File(configuration.id, configuration.name, prometheus_file),
                File(rules.id, rules.name, RULES_FILE),
            ],
        )
        told = render_alertmanager(settings.webhook)
        # Whoever knows a webhook's address can write to it: it is a secret, and the file with it.
        secret = docker.Secret(
            "alertmanager",
            docker.SecretArgs(
                name=names.versioned("alertmanager", told),
                data=pulumi.Output.secret(base64.b64encode(told.encode()).decode()),
                labels=self.label(docker.SecretLabelArgs),
            ),
            self.options(depends_on=[args.swarm], delete_before_replace=False),
        )
        alertmanager_file = _CONFIGURATION.format("alertmanager")
        self._make_service(
            "alertmanager",
            args.alertmanager,
            catalogue.ALERTMANAGER.user,
            [
                "alertmanager",
                f"--config.file={alertmanager_file}",
                "--storage.path=/alertmanager",
                "--cluster.listen-address=",
            ],
            "/alertmanager",
            ALERTMANAGER_PORT,
            ALERTMANAGER_MEMORY_MIB,
            secrets=[File(secret.id, secret.name, alertmanager_file)],
            # Its receivers are beyond the swarm.
            edge=args.network.edge,
        )
        self.register_outputs({})

    def _config(self, part: str, content: str) -> docker.ServiceConfig:
        return docker.ServiceConfig(
            part,
            docker.ServiceConfigArgs(
                name=self.names.versioned(part, content),
                data_raw=content,
                labels=self.label(docker.ServiceConfigLabelArgs),
            ),
            self.options(depends_on=[self._args.swarm], delete_before_replace=False),
        )

    def _make_service(
        self,
        name: str,
        image: pulumi.Input[str],
        user: str,
        command: list[str],
        data: str,
        port: int,
        memory_mib: int,
        *,
        configs: list[File] | None = None,
        secrets: list[File] | None = None,
        edge: docker.Network | None = None,
    ) -> None:
        volume = docker.Volume(
            name,
            docker.VolumeArgs(name=self.names.of(name), labels=self.label(docker.VolumeLabelArgs)),
            self.options(),
        )
        spec = ServiceSpec(
            name=self.names.of(name),
            image=image,
            user=user,
            command=command,
            networks=[self._observability.id, *([edge.id] if edge else [])],
            health=["busybox", "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{port}/-/ready"],
            memory_mib=memory_mib,
            cpus=0.5,
            labels=self.labels,
            # A data folder has one holder.
            order="stop-first",
            configs=configs or [],
            secrets=secrets or [],
            volumes={data: volume.name},
            constraints=[self._args.constraint],
            start_seconds=120,
        )
        docker.Service(name, service_args(spec), self.options())
