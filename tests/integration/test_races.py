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


async def submit(client: httpx.AsyncClient, url: str, **fields: Any) -> str:
    answer = await post(client, url, "work", {"type": "build", "title": "x", **fields})
    assert answer.status_code == 201, answer.text
    identity: str = answer.json()["id"]
    return identity


async def status(client: httpx.AsyncClient, url: str, item: str) -> str:
    found: str = (await client.get(f"{url}/v1/work/{item}")).json()["status"]
    return found


async def claimed(client: httpx.AsyncClient, url: str) -> str:
    item = await submit(client, url)
    assert (await post(client, url, "claims", {"agent": "ada", "id": item})).status_code == 200
    return item


async def test_the_last_two_needs_completed_at_once_free_what_waits(coordinators: list[str]) -> None:
    one, other = coordinators[0], coordinators[-1]
    async with patient_client() as client:
        for _ in range(20):
            first, second = await claimed(client, one), await claimed(client, one)
            waiting = await submit(client, one, depends_on=[first, second])
            await asyncio.gather(
                post(client, one, f"work/{first}/complete", {"token": 1}),
                post(client, other, f"work/{second}/complete", {"token": 1}),
            )
            assert await status(client, one, waiting) == "ready"


async def test_what_is_completed_while_others_come_to_wait_for_it_holds_nobody_up(coordinators: list[str]) -> None:
    one, other = coordinators[0], coordinators[-1]
    async with patient_client() as client:
        for _ in range(20):
            needed = await claimed(client, one)
            waiting, _ = await asyncio.gather(
                submit(client, other, depends_on=[needed]),
                post(client, one, f"work/{needed}/complete", {"token": 1}),
            )
            assert await status(client, one, waiting) == "ready"


async def test_two_halves_of_a_circle_added_at_once_are_not_both_taken(coordinators: list[str]) -> None:
    one, other = coordinators[0], coordinators[-1]
    async with patient_client() as client:
        for _ in range(20):
            first, second = await submit(client, one), await submit(client, one)
            answers = await asyncio.gather(
                post(client, one, f"work/{first}/dependencies", {"depends_on": [second]}),
                post(client, other, f"work/{second}/dependencies", {"depends_on": [first]}),
            )
            assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_claims_of_one_agent_at_once_stay_within_its_capacity(coordinators: list[str]) -> None:
    async with patient_client() as client:
        await post(client, coordinators[0], "agents", {"name": "ada", "capacity": 3})
        for _ in range(20):
            await submit(client, coordinators[0])
        answers = await asyncio.gather(
            *(
                post(client, url, "claims", {"agent": "ada"})
                for url, _ in zip(cycle(coordinators), range(20), strict=False)
            )
        )
    assert sum(len(answer.json()["claims"]) for answer in answers) == 3
