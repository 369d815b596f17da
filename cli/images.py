"""The images that others are built on: Debian with Python, and the coordinator's packages."""

import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

import docker

from cli.commands import install, run
from cli.console import StopError, console, step
from cli.places import cache_folder, data_folder
from cli.programs import ensure_program
from components import catalogue
from components.catalogue import ProgramImage
from components.containers import (
    PROGRAM_BASE,
    ROOT,
    Source,
    base_reference,
    packages_reference,
    program_base,
    python_reference,
)
from components.engine import connect, engine_host, has_image
from components.settings import IMAGES_VARIABLE, Settings

_PROBE_SECONDS: Final = 15
_BUILD_SECONDS: Final = 600


def choose_source(settings: Settings) -> Source:
    """Where images come from: as set, as chosen before, or by asking whether a registry answers.

    The choice is said, remembered, and handed to the program in the environment.
    """
    if IMAGES_VARIABLE in os.environ or "source" in settings.containers.model_fields_set:
        return settings.containers.source
    remembered = data_folder() / "images"
    if not remembered.exists():
        with connect(engine_host(settings.development.engine), _PROBE_SECONDS) as client:
            try:
                client.api.inspect_distribution(catalogue.PYTHON.pull)
            except (docker.errors.APIError, OSError):
                console.print("! No image registry answers: images are built here, from Debian's packages (images/).")
                remembered.write_text("build")
            else:
                return "pull"
    os.environ[IMAGES_VARIABLE] = "build"
    return "build"


def ensure_images(settings: Settings, source: Source) -> None:
    """Make the images that the program builds on, where the engine lacks them.

    Raises:
        StopError: one of them cannot be made.
    """
    with connect(engine_host(settings.development.engine), _BUILD_SECONDS) as client:
        if source == "build" and not has_image(client, base_reference()):
            with step(f"Base image {base_reference()}"):
                _import_base(client)
        if not has_image(client, packages_reference(source)):
            with step(f"Image of the coordinator's packages {packages_reference(source)}"):
                _build_packages(client, source)
        if source == "build" and settings.instrumentation.collector:
            for image in catalogue.TELEMETRY:
                if not has_image(client, program_base(image, source)):
                    _build_program(client, image)


def _build_program(client: docker.DockerClient, image: ProgramImage) -> None:
    program = ensure_program(image)
    with (
        step(f"Image of {image.name}'s program {program_base(image, 'build')}"),
        tempfile.TemporaryDirectory() as scratch,
    ):
        context = Path(scratch)
        shutil.copyfile(program, context / "program")
        (context / "program").chmod(0o755)
        shutil.copyfile(PROGRAM_BASE / "Dockerfile", context / "Dockerfile")
        given = {"BASE": base_reference(), "PROGRAM": image.program}
        client.images.build(path=scratch, tag=program_base(image, "build"), buildargs=given, rm=True)


def _import_base(client: docker.DockerClient) -> None:
    repository, _, tag = base_reference().partition(":")
    kept = cache_folder() / f"base-{tag}.tar"
    if not kept.exists():
        if shutil.which("mmdebstrap") is None:
            install("mmdebstrap")
        packages = (ROOT / "images" / "base" / "packages").read_text().split()
        part = kept.with_name(f"part-{os.getpid()}-{kept.name}")
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", "bookworm", str(part))
        part.rename(kept)
    client.api.import_image_from_file(str(kept), repository, tag)


def _build_packages(client: docker.DockerClient, source: Source) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        context = Path(scratch)
        run(
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:",
            "--no-compile", f"--target={context / 'packages'}", "-r", str(ROOT / "app" / "requirements.lock"),
        )  # fmt: skip
        (context / "Dockerfile").write_text(f"FROM {python_reference(source)}\nCOPY packages /opt/packages\n")
        archive = context / "context.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(context / "Dockerfile", "Dockerfile")
            tar.add(context / "packages", "packages", filter=_as_root)
        try:
            with archive.open("rb") as content:
                client.images.build(fileobj=content, custom_context=True, tag=packages_reference(source), rm=True)
        except (docker.errors.BuildError, docker.errors.APIError) as error:
            raise StopError(
                f"the coordinator's packages cannot be laid on {python_reference(source)}: {error}; "
                f"where no registry answers, set {IMAGES_VARIABLE}=build"
            ) from error


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.mode |= 0o555 if entry.isdir() else 0o444
    return entry
