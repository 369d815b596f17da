"""What every route shares: who asks, one transaction a request, and the answer to a repeated write."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers.base import BaseRouteHandler
from litestar.params import HeaderParameter, QueryParameter

from coordinator.access import ANYBODY, Caller, Role, authenticate
from coordinator.errors import ForbiddenError
from coordinator.store import Transaction
from coordinator.writes import Answer, Once, Writes

ROLE: Final = "role"
"""The key of a route's `opt` that says which role it needs."""

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


async def identify(request: Ask, key: str | None) -> Once:
    """What makes a repetition of this write known: by whom, to what, with what body."""
    if key is None:
        return Once()
    caller: Caller = request.state.caller
    asked = [request.method.encode(), request.url.path.encode(), caller.token.encode(), await request.body()]
    return Once(key, hashlib.sha256(b"\n".join(asked)).hexdigest())


async def write(request: Ask, key: str | None, change: Change) -> Response[bytes]:
    """Carry a write out in one transaction, once for its Idempotency-Key."""
    writes: Writes = request.app.state.writes
    return respond(await writes.alone(await identify(request, key), change))


def respond(answer: Answer, status: int = 200) -> Response[bytes]:
    """An answer on the wire."""
    return Response(answer.content, status_code=status, media_type="application/json")
