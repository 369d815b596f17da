"""A port of one address that leads to the same port of another, in whatever network this runs.

python -m tests.forward <here> <there> <port>
"""

import asyncio
import sys
from typing import Any


async def pour(reader: Any, writer: Any) -> None:
    """Hand on what comes, until no more does; asyncio's streams or asyncssh's."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def pump(reader: Any, writer: Any) -> None:
    """Hand on what comes, and close what it went to; it ends quietly when either side has gone."""
    try:
        await pour(reader, writer)
    except OSError:
        pass
    finally:
        writer.close()


async def forward(here: str, there: str, port: int) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, back = await asyncio.open_connection(there, port)
        await asyncio.gather(pump(reader, back), pump(beyond, writer))

    return await asyncio.start_server(serve, here, port)


async def main(here: str, there: str, port: int) -> None:
    async with await forward(here, there, port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
