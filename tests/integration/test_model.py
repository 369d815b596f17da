"""One model of what the coordinator promises, both stores: whatever is asked in whatever order, same answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiosqlite
import asyncpg
import hypothesis.strategies as st
from coordinator import work
from coordinator.errors import CoordinatorError
from coordinator.model import (
    HEAD_START_MS,
    Cancellation,
    ClaimRequest,
    Completion,
    Failure,
    Priority,
    Release,
    Renewal,
    Status,
    Submission,
)
from coordinator.settings import Settings
from coordinator.store import Store, Transaction, open_store
from coordinator.work import Held
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.servers import migrate

_T = TypeVar("_T")
TABLES = ("event", "dependency", "work_item", "agent", "named_lock", "idempotency")
HOUR = 3600


@dataclass
class Item:
    """What the model knows of a work item."""

    priority: Priority
    max_attempts: int
    needs: set[str] = field(default_factory=set)
    status: Status = Status.READY
    token: int = 0
    attempt: int = 0
    agent: str | None = None
    later: bool = False
    """Whether it waits for its retry."""


class Machine(RuleBasedStateMachine):
    """Asks the store and the model the same, and compares."""

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.settings = Settings.model_validate(
            {key.removeprefix("COORDINATOR_").lower(): value for key, value in variables.items()}
        )
        self.items: dict[str, Item] = {}
        self.store: Store = self.loop.run_until_complete(open_store(self.settings))
        self.sql(*(f"DELETE FROM {table}" for table in TABLES))

    def teardown(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.loop.close()

    def sql(self, *statements: str) -> None:
        async def run() -> None:
            if self.settings.sqlite_path:
                async with aiosqlite.connect(self.settings.sqlite_path) as connection:
                    for statement in statements:
                        await connection.execute(statement)
                    await connection.commit()
            else:
                connection = await asyncpg.connect(self.settings.database_dsn())
                for statement in statements:
                    await connection.execute(statement)
                await connection.close()

        self.loop.run_until_complete(run())

    def ask(self, act: Callable[[Transaction], Awaitable[_T]]) -> _T | str:
        """The answer, or the code of the refusal."""

        async def run() -> _T:
            async with self.store.transaction() as transaction:
                return await act(transaction)

        try:
            return self.loop.run_until_complete(run())
        except CoordinatorError as error:
            return error.code

    def ask_each(self, act: Callable[[Transaction], Awaitable[Sequence[Any]]]) -> list[Any]:
        """The answers, each perhaps the code of a refusal."""
        answers = self.ask(act)
        assert not isinstance(answers, str), answers
        return [one.code if isinstance(one, CoordinatorError) else one for one in answers]

    def pick(self, data: st.DataObject) -> tuple[str, Item]:
        identity = data.draw(st.sampled_from(sorted(self.items)), label="item")
        return identity, self.items[identity]

    def free(self) -> None:
        for item in self.items.values():
            if item.status is Status.BLOCKED and all(
                self.items[need].status is Status.COMPLETED for need in item.needs
            ):
                item.status, item.later = Status.READY, False

    @rule(data=st.data(), priority=st.sampled_from(Priority), max_attempts=st.integers(1, 3))
    def submit(self, data: st.DataObject, priority: Priority, max_attempts: int) -> None:
        known = sorted(self.items)
        needs = data.draw(st.sets(st.sampled_from(known), max_size=2) if known else st.just(set()), label="needs")
        submission = Submission("x", "x", priority=priority, max_attempts=max_attempts, depends_on=sorted(needs))
        made = self.ask(lambda transaction: work.submit(transaction, submission))
        assert not isinstance(made, str), made
        item = Item(priority, max_attempts, needs)
        if any(self.items[need].status is not Status.COMPLETED for need in needs):
            item.status = Status.BLOCKED
        assert made.status is item.status
        self.items[made.id] = item

    @rule(counts=st.dictionaries(st.sampled_from(["ada", "bob"]), st.integers(1, 3), min_size=1))
    def claim(self, counts: dict[str, int]) -> None:
        requests = [ClaimRequest(agent, count=count, lease_seconds=HOUR) for agent, count in counts.items()]
        answers = self.ask_each(lambda transaction: work.claim_each(transaction, requests))
        could = [item for item in self.items.values() if item.status is Status.READY and not item.later]
        urgent = sorted((HEAD_START_MS[item.priority] for item in could), reverse=True)
        for request, claims in zip(requests, answers, strict=True):
            assert [HEAD_START_MS[claim.item.priority] for claim in claims] == urgent[: request.count]
            del urgent[: request.count]
            for claim in claims:
                self.give(claim.item.id, claim.token, request.agent)

    @precondition(lambda self: self.items)
    @rule(data=st.data(), agent=st.sampled_from(["ada", "bob"]))
    def claim_by_id(self, data: st.DataObject, agent: str) -> None:
        identity, item = self.pick(data)
        request = ClaimRequest(agent, identity, lease_seconds=HOUR)
        (answer,) = self.ask_each(lambda transaction: work.claim_each(transaction, [request]))
        if item.status is Status.READY and not item.later:
            assert not isinstance(answer, str), answer
            self.give(identity, answer[0].token, agent)
        else:
            assert answer == "not_claimable"

    def give(self, identity: str, token: int, agent: str) -> None:
        item = self.items[identity]
        assert item.status is Status.READY and token == item.token + 1
        item.status, item.token, item.agent, item.attempt = Status.CLAIMED, token, agent, item.attempt + 1

    @precondition(lambda self: self.items)
    @rule(
        data=st.data(),
        action=st.sampled_from(["renew", "complete", "fail", "fail for good", "release"]),
        behind=st.integers(0, 1),
    )
    def use_token(self, data: st.DataObject, action: str, behind: int) -> None:
        identity, item = self.pick(data)
        token = max(1, item.token - behind)
        acts: dict[str, Callable[[Transaction], Awaitable[Any]]] = {
            "renew": lambda transaction: work.renew_each(transaction, [Held(identity, Renewal(token, HOUR))]),
            "complete": lambda transaction: work.complete_each(transaction, [Held(identity, Completion(token))]),
            "fail": lambda transaction: work.fail(transaction, Held(identity, Failure(token, "x"))),
            "fail for good": lambda transaction: work.fail(
                transaction, Held(identity, Failure(token, "x", retryable=False))
            ),
            "release": lambda transaction: work.release(transaction, Held(identity, Release(token))),
        }
        together = action in {"renew", "complete"}
        before_ms = time.time_ns() // 10**6
        answer = self.ask_each(acts[action])[0] if together else self.ask(acts[action])
        if item.status is not Status.CLAIMED or token != item.token:
            assert answer == "lease_lost"
            return
        assert not isinstance(answer, str), answer
        if action == "complete":
            item.status = Status.COMPLETED
            self.free()
        elif action == "release":
            item.status, item.agent, item.attempt = Status.READY, None, item.attempt - 1
        elif action != "renew":
            again = action == "fail" and item.attempt < item.max_attempts
            item.status, item.agent, item.later = Status.READY if again else Status.FAILED, None, again
            if again:
                # A second is soon over, on a busy machine before the next rule asks.
                waits = f"id = '{identity}' AND ready_at >= {before_ms + 1000}"
                self.sql(f"UPDATE work_item SET ready_at = ready_at + 250000 WHERE {waits}")

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def complete_together(self, data: st.DataObject) -> None:
        chosen = (
            data.draw(st.sets(st.sampled_from(sorted(self.items)), min_size=2, max_size=4), label="items")
            if len(self.items) > 1
            else set(self.items)
        )
        asked = [Held(identity, Completion(max(1, self.items[identity].token))) for identity in sorted(chosen)]
        answers = self.ask_each(lambda transaction: work.complete_each(transaction, asked))
        for held, answer in zip(asked, answers, strict=True):
            item = self.items[held.item]
            if item.status is Status.CLAIMED:
                assert answer.status is Status.COMPLETED
                item.status = Status.COMPLETED
            else:
                assert answer == "lease_lost"
        self.free()

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        identity, item = self.pick(data)
        answer = self.ask(lambda transaction: work.cancel(transaction, identity, Cancellation()))
        if item.status in {Status.BLOCKED, Status.READY, Status.CLAIMED}:
            assert not isinstance(answer, str), answer
            item.status, item.agent, item.later = Status.CANCELLED, None, False
        else:
            assert answer == "not_possible"

    @precondition(lambda self: len(self.items) > 1)
    @rule(data=st.data())
    def make_it_wait(self, data: st.DataObject) -> None:
        identity, item = self.pick(data)
        need, needed = self.pick(data)
        answer = self.ask(lambda transaction: work.add_dependencies(transaction, identity, [need]))
        if item.status not in {Status.READY, Status.BLOCKED}:
            assert answer == "not_possible"
        elif self.waits(need, identity):
            assert answer == "dependency_cycle"
        else:
            assert not isinstance(answer, str), answer
            item.needs.add(need)
            if needed.status is not Status.COMPLETED:
                item.status = Status.BLOCKED

    def waits(self, item: str, other: str) -> bool:
        return item == other or any(self.waits(need, other) for need in self.items[item].needs)

    @rule()
    def leases_end(self) -> None:
        self.sql("UPDATE work_item SET lease_expires_at = 1 WHERE status = 'claimed'")
        self.ask(work.expire_leases)
        for item in self.items.values():
            if item.status is Status.CLAIMED:
                item.status = Status.READY if item.attempt < item.max_attempts else Status.FAILED
                item.agent = None

    @rule()
    def retries_come_due(self) -> None:
        self.sql("UPDATE work_item SET ready_at = 1 WHERE status = 'ready'")
        for item in self.items.values():
            item.later = False

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        page = self.ask(
            lambda transaction: work.list_items(
                transaction,
                count=500,
                **dict.fromkeys(("status", "priority", "team", "type", "agent", "label", "parent", "before")),
            )
        )
        assert not isinstance(page, str)
        found = {one.id: (one.status, one.attempt) for one in page.items}
        assert found == {identity: (item.status, item.attempt) for identity, item in self.items.items()}


def test_the_store_does_what_the_model_says(store: dict[str, str]) -> None:
    migrate(store)
    seeded = settings(
        max_examples=25,
        stateful_step_count=30,
        deadline=None,
        print_blob=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    class OnThisStore(Machine):
        def __init__(self) -> None:
            super().__init__(store)

    run_state_machine_as_test(OnThisStore, settings=seeded)
