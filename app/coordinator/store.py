"""The store: transactions on SQLite or PostgreSQL, and the named queries that both understand."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Protocol

import aiosql
import aiosqlite
import asyncpg

from coordinator.changes import Changes
from coordinator.errors import ConflictError, StoreUnavailableError, WrongValueError
from coordinator.loops import repeat
from coordinator.schema import required_version
from coordinator.settings import Settings

Row = Mapping[str, Any]
Leading = Callable[[], Awaitable[bool]]
_Many = Callable[[str, list[dict[str, Any]]], Awaitable[list[Row]]]

_CHANNEL: Final = "coordinator_changes"
_NOTIFY_SECONDS: Final = 0.02
_LEADER: Final = 4207103
_LARGEST: Final = 2**62


class Transaction:
    """One transaction's handle on the named queries of queries/."""

    def __init__(self, queries: Any, connection: Any, many: "_Many") -> None:
        self._queries = queries
        self._connection = connection
        self._many = many
        self.changed = False

    async def rows(self, query: str, **values: Any) -> list[Row]:
        """All rows that the query gives."""
        return [row async for row in getattr(self._queries, query)(self._connection, **values)]

    async def row(self, query: str, **values: Any) -> Row | None:
        """The query's one row, or None."""
        row: Row | None = await getattr(self._queries, query)(self._connection, **values)
        return row

    async def one(self, query: str, **values: Any) -> Row:
        """The row that the query always gives."""
        row = await self.row(query, **values)
        if row is None:
            raise LookupError(f"{query} gave no row")
        return row

    async def value(self, query: str, **values: Any) -> Any:
        """The first column of the query's one row, or None."""
        return await getattr(self._queries, query)(self._connection, **values)

    async def run(self, query: str, **values: Any) -> None:
        """Carry the query out, for what it changes."""
        await getattr(self._queries, query)(self._connection, **values)

    async def many(self, query: str, values: list[dict[str, Any]]) -> list[Row]:
        """Carry the query out once for each of the values, in order, and give all rows; one round trip."""
        if not values:
            return []
        # Every change of what others may wait for comes with an event.
        self.changed = self.changed or query == "add_event"
        return await self._many(query, values)


class Store(Protocol):
    """Where work is kept."""

    changes: Changes
    """Counts committed changes, this process's and every other's."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """All or nothing; committed to disk when the context ends without an error.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        ...

    def lead(self) -> AbstractAsyncContextManager[Leading]:
        """Stand for the one who does background work; ask again and again whether it is this process's turn.

        Raises:
            StoreUnavailableError: the store does not answer, and whoever led by it does so no more.
        """
        ...

    async def close(self) -> None:
        """Give back every connection."""
        ...


async def check_store(store: Store) -> None:
    """Make sure that the store answers and has the schema that this version needs.

    Raises:
        StoreUnavailableError: it does not.
    """
    async with store.transaction() as transaction:
        found = await transaction.value("schema_version")
    if found is None or found < required_version():
        raise StoreUnavailableError(
            f"the store's schema is {found or 'empty'}, this version needs {required_version()}; "
            "run `coordinator migrate`"
        )


async def open_store(settings: Settings, *, statement_seconds: float | None = 15) -> Store:
    """Open the store that the settings name.

    Args:
        settings: of the process.
        statement_seconds: how long PostgreSQL may take for a statement; None for what touches every row.

    Raises:
        StoreUnavailableError: SQLite's file cannot be opened. PostgreSQL is tried at first use.
    """
    if settings.sqlite_path is not None:
        return await SQLiteStore.open(settings.sqlite_path)
    return PostgreSQLStore(settings, statement_seconds)


def _load_queries(driver: str, lock: str, wait: str) -> Any:
    folder = files("coordinator").joinpath("queries")
    text = "\n\n".join(file.read_text() for file in sorted(folder.iterdir(), key=lambda file: file.name))
    return aiosql.from_str(text.replace("/*lock*/", lock).replace("/*wait*/", wait), driver)


class SQLiteStore:
    """The embedded store: one file, one connection, one transaction at a time."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self._queries = _load_queries("aiosqlite", "", "")
        self.changes = Changes()

    @classmethod
    async def open(cls, path: Path, clock: Callable[[], float] = time.time) -> "SQLiteStore":
        """Open or create the file.

        Raises:
            StoreUnavailableError: the file cannot be opened.
        """
        try:
            connection = await aiosqlite.connect(path, isolation_level=None)
            connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
                await connection.execute(f"PRAGMA {pragma}")
            await connection.create_function("now_ms", 0, lambda: int(clock() * 1000))
            await connection.create_function("has_skills", 2, _has_skills, deterministic=True)
            # One transaction at a time: every number below is settled, and the graph is held.
            await connection.create_function("settled_before", 0, lambda: _LARGEST)
            await connection.create_function("hold_graph", 0, lambda: 1)
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"{path}: {error}") from error
        return cls(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See `Store.transaction`."""
        transaction = Transaction(self._queries, self._connection, self._fetch_many)
        async with self._turn:
            try:
                await self._connection.execute("BEGIN IMMEDIATE")
                yield transaction
                await self._connection.execute("COMMIT")
            except BaseException as error:
                # Statements queue: this one comes after a BEGIN or COMMIT whose await was cancelled.
                with suppress(sqlite3.Error):
                    await self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise StoreUnavailableError(str(error)) from error
                raise
        if transaction.changed:
            self.changes.bump()

    async def _fetch_many(self, query: str, values: list[dict[str, Any]]) -> list[Row]:
        sql = getattr(self._queries, query).sql
        rows: list[Row] = []
        for one in values:
            rows.extend(await self._connection.execute_fetchall(sql, one))  # type: ignore[arg-type] # see row_factory
        return rows

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[Leading]:
        """See `Store.lead`: nobody else has this store."""

        async def leading() -> bool:
            return True

        yield leading

    async def close(self) -> None:
        """See `Store.close`."""
        await self._connection.close()


def _has_skills(required: str, offered: str) -> bool:
    return required == "[]" or set(json.loads(required)) <= set(json.loads(offered))


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """What says that PostgreSQL cannot be used now, as the domain's error."""
    try:
        yield
    except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
        raise ConflictError("two transactions were in each other's way: ask again") from error
    except (asyncpg.exceptions.DataError, asyncpg.exceptions.CharacterNotInRepertoireError) as error:
        raise WrongValueError(str(error)) from error
    except (
        OSError,
        TimeoutError,
        asyncpg.PostgresConnectionError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
    ) as error:
        raise StoreUnavailableError(f"PostgreSQL does not answer: {error or type(error).__name__}") from error
    except (
        asyncpg.CannotConnectNowError,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InsufficientResourcesError,
        asyncpg.OperatorInterventionError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.ObjectNotInPrerequisiteStateError,  # a database that is being restored takes nobody
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.UndefinedTableError,
    ) as error:
        raise StoreUnavailableError(f"PostgreSQL: {error}") from error


class PostgreSQLStore:
    """The cluster's store: a pool that is opened at first use, and heals when the server comes back."""

    def __init__(self, settings: Settings, statement_seconds: float | None) -> None:
        self._settings = settings
        self._statement_seconds = statement_seconds
        self._queries = _load_queries("asyncpg", "FOR UPDATE SKIP LOCKED", "FOR UPDATE")
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self._notifying: asyncio.Task[None] | None = None
        self.changes = Changes()
        self._listening = asyncio.create_task(repeat("listening", self._listen))

    async def _open(self) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    **self._connection(), min_size=1, max_size=self._settings.database_connections
                )
            return self._pool

    def _connection(self) -> dict[str, Any]:
        return {
            "dsn": self._settings.database_url,
            # Read at each new connection, so that a rotated password is found.
            "password": self._read_password if self._settings.database_password_file else None,
            "timeout": 5,
            "command_timeout": self._statement_seconds,
            # A session whose machine lost its power ends after half a minute, and with it the leader's lock.
            "server_settings": {
                "application_name": "coordinator",
                "tcp_keepalives_idle": "10",
                "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "4",
            },
        }

    def _read_password(self) -> str:
        file = self._settings.database_password_file
        return file.read_text().strip() if file else ""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See `Store.transaction`."""
        async with _translated():
            pool = self._pool or await self._open()
            async with pool.acquire(timeout=10) as connection:
                transaction = Transaction(self._queries, connection, partial(self._fetch_many, connection))
                try:
                    async with connection.transaction():
                        yield transaction
                except asyncpg.InternalClientError:
                    # Cut off within an operation, which it still waits for: the pool would give it out again.
                    connection.terminate()
                    raise
        if transaction.changed:
            self.changes.bump()
            self._notify()

    async def _fetch_many(self, connection: Any, query: str, values: list[dict[str, Any]]) -> list[Row]:
        order = self._queries.driver_adapter.maybe_order_params
        sql = getattr(self._queries, query).sql
        rows: list[Row] = await connection.fetchmany(sql, [order(query, one) for one in values])
        return rows

    def _notify(self) -> None:
        """Tell the other processes, once for all changes of a moment: a NOTIFY a commit would queue commits up."""
        if self._notifying is None or self._notifying.done():
            self._notifying = asyncio.create_task(self._notify_soon())

    async def _notify_soon(self) -> None:
        await asyncio.sleep(_NOTIFY_SECONDS)
        # What is lost here is found by the others' look once a second.
        with suppress(StoreUnavailableError):
            async with _translated():
                await (self._pool or await self._open()).execute(f"NOTIFY {_CHANNEL}")

    async def _listen(self) -> None:
        ended = asyncio.Event()
        async with _translated(), self._dedicated() as connection:
            connection.add_termination_listener(lambda _: ended.set())
            await connection.add_listener(_CHANNEL, lambda *_: self.changes.bump())
            await ended.wait()
        raise StoreUnavailableError("the connection that listened has ended")

    @asynccontextmanager
    async def _dedicated(self) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        connection = await asyncpg.connect(**self._connection())
        try:
            yield connection
        finally:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await connection.close(timeout=2)

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[Leading]:
        """See `Store.lead`: an advisory lock, which ends with its connection."""
        async with _translated(), self._dedicated() as connection:
            held = False

            async def leading() -> bool:
                nonlocal held
                async with _translated():
                    if held:
                        await connection.execute("SELECT 1")
                    else:
                        held = await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LEADER)
                return held

            yield leading

    async def close(self) -> None:
        """See `Store.close`."""
        beside = [task for task in (self._listening, self._notifying) if task is not None]
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if self._pool is not None:
            await self._pool.close()
