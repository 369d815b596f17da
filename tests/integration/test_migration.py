"""`coordinator migrate` beside a PostgreSQL that is only just coming."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from coordinator.contract import WAIT

from tests.conftest import Database
from tests.forward import pump
from tests.servers import free_port


@pytest.fixture
def store(postgresql: Database) -> dict[str, str]:
    return postgresql.make_store()


async def migrate(store: dict[str, str], *more: str) -> "asyncio.subprocess.Process":
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coordinator", "migrate", *more,
        env={**os.environ, **store}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def end(process: "asyncio.subprocess.Process") -> tuple[int | None, str]:
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, said.decode()


@asynccontextmanager
async def coming(port: int, there: int, refused: int) -> AsyncIterator[list[int]]:
    """What leads to PostgreSQL, and ends the first connections; it notes how many there were."""
    met: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(1)
        if len(met) <= refused:
            writer.close()
            return
        beyond, back = await asyncio.open_connection("127.0.0.1", there)
        await asyncio.gather(pump(reader, back), pump(beyond, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield met


async def find_version(store: dict[str, str], password: str) -> str | None:
    connection = await asyncpg.connect(store["COORDINATOR_DATABASE_URL"], password=password)
    try:
        found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return found
    finally:
        await connection.close()


async def test_it_waits_for_a_store_that_comes(store: dict[str, str], postgresql: Database) -> None:
    url, port = store["COORDINATOR_DATABASE_URL"], free_port()
    there = urlsplit(url).port
    assert there is not None
    late = {**store, "COORDINATOR_DATABASE_URL": url.replace(f":{there}", f":{port}")}
    async with coming(port, there, refused=2) as met:
        code, said = await end(await migrate(late, WAIT))
    assert code == 0, said
    assert len(met) > 2, "it was not refused: nothing is shown"
    assert await find_version(store, postgresql.password.read_text())


async def test_it_waits_for_a_password_that_is_being_rotated(
    store: dict[str, str], postgresql: Database, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("not this one")
    process = await migrate({**store, "COORDINATOR_DATABASE_PASSWORD_FILE": str(password)}, WAIT)
    await asyncio.to_thread(await_refusal, postgresql)
    assert process.returncode is None, "it does not wait"
    password.write_text(postgresql.password.read_text())
    code, said = await end(process)
    assert code == 0, said
    assert await find_version(store, postgresql.password.read_text())


def await_refusal(postgresql: Database) -> None:
    """Until PostgreSQL notes that somebody's password was wrong."""
    for line in postgresql.container.logs(stream=True, follow=True):
        if b"password authentication failed" in line:
            return
    raise AssertionError("nobody came with a wrong password")


async def test_without_being_told_to_it_waits_for_nothing(store: dict[str, str], tmp_path: Path) -> None:
    nowhere = {**store, "COORDINATOR_DATABASE_URL": f"postgresql://coordinator@127.0.0.1:{free_port()}/coordinator"}
    wrong = {**store, "COORDINATOR_DATABASE_PASSWORD_FILE": str(tmp_path / "password")}
    (tmp_path / "password").write_text("wrong")
    for given in (nowhere, wrong):
        code, said = await end(await migrate(given))
        assert code == 3 and "the store cannot be migrated: " in said and "Traceback" not in said, said
