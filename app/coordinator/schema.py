"""The store's schema: which version this code needs, and how to get there.

Alembic is imported where it is used: serving needs the number alone, and must start fast.
"""

import asyncio
import re
import ssl
import time
from functools import cache
from typing import TYPE_CHECKING, Final

import asyncpg

from coordinator.contract import MIGRATIONS
from coordinator.errors import StoreUnavailableError
from coordinator.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection


_PAUSE_SECONDS: Final = 0.2
_CONNECT_SECONDS: Final = 10


@cache
def required_version() -> str:
    """The newest migration in this package; its files are named by their version."""
    return max(m[1] for f in (MIGRATIONS / "versions").iterdir() if (m := re.match(r"(\d{4})_", f.name)))


def migrate(settings: Settings, wait_seconds: float = 0) -> None:
    """Bring the store to `required_version`; safe to run twice, and two at once.

    Args:
        settings: where the store is.
        wait_seconds: PostgreSQL may be away for so long: it starts beside, or is given another password.

    Raises:
        StoreUnavailableError: the store cannot be reached, or a migration failed and was rolled back.
    """
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    end = time.monotonic() + wait_seconds
    while True:
        try:
            return asyncio.run(_migrate(settings))
        except (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if time.monotonic() > end or not _is_away(error):
                reason = str(error).partition("\n")[0] or "PostgreSQL does not answer in time"
                raise StoreUnavailableError(f"the store cannot be migrated: {reason}") from error
        time.sleep(_PAUSE_SECONDS)


def _is_away(error: Exception) -> bool:
    away = (
        OSError,
        asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError,
        asyncpg.InvalidPasswordError,
        asyncpg.PostgresConnectionError,
    )
    wrong = (FileNotFoundError, PermissionError, ssl.SSLError)
    # SQLAlchemy wraps what comes after the connection is there.
    causes = (error, getattr(error, "orig", None), getattr(getattr(error, "orig", None), "__cause__", None))
    return any(isinstance(cause, away) and not isinstance(cause, wrong) for cause in causes)


async def _migrate(settings: Settings) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    if settings.sqlite_path is not None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{settings.sqlite_path}", poolclass=NullPool)
    else:
        # asyncpg reads the address itself: SQLAlchemy knows none of its parameters, such as sslmode.
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: asyncpg.connect(settings.database_dsn(), timeout=_CONNECT_SECONDS),
            poolclass=NullPool,
        )
    async with engine.connect() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: "Connection") -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found > required_version():
        return  # a newer version was here: migrations only ever add, and this one lives with what they added
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    command.upgrade(config, "head")
    connection.commit()
