"""The typed client: what the command line and agents' harnesses use."""

import uuid
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from coordinator.model import (
    Agent,
    Agents,
    Claim,
    ClaimRequest,
    Claims,
    Completion,
    Failure,
    Registration,
    Release,
    Renewal,
    Submission,
    WorkItem,
    WorkPage,
)

_T = TypeVar("_T")
_RETRIES = 3


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """What the coordinator refused, as it said it: `code` is stable, `detail` is for people."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


class UnreachableError(Exception):
    """No coordinator answers at the address given."""


class Client:
    """Speaks to one coordinator.

    Every write carries an Idempotency-Key, so a lost answer is asked for again and never done twice.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 30) -> None:
        # One try a connection attempt: `_send` repeats whole requests.
        self._http = httpx.Client(base_url=url, timeout=timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(self, submission: Submission) -> WorkItem:
        """Submit a work item."""
        return self._write("/v1/work", submission, WorkItem)

    def claim(self, request: ClaimRequest) -> list[Claim]:
        """Claim work. Raises Problem `not_claimable` when the item asked for by id cannot be had."""
        return self._write("/v1/claims", request, Claims).claims

    def renew(self, item: str, renewal: Renewal) -> Claim:
        """Extend a lease. Raises Problem `lease_lost`, as do the three below."""
        return self._write(f"/v1/work/{item}/renew", renewal, Claim)

    def complete(self, item: str, completion: Completion) -> WorkItem:
        """Finish a work item."""
        return self._write(f"/v1/work/{item}/complete", completion, WorkItem)

    def fail(self, item: str, failure: Failure) -> WorkItem:
        """Say that the work could not be done."""
        return self._write(f"/v1/work/{item}/fail", failure, WorkItem)

    def release(self, item: str, release: Release) -> WorkItem:
        """Give a work item back undone."""
        return self._write(f"/v1/work/{item}/release", release, WorkItem)

    def get_item(self, item: str) -> WorkItem:
        """Look a work item up."""
        return self._send("GET", f"/v1/work/{item}", WorkItem)

    def list_items(self, **filters: str | int | None) -> WorkPage:
        """A page of work items; filters are the API's query parameters."""
        given = {name: value for name, value in filters.items() if value is not None}
        return self._send("GET", "/v1/work", WorkPage, params=given)

    def register(self, registration: Registration) -> Agent:
        """Register an agent, or update what is known of it."""
        return self._write("/v1/agents", registration, Agent)

    def list_agents(self) -> list[Agent]:
        """Every agent, by name."""
        return self._send("GET", "/v1/agents", Agents).agents

    def _write(self, path: str, body: msgspec.Struct, answer: type[_T]) -> _T:
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        return self._send("POST", path, answer, content=msgspec.json.encode(body), headers=headers)

    def _send(self, method: str, path: str, answer: type[_T], **options: Any) -> _T:
        for attempt in range(_RETRIES):
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if attempt + 1 == _RETRIES:
                    raise UnreachableError(f"no coordinator answers at {self._http.base_url}: {error}") from error
                continue
            break
        if response.is_success:
            return msgspec.json.decode(response.content, type=answer)
        try:
            problem = response.json()
            raise Problem(response.status_code, problem["code"], problem["detail"])
        except (ValueError, KeyError, TypeError):
            raise UnreachableError(
                f"{self._http.base_url} answers {response.status_code}, but not as a coordinator does"
            ) from None
