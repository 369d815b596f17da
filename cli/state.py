"""What a stack is kept in: Pulumi's own files, of which a run that was cut off may leave some half written."""

import json
import os
import secrets
import socket
from pathlib import Path
from typing import Final

import psutil

from cli.places import data_folder

PROJECT: Final = "beamops"


def passphrase_file() -> Path:
    """The file with the passphrase of this user's stacks, made at its first use."""
    file = data_folder() / "passphrase"
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as content:
            content.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    return file


def mend_state(backend: str) -> None:
    """Remove notes about files of the state that a run, cut off as it wrote one, left unreadable.

    Pulumi's file backend (gocloud.dev/blob/fileblob) writes a state in one step, and a file of its attributes, which it
    can do without, in place. It does not read a state whose attributes it cannot read.
    """
    if not backend.startswith("file://"):
        return
    # Not of its history, which grows with every run and is read by none of them.
    for notes in (Path(backend.removeprefix("file://")) / ".pulumi" / "stacks").rglob("*.attrs"):
        try:
            json.loads(notes.read_text())
        except ValueError:
            notes.unlink()


def find_locks(backend: str, stack: str) -> tuple[bool, bool]:
    """Whether a run holds the stack, and whether every lock was left by a process of this machine that is gone.

    Of a backend that is no folder of this machine's nothing is known: neither.
    """
    if not backend.startswith("file://"):
        return False, False
    folder = Path(backend.removeprefix("file://")) / ".pulumi" / "locks" / "organization" / PROJECT / stack
    locks = [json.loads(lock.read_text()) for lock in folder.glob("*.json")] if folder.exists() else []
    held = any(lock["hostname"] != socket.gethostname() or _pulumi_runs(lock["pid"]) for lock in locks)
    return held, bool(locks) and not held


def _pulumi_runs(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("pulumi")
    except psutil.NoSuchProcess:
        return False
