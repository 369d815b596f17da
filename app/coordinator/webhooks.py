"""Webhooks: events told to others, signed (standardwebhooks.com), in order, again until they are taken or given up.

No secret is kept in the store: each webhook's is made from the server's key and its id.
"""

import asyncio
import base64
import hashlib
import hmac
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Never
from uuid import UUID, uuid5

import httpx
import msgspec
import structlog
from standardwebhooks.webhooks import Webhook as Signer
from uuid_utils import uuid7

from coordinator import events
from coordinator.errors import KeyReusedError, NoWebhookKeyError, UnknownWebhookError
from coordinator.events import Place
from coordinator.loops import repeat
from coordinator.model import FAILURES_MAX, Event, Webhook, WebhookRequest
from coordinator.records import encode, read_event, read_webhook
from coordinator.store import Row, Store, Transaction

_log = structlog.get_logger()
_NAMESPACE: Final = UUID("6f2f0a4e-6d1c-4f0e-9a58-2f6d1b0e7c55")
_BATCH: Final = 100
_LOOK_SECONDS: Final = 1.0
_SECONDS: Final = 10.0
_PAUSE_MAX_MS: Final = 300_000
_REASON: Final = 200


async def add(
    store: Store, key_file: Path | None, request: WebhookRequest, once: str | None = None
) -> tuple[Webhook, str]:
    """Tell events to a URL from now on; gives the secret that its signatures are checked with.

    With `once`, a caller and its Idempotency-Key, a repetition gives the same webhook and the same secret. Neither has
    to be kept: the id follows from `once`, and the secret from the id.

    Raises:
        NoWebhookKeyError: the server has no key to make secrets from.
        KeyReusedError: `once` came with another request before.
    """
    id_ = str(uuid7()) if once is None else str(uuid5(_NAMESPACE, once))
    secret = _make_secret(key_file, id_)
    place = await events.find_place(store)
    async with store.transaction() as transaction:
        row = await transaction.row(
            "add_webhook",
            id=id_,
            url=request.url,
            kinds=encode(request.kinds),
            tx=place.transaction,
            seq=place.number,
        ) or await transaction.one("get_webhook", id=id_)
    found = read_webhook(row)
    if (found.url, found.kinds) != (request.url, request.kinds):
        raise KeyReusedError("send a new Idempotency-Key with a new request")
    return found, secret


async def list_webhooks(transaction: Transaction) -> list[Webhook]:
    """All webhooks, the oldest first."""
    return [read_webhook(row) for row in await transaction.rows("list_webhooks")]


async def remove(transaction: Transaction, id_: str) -> None:
    """Tell it no more. Raises UnknownWebhookError."""
    if await transaction.value("remove_webhook", id=id_) is None:
        raise UnknownWebhookError(f"there is no webhook {id_}")


async def retry(transaction: Transaction, id_: str) -> None:
    """Try again at once one that waits or was given up. Raises UnknownWebhookError."""
    if await transaction.value("retry_webhook", id=id_) is None:
        raise UnknownWebhookError(f"there is no webhook {id_}")


async def deliver(store: Store, key_file: Path | None, leads: Callable[[], bool]) -> Never:
    """Tell what is due while this process leads, until cancelled; redirects are not followed."""
    telling: dict[str, asyncio.Task[None]] = {}
    async with httpx.AsyncClient(timeout=_SECONDS) as client:

        async def look() -> None:
            if leads():
                async with store.transaction() as transaction:
                    due = await transaction.rows("list_due_webhooks", failures=FAILURES_MAX)
                # A task each, and one at a time of each: who is slow to take keeps no other waiting.
                for row in due:
                    if row["id"] not in telling or telling[row["id"]].done():
                        telling[row["id"]] = asyncio.create_task(_tell(store, key_file, client, row))
            await asyncio.sleep(_LOOK_SECONDS)
            for id_ in [id_ for id_, task in telling.items() if task.done()]:
                if error := telling.pop(id_).exception():
                    _log.warning("a webhook waits for the store", webhook=id_, reason=str(error))

        try:
            await repeat("telling webhooks", look)
        finally:
            for task in telling.values():
                task.cancel()
            await asyncio.gather(*telling.values(), return_exceptions=True)


async def _tell(store: Store, key_file: Path | None, client: httpx.AsyncClient, hook: Row) -> None:
    async with store.transaction() as transaction:
        rows = await transaction.rows("read_events", tx=hook["tx"], seq=hook["seq"], count=_BATCH)
    if not rows:
        return
    place = Place(rows[-1]["tx"], rows[-1]["seq"])
    kinds = msgspec.json.decode(hook["kinds"])
    told = [read_event(row) for row in rows if not kinds or row["kind"] in kinds]
    try:
        if told:
            await _post(client, hook, _make_secret(key_file, hook["id"]), told)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, NoWebhookKeyError) as error:
        pause = min(_PAUSE_MAX_MS, 1000 * 2 ** min(10, hook["failures"]))
        async with store.transaction() as transaction:
            await transaction.run(
                "fail_webhook",
                id=hook["id"],
                reason=str(error or type(error).__name__)[:_REASON],
                pause_ms=int(pause * random.uniform(0.5, 1)),  # noqa: S311 - spreads load, hides nothing
            )
        return
    async with store.transaction() as transaction:
        await transaction.run("advance_webhook", id=hook["id"], tx=place.transaction, seq=place.number)


async def _post(client: httpx.AsyncClient, hook: Row, secret: str, told: list[Event]) -> None:
    body = msgspec.json.encode({"type": "events", "events": told}).decode()
    # The same for every attempt, so that who gets it twice can tell.
    message = f"{hook['id']}.{told[0].id}"
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signer(secret).sign(message, now, body),
    }
    # The status alone counts: an answer's body is not read, and the whole takes no longer than its bound.
    async with asyncio.timeout(_SECONDS), client.stream("POST", hook["url"], content=body, headers=headers) as answer:
        taken = answer.is_success
    if not taken:
        raise httpx.HTTPStatusError(
            f"{hook['url']} answers {answer.status_code}", request=answer.request, response=answer
        )


def _make_secret(key_file: Path | None, id_: str) -> str:
    try:
        key = key_file.read_bytes().strip() if key_file else b""
    except OSError as error:
        raise NoWebhookKeyError(f"the server's key cannot be read: {error.strerror}") from error
    if not key:
        raise NoWebhookKeyError("set COORDINATOR_WEBHOOK_KEY_FILE: without a key nothing can be signed")
    return "whsec_" + base64.b64encode(hmac.digest(key, id_.encode(), hashlib.sha256)).decode()
