"""Programs in Go that no Debian package has, built from pinned modules and kept outside the checkout."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from cli.console import step
from cli.go import go
from cli.places import cache_folder
from components.catalogue import ProgramImage
from components.containers import ROOT, program_digest

_MANIFEST: Final = "manifest.yaml"
_BUILDER: Final = "go.opentelemetry.io/collector/cmd/builder"


def ensure_program(image: ProgramImage) -> Path:
    """The program of an image, built from the modules in images/<name> where it was not before.

    Raises:
        StopError: it cannot be built.
    """
    kept = cache_folder() / f"program-{image.name}-{program_digest(image)[:16]}"
    if not kept.exists():
        with (
            step(f"Building {image.name}, once"),
            tempfile.TemporaryDirectory(dir=kept.parent, prefix="building-") as scratch,
        ):
            sources = Path(scratch) / image.name
            shutil.copytree(ROOT / "images" / image.name, sources)
            if (sources / _MANIFEST).exists():
                _generate(sources)
            program = str(sources / "program")
            go(sources, "", "build", "-ldflags", "-s -w", "-o", program, image.package)
            os.rename(program, kept)  # noqa: PTH104 - in one step, whoever else builds it
    return kept


def _generate(sources: Path) -> None:
    """Have OpenTelemetry's builder write the collector that its manifest describes.

    It writes a go.mod of its own, and asks for whatever is newest of what that leaves open: ours pins all of it.
    """
    pinned = {pin: pin.read_bytes() for pin in (sources / "go.mod", sources / "go.sum")}
    options = [f"--config={sources / _MANIFEST}", "--skip-compilation", "--skip-get-modules"]
    go(sources / "builder", "", "run", _BUILDER, *options)
    for pin, content in pinned.items():
        pin.write_bytes(content)
