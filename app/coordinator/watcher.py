"""The role that may measure PostgreSQL and read no table, where the server is not ours to start."""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from typing import Any, Final

import asyncpg

from coordinator.errors import StoreUnavailableError

ROLE: Final = "watcher"
_ITERATIONS: Final = 4096
"""PostgreSQL's own number."""
_SECONDS: Final = 120
"""In which a server that is given another password has to take it: RDS does so after it has said that it would."""
_PAUSE_SECONDS: Final = 2


def digest_password(password: str, salt: bytes) -> str:
    """What PostgreSQL keeps of a password (SCRAM-SHA-256: RFC 5802, section 3), so that no statement holds it."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client, server = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
    stored = hashlib.sha256(client).digest()
    salt_, stored_, server_ = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt_}${stored_}:{server_}"


async def admit(dsn: str, password: str) -> None:
    """Make the role where there is none, and give it this password; letters and digits, as ours are made.

    Raises:
        StoreUnavailableError: PostgreSQL does not answer, or does not let us.
    """
    try:
        connection = await _connect(dsn)
        try:
            async with connection.transaction():
                if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", ROLE):
                    await connection.execute(f"CREATE ROLE {ROLE} LOGIN IN ROLE pg_monitor")
                digest = digest_password(password, secrets.token_bytes(16))
                await connection.execute(f"ALTER ROLE {ROLE} PASSWORD '{digest}'")
        finally:
            await connection.close()
    except (asyncpg.PostgresError, OSError) as error:
        raise StoreUnavailableError(f"the role {ROLE} cannot be made: {error}") from error


async def _connect(dsn: str) -> Any:
    end = time.monotonic() + _SECONDS
    while True:
        try:
            return await asyncpg.connect(dsn)
        except asyncpg.InvalidPasswordError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
