"""Processes killed by SIGKILL at any moment: no item is lost, none is done twice, no event is missing."""

import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.claimers import insist
from tests.servers import free_port, migrate, start, wait_until_ready

ROOT = Path(__file__).parents[2]
ITEMS = 5_000
CLAIMERS = 100
PROCESSES = 10
KILLS = 8


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


def start_claimers(number: int, folder: Path, urls: list[str]) -> "subprocess.Popen[bytes]":
    words = [f"p{number}", str(CLAIMERS // PROCESSES), str(folder / f"acknowledged-{number}"), *urls]
    return subprocess.Popen([sys.executable, "-m", "tests.claimers", *words], cwd=ROOT)


async def read_all_events(client: httpx.AsyncClient, url: str, count: int) -> list[dict[str, Any]]:
    """Every event from the first on, from the stream."""
    found: list[dict[str, Any]] = []
    async with client.stream("GET", f"{url}/v1/events/stream", headers={"Last-Event-ID": "0-0"}) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:") and line[5:].strip():
                found.append(json.loads(line[5:]))
                if sum(event["kind"] == "completed" for event in found) == count:
                    break
    return found


def check_histories(events: list[dict[str, Any]], folder: Path) -> None:
    """Every item once from submission to completion, every token once, and what was acknowledged is so."""
    histories: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in sorted((event for event in events if event["item"]), key=lambda event: int(event["id"].split("-")[1])):
        histories[event["item"]].append(event)
    assert len(histories) == ITEMS
    finished = {}
    for identity, history in histories.items():
        kinds = [event["kind"] for event in history]
        assert kinds[0] == "submitted" and kinds[-1] == "completed" and kinds.count("completed") == 1, kinds
        tokens = [event["data"]["token"] for event in history if event["kind"] == "claimed"]
        assert tokens == list(range(1, len(tokens) + 1)), "a claim without its event, or a token given twice"
        finished[identity] = history[-1]["data"]["token"]
        assert finished[identity] == tokens[-1], "completed with a token that was not the newest"
    said = Counter(line for file in folder.glob("acknowledged-*") for line in file.read_text().splitlines())
    assert set(said.values()) == {1}, "a completion was acknowledged twice"
    for item, _, token in (line.partition(" ") for line in said):
        assert finished[item] == int(token), "an acknowledged completion is not there"
    print(f"{ITEMS} items, {sum(map(len, histories.values()))} events, {KILLS} coordinators killed")


async def test_every_item_is_completed_exactly_once_whoever_is_killed(
    killed: list[Coordinator], tmp_path: Path
) -> None:
    seed = int(os.environ.get("SEED", secrets.randbits(32)))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    urls = [one.url for one in killed]
    claimers = [start_claimers(number, tmp_path, urls) for number in range(PROCESSES)]
    killings = 0

    async def left(client: httpx.AsyncClient) -> Any:
        # All replicas may be away at this moment.
        with suppress(httpx.TransportError):
            answer = await client.get(f"{urls[0]}/v1/reports/teams")
            if answer.status_code == 200:
                return ITEMS - sum(team["items"].get("completed", 0) for team in answer.json()["teams"])
        return ITEMS

    try:
        async with httpx.AsyncClient(timeout=30) as client:
            item = {"type": "build", "title": "x", "max_attempts": 100, "team": "a"}
            for _ in range(ITEMS // 100):
                await insist(client, urls, "work/batch", {"items": [item] * 100})
            end = time.monotonic() + 180
            while waiting := await left(client):
                assert time.monotonic() < end, f"{waiting} items are not done after three minutes"
                await asyncio.sleep(chance.uniform(0.2, 0.6))
                if killings < KILLS:
                    # In turns, so that the one that reaps is among the killed.
                    killings += 1
                    victim = killed[killings % len(killed)]
                    await asyncio.to_thread(victim.kill)
                    victim.start()
                number = chance.randrange(PROCESSES)
                if killings < KILLS or claimers[number].poll() is not None:
                    claimers[number].kill()
                    await asyncio.to_thread(claimers[number].wait)
                    claimers[number] = start_claimers(number, tmp_path, urls)
            for one in killed:
                await asyncio.to_thread(wait_until_ready, one.url)
            events = await read_all_events(client, urls[-1], ITEMS)
    finally:
        for process in claimers:
            process.kill()
            process.wait()
    assert killings == KILLS
    check_histories(events, tmp_path)


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
