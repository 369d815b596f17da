"""The domain's words as types: what goes over the wire, validated where it enters.

Times are UTC; durations are seconds; `payload` and `result` are JSON of at most 64 KiB each.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

DOCUMENT_BYTES: Final = 64 * 1024
DOCUMENT_DEPTH: Final = 100
LEASE_SECONDS_DEFAULT: Final = 60
BATCH_MAX: Final = 100
WAIT_SECONDS_MAX: Final = 60
PAGE_MAX: Final = 500
FAILURES_MAX: Final = 40
"""Attempts in a row until a webhook is given up: about three hours."""

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:-]*$")]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
LeaseSeconds = Annotated[int, Meta(ge=1, le=3600)]
Token = Annotated[int, Meta(ge=1, le=2**53, extra_json_schema={"examples": [1]})]
Points = Annotated[int, Meta(ge=0, le=1000)]
Names = Annotated[list[Name], Meta(max_length=32)]
Reason = Annotated[str, Meta(min_length=1, max_length=2000)]


def _like(*examples: Any) -> Meta:
    """Examples for the API's description and for tools' schemas."""
    return Meta(extra_json_schema={"examples": list(examples)})


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

    BLOCKED = "blocked"
    READY = "ready"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AgentStatus(StrEnum):
    """Whether an agent takes work."""

    ACTIVE = "active"
    DRAINING = "draining"
    OFFLINE = "offline"


class Submission(Struct, forbid_unknown_fields=True):
    """A work item as its author gives it.

    In a batch `ref` names an item for the others: their `depends_on` and `parent` may say `#<ref>`.
    """

    type: Annotated[Name, _like("review")]
    title: Annotated[str, Meta(min_length=1, max_length=200), _like("Review the parser")]
    description: Annotated[str, Meta(max_length=10_000), _like("Look at the error paths above all.")] = ""
    priority: Priority = Priority.MEDIUM
    team: Annotated[Name | None, _like("platform")] = None
    labels: Annotated[Names, _like(["parser"])] = []
    skills: Annotated[Names, _like(["python"])] = []
    points: Annotated[Points, _like(3)] = 1
    payload: Annotated[Any, _like({"pull_request": 42})] = None
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 3
    depends_on: Annotated[list[Id], Meta(max_length=100)] = []
    parent: Id | None = None
    ref: Name | None = None

    def __post_init__(self) -> None:
        check_document("payload", self.payload)


class Batch(Struct, forbid_unknown_fields=True):
    """Work items that are submitted together, all or none."""

    items: Annotated[list[Submission], Meta(min_length=1, max_length=BATCH_MAX)]


class ClaimRequest(Struct, forbid_unknown_fields=True):
    """What an agent asks for: one item by `id`, or up to `count` items that fit the filter.

    With `wait_seconds` the answer comes as soon as there is something, at the latest then.
    """

    agent: Annotated[Name, _like("ada")]
    id: Id | None = None
    team: Annotated[Name | None, _like("platform")] = None
    type: Annotated[Name | None, _like("review")] = None
    skills: Annotated[Names | None, _like(["python", "sql"])] = None
    count: Annotated[int, Meta(ge=1, le=BATCH_MAX)] = 1
    lease_seconds: LeaseSeconds = LEASE_SECONDS_DEFAULT
    wait_seconds: Annotated[int, Meta(ge=0, le=WAIT_SECONDS_MAX)] = 0


class Renewal(Struct, forbid_unknown_fields=True):
    """Proof of holding, and how much longer."""

    token: Token
    lease_seconds: LeaseSeconds = LEASE_SECONDS_DEFAULT
    progress: Annotated[Annotated[int, Meta(ge=0, le=100)] | None, _like(40)] = None


class Completion(Struct, forbid_unknown_fields=True):
    """Proof of holding, and what came of the work; `points` corrects what was estimated."""

    token: Token
    result: Annotated[Any, _like({"tests": 12})] = None
    points: Points | None = None

    def __post_init__(self) -> None:
        check_document("result", self.result)


class Failure(Struct, forbid_unknown_fields=True):
    """Proof of holding, and why the work could not be done."""

    token: Token
    reason: Annotated[Reason, _like("the tests do not build")]
    retryable: bool = True


class Release(Struct, forbid_unknown_fields=True):
    """Proof of holding, given back undone."""

    token: Token


class Cancellation(Struct, forbid_unknown_fields=True):
    """Why work is not to be done any more."""

    reason: Reason = "cancelled"


class Reassignment(Struct, forbid_unknown_fields=True):
    """Who has the work item from now on."""

    agent: Name
    lease_seconds: LeaseSeconds = LEASE_SECONDS_DEFAULT


class Dependencies(Struct, forbid_unknown_fields=True):
    """What a work item waits for, in addition."""

    depends_on: Annotated[list[Id], Meta(min_length=1, max_length=100)]


class WorkItem(Struct):
    """A work item as the store knows it."""

    id: str
    type: str
    title: str
    description: str
    priority: Priority
    team: str | None
    parent: str | None
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
    trace_id: str | None
    created_at: datetime
    ready_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None
    lease_expires_at: datetime | None


class Listing(Struct, forbid_unknown_fields=True):
    """Which work items to list: those that fit every filter given; `before` takes a page's `next`."""

    status: Status | None = None
    priority: Priority | None = None
    team: Name | None = None
    type: Name | None = None
    agent: Name | None = None
    label: Name | None = None
    parent: Id | None = None
    before: Id | None = None
    count: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 50


class Claim(Struct):
    """A work item in an agent's hands until `lease_expires_at`; `token` proves it."""

    item: WorkItem
    token: int
    lease_expires_at: datetime


class Claims(Struct):
    """What a claim gave: fewer than asked for, or none, when no more work fits."""

    claims: list[Claim]


class WorkItems(Struct):
    """Work items, in the order of the request."""

    items: list[WorkItem]


class WorkPage(Struct):
    """A page of work items, newest first; `next` is the cursor of the following page."""

    items: list[WorkItem]
    next: str | None


class Event(Struct):
    """A change of a work item or an agent; `id` is a place in the order of all events."""

    id: str
    at: datetime
    kind: str
    item: str | None
    agent: str | None
    team: str | None
    data: dict[str, Any]


class Events(Struct):
    """Events, in the order that the request asks for."""

    events: list[Event]


class Registration(Struct, forbid_unknown_fields=True):
    """An agent as it introduces itself.

    It is offline, and what it holds is given back, when nothing is heard of it for `ttl_seconds`.
    """

    name: Annotated[Name, _like("ada")]
    team: Annotated[Name | None, _like("platform")] = None
    skills: Annotated[Names, _like(["python", "sql"])] = []
    capacity: Annotated[int, Meta(ge=1, le=1000)] = 1
    ttl_seconds: Annotated[int, Meta(ge=5, le=86_400)] = 300


class Agent(Struct):
    """An agent as the store knows it; one that never registered has neither capacity nor ttl."""

    id: str
    name: str
    team: str | None
    skills: list[str]
    capacity: int | None
    status: AgentStatus
    registered_at: datetime
    last_seen_at: datetime
    claimed: int


class Agents(Struct):
    """All agents, by name."""

    agents: list[Agent]


class LockRequest(Struct, forbid_unknown_fields=True):
    """Who wants a named lock, and for how long."""

    agent: Name
    lease_seconds: LeaseSeconds = LEASE_SECONDS_DEFAULT


class Lock(Struct):
    """A named lock in an agent's hands; `token` proves it, and only grows for that name."""

    name: str
    token: int
    agent: str
    lease_expires_at: datetime


class Locks(Struct):
    """Locks that are held, by name."""

    locks: list[Lock]


class WebhookRequest(Struct, forbid_unknown_fields=True):
    """Where to tell events, and which kinds; all where none are named."""

    url: Annotated[str, Meta(max_length=500, pattern=r"^https?://[^/@\s]+(/\S*)?$")]
    kinds: Names = []


class Webhook(Struct):
    """Where events are told; `failures` in a row, and the last one's reason; `given_up` until it is retried."""

    id: str
    url: str
    kinds: list[str]
    failures: int
    reason: str | None
    given_up: bool
    created_at: datetime


class Configuration(Struct):
    """Settings of the process that answered, by the names of their variables; no secret is among them."""

    settings: dict[str, Any]


class NewWebhook(Struct):
    """A webhook, and the secret that its signatures are checked with: it is told this once."""

    webhook: Webhook
    secret: str


class Webhooks(Struct):
    """All webhooks."""

    webhooks: list[Webhook]


class Piped(Struct, forbid_unknown_fields=True):
    """Work items to look at in place of the store's, as `work list --json` prints them."""

    items: list[WorkItem]


def check_document(field: str, value: Any) -> None:
    """Bound a JSON document.

    Raises:
        ValueError: it is larger than `DOCUMENT_BYTES` when encoded, or nested deeper than `DOCUMENT_DEPTH`.
    """
    level, depth = [value], 0
    while level := [part for one in level if isinstance(one, dict | list) for part in _parts(one)]:
        depth += 1
        if depth > DOCUMENT_DEPTH:
            raise ValueError(f"{field} is nested deeper than {DOCUMENT_DEPTH} levels")
    size = len(msgspec.json.encode(value))
    if size > DOCUMENT_BYTES:
        raise ValueError(f"{field} is {size} bytes, at most {DOCUMENT_BYTES} are allowed")


def _parts(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value
