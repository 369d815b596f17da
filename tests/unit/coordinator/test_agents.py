"""Agents: their capacity, their draining, what becomes of those that fall silent, and the locks that they share."""

from collections.abc import Callable
from typing import Any

import httpx
from coordinator.background import Background
from coordinator.settings import Settings
from coordinator.store import SQLiteStore

from tests.clock import Clock

Do = Callable[..., Any]


async def register(client: httpx.AsyncClient, name: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/agents", json={"name": name, **fields})
    assert answer.status_code == 200, answer.text
    agent: dict[str, Any] = answer.json()
    return agent


async def test_an_agent_holds_no_more_than_its_capacity(client: httpx.AsyncClient, submit: Do, claim: Do) -> None:
    await register(client, "ada", capacity=2)
    items = [await submit() for _ in range(4)]
    assert len(await claim("ada", count=4)) == 2
    assert await claim("ada") == []
    refused = await client.post("/v1/claims", json={"agent": "ada", "id": items[3]["id"]})
    assert refused.json()["code"] == "not_claimable"
    await client.post(f"/v1/work/{items[0]['id']}/complete", json={"token": 1})
    assert len(await claim("ada", count=4)) == 1


async def test_an_agent_that_never_registered_has_no_limit(submit: Do, claim: Do) -> None:
    for _ in range(3):
        await submit()
    assert len(await claim("ada", count=3)) == 3


async def test_a_draining_agent_gets_no_work_and_may_finish_what_it_holds(
    client: httpx.AsyncClient, submit: Do, claim: Do
) -> None:
    item = await submit()
    await submit()
    await register(client, "ada", capacity=5)
    await claim("ada")
    assert (await client.post("/v1/agents/ada/drain")).json()["status"] == "draining"
    assert await claim("ada") == []
    assert (await client.post(f"/v1/work/{item['id']}/complete", json={"token": 1})).status_code == 200
    await client.post("/v1/agents/ada/activate")
    assert len(await claim("ada")) == 1


async def test_a_silent_agent_is_offline_and_its_work_ready_again(
    client: httpx.AsyncClient, submit: Do, claim: Do, clock: Clock, settings: Settings
) -> None:
    item = await submit()
    await register(client, "ada", ttl_seconds=60)
    await claim("ada", lease_seconds=3600)
    clock.advance(61)
    assert settings.sqlite_path is not None
    store = await SQLiteStore.open(settings.sqlite_path, clock)
    await Background(store, settings).tick()
    await store.close()
    assert (await client.get("/v1/agents/ada")).json()["status"] == "offline"
    returned = (await client.get(f"/v1/work/{item['id']}")).json()
    assert (returned["status"], returned["reason"]) == ("ready", "agent offline")
    await client.post("/v1/agents/ada/renew")
    assert (await client.get("/v1/agents/ada")).json()["status"] == "active"


async def test_what_a_failed_agent_held_is_ready_again(client: httpx.AsyncClient, submit: Do, claim: Do) -> None:
    item = await submit()
    await claim("ada")
    assert (await client.post("/v1/agents/ada/fail")).json()["status"] == "offline"
    assert (await client.get(f"/v1/work/{item['id']}")).json()["status"] == "ready"
    assert (await client.delete("/v1/agents/ada")).status_code == 200
    assert (await client.get("/v1/agents/ada")).json()["code"] == "agent_unknown"


async def test_old_work_is_forgotten_and_young_work_kept(
    client: httpx.AsyncClient, submit: Do, claim: Do, clock: Clock, settings: Settings
) -> None:
    old = await submit()
    await claim("ada")
    await client.post(f"/v1/work/{old['id']}/complete", json={"token": 1})
    clock.advance((settings.retention_days + 1) * 86_400)
    young = await submit()
    assert settings.sqlite_path is not None
    store = await SQLiteStore.open(settings.sqlite_path, clock)
    await Background(store, settings).tick()
    await store.close()
    assert [one["id"] for one in (await client.get("/v1/work")).json()["items"]] == [young["id"]]


async def test_a_lock_is_one_agents_until_its_lease_ends(client: httpx.AsyncClient, clock: Clock) -> None:
    before = int(clock() * 1000)
    taken = (await client.post("/v1/locks/database", json={"agent": "ada", "lease_seconds": 30})).json()
    token = taken["token"]
    assert taken["agent"] == "ada"
    assert before <= token <= clock() * 1000, "not of the clock: a store that was restored would give it again"
    refused = await client.post("/v1/locks/database", json={"agent": "bob"})
    assert (refused.status_code, refused.json()["code"]) == (409, "lock_held")
    clock.advance(31)
    assert (await client.post("/v1/locks/database", json={"agent": "bob"})).json()["token"] == token + 1
    late = await client.post("/v1/locks/database/renew", json={"token": token})
    assert late.json()["code"] == "lease_lost"
    assert (await client.post("/v1/locks/database/renew", json={"token": token + 1})).status_code == 200
    assert [lock["agent"] for lock in (await client.get("/v1/locks")).json()["locks"]] == ["bob"]
    assert (await client.post("/v1/locks/database/release", json={"token": token + 1})).status_code == 200
    assert (await client.get("/v1/locks")).json()["locks"] == []
    assert (await client.post("/v1/locks/database", json={"agent": "ada"})).json()["token"] == token + 2
