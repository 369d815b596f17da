"""Clocks jump: what a jump forward ends is given back, and a jump back stops nobody's work."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.clock import Clock

Do = Callable[..., Any]
HOUR = 3600


async def test_after_a_jump_forward_the_old_holder_is_refused(
    client: httpx.AsyncClient, submit: Do, claim: Do, clock: Clock
) -> None:
    item = await submit()
    (held,) = await claim("ada")
    clock.advance(10 * HOUR)
    (again,) = await claim("bob")
    assert again["item"]["id"] == item["id"] and again["token"] == held["token"] + 1
    stale = await client.post(f"/v1/work/{item['id']}/complete", json={"token": held["token"]})
    assert stale.json()["code"] == "lease_lost"


async def test_claims_stale_for_30_min_are_released(submit: Do, claim: Do, clock: Clock) -> None:
    item = await submit()
    await claim("gone")
    clock.advance(30 * 60)
    assert [one["item"]["id"] for one in await claim("bob")] == [item["id"]]


@pytest.mark.parametrize("hours", [1, 24, 24 * 365])
async def test_after_a_jump_back_ready_work_is_claimed_at_once(submit: Do, claim: Do, clock: Clock, hours: int) -> None:
    item = await submit()
    clock.advance(-hours * HOUR)
    (held,) = await claim()
    assert held["item"]["id"] == item["id"]


async def test_after_a_jump_back_a_dead_agents_lease_still_ends(submit: Do, claim: Do, clock: Clock) -> None:
    await submit()
    (held,) = await claim("dead", lease_seconds=60)
    clock.advance(-48 * HOUR)
    assert [one["token"] for one in await claim("bob")] == [held["token"] + 1]


async def test_after_a_jump_back_nothing_is_given_twice(
    client: httpx.AsyncClient, submit: Do, claim: Do, clock: Clock
) -> None:
    item = await submit()
    (held,) = await claim("ada", lease_seconds=60)
    clock.advance(-30)
    assert await claim("bob") == []
    done = await client.post(f"/v1/work/{item['id']}/complete", json={"token": held["token"]})
    assert done.json()["status"] == "completed"


async def test_after_a_jump_back_an_agent_is_seen_again(client: httpx.AsyncClient, clock: Clock, claim: Do) -> None:
    await claim("ada")
    clock.advance(-HOUR)
    await claim("ada")
    before = (await client.get("/v1/agents/ada")).json()["last_seen_at"]
    clock.advance(60)
    await claim("ada")
    assert (await client.get("/v1/agents/ada")).json()["last_seen_at"] > before
