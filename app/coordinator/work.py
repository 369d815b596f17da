"""What can be done with work, each in one transaction: the rules, without HTTP and without SQL's details."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from uuid_utils import uuid7

from coordinator.errors import KeyReusedError, LeaseLostError, NotClaimableError, UnknownItemError
from coordinator.model import (
    HEAD_START_MS,
    Agent,
    Claim,
    ClaimRequest,
    Completion,
    Failure,
    Registration,
    Release,
    Renewal,
    Status,
    Submission,
    WorkItem,
    WorkPage,
)
from coordinator.store import Row, Transaction

_DOCUMENTS: Final = ("payload", "result", "labels", "skills")
_TIMES: Final = ("created_at", "ready_at", "claimed_at", "finished_at", "lease_expires_at")


async def submit(transaction: Transaction, submission: Submission) -> WorkItem:
    """Put a new work item in, ready to be claimed."""
    row = await transaction.one(
        "add_item",
        id=str(uuid7()),
        type=submission.type,
        title=submission.title,
        description=submission.description,
        priority=submission.priority.value,
        head_start=HEAD_START_MS[submission.priority],
        team=submission.team,
        labels=_encode(submission.labels),
        skills=_encode(submission.skills),
        points=submission.points,
        payload=_encode(submission.payload),
        max_attempts=submission.max_attempts,
    )
    return await _record(transaction, "submitted", row)


async def get_item(transaction: Transaction, item: str) -> WorkItem:
    """Look a work item up.

    Raises:
        UnknownItemError: there is none with that id.
    """
    row = await transaction.row("get_item", id=item)
    if row is None:
        raise UnknownItemError(f"there is no work item {item}")
    return read_item(row)


async def list_items(
    transaction: Transaction,
    *,
    status: Status | None,
    team: str | None,
    type: str | None,  # noqa: A002 - the domain's word
    agent: str | None,
    before: str | None,
    count: int,
) -> WorkPage:
    """A page of work items that fit every filter given, newest first."""
    rows = await transaction.rows(
        "list_items", status=status, team=team, type=type, agent=agent, before=before, count=count + 1
    )
    items = [read_item(row) for row in rows[:count]]
    return WorkPage(items, items[-1].id if len(rows) > count else None)


async def claim(transaction: Transaction, request: ClaimRequest) -> list[Claim]:
    """Give the agent what it asks for, each item to nobody else until its lease ends.

    Asked for by id, the item comes or the claim is refused. Asked for by filter, up to `count` items come,
    the most urgent first; none when nothing fits.

    Raises:
        UnknownItemError: there is no item with that id.
        NotClaimableError: the item asked for by id is held, finished, or waits for its retry.
    """
    await transaction.run("see_agent", id=str(uuid7()), name=request.agent)
    for row in await transaction.rows("expire_leases"):
        await _record(transaction, "expired", row)
    rows = await transaction.rows(
        "claim_items",
        agent=request.agent,
        id=request.id,
        team=request.team,
        type=request.type,
        skills=None if request.skills is None else _encode(request.skills),
        count=request.count,
        lease_ms=request.lease_seconds * 1000,
    )
    if request.id is not None and not rows:
        item = await get_item(transaction, request.id)
        holder = f", held by {item.agent}" if item.status is Status.CLAIMED else ""
        raise NotClaimableError(f"{item.id} is {item.status}{holder}")
    claims = []
    for row in sorted(rows, key=lambda row: int(row["rank"])):
        item = await _record(transaction, "claimed", row)
        claims.append(Claim(item, row["token"], _time(row["lease_expires_at"])))
    return claims


async def renew(transaction: Transaction, item: str, renewal: Renewal) -> Claim:
    """Extend a lease, and note progress where it is given.

    Raises:
        UnknownItemError: there is no such item.
        LeaseLostError: the token is not the current one; nothing has changed.
    """
    row = await transaction.row(
        "renew_lease",
        id=item,
        token=renewal.token,
        lease_ms=renewal.lease_seconds * 1000,
        progress=renewal.progress,
    )
    held = await _held(transaction, item, row)
    return Claim(await _record(transaction, "renewed", held), held["token"], _time(held["lease_expires_at"]))


async def complete(transaction: Transaction, item: str, completion: Completion) -> WorkItem:
    """Finish a work item. Raises as `renew` does."""
    row = await transaction.row("complete_item", id=item, token=completion.token, result=_encode(completion.result))
    return await _record(transaction, "completed", await _held(transaction, item, row))


async def fail(transaction: Transaction, item: str, failure: Failure) -> WorkItem:
    """Say that the work could not be done: tried again after a while, or failed for good. Raises as `renew` does."""
    row = await transaction.row(
        "fail_item", id=item, token=failure.token, reason=failure.reason, retryable=int(failure.retryable)
    )
    return await _record(transaction, "failed", await _held(transaction, item, row))


async def release(transaction: Transaction, item: str, release: Release) -> WorkItem:
    """Give a work item back undone; the attempt does not count. Raises as `renew` does."""
    row = await transaction.row("release_item", id=item, token=release.token)
    return await _record(transaction, "released", await _held(transaction, item, row))


async def register(transaction: Transaction, registration: Registration) -> Agent:
    """Make an agent known, or bring what is known of it up to date; its name is what it is known by."""
    row = await transaction.one(
        "put_agent",
        id=str(uuid7()),
        name=registration.name,
        team=registration.team,
        skills=_encode(registration.skills),
        capacity=registration.capacity,
    )
    return read_agent(row)


async def list_agents(transaction: Transaction) -> list[Agent]:
    """Every agent, by name."""
    return [read_agent(row) for row in await transaction.rows("list_agents")]


async def answer_once(
    transaction: Transaction, key: str | None, request: str, answer: Callable[[], Awaitable[bytes]]
) -> bytes:
    """Carry a write out once for its Idempotency-Key, and give the first answer to every repetition.

    The key, the answer and what the write changes are committed together.

    Raises:
        KeyReusedError: the key came with another request before.
    """
    if key is None:
        return await answer()
    if await transaction.value("keep_key", key=key, request=request) is None:
        kept = await transaction.row("get_answer", key=key)
        if kept is None or kept["request"] != request:
            raise KeyReusedError("send a new Idempotency-Key with a new request")
        return bytes(kept["answer"])
    body = await answer()
    await transaction.run("keep_answer", key=key, answer=body)
    return body


def read_item(row: Row) -> WorkItem:
    """A work item from its row."""
    values = {field: row[field] for field in WorkItem.__struct_fields__}
    for field in _DOCUMENTS:
        values[field] = msgspec.json.decode(values[field])
    for field in _TIMES:
        values[field] = None if values[field] is None else _time(values[field])
    return msgspec.convert(values, WorkItem)


def read_agent(row: Row) -> Agent:
    """An agent from its row."""
    return Agent(
        id=row["id"],
        name=row["name"],
        team=row["team"],
        skills=msgspec.json.decode(row["skills"]),
        capacity=row["capacity"],
        registered_at=_time(row["registered_at"]),
        last_seen_at=_time(row["last_seen_at"]),
        claimed=row["claimed"],
    )


async def _record(transaction: Transaction, kind: str, row: Row) -> WorkItem:
    item = read_item(row)
    await transaction.run("add_event", item=item.id, kind=kind, agent=item.agent, token=row["token"])
    return item


async def _held(transaction: Transaction, item: str, row: Row | None) -> Row:
    if row is None:
        now = await get_item(transaction, item)
        raise LeaseLostError(f"the token is not the current one: {now.id} is {now.status}, attempt {now.attempt}")
    return row


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
