"""The typed client: what the command line and agents' harnesses use."""

import os
import random
import time
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx
import msgspec
from opentelemetry import propagate

from coordinator import reports
from coordinator.alerts import Alert, Alerts
from coordinator.health import Health
from coordinator.insights import Insight, Kind
from coordinator.model import (
    LEASE_SECONDS_DEFAULT,
    Agent,
    Agents,
    Batch,
    Cancellation,
    Claim,
    ClaimRequest,
    Claims,
    Completion,
    Configuration,
    Dependencies,
    Event,
    Events,
    Failure,
    Lock,
    LockRequest,
    Locks,
    NewWebhook,
    Piped,
    Reassignment,
    Registration,
    Release,
    Renewal,
    Submission,
    Webhook,
    WebhookRequest,
    Webhooks,
    WorkItem,
    WorkItems,
    WorkPage,
)

_T = TypeVar("_T")
_RETRIES = 3
_PATIENCE = 6
"""How often to ask again when somebody is there, and it is not (yet) a coordinator that can answer, which makes about a
minute: a load balancer takes ten seconds to see that a node is gone, and a swarm half a minute to elect who starts
what serves (docs/reliability.md)."""
_ANSWER_SECONDS = 15
"""How long a write may take, beside what a claim chose to wait: what broke off on the way is asked for again."""
_CONNECT_SECONDS = 5
_AGAIN = {
    httpx.codes.BAD_GATEWAY,
    httpx.codes.SERVICE_UNAVAILABLE,
    httpx.codes.GATEWAY_TIMEOUT,
    httpx.codes.TOO_MANY_REQUESTS,
}


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

    Every write carries an Idempotency-Key, so a lost answer is asked for again and never done twice. A bearer token
    is taken from COORDINATOR_TOKEN.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 75) -> None:
        self._http = httpx.Client(base_url=url, timeout=_wait(timeout_seconds))
        self._write_seconds = min(timeout_seconds, _ANSWER_SECONDS)
        if token := os.environ.get("COORDINATOR_TOKEN"):
            self._http.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(self, submission: Submission) -> WorkItem:
        """Submit a work item."""
        return self._write("/v1/work", submission, WorkItem)

    def claim(self, request: ClaimRequest, *, retries: int = 0) -> list[Claim]:
        """Claim work; for an item that another holds, try again so often, after about 1, 2, 4 seconds.

        Raises:
            Problem: `not_claimable` when the item asked for by id cannot be had.
        """
        for attempt in range(retries):
            try:
                return self._write("/v1/claims", request, Claims).claims
            except Problem as problem:
                if problem.code != "not_claimable":
                    raise
            time.sleep(_pause(attempt))
        return self._write("/v1/claims", request, Claims).claims

    def claim_recommended(self, agent: str, lease_seconds: int = LEASE_SECONDS_DEFAULT) -> list[Claim]:
        """Claim the first recommended item that nobody was faster to claim; none when there is none."""
        for advice in self.get_insight(Kind.RECOMMEND, agent).advice:
            if advice.item is None:
                continue
            try:
                return self.claim(ClaimRequest(agent, advice.item, lease_seconds=lease_seconds))
            except Problem as problem:
                if problem.code not in {"not_claimable", "item_unknown"}:
                    raise
        return []

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

    def submit_batch(self, batch: Batch) -> list[WorkItem]:
        """Submit work items together, all or none."""
        return self._write("/v1/work/batch", batch, WorkItems).items

    def cancel(self, item: str, cancellation: Cancellation) -> WorkItem:
        """Say that work is not to be done any more. Raises Problem `not_possible`, as do the three below."""
        return self._write(f"/v1/work/{item}/cancel", cancellation, WorkItem)

    def retry(self, item: str) -> WorkItem:
        """Make failed or cancelled work ready again."""
        return self._write(f"/v1/work/{item}/retry", None, WorkItem)

    def reassign(self, item: str, reassignment: Reassignment) -> Claim:
        """Give a work item to another agent."""
        return self._write(f"/v1/work/{item}/reassign", reassignment, Claim)

    def add_dependencies(self, item: str, dependencies: Dependencies) -> WorkItem:
        """Make a work item wait for others too. Raises Problem `dependency_cycle` as well."""
        return self._write(f"/v1/work/{item}/dependencies", dependencies, WorkItem)

    def get_item(self, item: str) -> WorkItem:
        """Look a work item up."""
        return self._send("GET", f"/v1/work/{item}", WorkItem)

    def get_history(self, item: str) -> list[Event]:
        """All that happened to a work item, in order."""
        return self._send("GET", f"/v1/work/{item}/history", Events).events

    def list_items(self, **filters: str | int | None) -> WorkPage:
        """A page of work items; filters are the API's query parameters."""
        return self._send("GET", "/v1/work", WorkPage, params=_given(filters))

    def register(self, registration: Registration) -> Agent:
        """Register an agent, or update what is known of it."""
        return self._write("/v1/agents", registration, Agent)

    def list_agents(self) -> list[Agent]:
        """Every agent, by name."""
        return self._send("GET", "/v1/agents", Agents).agents

    def get_agent(self, name: str) -> Agent:
        """Look an agent up. Raises Problem `agent_unknown`, as do the two below."""
        return self._send("GET", f"/v1/agents/{name}", Agent)

    def change_agent(self, name: str, action: Literal["renew", "drain", "activate", "fail"]) -> Agent:
        """Say of an agent that it is there, takes no more work, takes work again, or is gone."""
        return self._write(f"/v1/agents/{name}/{action}", None, Agent)

    def remove_agent(self, name: str) -> None:
        """Forget an agent; what it held is ready again."""
        self._send("DELETE", f"/v1/agents/{name}", type(None), headers={"Idempotency-Key": str(uuid.uuid4())})

    def take_lock(self, name: str, request: LockRequest) -> Lock:
        """Take a named lock. Raises Problem `lock_held`."""
        return self._write(f"/v1/locks/{name}", request, Lock)

    def renew_lock(self, name: str, renewal: Renewal) -> Lock:
        """Extend a lock's lease. Raises Problem `lease_lost`, as does the next."""
        return self._write(f"/v1/locks/{name}/renew", renewal, Lock)

    def release_lock(self, name: str, release: Release) -> None:
        """Let go of a lock."""
        self._write(f"/v1/locks/{name}/release", release, type(None))

    def list_locks(self) -> list[Lock]:
        """Locks that are held, by name."""
        return self._send("GET", "/v1/locks", Locks).locks

    def list_events(self, **filters: str | int | None) -> list[Event]:
        """The newest events, newest first."""
        return self._send("GET", "/v1/events", Events, params=_given(filters)).events

    def follow_events(self, after: str | None = None) -> Iterator[Event]:
        """Every event from now on, or after the one with that id; a broken stream is taken up where it broke.

        Raises:
            UnreachableError: the coordinator went away and does not come back.
        """
        attempt = 0
        while attempt <= _RETRIES:
            headers = {"Last-Event-ID": after} if after else {}
            try:
                with self._http.stream("GET", "/v1/events/stream", headers=headers, timeout=60) as response:
                    if response.is_client_error:
                        response.read()
                        raise _problem(response)
                    for line in response.iter_lines():
                        attempt = 0
                        if line.startswith("id:"):
                            after = line.removeprefix("id:").strip()
                        elif line.startswith("data:") and line.removeprefix("data:").strip():
                            yield msgspec.json.decode(line.removeprefix("data:"), type=Event)
            except httpx.TransportError:
                pass
            time.sleep(_pause(attempt))
            attempt += 1
        raise UnreachableError(f"the stream of {self._http.base_url} has ended")

    def get_health(self) -> Health:
        """The health score, with each of its parts."""
        return self._send("GET", "/v1/health", Health)

    def report_teams(self) -> reports.Teams:
        """Work, capacity, velocity and collaboration of every team."""
        return self._send("GET", "/v1/reports/teams", reports.Teams)

    def report_planning(self) -> reports.Planning:
        """Backlog in points against velocity."""
        return self._send("GET", "/v1/reports/planning", reports.Planning)

    def report_dependencies(self) -> reports.Blockers:
        """What blocked work waits for."""
        return self._send("GET", "/v1/reports/dependencies", reports.Blockers)

    def report_idle(self) -> reports.Idle:
        """Capacity that nobody uses."""
        return self._send("GET", "/v1/reports/idle", reports.Idle)

    def report_board(self) -> reports.Board:
        """Parents, and how far their children are."""
        return self._send("GET", "/v1/reports/board", reports.Board)

    def report_delivered(self, days: float) -> reports.Delivered:
        """What was completed in so many days."""
        return self._send("GET", "/v1/reports/delivered", reports.Delivered, params={"days": days})

    def report_retrospective(self, days: float) -> reports.Retrospective:
        """So many days against as many before them."""
        return self._send("GET", "/v1/reports/retrospective", reports.Retrospective, params={"days": days})

    def report_flow(self, days: float) -> reports.Flow:
        """Time that work finished in so many days spent in each state."""
        return self._send("GET", "/v1/reports/flow", reports.Flow, params={"days": days})

    def report_trend(self, minutes: float) -> reports.Trend:
        """Throughput, latency and queue age over so many minutes."""
        return self._send("GET", "/v1/reports/trend", reports.Trend, params={"minutes": minutes})

    def get_insight(self, kind: Kind, agent: str | None = None) -> Insight:
        """Advice from what is in the store; `agent` is whom a recommendation is for."""
        return self._send("GET", f"/v1/insights/{kind}", Insight, params=_given({"agent": agent}))

    def analyse(self, kind: Kind, items: list[WorkItem]) -> Insight:
        """Advice about work items that need not be in the store."""
        return self._write(f"/v1/insights/{kind}", Piped(items), Insight)

    def get_alerts(self) -> list[Alert]:
        """What is wrong now, first, and what is not."""
        return self._send("GET", "/v1/alerts", Alerts).alerts

    def get_config(self) -> dict[str, Any]:
        """Settings of the process that answers."""
        return self._send("GET", "/v1/config", Configuration).settings

    def add_webhook(self, request: WebhookRequest) -> NewWebhook:
        """Tell events to a URL. Raises Problem `webhook_key_missing`."""
        return self._write("/v1/webhooks", request, NewWebhook)

    def list_webhooks(self) -> list[Webhook]:
        """All webhooks."""
        return self._send("GET", "/v1/webhooks", Webhooks).webhooks

    def retry_webhook(self, webhook: str) -> None:
        """Try again at once. Raises Problem `webhook_unknown`, as does the next."""
        self._write(f"/v1/webhooks/{webhook}/retry", None, type(None))

    def remove_webhook(self, webhook: str) -> None:
        """Tell a URL no more."""
        self._send("DELETE", f"/v1/webhooks/{webhook}", type(None), headers={"Idempotency-Key": str(uuid.uuid4())})

    def get_text(self, path: str) -> str:
        """What a path of the coordinator says, as it is."""
        response = self._request("GET", path)
        if response.is_error:
            raise _problem(response)
        return response.text

    def _write(self, path: str, body: msgspec.Struct | None, answer: type[_T]) -> _T:
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        content = b"" if body is None else msgspec.json.encode(body)
        seconds = self._write_seconds + getattr(body, "wait_seconds", 0)
        return self._send("POST", path, answer, content=content, headers=headers, timeout=_wait(seconds))

    def _send(self, method: str, path: str, answer: type[_T], **options: Any) -> _T:
        response = self._request(method, path, **options)
        if response.is_error:
            raise _problem(response)
        return msgspec.json.decode(response.content, type=answer)

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask, and ask again with growing pauses where no answer came, the store was away, or it was too often."""
        # The trace that the caller is in goes on at the coordinator.
        propagate.inject(options.setdefault("headers", {}))
        for attempt in range(_PATIENCE + 1):
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                nobody = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if attempt >= (_RETRIES if nobody else _PATIENCE):
                    raise UnreachableError(f"no coordinator answers at {self._http.base_url}: {error}") from error
            else:
                if response.status_code not in _AGAIN or attempt == _PATIENCE:
                    return response
            time.sleep(_pause(attempt))
        raise AssertionError("the last attempt returns or raises")


def _pause(attempt: int) -> float:
    """Seconds to wait after an attempt: 1, 2, 4, each up to half shorter or longer by chance."""
    return float(2**attempt * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, hides nothing


def _wait(seconds: float) -> httpx.Timeout:
    """So long for an answer; whether anybody is there is known sooner."""
    return httpx.Timeout(seconds, connect=_CONNECT_SECONDS)


def _given(filters: dict[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in filters.items() if value is not None}


def _problem(response: httpx.Response) -> Exception:
    try:
        problem = response.json()
        return Problem(response.status_code, problem["code"], problem["detail"])
    except (ValueError, KeyError, TypeError):
        return UnreachableError(f"{response.url} answers {response.status_code}, but not as a coordinator does")
