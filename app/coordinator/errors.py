"""What can go wrong with work, each with a stable code that clients may rely on (RFC 9457)."""

from typing import ClassVar


class CoordinatorError(Exception):
    """A refusal that the caller can understand and act on."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]


class UnknownItemError(CoordinatorError):
    """No work item has that id."""

    code = "item_unknown"
    status = 404
    title = "No such work item"


class NotClaimableError(CoordinatorError):
    """The item is held by another agent, not ready yet, or finished."""

    code = "not_claimable"
    status = 409
    title = "Work item cannot be claimed now"


class NotPossibleError(CoordinatorError):
    """The item is in a state in which that cannot be done."""

    code = "not_possible"
    status = 409
    title = "Not possible in the item's state"


class DependencyCycleError(CoordinatorError):
    """Work items would wait for each other in a circle."""

    code = "dependency_cycle"
    status = 409
    title = "Dependencies would form a cycle"


class UnknownAgentError(CoordinatorError):
    """No agent has that name."""

    code = "agent_unknown"
    status = 404
    title = "No such agent"


class LockHeldError(CoordinatorError):
    """Another agent holds the lock."""

    code = "lock_held"
    status = 409
    title = "Lock is held"


class LeaseLostError(CoordinatorError):
    """The fencing token is not the current one: the lease expired, or the item was given to another agent."""

    code = "lease_lost"
    status = 409
    title = "Lease lost"


class UnauthenticatedError(CoordinatorError):
    """No token came with the request, or one that is worth nothing."""

    code = "unauthenticated"
    status = 401
    title = "Authentication needed"


class ForbiddenError(CoordinatorError):
    """The token may not do that."""

    code = "forbidden"
    status = 403
    title = "Not allowed"


class RateLimitedError(CoordinatorError):
    """The token has been used too often in a short time."""

    code = "rate_limited"
    status = 429
    title = "Too many requests"

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class UnknownTokenError(CoordinatorError):
    """No valid token has that id."""

    code = "token_unknown"
    status = 404
    title = "No such token"


class UnknownWebhookError(CoordinatorError):
    """No webhook has that id."""

    code = "webhook_unknown"
    status = 404
    title = "No such webhook"


class NoWebhookKeyError(CoordinatorError):
    """The server has no key to make webhooks' secrets from."""

    code = "webhook_key_missing"
    status = 409
    title = "No key for webhooks"


class WrongEventIdError(CoordinatorError):
    """A place in the stream of events that is none."""

    code = "event_id_wrong"
    status = 400
    title = "Not an event's id"


class KeyReusedError(CoordinatorError):
    """The Idempotency-Key was used before for another request."""

    code = "idempotency_key_reused"
    status = 422
    title = "Idempotency-Key was used for another request"


class ConflictError(CoordinatorError):
    """Two transactions stood in each other's way, again and again."""

    code = "conflict"
    status = 503
    title = "Ask again"


class WrongValueError(CoordinatorError):
    """A value that the store cannot hold."""

    code = "invalid_request"
    status = 400
    title = "Request is not valid"


class StoreUnavailableError(CoordinatorError):
    """The store does not answer, or its schema is older than this version needs."""

    code = "store_unavailable"
    status = 503
    title = "Store is not available"
