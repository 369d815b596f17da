"""Chapter 2, Network: overlay networks, and by them who may talk to whom."""

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.chapter import Chapter
from components.naming import Names


@dataclass(frozen=True)
class NetworkArgs:
    """What the networks stand on."""

    swarm: pulumi.Input[str]
    """The swarm's id: overlay networks need one."""
    encrypted: bool = False
    database_outside: bool = False
    """Whether PostgreSQL is beyond the swarm: the coordinator's way to it then leads out."""
    observed: bool = False
    """Whether there is somebody who asks services for their metrics."""
    scaled: bool = False
    """Whether something moves replicas, by way of the engine."""


class Network(Chapter):
    """`edge` faces the outside, `app` joins the proxy and the coordinator, `data` the coordinator and PostgreSQL.

    `observability` joins Prometheus and what tells it metrics, `engine` the autoscaler and the engine's proxy.

    Only `edge` leads out of the swarm: what is on `app` and `data` alone reaches nothing else, and PostgreSQL
    is reached from `data` alone.
    """

    number = 2

    def __init__(self, names: Names, args: NetworkArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self.edge = self._overlay("edge", args, internal=False)
        self.app = self._overlay("app", args, internal=True)
        self.data = self._overlay("data", args, internal=not args.database_outside)
        self.observability = self._overlay("observability", args, internal=True) if args.observed else None
        self.engine = self._overlay("engine", args, internal=True) if args.scaled else None
        self.register_outputs({"edge": self.edge.name, "app": self.app.name, "data": self.data.name})

    def _overlay(self, part: str, args: NetworkArgs, *, internal: bool) -> docker.Network:
        return docker.Network(
            part,
            docker.NetworkArgs(
                name=self.names.of(part),
                driver="overlay",
                internal=internal,
                options={"encrypted": "true"} if args.encrypted else None,
                # Overlay networks end with their swarm: a new swarm means new networks.
                labels=self.label(docker.NetworkLabelArgs, **{"beamops.swarm": args.swarm}),
            ),
            self.options(delete_before_replace=True),
        )
