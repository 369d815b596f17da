"""What every route shares: who asks, one transaction a request, and the answer to a repeated write."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers.base import BaseRouteHandler
from litestar.params import HeaderParameter, QueryParameter

from coordinator.access import ANYBODY, Caller, Role, answer_once, authenticate
from coordinator.errors import ConflictError, ForbiddenError
from coordinator.store import Store, Transaction

ROLE: Final = "role"
"""The key of a route's `opt` that says which role it needs."""

_ATTEMPTS: Final = 4

Ask = Request[Any, Any, State]
Key = Annotated[str | None, HeaderParameter(name="Idempotency-Key", min_length=8, max_length=128)]
Filter = Annotated[str | None, QueryParameter(max_length=64)]
_T = TypeVar("_T")
Change = Callable[[Transaction], Awaitable[Any]]


async def require_role(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let the caller through if its token has the role that the route needs.

    Raises:
        UnauthenticatedError: it has no valid token.
        ForbiddenError: it has one of a lesser role.
    """
    state = connection.app.state
    caller = ANYBODY
    if state.settings.authenticate:
        async with state.store.transaction() as transaction:
            caller = await authenticate(transaction, connection.headers.get("authorization"))
    needed = handler.opt.get(ROLE, Role.VIEWER)
    if not caller.role.includes(needed):
        raise ForbiddenError(f"this needs a token with the role {needed}, yours is {caller.role}")
    connection.state.caller = caller


async def read(state: State, question: Callable[[Transaction], Awaitable[_T]]) -> _T:
    """Answer a question in one transaction."""
    async with state.store.transaction() as transaction:
        return await question(transaction)


async def write(request: Ask, key: str | None, change: Change, status: int = 200) -> Response[bytes]:
    """Carry a write out in one transaction, once for its Idempotency-Key."""
    store: Store = request.app.state.store
    caller: Caller = request.state.caller
    body = await request.body()
    asked = b"\n".join([request.method.encode(), request.url.path.encode(), caller.token.encode(), body])
    fingerprint = hashlib.sha256(asked).hexdigest()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            content = await _write_once(store, key, fingerprint, change)
        except ConflictError:
            # Undone whole by the store, which picks one of two that wait for each other.
            if attempt == _ATTEMPTS:
                raise
        else:
            return Response(content, status_code=status, media_type="application/json")
    raise AssertionError("the last attempt returns or raises")


async def _write_once(store: Store, key: str | None, fingerprint: str, change: Change) -> bytes:
    async with store.transaction() as transaction:

        async def answer() -> bytes:
            return msgspec.json.encode(await change(transaction))

        return await answer_once(transaction, key, fingerprint, answer)


async def write_held(request: Ask, key: str | None, item: str, token: int, change: Change) -> Response[bytes]:
    """The same for a change of a work item that its holder alone may make.

    Raises:
        ForbiddenError: the token is the current one, and another agent's; a stale one is refused as a lost lease.
    """

    async def checked(transaction: Transaction) -> Any:
        caller: Caller = request.state.caller
        if caller.agent is not None:
            row = await transaction.row("get_item", id=item)
            if row is not None and row["token"] == token:
                caller.speak_for(row["agent"])
        return await change(transaction)

    return await write(request, key, checked)
