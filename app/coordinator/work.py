"""What can be done with work items, each in one transaction: the rules, without HTTP and without SQL's details."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from uuid_utils import uuid7

from coordinator.errors import (
    CoordinatorError,
    DependencyCycleError,
    ForbiddenError,
    LeaseLostError,
    NotClaimableError,
    NotPossibleError,
    UnknownItemError,
)
from coordinator.model import (
    HEAD_START_MS,
    AgentStatus,
    Cancellation,
    Claim,
    ClaimRequest,
    Completion,
    Event,
    Failure,
    Reassignment,
    Release,
    Renewal,
    Status,
    Submission,
    WorkItem,
    WorkPage,
)
from coordinator.records import encode, read_claim, read_event, read_item, record, record_each
from coordinator.store import Row, Transaction

_T = TypeVar("_T", Renewal, Completion, Failure, Release)


@dataclass(frozen=True)
class Held(Generic[_T]):
    """What a holder says of its work item; `speaker` is the one agent that its caller speaks for, or None."""

    item: str
    change: _T
    speaker: str | None = None

    def values(self, **others: Any) -> dict[str, Any]:
        """What every query about a held item needs."""
        return {"id": self.item, "token": self.change.token, "speaker": self.speaker, **others}


async def submit(transaction: Transaction, submission: Submission, trace_id: str | None = None) -> WorkItem:
    """Put a new work item in: ready, or blocked until all that it depends on is completed. Raises as `submit_all`."""
    return (await submit_all(transaction, [submission], [trace_id]))[0]


async def submit_all(
    transaction: Transaction, submissions: list[Submission], trace_ids: list[str | None]
) -> list[WorkItem]:
    """Put work items in, all or none; they may depend on each other by `#<ref>`.

    Raises:
        UnknownItemError: what one of them depends on, or its parent, is not there.
        DependencyCycleError: they wait for each other in a circle.
    """
    ids = [str(uuid7()) for _ in submissions]
    refs = {f"#{one.ref}": id_ for one, id_ in zip(submissions, ids, strict=True) if one.ref}
    needs = [sorted({refs.get(need, need) for need in one.depends_on}) for one in submissions]
    parents = [refs.get(one.parent, one.parent) if one.parent else None for one in submissions]
    status = await _hold(transaction, [need for group in needs for need in group], new=set(ids))
    new = []
    for one, id_, group, trace_id in zip(submissions, ids, needs, trace_ids, strict=True):
        blocked = any(status.get(need) is not Status.COMPLETED for need in group)
        new.append(_values(one, id_, Status.BLOCKED if blocked else Status.READY, trace_id))
    rows = await transaction.many("add_item", new)
    for id_, parent in zip(ids, parents, strict=True):
        if parent is not None:
            if parent not in ids:
                await get_item(transaction, parent)
            await transaction.run("set_parent", id=id_, parent=parent)
    for id_, group in zip(ids, needs, strict=True):
        for need in group:
            await _add_need(transaction, id_, need)
    items = await record_each(transaction, (("submitted", row, {}) for row in rows))
    for item, parent in zip(items, parents, strict=True):
        item.parent = parent
    return items


async def add_dependencies(transaction: Transaction, item: str, needs: list[str]) -> WorkItem:
    """Make a work item that nobody has claimed wait for others too.

    Raises:
        UnknownItemError: one of them is not there.
        DependencyCycleError: it would wait for itself, directly or over others.
        NotPossibleError: the item is claimed or finished.
    """
    await transaction.value("hold_graph")
    status = await _hold(transaction, [item, *needs], new=set())
    if status[item] not in {Status.READY, Status.BLOCKED}:
        raise NotPossibleError(f"{item} is {status[item]}: only what nobody has claimed can be made to wait")
    for need in needs:
        await _add_need(transaction, item, need)
    if all(status[need] is Status.COMPLETED for need in needs):
        return await get_item(transaction, item)
    return await record(transaction, "blocked", await transaction.one("block_item", id=item))


async def get_item(transaction: Transaction, item: str) -> WorkItem:
    """Look a work item up.

    Raises:
        UnknownItemError: there is none with that id.
    """
    row = await transaction.row("get_item", id=item)
    if row is None:
        raise UnknownItemError(f"there is no work item {item}")
    return read_item(row)


async def list_items(transaction: Transaction, *, count: int, **filters: Any) -> WorkPage:
    """A page of work items that fit every filter given, newest first."""
    rows = await transaction.rows("list_items", count=count + 1, **filters)
    items = [read_item(row) for row in rows[:count]]
    return WorkPage(items, items[-1].id if len(rows) > count else None)


async def list_history(transaction: Transaction, item: str) -> list[Event]:
    """All that happened to a work item, in order. Raises UnknownItemError."""
    await get_item(transaction, item)
    return [read_event(row) for row in await transaction.rows("list_history", item=item)]


async def claim_each(transaction: Transaction, requests: list[ClaimRequest]) -> list[list[Claim] | CoordinatorError]:
    """Give agents, each at most once among the requests, what they ask for; to nobody else until the lease ends.

    Asked for by id, the item comes or the claim is refused. Asked for by filter, up to `count` items come, as far
    as the agent's capacity goes, the most urgent first; none when nothing fits. A refusal is in the place of claims:
    UnknownItemError where there is no item with that id, NotClaimableError where it is held, finished, or waits, and
    wherever the agent has no room.
    """
    await _see_agents(transaction, [request.agent for request in requests])
    room = await _room(transaction, requests)
    await expire_leases(transaction)
    by_id = [
        {"id": request.id, "agent": request.agent, "lease_ms": request.lease_seconds * 1000}
        for request in requests
        if request.id is not None and room[request.agent]
    ]
    by_filter = [
        {
            "team": request.team,
            "type": request.type,
            "skills": None if request.skills is None else encode(request.skills),
            "count": room[request.agent],
            "agent": request.agent,
            "lease_ms": request.lease_seconds * 1000,
        }
        for request in requests
        if request.id is None and room[request.agent]
    ]
    rows = [*await transaction.many("claim_item", by_id), *await transaction.many("claim_items", by_filter)]
    rows.sort(key=lambda row: int(row["rank"]))
    items = await record_each(transaction, (("claimed", row, {}) for row in rows))
    given: dict[str, list[Claim]] = {request.agent: [] for request in requests}
    for row, item in zip(rows, items, strict=True):
        given[row["agent"]].append(read_claim(row, item))
    return [
        given[request.agent]
        if given[request.agent] or (request.id is None and room[request.agent])
        else await _refuse_claim(transaction, request.id, request.agent, room[request.agent])
        for request in requests
    ]


async def renew_each(transaction: Transaction, asked: "list[Held[Renewal]]") -> list[Claim | CoordinatorError]:
    """Extend leases, each of another item, and note progress where it is given.

    A refusal is in the place of a claim: UnknownItemError where there is no such item, LeaseLostError where the token
    is not the current one, ForbiddenError where it is another agent's; nothing has changed then.
    """
    # Agents before items, as everywhere: who holds one and waits for the other never meets its mirror image.
    holders = await transaction.many("get_holder", [one.values() for one in asked])
    await _see_agents(transaction, list({row["name"] for row in holders}))
    rows = {
        row["id"]: row
        for row in await transaction.many(
            "renew_lease",
            [
                one.values(lease_ms=one.change.lease_seconds * 1000, progress=one.change.progress)
                for one in sorted(asked, key=_by_item)
            ],
        )
    }
    moved = [one for one in asked if one.change.progress is not None and one.item in rows]
    await record_each(transaction, (("progressed", rows[one.item], {"progress": one.change.progress}) for one in moved))
    return [read_claim(rows[one.item]) if one.item in rows else await _refuse(transaction, one) for one in asked]


async def complete_each(transaction: Transaction, asked: "list[Held[Completion]]") -> list[WorkItem | CoordinatorError]:
    """Finish work items, each another one, and let those go that waited for them alone. Refuses as `renew_each`."""
    rows = await transaction.many(
        "complete_item",
        [one.values(result=encode(one.change.result), points=one.change.points) for one in sorted(asked, key=_by_item)],
    )
    done = {item.id: item for item in await record_each(transaction, (("completed", row, {}) for row in rows))}
    if done and (waiting := await transaction.rows("list_waiting", needs=encode(list(done)))):
        ids = encode([row["item"] for row in waiting])
        await transaction.rows("hold_waiting", ids=ids)
        freed = await transaction.rows("unblock_items", ids=ids)
        await record_each(transaction, (("unblocked", row, {}) for row in freed))
    return [done[one.item] if one.item in done else await _refuse(transaction, one) for one in asked]


async def fail(transaction: Transaction, held: "Held[Failure]") -> WorkItem:
    """Say that the work could not be done: tried again after a while, or failed for good.

    Raises:
        UnknownItemError: there is no such item.
        LeaseLostError: the token is not the current one; nothing has changed.
        ForbiddenError: the token is another agent's.
    """
    reason = held.change.reason
    row = await transaction.row("fail_item", **held.values(reason=reason, retryable=int(held.change.retryable)))
    if row is None:
        raise await _refuse(transaction, held)
    return await record(transaction, "failed" if row["status"] == Status.FAILED else "retried", row, reason=reason)


async def release(transaction: Transaction, held: "Held[Release]") -> WorkItem:
    """Give a work item back undone; the attempt does not count. Raises as `fail` does."""
    row = await transaction.row("release_item", **held.values())
    if row is None:
        raise await _refuse(transaction, held)
    return await record(transaction, "released", row)


async def cancel(transaction: Transaction, item: str, cancellation: Cancellation) -> WorkItem:
    """Say that work is not to be done any more; who holds it loses its lease.

    Raises:
        UnknownItemError: there is no such item.
        NotPossibleError: it is finished already.
    """
    row = await transaction.row("cancel_item", id=item, reason=cancellation.reason)
    return await record(transaction, "cancelled", await _possible(transaction, item, row), reason=cancellation.reason)


async def retry(transaction: Transaction, item: str) -> WorkItem:
    """Make failed or cancelled work ready again, with all its attempts. Raises as `cancel` does."""
    row = await transaction.row("retry_item", id=item)
    return await record(transaction, "reopened", await _possible(transaction, item, row))


async def reassign(transaction: Transaction, item: str, reassignment: Reassignment) -> Claim:
    """Give a work item to another agent; the token of who held it is worth nothing any more. Raises as `cancel`."""
    row = await transaction.row(
        "reassign_item", id=item, agent=reassignment.agent, lease_ms=reassignment.lease_seconds * 1000
    )
    held = await _possible(transaction, item, row)
    await record(transaction, "reassigned", held)
    return read_claim(held)


async def expire_leases(transaction: Transaction) -> int:
    """Take back what was not renewed in time, at most 100 items; says how many."""
    rows = await transaction.rows("expire_leases")
    await record_each(transaction, (("expired", row, {}) for row in rows))
    return len(rows)


def _values(submission: Submission, id_: str, status: Status, trace_id: str | None) -> dict[str, Any]:
    return {
        "id": id_,
        "type": submission.type,
        "title": submission.title,
        "description": submission.description,
        "priority": submission.priority.value,
        "head_start": HEAD_START_MS[submission.priority],
        "team": submission.team,
        "labels": encode(submission.labels),
        "skills": encode(submission.skills),
        "points": submission.points,
        "payload": encode(submission.payload),
        "status": status.value,
        "max_attempts": submission.max_attempts,
        "trace_id": trace_id,
    }


async def _hold(transaction: Transaction, ids: list[str], new: set[str]) -> dict[str, Status]:
    known = sorted(set(ids) - new)
    if not known:
        return {}
    found = {row["id"]: Status(row["status"]) for row in await transaction.rows("hold_needs", ids=encode(known))}
    if missing := [id_ for id_ in known if id_ not in found]:
        raise UnknownItemError(f"there is no work item {missing[0]}")
    return found


async def _add_need(transaction: Transaction, item: str, need: str) -> None:
    if await transaction.value("find_cycle", needs=need, item=item) is not None:
        raise DependencyCycleError(f"{item} would wait for itself by way of {need}")
    await transaction.run("add_need", item=item, needs=need)


async def _see_agents(transaction: Transaction, names: list[str]) -> None:
    """Note that agents are there; one never heard of is known from now on."""
    await transaction.many("see_agent", [{"id": str(uuid7()), "name": name} for name in sorted(names)])


async def _room(transaction: Transaction, requests: list[ClaimRequest]) -> dict[str, int]:
    """How many items each agent may get: what it asks for, as far as its capacity goes."""
    room = {request.agent: request.count if request.id is None else 1 for request in requests}
    bound = await transaction.rows("hold_agents", names=encode(list(room)))
    if bound:
        names = encode([agent["name"] for agent in bound])
        held = {row["agent"]: int(row["items"]) for row in await transaction.rows("count_held", names=names)}
        for agent in bound:
            name = agent["name"]
            # One that never registered has no capacity, but may be draining.
            free = 0 if agent["status"] == AgentStatus.DRAINING else int(agent["capacity"]) - held.get(name, 0)
            room[name] = max(0, min(room[name], free))
    return room


async def _refuse_claim(transaction: Transaction, item: str | None, agent: str, room: int) -> CoordinatorError:
    if not room or item is None:
        return NotClaimableError(f"{agent} is draining, or holds as much as its capacity allows")
    try:
        now = await get_item(transaction, item)
    except UnknownItemError as error:
        return error
    holder = f", held by {now.agent}" if now.status is Status.CLAIMED else ""
    return NotClaimableError(f"{now.id} is {now.status}{holder}")


async def _refuse(transaction: Transaction, held: "Held[Any]") -> CoordinatorError:
    row = await transaction.row("get_item", id=held.item)
    if row is None:
        return UnknownItemError(f"there is no work item {held.item}")
    if held.speaker is not None and row["token"] == held.change.token and row["agent"] not in {None, held.speaker}:
        return ForbiddenError(f"this token speaks for {held.speaker}, not for {row['agent']}")
    return LeaseLostError(f"the token is not the current one: {row['id']} is {row['status']}, attempt {row['attempt']}")


def _by_item(held: "Held[Any]") -> str:
    return held.item


async def _possible(transaction: Transaction, item: str, row: Row | None) -> Row:
    if row is None:
        now = await get_item(transaction, item)
        raise NotPossibleError(f"{now.id} is {now.status}")
    return row
