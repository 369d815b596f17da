"""Chapter 5, Development: the local engine as a swarm of one node."""

from dataclasses import dataclass

import pulumi

from components.chapter import Chapter
from components.naming import Names
from components.resources import SingleNodeSwarm
from components.settings import DevelopmentSettings


@dataclass(frozen=True)
class DevelopmentArgs:
    """Which engine."""

    settings: DevelopmentSettings
    host: str


class Development(Chapter):
    """A swarm on the developer's machine: found and adopted, or initialised, and then left on destroy."""

    number = 5

    def __init__(self, names: Names, args: DevelopmentArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self.swarm = SingleNodeSwarm(
            "swarm",
            host=args.host,
            stack=names.stack,
            advertise_address=args.settings.advertise_address,
            opts=self.options(),
        )
        self.register_outputs({"swarm": self.swarm.id, "node": self.swarm.node, "adopted": self.swarm.adopted})
