"""Named locks for what agents share: a lease and a fencing token, as work items have."""

from coordinator.errors import LeaseLostError, LockHeldError
from coordinator.model import Lock, LockRequest, Release, Renewal
from coordinator.records import read_lock
from coordinator.store import Row, Transaction


async def take(transaction: Transaction, name: str, request: LockRequest) -> Lock:
    """Take a lock that is free, or whose lease has ended.

    Raises:
        LockHeldError: another holds it.
    """
    row = await transaction.row("take_lock", name=name, agent=request.agent, lease_ms=request.lease_seconds * 1000)
    if row is None:
        held = await transaction.one("get_lock", name=name)
        raise LockHeldError(f"{name} is held by {held['agent']}")
    return read_lock(row)


async def renew(transaction: Transaction, name: str, renewal: Renewal) -> Lock:
    """Extend a lock's lease. Raises LeaseLostError when the token is not the current one."""
    row = await transaction.row("renew_lock", name=name, token=renewal.token, lease_ms=renewal.lease_seconds * 1000)
    return read_lock(_held(name, row))


async def free(transaction: Transaction, name: str, release: Release) -> None:
    """Let go of a lock. Raises LeaseLostError when the token is not the current one."""
    _held(name, await transaction.row("free_lock", name=name, token=release.token))


async def get_holder(transaction: Transaction, name: str) -> str | None:
    """Who has a lock, or had it last; None where nobody has."""
    row = await transaction.row("get_lock", name=name)
    return None if row is None else row["agent"]


async def list_locks(transaction: Transaction) -> list[Lock]:
    """Locks that are held, by name."""
    return [read_lock(row) for row in await transaction.rows("list_locks")]


def _held(name: str, row: Row | None) -> Row:
    if row is None:
        raise LeaseLostError(f"the token is not the current one of lock {name}")
    return row
