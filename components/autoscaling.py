"""Chapter 10, Autoscaling: the coordinator's replicas follow the load; nodes do in components/aws/autoscaling.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from coordinator import contract

from components import catalogue
from components.chapter import Chapter
from components.naming import Names
from components.network import Network
from components.observability.configuration import PROMETHEUS_PORT, Target
from components.service import LogDriver, make_service
from components.settings import AutoscaleSettings

AUTOSCALING_MEMORY_MIB: Final = 128
"""Of each of the two."""


@dataclass(frozen=True)
class AutoscalingArgs:
    """What the autoscaler needs to know."""

    settings: AutoscaleSettings
    coordinator: pulumi.Input[str]
    """The image, of which both are other commands."""
    network: Network
    socket_group: int
    """Number of the group that may use the engine's socket."""
    log_driver: LogDriver
    serving: Sequence[str]
    """Constraints of what serves."""


class Autoscaling(Chapter):
    """The autoscaler, and before the engine a proxy that lets nothing through but what it needs.

    The proxy alone has the engine's socket: it is on a network that nothing else is on, has no port, and changes no
    more than the replicas of services whose labels name limits.
    """

    number = 10

    def __init__(self, names: Names, args: AutoscalingArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args, settings = args, args.settings
        engine, observability = args.network.engine, args.network.observability
        assert engine is not None and observability is not None  # noqa: S101, PT018 - there where this chapter is
        self._make(
            "engine-proxy",
            command=contract.ENGINE_PROXY,
            networks=[engine.id],
            sockets=[contract.ENGINE_SOCKET],
            groups=[str(args.socket_group)],
            constraints=["node.role==manager"],
        )
        self._make(
            "autoscaler",
            command=[
                *contract.AUTOSCALE,
                f"--service={names.of('coordinator')}",
                f"--prometheus=http://{names.of('prometheus')}:{PROMETHEUS_PORT}",
                f"--engine=http://{names.of('engine-proxy')}:{contract.PORT}",
                f"--ready-per-replica={settings.ready_per_replica}",
                f"--p95-ms={settings.p95_ms}",
            ],
            networks=[engine.id, observability.id],
            constraints=args.serving,
            # Two would each move the replicas.
            order="stop-first",
        )
        self.target = Target("autoscaler", [names.of("autoscaler")], contract.PORT, contract.METRICS_PATH)
        self.register_outputs({})

    def _make(self, part: str, **values: Any) -> None:
        make_service(
            self,
            part,
            image=self._args.coordinator,
            user=catalogue.PYTHON.user,
            health=contract.PROBE,
            memory_mib=AUTOSCALING_MEMORY_MIB,
            cpus=0.25,
            log_driver=self._args.log_driver,
            env={contract.HOST: "0.0.0.0"},  # noqa: S104 - the networks decide who reaches it
            **values,
        )
