"""The role that measures a PostgreSQL that is not ours to start, made by whoever may make roles and is no superuser."""

import asyncio
import base64
import os
import secrets
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from coordinator.watcher import digest_password

from tests.conftest import Database
from tests.servers import migrate

SEEN = "SELECT 'seen'"
CHANGED = "ALTER ROLE watcher PASSWORD 'SCRAM-SHA-256$"


@pytest.fixture
def store(postgresql: Database, tmp_path: Path) -> dict[str, str]:
    """A store of a user that may do what RDS lets its own: make roles, and hand on `pg_monitor`."""
    made, name = postgresql.make_store(), f"master_{secrets.token_hex(4)}"
    migrate(made)
    password = tmp_path / "password"
    password.write_text(secrets.token_hex(16))

    async def make() -> None:
        owner = await asyncpg.connect(made["COORDINATOR_DATABASE_URL"], password=postgresql.password.read_text())
        await owner.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD '{password.read_text()}'")
        await owner.execute(f"GRANT pg_monitor TO {name} WITH ADMIN OPTION")
        await owner.execute(f"ALTER ROLE {name} SET log_statement = 'all'")
        await owner.close()

    asyncio.run(make())
    url = made["COORDINATOR_DATABASE_URL"].replace("coordinator@", f"{name}@")
    return {"COORDINATOR_DATABASE_URL": url, "COORDINATOR_DATABASE_PASSWORD_FILE": str(password)}


def admit(store: dict[str, str], file: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "coordinator", "admin", "admit-watcher", str(file)],
        env={**os.environ, **store}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def test_it_measures_and_reads_no_table_and_its_password_is_no_statement(
    store: dict[str, str], postgresql: Database, tmp_path: Path
) -> None:
    other = await asyncpg.connect(
        postgresql.url + "/coordinator", user="coordinator", password=postgresql.password.read_text()
    )
    await other.fetch(SEEN)
    passwords = (secrets.token_hex(16), secrets.token_hex(16))
    for password in passwords:
        file = tmp_path / "watcher"
        file.write_text(password)
        done = await asyncio.to_thread(admit, store, file)
        assert (done.returncode, done.stdout.strip()) == (0, "admitted watcher"), done.stderr
        watcher = await asyncpg.connect(store["COORDINATOR_DATABASE_URL"], user="watcher", password=password)
        # What somebody else's session does is shown to who may measure alone.
        asked = "SELECT count(*) FROM pg_stat_activity WHERE query = $1"
        assert await watcher.fetchval(asked, SEEN) == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await watcher.fetch("SELECT * FROM work_item")
        await watcher.close()
    await other.close()
    async with asyncio.timeout(30):  # the engine writes down a little later what it was told
        while (logged := postgresql.container.logs().decode()).count(CHANGED) < len(passwords):
            await asyncio.sleep(0.1)
    assert logged.count(CHANGED) == len(passwords)
    assert not [password for password in passwords if password in logged]


def test_what_cannot_be_is_one_line(store: dict[str, str], tmp_path: Path) -> None:
    nowhere = {**store, "COORDINATOR_DATABASE_URL": "postgresql://coordinator@127.0.0.1:1/coordinator"}
    embedded = {"COORDINATOR_DATABASE_URL": f"sqlite:///{tmp_path / 'work.db'}"}
    file = tmp_path / "watcher"
    missing = admit(store, file)
    assert (missing.returncode, missing.stderr.splitlines()) == (2, [f"coordinator: {file}: No such file or directory"])
    file.write_text("x")
    (line,) = admit(embedded, file).stderr.splitlines()
    assert "SQLite, which has no roles" in line
    done = admit(nowhere, file)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 3 and "the role watcher cannot be made" in line


def test_what_is_kept_of_a_password_is_what_rfc_7677_works_out() -> None:
    kept = digest_password("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    stored, _, served = kept.rpartition("$")[2].partition(":")
    assert stored == "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    assert served == "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    assert kept.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
