"""A full disk, a database that is killed under load, clocks that jump: nothing acknowledged is lost, and it heals."""

import asyncio
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.claimers import insist
from tests.conftest import Database
from tests.reliability import FULL
from tests.servers import migrate, serve

DISK = "6m"
WRITERS = 20
READY_SECONDS = 10 if FULL else 60
"""A slow machine's seconds say nothing, a whole run's do."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    assert os.geteuid() == 0, "a file system can be mounted by root alone"
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


async def count_items(client: httpx.AsyncClient, url: str) -> set[str]:
    found: set[str] = set()
    before: str | None = None
    while True:
        page = (
            await client.get(f"{url}/v1/work", params={"count": 500, **({"before": before} if before else {})})
        ).json()
        found |= {item["id"] for item in page["items"]}
        before = page["next"]
        if before is None:
            return found


async def test_a_full_disk_loses_nothing_that_was_acknowledged(small_disk: Path, tmp_path: Path) -> None:
    store = {"COORDINATOR_DATABASE_URL": f"sqlite:///{small_disk / 'work.db'}"}
    migrate(store)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 * 2**20))
    acknowledged: set[str] = set()
    with serve(store, tmp_path / "log") as url:
        async with httpx.AsyncClient(timeout=30) as client:
            refusal = None
            for _ in range(5_000):
                answer = await client.post(f"{url}/v1/work", json={"type": "x", "title": "x", "payload": "y" * 4000})
                if answer.status_code != 201:
                    refusal = answer
                    break
                acknowledged.add(answer.json()["id"])
            assert refusal is not None, "the disk never became full"
            assert (refusal.status_code, refusal.json()["code"]) == (503, "store_unavailable"), refusal.text
            assert "full" in refusal.json()["detail"]
            assert (await client.get(f"{url}/v1/work", params={"count": 1})).status_code == 200, "reading goes on"
            await asyncio.to_thread(ballast.unlink)
            answer = await client.post(f"{url}/v1/work", json={"type": "x", "title": "after"})
            assert answer.status_code == 201, answer.text
            assert await count_items(client, url) >= acknowledged
    print(f"{len(acknowledged)} items were acknowledged before the disk was full")


async def test_a_database_killed_under_load_loses_nothing_and_clients_recover(
    durable_postgresql: Database, tmp_path: Path
) -> None:
    store = await asyncio.to_thread(durable_postgresql.make_store)
    await asyncio.to_thread(migrate, store)
    acknowledged: set[str] = set()
    done = asyncio.Event()

    async def write(client: httpx.AsyncClient, url: str, number: int) -> None:
        while not done.is_set():
            item = await insist(client, [url], "work", {"type": "x", "title": "x"})
            assert item.status_code == 201, item.text
            acknowledged.add(item.json()["id"])
            request: dict[str, Any] = {"agent": f"agent-{number}", "lease_seconds": 60}
            for claim in (await insist(client, [url], "claims", request)).json()["claims"]:
                ended = await insist(client, [url], f"work/{claim['item']['id']}/complete", {"token": claim["token"]})
                assert ended.status_code == 200, ended.text

    with serve(store, tmp_path / "log") as url:
        async with httpx.AsyncClient(timeout=30) as client:
            writers = [asyncio.create_task(write(client, url, number)) for number in range(WRITERS)]
            seconds = []
            for _ in range(2):
                before = len(acknowledged)
                while len(acknowledged) < before + 200:
                    await asyncio.sleep(0.05)
                await asyncio.to_thread(durable_postgresql.container.kill, "SIGKILL")
                await asyncio.to_thread(durable_postgresql.container.start)
                await asyncio.to_thread(durable_postgresql.wait_until_ready)
                begin = time.monotonic()
                while (await client.get(f"{url}/readyz")).status_code != 200:
                    assert time.monotonic() - begin < READY_SECONDS, "not ready again by itself"
                    await asyncio.sleep(0.05)
                seconds.append(time.monotonic() - begin)
            before = len(acknowledged)
            while len(acknowledged) < before + 200:
                await asyncio.sleep(0.05)
            done.set()
            await asyncio.gather(*writers)
            assert await count_items(client, url) >= acknowledged
            listed = (await client.get(f"{url}/v1/work", params={"status": "claimed"})).json()["items"]
            assert listed == [], "a completion that was acknowledged is not there"
    told = ", ".join(f"{one:.2f}" for one in seconds)
    print(f"{len(acknowledged)} items acknowledged over two kills; ready again {told} s after the database")


async def test_a_token_that_was_stolen_by_time_is_refused(coordinators: list[str]) -> None:
    """The fence itself: the old holder comes back after the item was given to another."""
    async with httpx.AsyncClient(timeout=30) as client:
        url = coordinators[0]
        item = (await client.post(f"{url}/v1/work", json={"type": "x", "title": "x"})).json()["id"]
        first = await client.post(f"{url}/v1/claims", json={"agent": "slow", "id": item, "lease_seconds": 1})
        assert first.status_code == 200
        second = await insist_claim(client, coordinators[-1], item)
        stale = await client.post(f"{url}/v1/work/{item}/complete", json={"token": 1})
        assert (stale.status_code, stale.json()["code"]) == (409, "lease_lost")
        done = await client.post(f"{url}/v1/work/{item}/complete", json={"token": second})
        assert done.status_code == 200


async def insist_claim(client: httpx.AsyncClient, url: str, item: str) -> int:
    """The token, once the lease before has ended."""
    request = {"agent": f"next-{secrets.token_hex(2)}", "id": item, "wait_seconds": 10}
    answer = await client.post(f"{url}/v1/claims", json=request)
    assert answer.status_code == 200, answer.text
    token: int = answer.json()["claims"][0]["token"]
    return token
