"""Real coordinators, real stores, many claimers at once: every work item goes to exactly one."""

import asyncio
from collections import Counter
from itertools import cycle
from typing import Any

import httpx

CLAIMERS = 50


async def post(client: httpx.AsyncClient, url: str, path: str, body: dict[str, Any]) -> httpx.Response:
    return await client.post(f"{url}/v1/{path}", json=body)


def patient_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=100))


async def test_of_fifty_claimers_of_one_item_exactly_one_wins(coordinators: list[str]) -> None:
    async with patient_client() as client:
        item = (await post(client, coordinators[0], "work", {"type": "build", "title": "one"})).json()["id"]
        answers = await asyncio.gather(
            *(
                post(client, url, "claims", {"agent": f"agent-{number}", "id": item})
                for number, url in zip(range(CLAIMERS), cycle(coordinators), strict=False)
            )
        )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: CLAIMERS - 1}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"not_claimable"}


async def test_of_fifty_claimers_of_anything_exactly_one_gets_the_only_item(coordinators: list[str]) -> None:
    async with patient_client() as client:
        await post(client, coordinators[0], "work", {"type": "build", "title": "one"})
        answers = await asyncio.gather(
            *(
                post(client, url, "claims", {"agent": f"agent-{number}"})
                for number, url in zip(range(CLAIMERS), cycle(coordinators), strict=False)
            )
        )
    assert sorted(len(answer.json()["claims"]) for answer in answers) == [0] * (CLAIMERS - 1) + [1]


async def test_agents_that_drain_a_backlog_complete_every_item_once(coordinators: list[str]) -> None:
    items, agents = 200, 20
    completed: list[str] = []

    async def work(client: httpx.AsyncClient, url: str, agent: str) -> None:
        while claims := (await post(client, url, "claims", {"agent": agent, "count": 3})).json()["claims"]:
            for claim in claims:
                done = await post(client, url, f"work/{claim['item']['id']}/complete", {"token": claim["token"]})
                assert done.status_code == 200, done.text
                completed.append(claim["item"]["id"])

    async with patient_client() as client:
        for number in range(items):
            await post(client, coordinators[0], "work", {"type": "build", "title": str(number)})
        await asyncio.gather(
            *(
                work(client, url, f"agent-{number}")
                for number, url in zip(range(agents), cycle(coordinators), strict=False)
            )
        )
        first = await client.get(f"{coordinators[0]}/v1/work", params={"status": "ready"})
    assert len(completed) == len(set(completed)) == items
    assert first.json()["items"] == []


async def test_one_idempotency_key_sent_twenty_times_at_once_is_one_item(coordinators: list[str]) -> None:
    async with patient_client() as client:
        answers = await asyncio.gather(
            *(
                client.post(
                    f"{url}/v1/work",
                    json={"type": "build", "title": "once"},
                    headers={"Idempotency-Key": "the-same-key"},
                )
                for url, _ in zip(cycle(coordinators), range(20), strict=False)
            )
        )
        listed = await client.get(f"{coordinators[0]}/v1/work")
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(listed.json()["items"]) == 1
