"""Processes killed by SIGKILL at any moment: no item is lost, none is done twice, no event is missing."""

import asyncio
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import free_port, migrate, start, wait_until_ready

ITEMS = 300
CLAIMERS = 30
KILLS = 6


@dataclass
class Coordinator:
    """A coordinator that is killed, and comes back at the same address."""

    store: dict[str, str]
    log: Path
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = start(self.store, self.port, self.log)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def killed(store: dict[str, str], tmp_path: Path) -> Iterator[list[Coordinator]]:
    migrate(store)
    count = 1 if store["COORDINATOR_DATABASE_URL"].startswith("sqlite") else 2
    found = [Coordinator(store, tmp_path / f"{number}.log") for number in range(count)]
    for one in found:
        one.start()
        wait_until_ready(one.url)
    yield found
    for one in found:
        one.kill()


async def insist(client: httpx.AsyncClient, urls: list[str], path: str, body: dict[str, Any]) -> httpx.Response:
    """Ask one coordinator or the other under one Idempotency-Key until one answers, as our own client does."""
    key = {"Idempotency-Key": secrets.token_hex(8)}
    end = time.monotonic() + 60
    while True:
        try:
            answer = await client.post(f"{random.choice(urls)}/v1/{path}", json=body, headers=key)
            if answer.status_code != 503:
                return answer
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, f"{path} got no answer for 60 s"
        await asyncio.sleep(0.1)


async def test_every_item_is_completed_exactly_once_whoever_is_killed(killed: list[Coordinator]) -> None:
    seed = int(os.environ.get("SEED", secrets.randbits(32)))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    urls = [one.url for one in killed]
    completed: Counter[str] = Counter()
    given: set[tuple[str, int]] = set()

    async def work(client: httpx.AsyncClient, agent: str) -> None:
        while len(completed) < ITEMS:
            request = {"agent": agent, "count": 2, "lease_seconds": 2, "wait_seconds": 1}
            claims = (await insist(client, urls, "claims", request)).json()["claims"]
            for claim in claims:
                item, token = claim["item"]["id"], claim["token"]
                assert (item, token) not in given, f"{item} was given twice with token {token}"
                given.add((item, token))
                if chance.random() < 0.1:
                    continue  # this agent dies with the item in its hands
                done = await insist(client, urls, f"work/{item}/complete", {"token": token})
                if done.status_code == 200:
                    completed[item] += 1
                else:
                    assert done.json()["code"] == "lease_lost", done.text

    async def kill() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.2, 1.0))
            victim = chance.choice(killed)
            await asyncio.to_thread(victim.kill)
            victim.start()

    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=100)) as client:
        item = {"type": "build", "title": "x", "max_attempts": 100}
        for _ in range(ITEMS // 100):
            await insist(client, urls, "work/batch", {"items": [item] * 100})
        killing = asyncio.create_task(kill())
        await asyncio.gather(*(work(client, f"agent-{number}") for number in range(CLAIMERS)))
        await killing
        await asyncio.to_thread(wait_until_ready, urls[0])
        assert set(completed.values()) == {1}
        assert len(completed) == ITEMS
        for item_id in chance.sample(sorted(completed), 20):
            history = (await client.get(f"{urls[0]}/v1/work/{item_id}/history")).json()["events"]
            kinds = [event["kind"] for event in history]
            assert kinds[0] == "submitted" and kinds[-1] == "completed" and kinds.count("completed") == 1
            claimed = [event["data"]["token"] for event in history if event["kind"] == "claimed"]
            assert claimed == list(range(1, len(claimed) + 1)), "a claim without its event"


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
async def test_another_coordinator_takes_the_background_work_over(killed: list[Coordinator]) -> None:
    urls = [one.url for one in killed]
    async with httpx.AsyncClient(timeout=30) as client:
        for victim, survivor in (killed, killed[::-1]):
            await insist(client, urls, "agents", {"name": "ada", "ttl_seconds": 5})
            await asyncio.to_thread(victim.kill)
            begin = time.monotonic()
            while (await client.get(f"{survivor.url}/v1/agents/ada")).json()["status"] != "offline":
                assert time.monotonic() - begin < 5 + 10, "nobody reaps 10 s after the reaper was killed"
                await asyncio.sleep(0.1)
            print(f"reaped {time.monotonic() - begin:.1f} s after the kill, 5 of them the agent's ttl")
            victim.start()
            await asyncio.to_thread(wait_until_ready, victim.url)
