"""The domain's words as types: what goes over the wire, validated where it enters.

Times are UTC; durations are seconds; `payload` and `result` are JSON of at most 64 KiB each.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

DOCUMENT_BYTES: Final = 64 * 1024
LEASE_SECONDS_DEFAULT: Final = 60
CLAIM_COUNT_MAX: Final = 100
PAGE_MAX: Final = 500

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:-]*$")]
LeaseSeconds = Annotated[int, Meta(ge=1, le=3600)]
Token = Annotated[int, Meta(ge=1)]
Names = Annotated[list[Name], Meta(max_length=32)]


class Priority(StrEnum):
    """How urgent a work item is."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


HEAD_START_MS: Final = {
    Priority.CRITICAL: 24 * 3_600_000,
    Priority.HIGH: 4 * 3_600_000,
    Priority.MEDIUM: 3_600_000,
    Priority.LOW: 0,
}
"""How much older than it is a work item of that priority counts, in milliseconds.

Claims go by age after this head start, so the order is priority, then age; and a low item that has
waited a day goes before a critical one of this minute: nothing starves, and the order is one column.
"""


class Status(StrEnum):
    """Where a work item is in its life."""

    READY = "ready"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    FAILED = "failed"


class Submission(Struct, forbid_unknown_fields=True):
    """A work item as its author gives it."""

    type: Name
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Annotated[str, Meta(max_length=10_000)] = ""
    priority: Priority = Priority.MEDIUM
    team: Name | None = None
    labels: Names = []
    skills: Names = []
    points: Annotated[int, Meta(ge=0, le=1000)] = 1
    payload: Any = None
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 3

    def __post_init__(self) -> None:
        check_document("payload", self.payload)


class ClaimRequest(Struct, forbid_unknown_fields=True):
    """What an agent asks for: one item by `id`, or up to `count` items that fit the filter."""

    agent: Name
    id: str | None = None
    team: Name | None = None
    type: Name | None = None
    skills: Names | None = None
    count: Annotated[int, Meta(ge=1, le=CLAIM_COUNT_MAX)] = 1
    lease_seconds: LeaseSeconds = LEASE_SECONDS_DEFAULT


class Renewal(Struct, forbid_unknown_fields=True):
    """Proof of holding, and how much longer."""

    token: Token
    lease_seconds: LeaseSeconds = LEASE_SECONDS_DEFAULT
    progress: Annotated[int, Meta(ge=0, le=100)] | None = None


class Completion(Struct, forbid_unknown_fields=True):
    """Proof of holding, and what came of the work."""

    token: Token
    result: Any = None

    def __post_init__(self) -> None:
        check_document("result", self.result)


class Failure(Struct, forbid_unknown_fields=True):
    """Proof of holding, and why the work could not be done."""

    token: Token
    reason: Annotated[str, Meta(min_length=1, max_length=2000)]
    retryable: bool = True


class Release(Struct, forbid_unknown_fields=True):
    """Proof of holding, given back undone."""

    token: Token


class WorkItem(Struct):
    """A work item as the store knows it."""

    id: str
    type: str
    title: str
    description: str
    priority: Priority
    team: str | None
    labels: list[str]
    skills: list[str]
    points: int
    payload: Any
    status: Status
    attempt: int
    max_attempts: int
    progress: int
    agent: str | None
    reason: str | None
    result: Any
    created_at: datetime
    ready_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None
    lease_expires_at: datetime | None


class Claim(Struct):
    """A work item in an agent's hands until `lease_expires_at`; `token` proves it."""

    item: WorkItem
    token: int
    lease_expires_at: datetime


class Claims(Struct):
    """What a claim gave: fewer than asked for, or none, when no more work fits."""

    claims: list[Claim]


class WorkPage(Struct):
    """A page of work items, newest first; `next` is the cursor of the following page."""

    items: list[WorkItem]
    next: str | None


class Registration(Struct, forbid_unknown_fields=True):
    """An agent as it introduces itself."""

    name: Name
    team: Name | None = None
    skills: Names = []
    capacity: Annotated[int, Meta(ge=1, le=1000)] = 1


class Agent(Struct):
    """An agent as the store knows it."""

    id: str
    name: str
    team: str | None
    skills: list[str]
    capacity: int
    registered_at: datetime
    last_seen_at: datetime
    claimed: int


class Agents(Struct):
    """All agents, by name."""

    agents: list[Agent]


def check_document(field: str, value: Any) -> None:
    """Bound a JSON document.

    Raises:
        ValueError: it is larger than `DOCUMENT_BYTES` when encoded.
    """
    size = len(msgspec.json.encode(value))
    if size > DOCUMENT_BYTES:
        raise ValueError(f"{field} is {size} bytes, at most {DOCUMENT_BYTES} are allowed")
