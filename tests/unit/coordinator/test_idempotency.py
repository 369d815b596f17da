"""A write that is sent twice with one Idempotency-Key is done once."""

from collections.abc import Callable
from typing import Any

import httpx

KEY = {"Idempotency-Key": "key-number-1"}
WORK = {"type": "build", "title": "Build it"}


async def test_the_first_answer_is_given_again(client: httpx.AsyncClient) -> None:
    first = await client.post("/v1/work", json=WORK, headers=KEY)
    second = await client.post("/v1/work", json=WORK, headers=KEY)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len((await client.get("/v1/work")).json()["items"]) == 1


async def test_a_repeated_claim_does_not_claim_more(client: httpx.AsyncClient, submit: Callable[..., Any]) -> None:
    await submit()
    await submit()
    body = {"agent": "ada"}
    answers = [(await client.post("/v1/claims", json=body, headers=KEY)).json() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert len((await client.get("/v1/work", params={"status": "claimed"})).json()["items"]) == 1


async def test_a_key_for_another_request_is_refused(client: httpx.AsyncClient) -> None:
    await client.post("/v1/work", json=WORK, headers=KEY)
    other = await client.post("/v1/work", json={**WORK, "title": "Another"}, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_refusal_is_not_kept(client: httpx.AsyncClient, submit: Callable[..., Any]) -> None:
    item = await submit()
    await client.post("/v1/claims", json={"agent": "ada", "id": item["id"]})
    asked = {"agent": "bob", "id": item["id"]}
    assert (await client.post("/v1/claims", json=asked, headers=KEY)).status_code == 409
    await client.post(f"/v1/work/{item['id']}/release", json={"token": 1})
    assert (await client.post("/v1/claims", json=asked, headers=KEY)).status_code == 200
