"""What a machine has beside its engine: an SSH server, and a way to the registry. Run in its own network namespace.

    python -m tests.machine <address> <public key> <the engine's socket> <registry: host:port>

SSH takes the key that the file holds at the time, runs commands with the machine's engine, and forwards its socket. The
registry is on the machine's own loopback, as it is for the engine that pushes.
"""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh

from components.aws.session import USER
from tests.forward import forward, pour, pump

_GONE = (OSError, asyncssh.Error)
"""Of a session whose asker has gone."""


class Server(asyncssh.SSHServer):
    def __init__(self, key: Path, engine: str) -> None:
        self._key, self._engine = key, engine

    def begin_auth(self, username: str) -> bool:
        assert username == USER, username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and key.public_data == asyncssh.read_public_key(self._key).public_data

    async def unix_connection_requested(self, dest_path: str) -> Any:
        assert dest_path == "/var/run/docker.sock", dest_path
        return await self._connection.forward_unix_connection(self._engine)

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn


async def take(reader: Any, writer: Any) -> None:
    """Hand on what the asker says, while there is one."""
    with suppress(asyncssh.Error):
        await pump(reader, writer)


async def main(address: str, key: Path, engine: str, registry: str) -> None:
    async def run(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        assert process.command is not None
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_shell(
            process.command,
            stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, "DOCKER_HOST": f"unix://{engine}"},
        )  # fmt: skip
        # By hand: with asyncssh's own redirection one asker that is gone ends the connection, and everybody's sessions.
        given = asyncio.create_task(take(process.stdin, child.stdin))
        try:
            await asyncio.gather(pour(child.stdout, process.stdout), pour(child.stderr, process.stderr))
            # SSH closes a session at the end of its output, and asyncssh then tells no exit status: that is first.
            process.exit(await child.wait())
        except _GONE:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        finally:
            given.cancel()

    host, _, port = registry.partition(":")
    registry_way = await forward("127.0.0.1", host, int(port))
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen(
        address, 22, server_host_keys=[host_key], process_factory=run, encoding=None,
        server_factory=lambda: Server(key, engine),
    )  # fmt: skip
    async with registry_way, server:
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
