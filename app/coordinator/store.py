"""The store: transactions on SQLite or PostgreSQL, and the named queries that both understand."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import aiosql
import aiosqlite
import asyncpg

from coordinator.errors import StoreUnavailableError
from coordinator.schema import required_version
from coordinator.settings import Settings

Row = Mapping[str, Any]


class Transaction:
    """One transaction's handle on the named queries of queries.sql."""

    def __init__(self, queries: Any, connection: Any) -> None:
        self._queries = queries
        self._connection = connection

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


class Store(Protocol):
    """Where work is kept."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """All or nothing; committed to disk when the context ends without an error.

        Raises:
            StoreUnavailableError: the store does not answer.
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


async def open_store(settings: Settings) -> Store:
    """Open the store that the settings name.

    Raises:
        StoreUnavailableError: SQLite's file cannot be opened. PostgreSQL is tried at first use.
    """
    if settings.sqlite_path is not None:
        return await SQLiteStore.open(settings.sqlite_path)
    return PostgreSQLStore(settings)


def _load_queries(driver: str, lock: str) -> Any:
    text = files("coordinator").joinpath("queries.sql").read_text()
    return aiosql.from_str(text.replace("/*lock*/", lock), driver)


class SQLiteStore:
    """The embedded store: one file, one connection, one transaction at a time."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self._queries = _load_queries("aiosqlite", "")

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
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"{path}: {error}") from error
        return cls(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See `Store.transaction`."""
        async with self._turn:
            try:
                await self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield Transaction(self._queries, self._connection)
                    await self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        await self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise StoreUnavailableError(str(error)) from error

    async def close(self) -> None:
        """See `Store.close`."""
        await self._connection.close()


def _has_skills(required: str, offered: str) -> bool:
    return required == "[]" or set(json.loads(required)) <= set(json.loads(offered))


class PostgreSQLStore:
    """The cluster's store: a pool that is opened at first use, and heals when the server comes back."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queries = _load_queries("asyncpg", "FOR UPDATE SKIP LOCKED")
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()

    async def _open(self) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._settings.database_dsn(),
                    # Read at each new connection, so that a rotated password is found.
                    password=self._read_password if self._settings.database_password_file else None,
                    min_size=1,
                    max_size=self._settings.database_connections,
                    timeout=5,
                    command_timeout=15,
                    server_settings={"application_name": "coordinator"},
                )
            return self._pool

    def _read_password(self) -> str:
        file = self._settings.database_password_file
        return file.read_text().strip() if file else ""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See `Store.transaction`."""
        try:
            pool = self._pool or await self._open()
            async with pool.acquire(timeout=10) as connection, connection.transaction():
                yield Transaction(self._queries, connection)
        except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
            raise StoreUnavailableError(f"PostgreSQL does not answer: {error}") from error
        except (
            asyncpg.CannotConnectNowError,
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InsufficientResourcesError,
            asyncpg.OperatorInterventionError,
            asyncpg.UndefinedTableError,
        ) as error:
            raise StoreUnavailableError(f"PostgreSQL: {error}") from error

    async def close(self) -> None:
        """See `Store.close`."""
        if self._pool is not None:
            await self._pool.close()
