"""What every route shares: who asks, one transaction a request, and the answer to a repeated write."""

import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import limits
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Headers, State
from litestar.handlers.base import BaseRouteHandler
from litestar.params import HeaderParameter, QueryParameter
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from coordinator.access import ANYBODY, Caller, Role, authenticate
from coordinator.errors import ForbiddenError, RateLimitedError, UnauthenticatedError
from coordinator.settings import Settings
from coordinator.store import Store, Transaction
from coordinator.writes import Answer, Once, Writes

ROLE: Final = "role"
"""The key of a route's `opt` that says which role it needs."""

_LOOPBACK: Final = {"127.0.0.1", "localhost", "[::1]"}
_KNOWN_SECONDS: Final = 1.0
_KNOWN_MAX: Final = 10_000
_HEADER_MAX: Final = 256

Ask = Request[Any, Any, State]
Key = Annotated[str | None, HeaderParameter(name="Idempotency-Key", min_length=8, max_length=128)]
Filter = Annotated[str | None, QueryParameter(max_length=64)]
_T = TypeVar("_T")
Change = Callable[[Transaction], Awaitable[Any]]


class Gate:
    """Who is let in: loopback's own names where nobody shows a token, else whoever shows one, not too often."""

    def __init__(self, settings: Settings) -> None:
        self._authenticate = settings.authenticate
        self._loopback_only = not (settings.authenticate or settings.trust_network)
        self._limit = limits.parse(settings.rate_limit)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._known: dict[str, tuple[float, Caller]] = {}

    async def admit(self, store: Store, headers: Headers) -> Caller:
        """Whose request it is.

        Raises:
            UnauthenticatedError: it has no valid token, and needs one.
            RateLimitedError: its token was used too often.
            ForbiddenError: without authentication, and addressed by a name that is not loopback's, or by a page of
                another origin: somebody else's page may have made a browser on this machine ask.
        """
        if not self._authenticate:
            host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
            if self._loopback_only and host not in _LOOPBACK:
                raise ForbiddenError("without authentication this coordinator answers to 127.0.0.1 and localhost alone")
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != headers.get("host"):
                raise ForbiddenError("without authentication pages of another origin may not ask")
            return ANYBODY
        caller = await self._recognise(store, headers.get("authorization"))
        if not self._limiter.hit(self._limit, caller.token):
            wait = self._limiter.get_window_stats(self._limit, caller.token).reset_time - time.time()
            raise RateLimitedError(f"one replica takes {self._limit} from one token", max(1, wait))
        return caller

    async def _recognise(self, store: Store, header: str | None) -> Caller:
        """Look a token up, at most once a second: one that is revoked is refused within a second."""
        if header is not None and len(header) > _HEADER_MAX:
            raise UnauthenticatedError("that is longer than any token")
        until, caller = self._known.get(header or "", (0.0, ANYBODY))
        if time.monotonic() < until:
            return caller
        async with store.transaction() as transaction:
            caller = await authenticate(transaction, header)
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[header or ""] = (time.monotonic() + _KNOWN_SECONDS, caller)
        return caller


async def require_role(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let the caller through if its token has the role that the route needs.

    Raises:
        ForbiddenError: it has one of a lesser role; and as `Gate.admit`.
    """
    state = connection.app.state
    caller = await state.gate.admit(state.store, connection.headers)
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


async def write(request: Ask, key: str | None, change: Change) -> ASGIApp:
    """Carry a write out in one transaction, once for its Idempotency-Key."""
    writes: Writes = request.app.state.writes
    return respond(await writes.alone(await identify(request, key), change))


def respond(answer: Answer, status: int = 200) -> ASGIApp:
    """An answer on the wire; encoded already, so that nothing of the framework's has to look at it again."""
    return ASGIResponse(body=answer.content, status_code=status, media_type="application/json")
