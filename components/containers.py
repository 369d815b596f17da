"""Chapter 3, Containers: every image, named by the content that it is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pulumi
import pulumi_docker as docker

from components import catalogue
from components.catalogue import Image, ProgramImage
from components.chapter import Chapter
from components.naming import Names, digest_files, list_sources
from components.settings import Settings

ROOT: Final = Path(__file__).parent.parent
PROGRAM: Final = ROOT / "images" / "program"
"""What is laid on a program in Go, whether it was pulled or built."""
PROGRAM_BASE: Final = ROOT / "images" / "program-base"
"""What one that was built is laid on."""
Source = Literal["pull", "build"]


@dataclass(frozen=True)
class ContainersArgs:
    """Where third-party images come from, and which are needed: RDS brings its own PostgreSQL."""

    source: Source
    database: bool
    watching: Sequence[Image]
    """Of those who watch the stack."""


class Containers(Chapter):
    """The images of a stack, each a reference that changes when, and only when, its content does."""

    number = 3

    def __init__(self, names: Names, args: ContainersArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self.postgresql = self._third_party(catalogue.POSTGRESQL, args.source) if args.database else None
        self.proxy = self._third_party(catalogue.PROXY, args.source)
        self.watching = {image.name: self._third_party(image, args.source) for image in args.watching}
        self.coordinator = self._build(
            "coordinator", coordinator_reference(args.source), ROOT / "app", packages_reference(args.source)
        )
        self.register_outputs({"postgresql": self.postgresql, "proxy": self.proxy, "coordinator": self.coordinator})

    def _third_party(self, image: Image, source: Source) -> pulumi.Output[str]:
        if isinstance(image, ProgramImage):
            return self._lay_on(image, source)
        if source == "build":
            return self._build(image.name, built_reference(image), ROOT / "images" / image.name, base_reference())
        pulled = docker.RemoteImage(
            image.name, docker.RemoteImageArgs(name=image.pull, keep_locally=True), self.options()
        )
        return pulled.name

    def _lay_on(self, image: ProgramImage, source: Source) -> pulumi.Output[str]:
        base = program_base(image, source)
        tools = base if source == "build" else catalogue.BUSYBOX.pull
        return self._build(image.name, program_reference(image, source), PROGRAM, base, TOOLS=tools)

    def _build(self, name: str, reference: str, context: Path, base: str, **more: str) -> pulumi.Output[str]:
        image = docker.RemoteImage(
            name,
            docker.RemoteImageArgs(
                name=reference,
                build=docker.RemoteImageBuildArgs(
                    context=str(context.relative_to(ROOT)), build_args={"BASE": base, **more}, use_legacy_builder=True
                ),
                triggers={"content": reference},
                keep_locally=True,
            ),
            self.options(),
        )
        return image.name


def watching_images(settings: Settings) -> tuple[Image, ...]:
    """The images of those who watch a stack."""
    images: tuple[Image, ...] = catalogue.MONITORING if settings.monitoring.enabled else ()
    if settings.instrumentation.collector:
        images += catalogue.TELEMETRY
    if settings.monitoring.grafana and settings.containers.source == "pull":
        images += (catalogue.GRAFANA,)
    return images


def third_party_reference(image: Image, source: Source) -> str:
    """A third-party image as it is deployed."""
    if isinstance(image, ProgramImage):
        return program_reference(image, source)
    return built_reference(image) if source == "build" else image.pull


def base_reference() -> str:
    """The base of every image that is built here: Debian with Python, made by `make images`."""
    folder = ROOT / "images" / "base"
    return _reference("base", digest_files(folder, list_sources(folder)))


def python_reference(source: Source) -> str:
    """The image that the coordinator's packages are laid on."""
    return base_reference() if source == "build" else catalogue.PYTHON.pull


def packages_reference(source: Source) -> str:
    """The coordinator's Python packages on their base, made by `make images`."""
    content = digest_files(ROOT / "app", [ROOT / "app" / "requirements.lock"], python_reference(source))
    return _reference("coordinator-packages", content)


def coordinator_reference(source: Source) -> str:
    """The coordinator's image."""
    files = [ROOT / "app" / "Dockerfile", *list_sources(ROOT / "app" / "coordinator")]
    return _reference("coordinator", digest_files(ROOT / "app", files, packages_reference(source)))


def built_reference(image: Image) -> str:
    """A third-party image as it is built here."""
    folder = ROOT / "images" / image.name
    return _reference(image.name, digest_files(folder, [folder / "Dockerfile"], base_reference()))


def program_digest(image: ProgramImage) -> str:
    """What a program in Go is built from."""
    folder = ROOT / "images" / image.name
    return digest_files(folder, list_sources(folder))


def program_base(image: ProgramImage, source: Source) -> str:
    """The image that has a program in Go: its official one, or one that `make images` makes."""
    if source == "pull":
        return image.pull
    return _reference(
        f"{image.name}-program",
        digest_files(PROGRAM_BASE, [PROGRAM_BASE / "Dockerfile"], base_reference(), program_digest(image)),
    )


def program_reference(image: ProgramImage, source: Source) -> str:
    """The image of a program in Go, as it is deployed."""
    return _reference(image.name, digest_files(PROGRAM, list_sources(PROGRAM), program_base(image, source)))


def _reference(name: str, digest: str) -> str:
    return f"beamops/{name}:{digest[:32]}"
