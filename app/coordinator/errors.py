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


class LeaseLostError(CoordinatorError):
    """The fencing token is not the current one: the lease expired, or the item was given to another agent."""

    code = "lease_lost"
    status = 409
    title = "Lease lost"


class KeyReusedError(CoordinatorError):
    """The Idempotency-Key was used before for another request."""

    code = "idempotency_key_reused"
    status = 422
    title = "Idempotency-Key was used for another request"


class StoreUnavailableError(CoordinatorError):
    """The store does not answer, or its schema is older than this version needs."""

    code = "store_unavailable"
    status = 503
    title = "Store is not available"
