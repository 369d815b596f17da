"""Tokens: what each role may do, and that an agent's token speaks for that agent alone."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from coordinator.access import Role, create_token, list_tokens, revoke_token
from coordinator.errors import UnknownTokenError
from coordinator.settings import Settings
from coordinator.store import SQLiteStore

WORK = {"type": "build", "title": "Build it"}
Header = Callable[..., Any]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"authenticate": True})


@pytest.fixture
async def store(client: httpx.AsyncClient, settings: Settings) -> AsyncIterator[SQLiteStore]:  # noqa: ARG001
    assert settings.sqlite_path is not None
    store = await SQLiteStore.open(settings.sqlite_path)
    yield store
    await store.close()


@pytest.fixture
def token(store: SQLiteStore) -> Header:
    async def make(role: Role, agent: str | None = None) -> dict[str, str]:
        async with store.transaction() as transaction:
            return {"Authorization": f"Bearer {await create_token(transaction, 'test', role, agent)}"}

    return make


@pytest.mark.parametrize("header", [None, "", "Basic x", "Bearer ", "Bearer cbt_none.secret", "Bearer nonsense"])
async def test_without_a_valid_token_nothing_is_told(client: httpx.AsyncClient, header: str | None) -> None:
    answer = await client.get("/v1/work", headers={} if header is None else {"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_probes_need_no_token(client: httpx.AsyncClient) -> None:
    assert (await client.get("/readyz")).status_code == 200


async def test_each_role_may_do_its_part(client: httpx.AsyncClient, token: Header) -> None:
    viewer, agent, operator = await token(Role.VIEWER), await token(Role.AGENT), await token(Role.OPERATOR)
    assert (await client.post("/v1/work", json=WORK, headers=viewer)).json()["code"] == "forbidden"
    item = (await client.post("/v1/work", json=WORK, headers=agent)).json()["id"]
    assert (await client.get(f"/v1/work/{item}", headers=viewer)).status_code == 200
    assert (await client.post(f"/v1/work/{item}/cancel", json={}, headers=agent)).json()["code"] == "forbidden"
    assert (await client.post(f"/v1/work/{item}/cancel", json={}, headers=operator)).status_code == 200


async def test_an_agent_touches_its_own_claims_alone(client: httpx.AsyncClient, token: Header) -> None:
    ada, bob = await token(Role.AGENT, "ada"), await token(Role.AGENT, "bob")
    item = (await client.post("/v1/work", json=WORK, headers=ada)).json()["id"]
    as_ada = await client.post("/v1/claims", json={"agent": "ada"}, headers=bob)
    assert (as_ada.status_code, as_ada.json()["code"]) == (403, "forbidden")
    assert (await client.post("/v1/claims", json={"agent": "ada"}, headers=ada)).status_code == 200
    for action, body in (("renew", {}), ("complete", {}), ("fail", {"reason": "x"}), ("release", {})):
        stolen = await client.post(f"/v1/work/{item}/{action}", json={"token": 1, **body}, headers=bob)
        assert stolen.json()["code"] == "forbidden", action
    assert (await client.post(f"/v1/work/{item}/complete", json={"token": 1}, headers=ada)).status_code == 200


async def test_one_idempotency_key_of_two_callers_is_not_one_request(client: httpx.AsyncClient, token: Header) -> None:
    key = {"Idempotency-Key": "key-number-1"}
    first = await client.post("/v1/work", json=WORK, headers={**await token(Role.AGENT), **key})
    second = await client.post("/v1/work", json=WORK, headers={**await token(Role.AGENT), **key})
    assert (first.status_code, second.json()["code"]) == (201, "idempotency_key_reused")


async def test_a_revoked_token_is_worth_nothing_and_no_secret_is_kept(
    client: httpx.AsyncClient, token: Header, store: SQLiteStore
) -> None:
    header = await token(Role.OPERATOR)
    secret = header["Authorization"].partition(".")[2]
    async with store.transaction() as transaction:
        (row,) = await list_tokens(transaction)
        assert secret not in str(dict(row))
        await revoke_token(transaction, row["id"])
    assert (await client.get("/v1/work", headers=header)).status_code == 401
    with pytest.raises(UnknownTokenError):
        async with store.transaction() as transaction:
            await revoke_token(transaction, row["id"])
