"""Chapter 11, Instrumentation: who tells metrics of what cannot do it itself, and of whom they are asked."""

from dataclasses import dataclass
from typing import Any, Final

import pulumi
from coordinator import contract

from components import catalogue
from components.chapter import Chapter
from components.naming import Names
from components.network import Network
from components.observability.configuration import ALERTMANAGER_PORT, PROMETHEUS_PORT, Target
from components.proxy import EXPORTER_PORT
from components.secrets import Secrets
from components.service import fetch, make_service

_NODE_PORT: Final = 9100
_DATABASE_PORT: Final = 9187
EXPORTER_MEMORY_MIB: Final = 48


@dataclass(frozen=True)
class InstrumentationArgs:
    """What the exporters are made from."""

    node_exporter: pulumi.Input[str]
    postgres_exporter: pulumi.Input[str]
    network: Network
    secrets: Secrets


class Instrumentation(Chapter):
    """An exporter on every node, and one beside PostgreSQL; coordinators and proxies tell their own.

    The node's exporter has no way to the node but what every container sees: memory, processors and load are the
    machine's there, and the root's file system is the one that the engine keeps images and volumes on.
    """

    number = 11

    def __init__(self, names: Names, args: InstrumentationArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        assert args.network.observability is not None  # noqa: S101 - there where this chapter is
        observability = args.network.observability.id
        self._make_exporter(
            "node-exporter",
            _NODE_PORT,
            image=args.node_exporter,
            user=catalogue.NODE_EXPORTER.user,
            # The overlay of the container is on the engine's own disk, and says how full that is.
            command=[
                "node_exporter",
                "--collector.filesystem.fs-types-exclude=^(proc|sysfs|tmpfs|devpts|mqueue|cgroup2?)$",
            ],
            networks=[observability],
            replicas=None,
        )
        password = args.secrets.password
        self._make_exporter(
            "postgres-exporter",
            _DATABASE_PORT,
            image=args.postgres_exporter,
            user=catalogue.POSTGRES_EXPORTER.user,
            command=["postgres_exporter"],
            networks=[observability, args.network.data.id],
            env={
                "DATA_SOURCE_URI": f"{names.of('database')}:5432/coordinator?sslmode=disable",
                "DATA_SOURCE_USER": "coordinator",
                "DATA_SOURCE_PASS_FILE": password.path,
            },
            secrets=[password],
        )
        self.targets = (
            Target("coordinator", names.of("coordinator"), contract.PORT, contract.METRICS_PATH),
            Target("proxy", names.of("proxy"), EXPORTER_PORT),
            Target("postgresql", names.of("postgres-exporter"), _DATABASE_PORT),
            Target("node", names.of("node-exporter"), _NODE_PORT),
            Target("prometheus", names.of("prometheus"), PROMETHEUS_PORT),
            Target("alertmanager", names.of("alertmanager"), ALERTMANAGER_PORT),
        )
        self.register_outputs({"targets": [target.job for target in self.targets]})

    def _make_exporter(self, part: str, port: int, **values: Any) -> None:
        health = fetch(f"http://127.0.0.1:{port}/")
        make_service(self, part, health=health, memory_mib=EXPORTER_MEMORY_MIB, cpus=0.25, **values)
