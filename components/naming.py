"""Names and labels: how to tell what belongs to which stack."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STACK_LABEL: Final = "beamops.stack"
CHAPTER_LABEL: Final = "beamops.chapter"
CHAPTER_TAG: Final = "beamops:chapter"
INSTANCE_LABEL: Final = "beamops.instance"
"""Of a swarm's node on AWS: which machine it is. The leading manager sets it, before anything is placed there."""


@dataclass(frozen=True)
class Names:
    """Names in one stack: `<name>-<environment>-<part>`, stable from one deployment to the next."""

    name: str
    environment: str

    @property
    def stack(self) -> str:
        """What every name begins with, and the value of every label `beamops.stack`."""
        return f"{self.name}-{self.environment}"

    def of(self, part: str) -> str:
        """The full name of a part."""
        return f"{self.stack}-{part}"

    @property
    def data_label(self) -> str:
        """The label of the node that keeps data, `true` there; node.sh writes it too."""
        return f"{self.stack}.data"

    @property
    def data_constraint(self) -> str:
        """What places a service on the node that keeps data."""
        return f"node.labels.{self.data_label} == true"

    def versioned(self, part: str, content: str) -> str:
        """The name of what cannot be changed in place: another content is another name."""
        return f"{self.of(part)}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def labels(self, chapter: str) -> dict[str, str]:
        """Labels of what a chapter makes."""
        return {STACK_LABEL: self.stack, CHAPTER_LABEL: chapter}


def digest_files(root: Path, files: Iterable[Path], *more: str) -> str:
    """A SHA-256, in hexadecimal, of files' paths below `root`, their content, and further text."""
    content = hashlib.sha256()
    for file in sorted(files):
        content.update(f"{file.relative_to(root)}\0{file.stat().st_mode & 0o111:o}\0".encode())
        content.update(hashlib.sha256(file.read_bytes()).digest())
    for text in more:
        content.update(f"\0{text}".encode())
    return content.hexdigest()


def list_sources(folder: Path) -> list[Path]:
    """The files of a folder that count as its content: no caches, no build products."""
    return [
        file
        for file in folder.rglob("*")
        if file.is_file() and not {"__pycache__", ".venv"} & set(file.parts) and file.suffix not in {".pyc", ".db"}
    ]
