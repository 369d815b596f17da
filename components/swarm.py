"""Chapter 8, Swarm: what nodes are for."""

from dataclasses import dataclass

import pulumi

from components.chapter import Chapter
from components.naming import Names
from components.resources import NodeLabels


@dataclass(frozen=True)
class SwarmArgs:
    """Which node keeps data."""

    host: str
    node: pulumi.Input[str]


class Swarm(Chapter):
    """The node that holds PostgreSQL's volume, labelled so that its task never lands where the data is not."""

    number = 8

    def __init__(self, names: Names, args: SwarmArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self.labelled = NodeLabels(
            "data-node", host=args.host, node=args.node, labels={names.data_label: "true"}, opts=self.options()
        )
        self.register_outputs({"data_constraint": names.data_constraint})
