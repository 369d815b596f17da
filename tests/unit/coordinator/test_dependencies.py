"""Work that waits for other work."""

from collections.abc import Callable
from typing import Any

import httpx

Do = Callable[..., Any]


async def finish(client: httpx.AsyncClient, item: str) -> None:
    (held,) = (await client.post("/v1/claims", json={"agent": "ada", "id": item})).json()["claims"]
    done = await client.post(f"/v1/work/{item}/complete", json={"token": held["token"]})
    assert done.status_code == 200, done.text


async def status(client: httpx.AsyncClient, item: str) -> str:
    answer: str = (await client.get(f"/v1/work/{item}")).json()["status"]
    return answer


async def test_work_is_ready_when_all_that_it_needs_is_completed(client: httpx.AsyncClient, submit: Do) -> None:
    first, second = await submit(), await submit()
    last = await submit(depends_on=[first["id"], second["id"]])
    assert last["status"] == "blocked"
    await finish(client, first["id"])
    assert await status(client, last["id"]) == "blocked"
    await finish(client, second["id"])
    assert await status(client, last["id"]) == "ready"


async def test_what_needs_only_completed_work_is_ready_at_once(client: httpx.AsyncClient, submit: Do) -> None:
    first = await submit()
    await finish(client, first["id"])
    assert (await submit(depends_on=[first["id"]]))["status"] == "ready"


async def test_blocked_work_is_not_given(client: httpx.AsyncClient, submit: Do, claim: Do) -> None:
    first = await submit(team="a")
    last = await submit(depends_on=[first["id"]], team="b")
    assert await claim(team="b") == []
    refused = await client.post("/v1/claims", json={"agent": "ada", "id": last["id"]})
    assert refused.json()["detail"].endswith("is blocked")


async def test_a_batch_may_depend_on_itself_by_reference(client: httpx.AsyncClient) -> None:
    items = [
        {"type": "deploy", "title": "deploy", "depends_on": ["#build", "#test"], "parent": "#epic"},
        {"type": "build", "title": "build", "ref": "build", "parent": "#epic"},
        {"type": "test", "title": "test", "ref": "test", "depends_on": ["#build"]},
        {"type": "epic", "title": "release", "ref": "epic"},
    ]
    answer = await client.post("/v1/work/batch", json={"items": items})
    assert answer.status_code == 201, answer.text
    deploy, build, test, epic = answer.json()["items"]
    assert [one["status"] for one in (deploy, build, test, epic)] == ["blocked", "ready", "blocked", "ready"]
    assert deploy["parent"] == build["parent"] == epic["id"]
    listed = await client.get("/v1/work", params={"parent": epic["id"]})
    assert {one["title"] for one in listed.json()["items"]} == {"deploy", "build"}


async def test_a_batch_that_goes_in_a_circle_is_refused_whole(client: httpx.AsyncClient) -> None:
    items = [
        {"type": "x", "title": "a", "ref": "a", "depends_on": ["#c"]},
        {"type": "x", "title": "b", "ref": "b", "depends_on": ["#a"]},
        {"type": "x", "title": "c", "ref": "c", "depends_on": ["#b"]},
    ]
    refused = await client.post("/v1/work/batch", json={"items": items})
    assert (refused.status_code, refused.json()["code"]) == (409, "dependency_cycle")
    assert (await client.get("/v1/work")).json()["items"] == []


async def test_a_dependency_that_would_close_a_circle_is_refused(client: httpx.AsyncClient, submit: Do) -> None:
    a = await submit()
    b = await submit(depends_on=[a["id"]])
    c = await submit(depends_on=[b["id"]])
    for needs in (c["id"], a["id"]):
        refused = await client.post(f"/v1/work/{a['id']}/dependencies", json={"depends_on": [needs]})
        assert (refused.status_code, refused.json()["code"]) == (409, "dependency_cycle")
    assert await status(client, a["id"]) == "ready"


async def test_work_can_be_made_to_wait_until_it_is_claimed(client: httpx.AsyncClient, submit: Do, claim: Do) -> None:
    a, b = await submit(), await submit()
    waits = await client.post(f"/v1/work/{b['id']}/dependencies", json={"depends_on": [a["id"]]})
    assert waits.json()["status"] == "blocked"
    await claim(id=a["id"])
    refused = await client.post(f"/v1/work/{a['id']}/dependencies", json={"depends_on": [b["id"]]})
    assert refused.status_code == 409


async def test_what_is_not_there_cannot_be_waited_for(client: httpx.AsyncClient) -> None:
    for fields in ({"depends_on": ["none"]}, {"parent": "none"}, {"depends_on": ["#none"]}):
        answer = await client.post("/v1/work", json={"type": "x", "title": "x", **fields})
        assert (answer.status_code, answer.json()["code"]) == (404, "item_unknown"), fields


async def test_a_batch_has_at_most_a_hundred(client: httpx.AsyncClient) -> None:
    item = {"type": "x", "title": "x"}
    assert (await client.post("/v1/work/batch", json={"items": [item] * 101})).status_code == 400
    assert len((await client.post("/v1/work/batch", json={"items": [item] * 100})).json()["items"]) == 100


async def test_work_that_waits_for_cancelled_work_goes_on_waiting(client: httpx.AsyncClient, submit: Do) -> None:
    a = await submit()
    b = await submit(depends_on=[a["id"]])
    await client.post(f"/v1/work/{a['id']}/cancel", json={})
    assert await status(client, b["id"]) == "blocked"
    await client.post(f"/v1/work/{a['id']}/retry")
    await finish(client, a["id"])
    assert await status(client, b["id"]) == "ready"
