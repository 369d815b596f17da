"""Rows of the store as the domain's types, and what is written of every change."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from coordinator.model import FAILURES_MAX, Agent, Claim, Event, Lock, Webhook, WorkItem
from coordinator.store import Row, Transaction

_DOCUMENTS: Final = ("payload", "result", "labels", "skills")
_TIMES: Final = ("created_at", "ready_at", "claimed_at", "finished_at", "lease_expires_at")


def read_item(row: Row) -> WorkItem:
    """A work item from its row."""
    values = {field: row[field] for field in WorkItem.__struct_fields__}
    for field in _DOCUMENTS:
        values[field] = msgspec.json.decode(values[field])
    for field in _TIMES:
        values[field] = None if values[field] is None else read_time(values[field])
    return msgspec.convert(values, WorkItem)


def read_claim(row: Row, item: WorkItem | None = None) -> Claim:
    """A claim from the row of its item, which may have been read already."""
    return Claim(item or read_item(row), row["token"], read_time(row["lease_expires_at"]))


def read_agent(row: Row) -> Agent:
    """An agent from its row."""
    values = {field: row[field] for field in Agent.__struct_fields__}
    values["skills"] = msgspec.json.decode(row["skills"])
    values["registered_at"] = read_time(row["registered_at"])
    values["last_seen_at"] = read_time(row["last_seen_at"])
    return msgspec.convert(values, Agent)


def read_lock(row: Row) -> Lock:
    """A held lock from its row."""
    return Lock(row["name"], row["token"], row["agent"], read_time(row["lease_expires_at"]))


def read_event(row: Row) -> Event:
    """An event from its row."""
    return Event(
        id=f"{row['tx']}-{row['seq']}",
        at=read_time(row["at"]),
        kind=row["kind"],
        item=row["item"],
        agent=row["agent"],
        team=row["team"],
        data=msgspec.json.decode(row["data"]),
    )


def read_webhook(row: Row) -> Webhook:
    """A webhook from its row."""
    return Webhook(
        id=row["id"],
        url=row["url"],
        kinds=msgspec.json.decode(row["kinds"]),
        failures=row["failures"],
        reason=row["reason"],
        given_up=row["failures"] >= FAILURES_MAX,
        created_at=read_time(row["created_at"]),
    )


async def record(transaction: Transaction, kind: str, row: Row, **data: Any) -> WorkItem:
    """Note a change of a work item in the same transaction, and give the item as it is now."""
    return (await record_each(transaction, [(kind, row, data)]))[0]


async def record_each(transaction: Transaction, changes: Iterable[tuple[str, Row, dict[str, Any]]]) -> list[WorkItem]:
    """Note changes of work items, in order."""
    items, events = [], []
    for kind, row, data in changes:
        item = read_item(row)
        facts = {"status": item.status, "token": row["token"], **{key: value for key, value in data.items() if value}}
        who = item.agent or data.get("agent")
        events.append({"item": item.id, "kind": kind, "agent": who, "team": item.team, "data": encode(facts)})
        items.append(item)
    await transaction.many("add_event", events)
    return items


def encode(value: Any) -> str:
    """JSON as the store keeps it."""
    return msgspec.json.encode(value).decode()


def read_time(milliseconds: int) -> datetime:
    """A time from the store's milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
