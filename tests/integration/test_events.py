"""Events and waiting claims, between real coordinators: what one does, clients of the other see."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

WORK = {"type": "build", "title": "Build it"}


@asynccontextmanager
async def following(url: str, after: str | None = None) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    headers = {"Last-Event-ID": after} if after else {}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", f"{url}/v1/events/stream", headers=headers) as response,
    ):
        lines = response.aiter_lines()
        async for line in lines:
            if "connected" in line:
                break

        async def events() -> AsyncIterator[dict[str, Any]]:
            async for line in lines:
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

        yield events()


async def take(events: AsyncIterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        return [await anext(events) for _ in range(count)]


async def test_the_stream_reaches_clients_of_every_coordinator(coordinators: list[str]) -> None:
    async with following(coordinators[-1]) as events, httpx.AsyncClient() as client:
        item = (await client.post(f"{coordinators[0]}/v1/work", json=WORK)).json()["id"]
        await client.post(f"{coordinators[0]}/v1/claims", json={"agent": "ada"})
        seen = await take(events, 2)
    assert [(event["kind"], event["item"]) for event in seen] == [("submitted", item), ("claimed", item)]


async def test_a_stream_is_taken_up_again_without_gap_or_repetition(coordinators: list[str]) -> None:
    async with httpx.AsyncClient() as client:

        async def submit(count: int) -> list[str]:
            answers = await asyncio.gather(
                *(client.post(f"{coordinators[n % len(coordinators)]}/v1/work", json=WORK) for n in range(count))
            )
            return [answer.json()["id"] for answer in answers]

        async with following(coordinators[0]) as events:
            submitted = await submit(30)
            seen = await take(events, 10)
        submitted += await submit(30)
        async with following(coordinators[-1], after=seen[-1]["id"]) as events:
            seen += await take(events, 50)
    assert len({event["id"] for event in seen}) == 60
    assert {event["item"] for event in seen} == set(submitted)


async def test_a_waiting_claim_is_answered_when_work_comes(coordinators: list[str]) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        waiting = asyncio.create_task(
            client.post(f"{coordinators[-1]}/v1/claims", json={"agent": "ada", "team": "a", "wait_seconds": 20})
        )
        await client.post(f"{coordinators[0]}/v1/work", json={**WORK, "team": "b"})
        submitted = (await client.post(f"{coordinators[0]}/v1/work", json={**WORK, "team": "a"})).json()["id"]
        begin = time.monotonic()
        answer = await waiting
    assert [claim["item"]["id"] for claim in answer.json()["claims"]] == [submitted]
    waited = time.monotonic() - begin
    print(f"answered {waited:.3f} s after the work came")
    assert waited < 10, "the claim was not woken: it looked for itself"


async def test_a_waiting_claim_for_which_nothing_comes_ends_empty(coordinators: list[str]) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(f"{coordinators[0]}/v1/claims", json={"agent": "ada", "wait_seconds": 1})
    assert (answer.status_code, answer.json()["claims"]) == (200, [])


async def test_fifty_who_wait_for_ten_items_get_one_each(coordinators: list[str]) -> None:
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=100)) as client:
        waiting = [
            asyncio.create_task(
                client.post(
                    f"{coordinators[number % len(coordinators)]}/v1/claims",
                    json={"agent": f"agent-{number}", "wait_seconds": 6},
                )
            )
            for number in range(50)
        ]
        items = [(await client.post(f"{coordinators[0]}/v1/work", json=WORK)).json()["id"] for _ in range(10)]
        given = [claim["item"]["id"] for answer in await asyncio.gather(*waiting) for claim in answer.json()["claims"]]
    assert sorted(given) == sorted(items)


async def waiting_claims(client: httpx.AsyncClient, url: str) -> float:
    metrics = (await client.get(f"{url}/metrics")).text
    (line,) = [line for line in metrics.splitlines() if line.startswith("beamops_agent_waiting_claims ")]
    return float(line.split()[1])


async def test_who_has_gone_while_waiting_is_given_nothing(coordinators: list[str]) -> None:
    url = coordinators[0]
    async with httpx.AsyncClient(timeout=30) as client, asyncio.timeout(20):
        async with httpx.AsyncClient(timeout=30) as ghost:
            waiting = asyncio.create_task(ghost.post(f"{url}/v1/claims", json={"agent": "ghost", "wait_seconds": 30}))
            while not await waiting_claims(client, url):
                await asyncio.sleep(0.05)
            waiting.cancel()
        while await waiting_claims(client, url):
            await asyncio.sleep(0.05)
        item = (await client.post(f"{url}/v1/work", json=WORK)).json()["id"]
        answer = await client.post(f"{url}/v1/claims", json={"agent": "ada", "wait_seconds": 10})
        history = (await client.get(f"{url}/v1/work/{item}/history")).json()["events"]
    assert [claim["item"]["id"] for claim in answer.json()["claims"]] == [item]
    assert [event["agent"] for event in history] == [None, "ada"]


async def test_agents_without_room_hold_nobody_up(coordinators: list[str]) -> None:
    url = coordinators[0]
    names = [f"full-{number}" for number in range(8)]
    async with httpx.AsyncClient(timeout=30) as client, asyncio.timeout(90):
        for name in names:
            await client.post(f"{url}/v1/agents", json={"name": name, "capacity": 1})
            await client.post(f"{url}/v1/work", json=WORK)
            await client.post(f"{url}/v1/claims", json={"agent": name})
        ask = {"wait_seconds": 8}
        waiting = [
            asyncio.create_task(client.post(f"{url}/v1/claims", json={"agent": name, **ask}))
            for name in [*names, "free"]
        ]
        while await waiting_claims(client, url) < len(waiting):
            await asyncio.sleep(0.05)
        item = (await client.post(f"{url}/v1/work", json=WORK)).json()["id"]
        begin = time.monotonic()
        answer = await waiting[-1]
        assert [claim["item"]["id"] for claim in answer.json()["claims"]] == [item]
        assert time.monotonic() - begin < 2, "who has no room was woken before who has"
        # They look anew every two seconds, and while they look they do not wait.
        while await waiting_claims(client, url) < len(names):
            await asyncio.sleep(0.05)
        await asyncio.gather(*waiting)
