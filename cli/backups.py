"""Backup of a stack's PostgreSQL into a file here, and back from one, in one step that is done or not."""

import os
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import docker
from coordinator import contract

from cli.console import StopError, console, step
from cli.coordinators import run_coordinator
from cli.places import data_folder, made
from components.engine import EngineError, find_container
from components.naming import Names

_MAGIC: Final = b"PGDMP"
"""What a dump in pg_dump's own format begins with."""
_DATABASE: Final = "coordinator"
_NEW: Final = "coordinator_restored"
_OLD: Final = "coordinator_before_restore"
_SIGNED_IN: Final = (
    'export PGPASSWORD="$(cat /run/secrets/database_password)" PGHOST=127.0.0.1 PGUSER=coordinator; exec "$@"'
)
_CLOSE: Final = (
    f"ALTER DATABASE {_DATABASE} ALLOW_CONNECTIONS false",
    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{_DATABASE}'",  # noqa: S608 - constants
    f"ALTER DATABASE {_DATABASE} RENAME TO {_OLD}; ALTER DATABASE {_NEW} RENAME TO {_DATABASE}",
)
"""Nobody may come back before both have their new names, which they get together or not at all."""
_SETTLE_SECONDS: Final = 3600
"""Long: every item and event of the backup is touched once."""
_OPEN: Final = f"ALTER DATABASE {_DATABASE} ALLOW_CONNECTIONS true"


def back_up(client: docker.DockerClient, host: str, names: Names, file: Path | None) -> Path:
    """Write all that the coordinators know into a file that nobody else can read; gives its path.

    Raises:
        StopError: PostgreSQL is not there, or the file cannot be written; no part of one is left.
    """
    if file is None:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
        file = made(data_folder() / "backups" / names.stack, 0o700) / f"{stamp}.dump"
    container = _find_database(client, names)
    part = file.with_name(f".{file.name}.part")
    with step(f"Backup of {names.stack}"):
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise StopError(f"{file}: cannot be written: {error.strerror}") from None
        try:
            with os.fdopen(descriptor, "wb") as output:
                command = _inside(host, container, "pg_dump", "--format=custom", _DATABASE)
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, check=False
                )
            if done.returncode:
                raise StopError(f"no backup was made: {_tell(done.stderr)}")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    console.print(f"{file}: {file.stat().st_size / 1024:.0f} KiB", soft_wrap=True)
    return file


def restore(client: docker.DockerClient, host: str, names: Names, file: Path) -> None:
    """Make a stack's store what a backup holds. Coordinators serve on; what they had is kept beside it.

    The backup is loaded beside the store, brought to the schema of the version that runs, and only then put in its
    place: a file that cannot be loaded changes nothing.

    Raises:
        StopError: there is no such backup, or it cannot be loaded.
    """
    if file.is_dir():
        raise StopError("which backup? give FILE=<path>; `make backup` writes one")
    try:
        with file.open("rb") as content:
            if content.read(len(_MAGIC)) != _MAGIC:
                raise StopError(f"{file}: is no backup; `make backup` writes one")
    except OSError as error:
        raise StopError(f"{file}: cannot be read: {error.strerror}") from None
    container = _find_database(client, names)

    def run(*command: str, given: Path | None = None) -> None:
        with (given or Path(os.devnull)).open("rb") as content:
            done = subprocess.run(_inside(host, container, *command), stdin=content, capture_output=True, check=False)
        if done.returncode:
            raise StopError(f"{file}: was not restored, and nothing has changed: {_tell(done.stderr)}")

    psql = ("psql", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname=postgres")
    try:
        with step(f"Loading {file.name} beside the store of {names.stack}"):
            run("dropdb", "--if-exists", _NEW)
            run("createdb", _NEW)
            run("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={_NEW}", given=file)
            command = [*contract.MIGRATE, contract.RESTORED]
            beside = (f":5432/{_DATABASE}", f":5432/{_NEW}")
            run_coordinator(
                client, names, "restore", command, lambda one: one.replace(*beside), seconds=_SETTLE_SECONDS
            )
        with step("Putting it in its place"):
            run("dropdb", "--if-exists", _OLD)
            try:
                run(*psql, *(f"--command={statement}" for statement in _CLOSE))
            except StopError:
                run(*psql, f"--command={_OPEN}")
                raise
    except EngineError as error:
        raise StopError(f"{file}: was not restored, and nothing has changed: {' '.join(str(error).split())}") from None
    finally:
        with suppress(StopError):
            run("dropdb", "--if-exists", _NEW)
    console.print(
        f"restored; what was there is kept as the database {_OLD} until the next restore. Access tokens are those of "
        "the backup: revoke again what was revoked since"
    )


def _find_database(client: docker.DockerClient, names: Names) -> str:
    service = names.of("database")
    container = find_container(client, service)
    if container is None:
        raise StopError(f"{service} does not run here; `make up STACK={names.environment}` deploys it")
    return str(container.id)


def _inside(host: str, container: str, *command: str) -> list[str]:
    # Docker's own command, not its SDK: that has no end of standard input, which is how a program knows that all came.
    return ["docker", "-H", host, "exec", "-i", container, "/bin/sh", "-c", _SIGNED_IN, "sh", *command]


def _tell(said: bytes) -> str:
    return " ".join(said.decode(errors="replace").split())
