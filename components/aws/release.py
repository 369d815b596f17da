"""Chapter 9 on AWS, Release: the images by digest, and nodes that are ready for them, before any service is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components import catalogue
from components.aws.containers import CACHE
from components.aws.machines import ON_WORKERS, CarryingOverlay, PushedImage, ReadyNodes
from components.aws.settings import ProductionSettings
from components.catalogue import Image
from components.chapter import AwsChapter
from components.containers import Containers, Source, built_reference, coordinator_reference, third_party_reference
from components.distribution import Images, ServerDatabase
from components.naming import Names

_JOIN_SECONDS: Final = 600
"""Until a machine that has just been made has installed what it needs, and joined."""
_TAG_LENGTH: Final = 32
_ON_EVERY_NODE: Final = (catalogue.NODE_EXPORTER, catalogue.COLLECTOR)
"""Of those who watch: what is about the node that it runs on."""


@dataclass(frozen=True)
class ReleaseArgs:
    """What is released, from where, to which machines."""

    engine: str
    """The engine here, which has the images."""
    host: str
    """The engine of a manager there."""
    on_swarm: pulumi.ResourceOptions
    region: str
    source: Source
    containers: Containers
    watching: Sequence[Image]
    """Images of those who watch the stack."""
    kept: Sequence[str]
    """Images of versions that were released before, and go on: every node that serves needs them too."""
    repositories: dict[str, aws.ecr.Repository]
    production: ProductionSettings
    workers: int
    warm_up_seconds: int
    groups: list[pulumi.Resource]
    database: ServerDatabase
    encrypted: bool


class Release(AwsChapter):
    """What services stand on: images that every node has, and the id of the nodes' swarm, whose networks carry."""

    number = 9

    def __init__(self, names: Names, args: ReleaseArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args = args
        coordinator = self._push("coordinator", args.containers.coordinator, coordinator_reference(args.source))
        proxy = self._third_party(catalogue.PROXY, args.containers.proxy)
        self.host, self.on_swarm, self.database = args.host, args.on_swarm, args.database
        self.images = Images(coordinator, proxy)
        self.watching = {
            image.name: self._push(
                image.name, args.containers.watching[image.name], third_party_reference(image, args.source)
            )
            for image in args.watching
        }
        images = _join([coordinator, proxy, *self.watching.values(), *args.kept])
        told, managers_need = [self._tell("images", images)], images
        carrying: list[str] = []
        if args.production.managers_apart:
            # The engine's proxy is the coordinator's image; without anybody who watches nothing runs there.
            watching = [self.watching[image.name] for image in _ON_EVERY_NODE if image.name in self.watching]
            managers_need = _join([coordinator, *watching]) if watching else pulumi.Output.from_input("none")
            told.append(self._tell("manager-images", managers_need))
            carrying = [] if watching else [ON_WORKERS]
        nodes = ReadyNodes(
            "nodes",
            host=args.host,
            stack=names.stack,
            region=args.region,
            managers=args.production.managers,
            workers=args.workers,
            images=images,
            manager_images=managers_need,
            seconds=2 * args.warm_up_seconds + _JOIN_SECONDS,
            opts=self.options(depends_on=[*told, *args.groups]),
        )
        self.serving: list[str] = [ON_WORKERS] if args.production.managers_apart else []
        """Constraints of what serves."""
        overlay = CarryingOverlay(
            "overlay",
            host=args.host,
            stack=names.stack,
            swarm=nodes.id,
            image=coordinator,
            encrypted=args.encrypted,
            constraints=carrying,
            opts=self.options(),
        )
        self.swarm = overlay.id
        self.register_outputs({"coordinator": coordinator, "proxy": proxy, "swarm": self.swarm})

    def _tell(self, part: str, images: pulumi.Input[str]) -> aws.ssm.Parameter:
        """Let nodes of a kind know which images they need."""
        parameter = aws.ssm.ParameterArgs(
            name=f"/{self.names.stack}/swarm/{part}", type="String", insecure_value=images, tags=self.tags(part)
        )
        return aws.ssm.Parameter(part, parameter, self.options())

    def _third_party(self, image: Image, local: pulumi.Input[str]) -> pulumi.Output[str]:
        if self._args.source == "build":
            return self._push(image.name, local, built_reference(image))
        name, _, digest = image.pull.partition("@")
        registry = self._args.repositories["coordinator"].repository_url.apply(lambda url: url.partition("/")[0])
        path = f"{self.names.stack}/{CACHE}/docker/library/{name.partition(':')[0]}@{digest}"
        return pulumi.Output.concat(registry, "/", path)

    def _push(self, name: str, image: pulumi.Input[str], reference: str) -> pulumi.Output[str]:
        """The image in its repository, under a tag that is of its content, as its reference here is."""
        return PushedImage(
            name,
            host=self._args.engine,
            image=image,
            repository=self._args.repositories[name].repository_url,
            tag=reference.rpartition(":")[2][:_TAG_LENGTH],
            region=self._args.region,
            opts=self.options(),
        ).reference


def _join(images: Sequence[pulumi.Input[str]]) -> pulumi.Output[str]:
    """As nodes are told of them."""
    return pulumi.Output.all(*images).apply(lambda found: " ".join(sorted(set(found))))
