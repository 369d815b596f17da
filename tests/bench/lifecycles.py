"""Life cycles over HTTP as fast as so many clients can: submit, claim, complete, each its own request.

A client of its own, because the load's own cost counts on a machine of two cores: httpx needs ten times as much.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, cast

import httptools
import uvloop


@dataclass
class Run:
    """What came of it: life cycles, seconds, and how long each claim took."""

    lifecycles: int = 0
    seconds: float = 0
    claims: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.lifecycles / self.seconds

    def claim_p99_ms(self) -> float:
        ordered = sorted(self.claims)
        return ordered[int(len(ordered) * 0.99)] * 1000


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._parser: Any = None
        self._body = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        answer, self._answer = self._answer, None
        assert answer is not None
        if not answer.done():
            answer.set_result((self._parser.get_status_code(), self._body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        content = json.dumps(body).encode()
        self._parser, self._body = httptools.HttpResponseParser(self), b""
        self._answer = asyncio.get_running_loop().create_future()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._transport.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        status, answer = await self._answer
        assert status < 300, f"{path}: {status} {answer.decode()}"
        return json.loads(answer)

    def close(self) -> None:
        self._transport.close()


async def connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


async def live(connection: Connection, agent: str, run: Run) -> None:
    """One life cycle; what is claimed may be another client's."""
    await connection.post("/v1/work", {"type": "bench", "title": "x"})
    begin = time.perf_counter()
    claims = (await connection.post("/v1/claims", {"agent": agent}))["claims"]
    run.claims.append(time.perf_counter() - begin)
    for claim in claims:
        await connection.post(f"/v1/work/{claim['item']['id']}/complete", {"token": claim["token"]})
        run.lifecycles += 1


def run_closed(port: int, clients: int, seconds: float) -> Run:
    """So many clients, each one life cycle after the other."""
    run = Run()

    async def client(number: int, end: float) -> None:
        connection = await connect(port)
        while time.perf_counter() < end:
            await live(connection, f"agent-{number}", run)
        connection.close()

    async def all_clients() -> None:
        begin = time.perf_counter()
        await asyncio.gather(*(client(number, begin + seconds) for number in range(clients)))
        run.seconds = time.perf_counter() - begin

    uvloop.run(all_clients())
    return run


def run_agents(port: int, agents: int, working: int, work_seconds: float, seconds: float) -> Run:
    """Agents that renew every 15 s, each on a connection of its own; some of them claim, work a while, complete."""
    run = Run()

    async def rest(number: int, end: float) -> None:
        connection = await connect(port)
        await connection.post("/v1/agents", {"name": f"agent-{number}", "capacity": 5})
        # Spread over the 15 seconds as agents that started at different times are.
        await asyncio.sleep(15 * number / agents)
        while time.perf_counter() < end:
            await connection.post(f"/v1/agents/agent-{number}/renew", {})
            await asyncio.sleep(min(15, max(0, end - time.perf_counter())))
        connection.close()

    async def work(number: int, end: float) -> None:
        connection = await connect(port)
        await asyncio.sleep(work_seconds * number / working)
        while time.perf_counter() < end:
            await live(connection, f"agent-{number}", run)
            await asyncio.sleep(work_seconds)
        connection.close()

    async def everybody() -> None:
        begin = time.perf_counter()
        end = begin + seconds
        await asyncio.gather(
            *(rest(number, end) for number in range(agents)), *(work(number, end) for number in range(working))
        )
        run.seconds = time.perf_counter() - begin

    uvloop.run(everybody())
    return run
