"""What an operator may do with work, and the history that it leaves."""

from collections.abc import Callable
from typing import Any

import httpx

Do = Callable[..., Any]


async def test_cancelled_work_is_taken_from_its_holder(client: httpx.AsyncClient, submit: Do, claim: Do) -> None:
    item = await submit()
    await claim()
    cancelled = await client.post(f"/v1/work/{item['id']}/cancel", json={"reason": "not wanted"})
    assert (cancelled.json()["status"], cancelled.json()["reason"]) == ("cancelled", "not wanted")
    late = await client.post(f"/v1/work/{item['id']}/complete", json={"token": 1})
    assert late.json()["code"] == "lease_lost"
    again = await client.post(f"/v1/work/{item['id']}/cancel", json={})
    assert (again.status_code, again.json()["code"]) == (409, "not_possible")


async def test_failed_work_is_ready_again_with_all_its_attempts(
    client: httpx.AsyncClient, submit: Do, claim: Do
) -> None:
    item = await submit(max_attempts=1)
    await claim()
    await client.post(f"/v1/work/{item['id']}/fail", json={"token": 1, "reason": "broken"})
    retried = await client.post(f"/v1/work/{item['id']}/retry")
    assert (retried.json()["status"], retried.json()["attempt"]) == ("ready", 0)
    (held,) = await claim()
    assert held["token"] == 2


async def test_reassigned_work_is_the_other_agents_from_then_on(
    client: httpx.AsyncClient, submit: Do, claim: Do
) -> None:
    item = await submit()
    await claim("ada")
    moved = (await client.post(f"/v1/work/{item['id']}/reassign", json={"agent": "bob"})).json()
    assert (moved["item"]["agent"], moved["token"]) == ("bob", 2)
    assert (await client.post(f"/v1/work/{item['id']}/renew", json={"token": 1})).status_code == 409
    assert (await client.post(f"/v1/work/{item['id']}/renew", json={"token": 2})).status_code == 200


async def test_the_history_of_an_item_is_all_that_happened_in_order(
    client: httpx.AsyncClient, submit: Do, claim: Do
) -> None:
    item = await submit()
    await claim("ada")
    await client.post(f"/v1/work/{item['id']}/renew", json={"token": 1, "progress": 50})
    await client.post(f"/v1/work/{item['id']}/fail", json={"token": 1, "reason": "flaky", "retryable": False})
    events = (await client.get(f"/v1/work/{item['id']}/history")).json()["events"]
    assert [event["kind"] for event in events] == ["submitted", "claimed", "progressed", "failed"]
    assert events[1]["agent"] == "ada"
    assert (events[2]["data"]["progress"], events[3]["data"]["reason"]) == (50, "flaky")
    assert (await client.get("/v1/events")).json()["events"][0]["kind"] == "failed"


async def test_lists_are_filtered_by_each_of_their_fields(client: httpx.AsyncClient, submit: Do) -> None:
    wanted = await submit(type="review", team="a", priority="high", labels=["urgent", "api"])
    await submit(type="build", team="b", priority="low", labels=["ui"])
    for filters in (
        {"type": "review"},
        {"team": "a"},
        {"priority": "high"},
        {"label": "api"},
        {"status": "ready", "team": "a"},
    ):
        found = (await client.get("/v1/work", params=filters)).json()["items"]
        assert [one["id"] for one in found] == [wanted["id"]], filters
