"""Webhooks: signed, in order, tried again, given up in the end; and their secrets are in no store."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from coordinator.settings import Settings
from standardwebhooks.webhooks import Webhook as Verifier

from tests.receiver import Answer, Receiver

Do = Callable[..., Any]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    key = tmp_path / "key"
    key.write_text("the server's key")
    return Settings(database_url=f"sqlite:///{tmp_path / 'work.db'}", webhook_key_file=key)


async def add(client: httpx.AsyncClient, receiver: Receiver, *kinds: str) -> tuple[str, str]:
    answer = await client.post("/v1/webhooks", json={"url": f"{receiver.url}/hook", "kinds": kinds})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return made["webhook"]["id"], made["secret"]


async def wait_for(what: Callable[[], bool], why: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, why()
        await asyncio.sleep(0.05)


async def test_events_are_told_signed_and_in_order(client: httpx.AsyncClient, submit: Do) -> None:
    await submit(title="before")
    with Receiver(Answer()) as receiver:
        _, secret = await add(client, receiver)
        items = [await submit(title=str(number)) for number in range(3)]
        told: list[str] = []
        seen = 0

        def all_told() -> bool:
            nonlocal seen
            for asked in receiver.asked[seen:]:
                events = Verifier(secret).verify(asked.body, asked.headers)["events"]
                told.extend(event["item"] for event in events)
                seen += 1
            return len(told) == 3

        await wait_for(all_told, lambda: told)
    assert told == [item["id"] for item in items]


async def test_only_the_kinds_asked_for_are_told(client: httpx.AsyncClient, submit: Do, claim: Do) -> None:
    with Receiver(Answer()) as receiver:
        await add(client, receiver, "claimed")
        await submit()
        await claim()
        await wait_for(lambda: bool(receiver.asked), lambda: "nothing was told")
    assert '"claimed"' in receiver.asked[0].body and '"submitted"' not in receiver.asked[0].body


async def test_a_receiver_that_fails_is_tried_again_with_the_same_id(client: httpx.AsyncClient, submit: Do) -> None:
    with Receiver(Answer(503), Answer()) as receiver:
        hook, _ = await add(client, receiver)
        await submit()
        await wait_for(lambda: len(receiver.asked) == 1, lambda: "nothing was told")
        (listed,) = (await client.get("/v1/webhooks")).json()["webhooks"]
        await wait_for(lambda: len(receiver.asked) == 1, lambda: receiver.asked)
        # The test's clock stands still: asked for, the pause is over.
        end = time.monotonic() + 20
        while len(receiver.asked) < 2 and time.monotonic() < end:
            assert (await client.post(f"/v1/webhooks/{hook}/retry")).status_code == 200
            await asyncio.sleep(0.2)
    first, second = receiver.asked
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert listed["failures"] <= 1


async def test_a_webhook_that_is_removed_is_told_no_more(client: httpx.AsyncClient) -> None:
    with Receiver(Answer()) as receiver:
        hook, _ = await add(client, receiver)
        assert (await client.delete(f"/v1/webhooks/{hook}")).status_code == 200
        assert (await client.delete(f"/v1/webhooks/{hook}")).json()["code"] == "webhook_unknown"
        assert (await client.get("/v1/webhooks")).json() == {"webhooks": []}


async def test_no_secret_is_kept(client: httpx.AsyncClient, settings: Settings) -> None:
    with Receiver(Answer()) as receiver:
        _, secret = await add(client, receiver)
    assert settings.sqlite_path is not None
    for file in settings.sqlite_path.parent.glob("work.db*"):
        assert secret.removeprefix("whsec_").encode() not in file.read_bytes()
    assert "whsec" not in (await client.get("/v1/webhooks")).text


@pytest.mark.parametrize("url", ["ftp://example", "http://user:pass@example/", "javascript:alert(1)", "http://a b/"])
async def test_a_wrong_url_is_refused(client: httpx.AsyncClient, url: str) -> None:
    answer = await client.post("/v1/webhooks", json={"url": url})
    assert answer.status_code == 400 and "url" in answer.json()["detail"]


async def test_alerts_and_settings_are_told_without_secrets(client: httpx.AsyncClient) -> None:
    alerts = {one["name"]: one["firing"] for one in (await client.get("/v1/alerts")).json()["alerts"]}
    assert alerts["no active agents"] and not alerts["health"]
    await client.post("/v1/agents", json={"name": "ada"})
    alerts = {one["name"]: one["firing"] for one in (await client.get("/v1/alerts")).json()["alerts"]}
    assert not alerts["no active agents"]
    settings = (await client.get("/v1/config")).json()["settings"]
    assert settings["COORDINATOR_PORT"] == 4000 and "the server's key" not in str(settings)


async def test_without_a_key_nothing_is_signed_and_nothing_added(client: httpx.AsyncClient, settings: Settings) -> None:
    assert settings.webhook_key_file is not None
    settings.webhook_key_file.write_text("")
    answer = await client.post("/v1/webhooks", json={"url": "http://127.0.0.1:1/"})
    assert answer.status_code == 409 and answer.json()["code"] == "webhook_key_missing"
    assert (await client.get("/v1/webhooks")).json() == {"webhooks": []}


async def test_the_same_key_is_the_same_webhook_and_the_same_secret(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "the same key"}
    body = {"url": "http://127.0.0.1:1/"}
    first, again = [(await client.post("/v1/webhooks", json=body, headers=key)).json() for _ in range(2)]
    assert first == again
    other = await client.post("/v1/webhooks", json={"url": "http://127.0.0.1:2/"}, headers=key)
    assert other.json()["code"] == "idempotency_key_reused"


async def test_neither_a_slow_nor_an_impossible_receiver_holds_another_up(
    client: httpx.AsyncClient, submit: Do
) -> None:
    with Receiver(Answer(seconds=5)) as slow, Receiver(Answer()) as quick:
        await add(client, slow)
        assert (await client.post("/v1/webhooks", json={"url": "http://x:b/"})).status_code == 201
        await add(client, quick)
        for number in range(2):
            await submit(title=str(number))
            await wait_for(lambda: len(quick.asked) > number, lambda: "held up")  # noqa: B023 - awaited at once
        assert len(slow.asked) == 1, "told again while it was being told"
        hooks = (await client.get("/v1/webhooks")).json()["webhooks"]
    assert [hook["failures"] > 0 for hook in hooks] == [False, True, False], hooks
