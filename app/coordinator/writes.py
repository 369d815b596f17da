"""Writes: each once for its Idempotency-Key, and those that come together in one transaction.

While one transaction of a kind runs, the next requests of that kind gather; then one transaction, and one commit to
disk, carries them all out. Nobody waits for company: a request that comes alone runs alone, at once.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from coordinator import work
from coordinator.errors import ConflictError, CoordinatorError, KeyReusedError, StoreUnavailableError
from coordinator.model import Claim, ClaimRequest, Claims, Completion, Renewal, Submission
from coordinator.store import Store, Transaction
from coordinator.work import Held

_T = TypeVar("_T")
_ATTEMPTS: Final = 4
_TOGETHER: Final = 64
Act = Callable[[Transaction, list[_T]], Awaitable[Sequence[Any]]]


class NothingYetError(Exception):
    """Nothing can be claimed, and whoever asks has time left to wait; `full` if its agent has no room for anything."""

    def __init__(self, *, full: bool) -> None:
        super().__init__("nothing to claim yet")
        self.full = full


@dataclass(frozen=True)
class Once:
    """What makes a repeated write known: its Idempotency-Key, and a fingerprint of all that it asks for."""

    key: str | None = None
    request: str = ""


class Answer(NamedTuple):
    """What a write gave, as JSON; `value` is None where it was carried out before."""

    content: bytes
    value: Any


class Writes:
    """All writes of one process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._submissions = _Together(store, _submit)
        self._claims = _Together(store, _claim)
        self._renewals = _Together(store, work.renew_each)
        self._completions = _Together(store, work.complete_each)

    async def alone(self, once: Once, change: Callable[[Transaction], Awaitable[Any]]) -> Answer:
        """Carry one write out in a transaction of its own. Raises what it raises, with nothing changed."""

        async def act(transaction: Transaction, _: list[None]) -> list[Any]:
            return [await change(transaction)]

        call = _Call(None, once, None)
        await _carry_out(self._store, act, [call])
        return await call.answer

    async def submit(self, once: Once, submission: Submission, trace_id: str | None) -> Answer:
        """See `work.submit_all`."""
        if submission.depends_on or submission.parent:
            # May be refused after it has changed something: to be undone alone.
            return await self.alone(once, lambda transaction: work.submit(transaction, submission, trace_id))
        return await self._submissions.ask((submission, trace_id), once)

    async def claim(self, once: Once, request: ClaimRequest, *, patient: bool = False) -> Answer:
        """See `work.claim_each`.

        Raises:
            NothingYetError: a patient request found nothing; it may be asked again.
        """
        return await self._claims.ask((request, patient), once, request.agent)

    async def renew(self, once: Once, held: Held[Renewal]) -> Answer:
        """See `work.renew_each`."""
        return await self._renewals.ask(held, once, held.item)

    async def complete(self, once: Once, held: Held[Completion]) -> Answer:
        """See `work.complete_each`."""
        return await self._completions.ask(held, once, held.item)


async def _submit(transaction: Transaction, asked: list[tuple[Submission, str | None]]) -> Sequence[Any]:
    return await work.submit_all(transaction, [one for one, _ in asked], [trace for _, trace in asked])


async def _claim(transaction: Transaction, asked: list[tuple[ClaimRequest, bool]]) -> Sequence[Any]:
    given = await work.claim_each(transaction, [request for request, _ in asked])
    return [_give(claims, *one) for claims, one in zip(given, asked, strict=True)]


def _give(claims: list[Claim] | CoordinatorError, request: ClaimRequest, patient: bool) -> Any:
    refused = isinstance(claims, CoordinatorError)
    full = refused and request.id is None
    if patient and (refused or not claims):
        return NothingYetError(full=full)
    if full:
        return Claims([])
    return claims if isinstance(claims, CoordinatorError) else Claims(claims)


@dataclass(eq=False)
class _Call(Generic[_T]):
    asked: _T
    once: Once
    subject: str | None
    answer: "asyncio.Future[Answer]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def give(self, answer: Answer | BaseException) -> None:
        if self.answer.done():
            return
        if isinstance(answer, BaseException):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class _Together(Generic[_T]):
    def __init__(self, store: Store, act: Act[_T]) -> None:
        self._store = store
        self._act = act
        self._waiting: deque[_Call[_T]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def ask(self, asked: _T, once: Once, subject: str | None = None) -> Answer:
        """Carry it out with what else comes; no two with the same subject or key share a transaction."""
        call = _Call(asked, once, subject)
        self._waiting.append(call)
        if self._working is None:
            # Of its own context: it works for whoever comes, not for the request that started it.
            self._working = asyncio.create_task(self._work(), context=contextvars.Context())
        return await call.answer

    async def _work(self) -> None:
        try:
            while self._waiting:
                await _carry_out(self._store, self._act, self._take())
        finally:
            self._working = None

    def _take(self) -> list[_Call[_T]]:
        taken: list[_Call[_T]] = []
        later: list[_Call[_T]] = []
        met: set[tuple[str, str]] = set()
        while self._waiting and len(taken) < _TOGETHER:
            call = self._waiting.popleft()
            marks = {("subject", call.subject), ("key", call.once.key)}
            known = {(kind, mark) for kind, mark in marks if mark is not None}
            if known & met:
                later.append(call)
            else:
                taken.append(call)
                met |= known
        self._waiting.extendleft(reversed(later))
        return taken


async def _carry_out(store: Store, act: Act[_T], calls: list[_Call[_T]]) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async with store.transaction() as transaction:
                answers = await _answer(transaction, calls, act)
        except StoreUnavailableError as error:
            answers = [error] * len(calls)
        except Exception as error:  # noqa: BLE001 - it is given to the caller whose request it is
            if len(calls) > 1:
                # Undone whole: whoever is not the cause of it must not suffer from it.
                for call in calls:
                    await _carry_out(store, act, [call])
                return
            if isinstance(error, ConflictError) and attempt < _ATTEMPTS:
                continue
            answers = [error]
        break
    for call, answer in zip(calls, answers, strict=True):
        call.give(answer)


async def _answer(transaction: Transaction, calls: list[_Call[_T]], act: Act[_T]) -> list[Answer | BaseException]:
    """Carry out what was not before, and keep each answer in the transaction that made it true."""
    answers: dict[int, Answer | BaseException] = {}
    keys = {number: call.once for number, call in enumerate(calls) if call.once.key is not None}
    if keys:
        asked = [{"key": once.key, "request": once.request} for once in keys.values()]
        new = {row["key"] for row in await transaction.many("keep_key", asked)}
        for number, once in keys.items():
            if once.key not in new:
                answers[number] = await _repeat(transaction, once)
    fresh = [number for number in range(len(calls)) if number not in answers]
    outcomes = await act(transaction, [calls[number].asked for number in fresh]) if fresh else []
    for number, outcome in zip(fresh, outcomes, strict=True):
        refused = isinstance(outcome, CoordinatorError | NothingYetError)
        answers[number] = outcome if refused else Answer(msgspec.json.encode(outcome), outcome)
    if keys:
        kept = [(keys[number].key, answers[number]) for number in fresh if number in keys]
        done = [{"key": key, "answer": answer.content} for key, answer in kept if isinstance(answer, Answer)]
        await transaction.many("keep_answer", done)
        await transaction.many("drop_key", [{"key": key} for key, answer in kept if not isinstance(answer, Answer)])
    return [answers[number] for number in range(len(calls))]


async def _repeat(transaction: Transaction, once: Once) -> Answer | CoordinatorError:
    kept = await transaction.row("get_answer", key=once.key)
    if kept is None or kept["request"] != once.request:
        return KeyReusedError("send a new Idempotency-Key with a new request")
    return Answer(bytes(kept["answer"]), None)
