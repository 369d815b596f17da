"""Every image by name: where it is pulled from, and the folder that builds it where no registry answers.

Version and digest of what is pulled stand together, and change together.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Image:
    """A third-party image."""

    name: str
    pull: str
    """Its reference in a registry, pinned by digest."""
    user: str
    """uid:gid that it runs as, the same however the image came about."""


PYTHON: Final = Image(
    "python",
    "python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b",
    "10001:10001",
)
POSTGRESQL: Final = Image(
    "postgresql",
    "postgres:15-bookworm@sha256:539ceaaae49b3a7c8a04467cf00cc6788d8e3f1675df41860d86eebc4c40524f",
    "999:999",
)
PROXY: Final = Image(
    "proxy",
    "haproxy:3.2-alpine@sha256:79799e8b2977e60802774fa53d29e6b54e045402cdd8a8b9fe43923e7095a047",
    "99:99",
)
