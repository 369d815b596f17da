"""The life of a work item, over HTTP."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.clock import Clock

Do = Callable[..., Any]


async def test_submitted_work_is_claimed_renewed_and_completed(
    client: httpx.AsyncClient, submit: Do, claim: Do
) -> None:
    item = await submit(payload={"branch": "main"}, team="platform", points=5)
    assert (item["status"], item["attempt"], item["payload"]) == ("ready", 0, {"branch": "main"})
    (held,) = await claim(team="platform")
    assert (held["item"]["id"], held["item"]["agent"], held["token"]) == (item["id"], "ada", 1)

    renewed = await client.post(f"/v1/work/{item['id']}/renew", json={"token": 1, "progress": 40, "lease_seconds": 300})
    assert renewed.json()["item"]["progress"] == 40
    assert renewed.json()["lease_expires_at"] > held["lease_expires_at"]

    done = await client.post(f"/v1/work/{item['id']}/complete", json={"token": 1, "result": {"tests": 12}})
    assert (done.json()["status"], done.json()["result"], done.json()["progress"]) == ("completed", {"tests": 12}, 100)
    assert done.json()["agent"] == "ada"
    assert (await client.get(f"/v1/work/{item['id']}")).json() == done.json()


async def test_nothing_is_claimed_when_nothing_fits(submit: Do, claim: Do) -> None:
    await submit(team="platform", skills=["rust", "sql"])
    assert await claim(team="writers") == []
    assert await claim(type="review") == []
    assert await claim(skills=["rust"]) == []
    assert len(await claim(skills=["go", "rust", "sql"])) == 1


async def test_the_most_urgent_comes_first_then_the_oldest(submit: Do, claim: Do, clock: Clock) -> None:
    for title, priority in (("1", "low"), ("2", "medium"), ("3", "critical"), ("4", "medium"), ("5", "high")):
        await submit(title=title, priority=priority)
        clock.advance(1)
    assert [held["item"]["title"] for held in await claim(count=5)] == ["3", "5", "2", "4", "1"]


async def test_low_work_that_has_waited_a_day_does_not_starve(submit: Do, claim: Do, clock: Clock) -> None:
    await submit(title="old", priority="low")
    clock.advance(25 * 3600)
    await submit(title="new", priority="critical")
    (first,) = await claim()
    assert first["item"]["title"] == "old"


async def test_what_is_held_cannot_be_claimed_by_id(client: httpx.AsyncClient, submit: Do, claim: Do) -> None:
    item = await submit()
    await claim("ada", id=item["id"])
    refused = await client.post("/v1/claims", json={"agent": "bob", "id": item["id"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_claimable")
    assert "held by ada" in refused.json()["detail"]
    assert refused.headers["content-type"] == "application/problem+json"


async def test_a_lease_that_ends_gives_the_item_to_the_next_and_its_token_is_worth_nothing(
    client: httpx.AsyncClient, submit: Do, claim: Do, clock: Clock
) -> None:
    item = await submit()
    await claim("ada", lease_seconds=30)
    clock.advance(31)
    (held,) = await claim("bob")
    assert (held["item"]["id"], held["token"], held["item"]["attempt"]) == (item["id"], 2, 2)
    before = (await client.get(f"/v1/work/{item['id']}")).json()
    for action, body in (("renew", {}), ("complete", {}), ("fail", {"reason": "late"}), ("release", {})):
        late = await client.post(f"/v1/work/{item['id']}/{action}", json={"token": 1, **body})
        assert (late.status_code, late.json()["code"]) == (409, "lease_lost"), action
    assert (await client.get(f"/v1/work/{item['id']}")).json() == before


async def test_a_lease_that_has_ended_is_lost_even_before_anyone_else_claims(
    client: httpx.AsyncClient, submit: Do, claim: Do, clock: Clock
) -> None:
    item = await submit()
    await claim(lease_seconds=30)
    clock.advance(31)
    late = await client.post(f"/v1/work/{item['id']}/complete", json={"token": 1})
    assert late.json()["code"] == "lease_lost"


async def test_work_whose_attempts_are_used_up_has_failed(submit: Do, claim: Do, clock: Clock) -> None:
    await submit(max_attempts=2)
    for _ in range(2):
        assert len(await claim(lease_seconds=10)) == 1
        clock.advance(11)
    assert await claim() == []


async def test_a_retryable_failure_waits_longer_each_time(
    client: httpx.AsyncClient, submit: Do, claim: Do, clock: Clock
) -> None:
    item = await submit(max_attempts=3)
    for token, seconds in ((1, 1), (2, 2)):
        await claim()
        failed = await client.post(f"/v1/work/{item['id']}/fail", json={"token": token, "reason": "flaky"})
        assert failed.json()["status"] == "ready"
        clock.advance(seconds - 0.9)
        assert await claim() == [], f"claimable before {seconds} s have passed"
        clock.advance(1)
    await claim()
    failed = await client.post(f"/v1/work/{item['id']}/fail", json={"token": 3, "reason": "flaky"})
    assert (failed.json()["status"], failed.json()["reason"]) == ("failed", "flaky")


async def test_a_failure_for_good_is_not_tried_again(client: httpx.AsyncClient, submit: Do, claim: Do) -> None:
    item = await submit()
    await claim()
    answer = await client.post(
        f"/v1/work/{item['id']}/fail", json={"token": 1, "reason": "impossible", "retryable": False}
    )
    assert answer.json()["status"] == "failed"


async def test_released_work_is_ready_at_once_and_the_attempt_does_not_count(
    client: httpx.AsyncClient, submit: Do, claim: Do
) -> None:
    item = await submit()
    await claim()
    released = await client.post(f"/v1/work/{item['id']}/release", json={"token": 1})
    assert (released.json()["status"], released.json()["attempt"], released.json()["agent"]) == ("ready", 0, None)
    (held,) = await claim("bob")
    assert held["token"] == 2


async def test_an_unknown_item_is_not_found(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.get("/v1/work/none"),
        await client.post("/v1/claims", json={"agent": "ada", "id": "none"}),
        await client.post("/v1/work/none/complete", json={"token": 1}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "item_unknown")


async def test_pages_follow_each_other_without_gap_or_repetition(client: httpx.AsyncClient, submit: Do) -> None:
    submitted = [(await submit(title=str(number)))["id"] for number in range(7)]
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        page = (await client.get("/v1/work", params={"count": 3, **({"before": cursor} if cursor else {})})).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == submitted[::-1]


async def test_agents_are_known_by_name_and_their_claims_counted(
    client: httpx.AsyncClient, submit: Do, claim: Do
) -> None:
    first = (await client.post("/v1/agents", json={"name": "ada", "skills": ["go"], "capacity": 3})).json()
    again = (await client.post("/v1/agents", json={"name": "ada", "team": "platform", "capacity": 2})).json()
    assert (again["id"], again["team"], again["capacity"], again["skills"]) == (first["id"], "platform", 2, [])
    await submit()
    await claim("ada")
    await claim("bob")
    agents = (await client.get("/v1/agents")).json()["agents"]
    assert [(agent["name"], agent["claimed"]) for agent in agents] == [("ada", 1), ("bob", 0)]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/work", {"title": "no type"}, "type"),
        ("/v1/work", {"type": "build", "title": "x", "priority": "urgent"}, "urgent"),
        ("/v1/work", {"type": "build", "title": "x", "colour": "red"}, "colour"),
        ("/v1/work", {"type": "build", "title": "x", "payload": "x" * 70_000}, "65536"),
        ("/v1/claims", {"agent": "ada", "count": 101}, "100"),
        ("/v1/claims", {"agent": "a b"}, "agent"),
    ],
)
async def test_a_request_that_is_wrong_is_told_what_is_wrong(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], words: str
) -> None:
    answer = await client.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), answer.text
    assert words in answer.json()["detail"]


async def test_a_body_over_the_bound_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/work", json={"type": "build", "title": "x", "payload": "x" * 300_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "request_entity_too_large")


async def test_a_path_or_method_that_is_not_there_is_a_problem_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/jobs")).json()["code"] == "not_found"
    assert (await client.delete("/v1/work")).json()["code"] == "method_not_allowed"


async def test_a_stale_renewal_says_nothing_of_the_new_holder(
    client: httpx.AsyncClient, submit: Do, claim: Do, clock: Clock
) -> None:
    item = await submit()
    await client.post("/v1/agents", json={"name": "bob", "ttl_seconds": 5})
    await claim("bob", id=item["id"])
    before = (await client.get("/v1/agents/bob")).json()["last_seen_at"]
    clock.advance(3)
    refused = await client.post(f"/v1/work/{item['id']}/renew", json={"token": 999})
    assert refused.json()["code"] == "lease_lost"
    assert (await client.get("/v1/agents/bob")).json()["last_seen_at"] == before


@pytest.mark.parametrize("shape", ["lists", "objects"])
async def test_a_document_that_is_nested_too_deep_is_refused(client: httpx.AsyncClient, shape: str) -> None:
    nested: Any = 1
    for _ in range(101):
        nested = [nested] if shape == "lists" else {"a": nested}
    answer = await client.post("/v1/work", json={"type": "x", "title": "x", "payload": nested})
    assert answer.status_code == 400 and "nested deeper than 100" in answer.json()["detail"]
    inner = nested[0] if shape == "lists" else nested["a"]
    assert (await client.post("/v1/work", json={"type": "x", "title": "x", "payload": inner})).status_code == 201
    assert (await client.get("/v1/work")).status_code == 200
