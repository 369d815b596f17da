"""Where things are kept outside the checkout: what can be made again, and what cannot."""

import os
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from components.containers import ROOT
from components.settings import STACK_FILE_VARIABLE


def cache_folder() -> Path:
    """What can be made again: the toolchain, base images."""
    return made(user_cache_path("beamops"))


def data_folder() -> Path:
    """What must be kept: state, passphrase."""
    return made(user_data_path("beamops"), mode=0o700)


def stack_file(stack: str) -> Path:
    """The stack's settings in the checkout, or the file that BEAMOPS_STACK_FILE names."""
    return Path(os.environ.get(STACK_FILE_VARIABLE, ROOT / f"Pulumi.{stack}.yaml"))


def made(folder: Path, mode: int = 0o755) -> Path:
    """The folder, made with those above it where it is missing."""
    folder.mkdir(parents=True, exist_ok=True, mode=mode)
    return folder
