"""Chapter 11, Instrumentation: who tells metrics of what cannot do it itself, who collects log lines and traces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_docker as docker
from coordinator import contract

from components import catalogue
from components.chapter import Chapter
from components.distribution import Distribution
from components.naming import STACK_LABEL, Names
from components.network import Network
from components.observability.collector import (
    COLLECTOR_HEALTH_PORT,
    COLLECTOR_METRICS_PORT,
    COLLECTOR_PORT,
    LOGS_PORT,
    LOGS_SOCKET,
    SERVICE_LABEL,
    SOCKETS_FOLDER,
    TRACES_ADMIN_PORT,
    render_collector,
)
from components.observability.configuration import ALERTMANAGER_PORT, PROMETHEUS_PORT, Target
from components.proxy import EXPORTER_PORT
from components.secrets import Secrets
from components.service import LogDriver, fetch, make_config, make_service, memory_volume_options

_NODE_PORT: Final = 9100
_DATABASE_PORT: Final = 9187
_CONNECT_SECONDS: Final = 3
"""Before Prometheus, which waits for 5, hears nothing at all: that PostgreSQL does not answer is what it is to hear."""
EXPORTER_MEMORY_MIB: Final = 48
ENGINE_EXPORTER_MEMORY_MIB: Final = 128
COLLECTOR_MEMORY_MIB: Final = 128
ENGINE_EXPORTER: Final = "engine-exporter"
_WAITING_LINES: Final = 65_536
"""Of a container, for a collector that is away: five minutes of 200 requests a second. The engine's default is a
million, and it notes down each line that has no place any more."""


def collect_logs(names: Names, engine_folder: str) -> LogDriver:
    """Let the engine hand log lines to the collector of its own node.

    They wait in the engine's memory while the collector is away, and what is more is dropped: no container waits for
    it. The engine keeps a bounded copy on disk, which `docker service logs` reads.
    """
    socket = f"{engine_folder}/volumes/{names.of('sockets')}/_data/{LOGS_SOCKET}"
    return LogDriver(
        "fluentd",
        {
            "fluentd-address": f"unix://{socket}",
            "fluentd-async": "true",
            "fluentd-buffer-limit": str(_WAITING_LINES),
            "fluentd-sub-second-precision": "true",
            "labels": SERVICE_LABEL,
            "cache-max-size": "10m",
            "cache-max-file": "3",
        },
    )


def collector_endpoint(names: Names) -> str:
    """Where OTLP goes."""
    return f"http://{names.of('collector')}:{COLLECTOR_PORT}"


@dataclass(frozen=True)
class InstrumentationArgs:
    """What the exporters and the collector are made from."""

    images: Mapping[str, pulumi.Input[str]]
    coordinator: pulumi.Input[str]
    """The image, of which the engine's exporter is another command."""
    socket_group: int | None
    """Number of the group that may use the engine's socket; None: it cannot be known, and no engine is asked."""
    network: Network
    secrets: Secrets
    log_driver: LogDriver
    collector: bool
    distribution: Distribution
    """Who is watched."""
    serving: Sequence[str]
    """Constraints of what serves."""
    swarm: pulumi.Resource
    """Before any configuration."""


class Instrumentation(Chapter):
    """An exporter on every node, and one beside PostgreSQL; coordinators and proxies tell their own.

    The node's exporter has no way to the node but what every container sees: memory, processors and load are the
    machine's there, and the root's file system is the one that the engine keeps images and volumes on.

    What each container uses the engine alone knows. Its exporter has the engine's socket, no port, no other network
    than that of whoever watches, and answers with two pages that take no parameters.

    The collector is on every node too. The engine hands it log lines by a socket on a volume that is in memory: no
    file of the engine's, and not the engine's own socket, is in any container.
    """

    number = 11

    def __init__(self, names: Names, args: InstrumentationArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args = args
        assert args.network.observability is not None  # noqa: S101 - there where this chapter is
        observability = args.network.observability.id
        self._make_exporter(
            "node-exporter",
            _NODE_PORT,
            image=args.images[catalogue.NODE_EXPORTER.name],
            user=catalogue.NODE_EXPORTER.user,
            # The overlay of the container is on the engine's own disk, and says how full that is.
            command=[
                "node_exporter",
                "--no-collector.systemd",
                "--collector.filesystem.fs-types-exclude=^(proc|sysfs|tmpfs|devpts|mqueue|cgroup2?)$",
            ],
            networks=[observability],
            replicas=None,
        )
        if args.socket_group is not None:
            make_service(
                self,
                ENGINE_EXPORTER,
                image=args.coordinator,
                user=catalogue.PYTHON.user,
                command=contract.ENGINE_EXPORTER,
                arguments=[f"--label={STACK_LABEL}={names.stack}"],
                networks=[observability],
                health=contract.PROBE,
                memory_mib=ENGINE_EXPORTER_MEMORY_MIB,
                cpus=0.25,
                log_driver=args.log_driver,
                env={contract.HOST: "0.0.0.0"},  # noqa: S104 - the network decides who reaches it
                sockets=[contract.ENGINE_SOCKET],
                groups=[str(args.socket_group)],
                # Managers that keep apart are left alone: what it asks of an engine takes processor time there.
                constraints=args.serving,
                replicas=None,
            )
        password, database = args.secrets.watcher_password, args.distribution.database_address
        authorities = args.distribution.authorities
        assert password is not None  # noqa: S101 - there where this chapter is
        self._make_exporter(
            "postgres-exporter",
            _DATABASE_PORT,
            depends_on=args.distribution.admitted,
            image=args.images[catalogue.POSTGRES_EXPORTER.name],
            user=catalogue.POSTGRES_EXPORTER.user,
            command=["postgres_exporter"],
            networks=[observability, args.network.data.id],
            configs=authorities,
            env={
                # Where no certificate is checked there is no TLS either, which this client would ask for.
                "DATA_SOURCE_URI": pulumi.Output.concat(
                    database, "&" if authorities else "?sslmode=disable&", f"connect_timeout={_CONNECT_SECONDS}"
                ),
                "DATA_SOURCE_USER": "watcher",
                "DATA_SOURCE_PASS_FILE": password.path,
            },
            secrets=[password],
            constraints=args.serving,
        )
        self.targets: tuple[Target, ...] = (
            Target("coordinator", args.distribution.coordinators, contract.PORT, contract.METRICS_PATH),
            Target("proxy", [names.of("proxy")], EXPORTER_PORT),
            Target("postgresql", [names.of("postgres-exporter")], _DATABASE_PORT),
            Target("node", [names.of("node-exporter")], _NODE_PORT),
            Target("prometheus", [names.of("prometheus")], PROMETHEUS_PORT),
            Target("alertmanager", [names.of("alertmanager")], ALERTMANAGER_PORT),
        )
        if args.socket_group is not None:
            self.targets += (Target("engine", [names.of(ENGINE_EXPORTER)], contract.PORT, contract.METRICS_PATH),)
        if args.collector:
            self._make_collector(observability)
            self.targets += (
                Target("collector", [names.of("collector")], COLLECTOR_METRICS_PORT),
                Target("logs", [names.of("logs")], LOGS_PORT),
                Target("traces", [names.of("traces")], TRACES_ADMIN_PORT),
            )
        self.register_outputs({"targets": [target.job for target in self.targets]})

    def _make_exporter(self, part: str, port: int, **values: Any) -> None:
        health = fetch(f"http://127.0.0.1:{port}/")
        memory, logs = EXPORTER_MEMORY_MIB, self._args.log_driver
        make_service(self, part, health=health, memory_mib=memory, cpus=0.25, log_driver=logs, **values)

    def _make_collector(self, observability: pulumi.Input[str]) -> None:
        image = catalogue.COLLECTOR
        path = "/etc/beamops/collector.yaml"
        configuration = make_config(self, "collector", render_collector(self.names), path, self._args.swarm)
        # Each node makes its own when a container comes; this one is here to go with the stack.
        sockets = docker.Volume(
            "sockets",
            docker.VolumeArgs(
                name=self.names.of("sockets"),
                driver="local",
                driver_opts=memory_volume_options(image.user).driver_options,
                labels=self.label(docker.VolumeLabelArgs),
            ),
            self.options(),
        )
        # Its own lines do not go by way of itself.
        make_service(
            self,
            "collector",
            image=self._args.images[image.name],
            user=image.user,
            command=[image.program, f"--config=file:{configuration.path}"],
            networks=[observability],
            health=fetch(f"http://127.0.0.1:{COLLECTOR_HEALTH_PORT}/"),
            memory_mib=COLLECTOR_MEMORY_MIB,
            cpus=0.5,
            replicas=None,
            order="stop-first",  # the socket has one holder
            env={"GOMEMLIMIT": f"{COLLECTOR_MEMORY_MIB * 3 // 4}MiB"},
            configs=[configuration],
            memory_volumes={SOCKETS_FOLDER: sockets.name},
        )
