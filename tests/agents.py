"""So many agents at work at once, each with the real client, while something is done to what serves them.

A thread each, since the client is synchronous. Whatever the client gives up on counts as failed, and every claim and
completion is held against all others: no item in two hands, none done twice, none lost.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import pytest
from coordinator.client import Client, Problem, UnreachableError
from coordinator.model import ClaimRequest, Completion, Submission

T = TypeVar("T")
TYPE = "simulated"
LEASE_SECONDS = 180
"""Longer than a thousand agents pause and ask again."""
_CONNECTIONS = 50
"""Agents that share one client, and so one pool of connections."""


@dataclass
class Agents:
    """Agents that submit, claim, work and complete until the context ends."""

    url: str
    token: str | None
    count: int
    cycles_per_second: float = 25
    """Items submitted, claimed and completed in a second by all of them."""
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    slowest_seconds: float = 0
    claim_seconds: list[float] = field(default_factory=list)
    submitted: set[str] = field(default_factory=set)
    completed: Counter[str] = field(default_factory=Counter)
    in_two_hands: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._held: dict[str, float] = {}
        self._asking: Counter[Client] = Counter()
        self._opened: list[Client] = []
        self.use(self.token)

    def use(self, token: str | None) -> None:
        """From the next request on, everybody shows this token."""
        self.token = token
        clients = [self.open_client() for _ in range(-(-self.count // _CONNECTIONS))]
        with self._lock:
            self._clients = clients
        self._opened += clients

    def have_changed(self) -> bool:
        """Whether no request goes on with a token of before."""
        with self._lock:
            return not any(count for client, count in self._asking.items() if client not in self._clients)

    def open_client(self) -> Client:
        """One that shows their token."""
        with pytest.MonkeyPatch.context() as patch:
            if self.token is not None:
                patch.setenv("COORDINATOR_TOKEN", self.token)
            return Client(self.url)

    def __enter__(self) -> Self:
        self._threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(self.count)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        end = time.monotonic() + 180
        for thread in self._threads:
            thread.join(max(0, end - time.monotonic()))
        for client in self._opened:
            client.__exit__(None, None, None)
        assert not [thread for thread in self._threads if thread.is_alive()], "agents that do not end"

    def await_cycles(self, count: int, seconds: float) -> None:
        """Until so many more items are done."""
        wanted, end = self.completed.total() + count, time.monotonic() + seconds
        while self.completed.total() < wanted:
            done = count - (wanted - self.completed.total())
            assert time.monotonic() < end, f"in {seconds:.0f} s {done} items were done; {self.failures[:3]}"
            time.sleep(0.1)

    def report(self) -> dict[str, float]:
        """What they met with."""
        return {
            "agents": self.count,
            "requests": self.requests,
            "failed": len(self.failures),
            "items_completed": self.completed.total(),
            "items_done_twice": sum(count > 1 for count in self.completed.values()) + len(self.in_two_hands),
            "slowest_s": round(self.slowest_seconds, 2),
        }

    def find_lost(self) -> set[str]:
        """What was acknowledged, and is not there as it was acknowledged."""
        states: dict[str, str] = {}
        with self.open_client() as client:
            page = client.list_items(type=TYPE, count=500)
            while True:
                states |= {item.id: item.status for item in page.items}
                if page.next is None:
                    break
                page = client.list_items(type=TYPE, count=500, before=page.next)
        undone = {item for item in self.completed if states.get(item) != "completed"}
        return undone | (self.submitted - set(states))

    def _work(self, number: int) -> None:
        agent, pause = f"agent-{number}", self.count / self.cycles_per_second
        # Not all at the same moment.
        self._stop.wait(pause * number / self.count)
        while not self._stop.is_set():
            try:
                self._cycle(number // _CONNECTIONS, agent, pause)
            except (UnreachableError, Problem) as error:
                self.failures.append(f"{getattr(error, 'code', '')} {error}")
                self._stop.wait(1)

    def _cycle(self, shared: int, agent: str, pause: float) -> None:
        item = self._timed(shared, lambda client: client.submit(Submission(TYPE, agent)))
        self.submitted.add(item.id)
        request = ClaimRequest(agent, type=TYPE, lease_seconds=LEASE_SECONDS)
        begin = time.monotonic()
        claims = self._timed(shared, lambda client: client.claim(request))
        self.claim_seconds.append(time.monotonic() - begin)
        for claim in claims:
            mine = claim.item.id
            with self._lock:
                if self._held.get(mine, 0) > time.monotonic():
                    self.in_two_hands.append(mine)
                self._held[mine] = time.monotonic() + LEASE_SECONDS
            self._stop.wait(pause)
            token = claim.token
            self._timed(shared, lambda client: client.complete(mine, Completion(token)))  # noqa: B023 - called at once
            with self._lock:
                self._held.pop(mine, None)
                self.completed[mine] += 1

    def _timed(self, shared: int, ask: Callable[[Client], T]) -> T:
        begin = time.monotonic()
        with self._lock:
            client = self._clients[shared]
            self._asking[client] += 1
            self.requests += 1
        try:
            return ask(client)
        finally:
            with self._lock:
                self._asking[client] -= 1
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begin)
