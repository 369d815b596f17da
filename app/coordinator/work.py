"""What can be done with work items, each in one transaction: the rules, without HTTP and without SQL's details."""

from typing import Any

from uuid_utils import uuid7

from coordinator.errors import (
    DependencyCycleError,
    LeaseLostError,
    NotClaimableError,
    NotPossibleError,
    UnknownItemError,
)
from coordinator.model import (
    HEAD_START_MS,
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
from coordinator.records import encode, read_claim, read_event, read_item, record
from coordinator.store import Row, Transaction


async def submit(transaction: Transaction, submission: Submission, trace_id: str | None = None) -> WorkItem:
    """Put a new work item in: ready, or blocked until all that it depends on is completed. Raises as `submit_all`."""
    return (await submit_all(transaction, [submission], trace_id))[0]


async def submit_all(
    transaction: Transaction, submissions: list[Submission], trace_id: str | None = None
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
    rows = []
    for one, id_, group in zip(submissions, ids, needs, strict=True):
        blocked = any(status.get(need) is not Status.COMPLETED for need in group)
        rows.append(await _add(transaction, one, id_, Status.BLOCKED if blocked else Status.READY, trace_id))
    for id_, parent in zip(ids, parents, strict=True):
        if parent is not None:
            if parent not in ids:
                await get_item(transaction, parent)
            await transaction.run("set_parent", id=id_, parent=parent)
    for id_, group in zip(ids, needs, strict=True):
        for need in group:
            await _add_need(transaction, id_, need)
    items = [await record(transaction, "submitted", row) for row in rows]
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


async def claim(transaction: Transaction, request: ClaimRequest) -> list[Claim]:
    """Give the agent what it asks for, each item to nobody else until its lease ends.

    Asked for by id, the item comes or the claim is refused. Asked for by filter, up to `count` items come, as far
    as the agent's capacity goes, the most urgent first; none when nothing fits.

    Raises:
        UnknownItemError: there is no item with that id.
        NotClaimableError: the item asked for by id is held, finished, or waits; or the agent has no room for it.
    """
    await see_agent(transaction, request.agent)
    room = await _room(transaction, request)
    await expire_leases(transaction)
    lease = {"agent": request.agent, "lease_ms": request.lease_seconds * 1000}
    if request.id is not None:
        if room == 0:
            raise NotClaimableError(f"{request.agent} is draining, or holds as much as its capacity allows")
        row = await transaction.row("claim_item", id=request.id, **lease)
        if row is None:
            item = await get_item(transaction, request.id)
            holder = f", held by {item.agent}" if item.status is Status.CLAIMED else ""
            raise NotClaimableError(f"{item.id} is {item.status}{holder}")
        rows = [row]
    else:
        skills = None if request.skills is None else encode(request.skills)
        rows = await transaction.rows(
            "claim_items", team=request.team, type=request.type, skills=skills, count=room, **lease
        )
    for row in rows:
        await record(transaction, "claimed", row)
    return [read_claim(row) for row in sorted(rows, key=lambda row: int(row["rank"]))]


async def renew(transaction: Transaction, item: str, renewal: Renewal) -> Claim:
    """Extend a lease, and note progress where it is given.

    Raises:
        UnknownItemError: there is no such item.
        LeaseLostError: the token is not the current one; nothing has changed.
    """
    lease_ms = renewal.lease_seconds * 1000
    # The agent before the item, as everywhere: who holds one and waits for the other never meets its mirror image.
    holder = (await get_item(transaction, item)).agent
    if holder is not None:
        await see_agent(transaction, holder)
    row = await transaction.row(
        "renew_lease", id=item, token=renewal.token, lease_ms=lease_ms, progress=renewal.progress
    )
    held = await _held(transaction, item, row)
    if renewal.progress is not None:
        await record(transaction, "progressed", held, progress=renewal.progress)
    return read_claim(held)


async def complete(transaction: Transaction, item: str, completion: Completion) -> WorkItem:
    """Finish a work item, and let those go that waited for it alone. Raises as `renew` does."""
    row = await transaction.row(
        "complete_item",
        id=item,
        token=completion.token,
        result=encode(completion.result),
        points=completion.points,
    )
    done = await record(transaction, "completed", await _held(transaction, item, row))
    if await transaction.rows("hold_waiting", needs=item):
        for freed in await transaction.rows("unblock_items", needs=item):
            await record(transaction, "unblocked", freed)
    return done


async def fail(transaction: Transaction, item: str, failure: Failure) -> WorkItem:
    """Say that the work could not be done: tried again after a while, or failed for good. Raises as `renew` does."""
    row = await transaction.row(
        "fail_item", id=item, token=failure.token, reason=failure.reason, retryable=int(failure.retryable)
    )
    held = await _held(transaction, item, row)
    kind = "failed" if held["status"] == Status.FAILED else "retried"
    return await record(transaction, kind, held, reason=failure.reason)


async def release(transaction: Transaction, item: str, release: Release) -> WorkItem:
    """Give a work item back undone; the attempt does not count. Raises as `renew` does."""
    row = await transaction.row("release_item", id=item, token=release.token)
    return await record(transaction, "released", await _held(transaction, item, row))


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


async def see_agent(transaction: Transaction, name: str) -> None:
    """Note that an agent is there; one never heard of is known from now on."""
    await transaction.run("see_agent", id=str(uuid7()), name=name)


async def expire_leases(transaction: Transaction) -> int:
    """Take back what was not renewed in time, at most 100 items; says how many."""
    rows = await transaction.rows("expire_leases")
    for row in rows:
        await record(transaction, "expired", row)
    return len(rows)


async def _add(transaction: Transaction, submission: Submission, id_: str, status: Status, trace_id: str | None) -> Row:
    return await transaction.one(
        "add_item",
        id=id_,
        type=submission.type,
        title=submission.title,
        description=submission.description,
        priority=submission.priority.value,
        head_start=HEAD_START_MS[submission.priority],
        team=submission.team,
        labels=encode(submission.labels),
        skills=encode(submission.skills),
        points=submission.points,
        payload=encode(submission.payload),
        status=status.value,
        max_attempts=submission.max_attempts,
        trace_id=trace_id,
    )


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


async def _room(transaction: Transaction, request: ClaimRequest) -> int:
    agent = await transaction.row("hold_agent", name=request.agent)
    if agent is None:
        return request.count
    if agent["status"] == "draining":
        return 0
    held = await transaction.value("count_held", agent=request.agent)
    return max(0, min(request.count, int(agent["capacity"]) - int(held)))


async def _held(transaction: Transaction, item: str, row: Row | None) -> Row:
    if row is None:
        now = await get_item(transaction, item)
        raise LeaseLostError(f"the token is not the current one: {now.id} is {now.status}, attempt {now.attempt}")
    return row


async def _possible(transaction: Transaction, item: str, row: Row | None) -> Row:
    if row is None:
        now = await get_item(transaction, item)
        raise NotPossibleError(f"{now.id} is {now.status}")
    return row
