"""Chapter 12, Monitoring: Prometheus keeps what is measured and works out the rules, Alertmanager tells people."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_docker as docker

from components import catalogue
from components.chapter import Chapter
from components.naming import Names
from components.network import Network
from components.observability.alert import Expected
from components.observability.configuration import (
    ALERTMANAGER_PORT,
    PROMETHEUS_PORT,
    RULES_FILE,
    Target,
    render_alertmanager,
    render_prometheus,
)
from components.observability.rules import render_rules
from components.service import File, fetch, make_config, make_service
from components.settings import MonitoringSettings

ALERTMANAGER_MEMORY_MIB: Final = 64


@dataclass(frozen=True)
class MonitoringArgs:
    """What is watched, and who is told."""

    settings: MonitoringSettings
    prometheus: pulumi.Input[str]
    alertmanager: pulumi.Input[str]
    network: Network
    targets: Sequence[Target]
    expected: Expected
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
        observability = args.network.observability.id
        configuration = self._config("prometheus", render_prometheus(names, args.targets), _file("prometheus"))
        self._make_keeper(
            "prometheus",
            PROMETHEUS_PORT,
            image=args.prometheus,
            user=catalogue.PROMETHEUS.user,
            command=[
                "prometheus",
                f"--config.file={configuration.path}",
                "--storage.tsdb.path=/prometheus",
                f"--storage.tsdb.retention.time={settings.retention_days}d",
                f"--storage.tsdb.retention.size={settings.storage_mib}MB",
            ],
            networks=[observability],
            memory_mib=settings.memory_mib,
            configs=[configuration, self._config("rules", render_rules(args.expected), RULES_FILE)],
        )
        told = self._make_secret(render_alertmanager(settings.webhook))
        self._make_keeper(
            "alertmanager",
            ALERTMANAGER_PORT,
            image=args.alertmanager,
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
        )
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

    def _make_keeper(self, part: str, port: int, **values: Any) -> None:
        """A service with a volume of its own, at the folder that has its name."""
        volume = docker.Volume(
            part,
            docker.VolumeArgs(name=self.names.of(part), labels=self.label(docker.VolumeLabelArgs)),
            self.options(),
        )
        make_service(
            self,
            part,
            health=fetch(f"http://127.0.0.1:{port}/-/ready"),
            cpus=0.5,
            order="stop-first",  # a data folder has one holder
            volumes={f"/{part}": volume.name},
            constraints=[self._args.constraint],
            start_seconds=120,
            **values,
        )


def _file(part: str) -> str:
    return f"/etc/beamops/{part}.yml"
