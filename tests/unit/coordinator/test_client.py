"""The client asks again where that may help, under one key, and no longer than somebody would wait."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from coordinator import client as module
from coordinator.client import Client, Problem, UnreachableError
from coordinator.model import Release

from tests.receiver import Answer, Receiver
from tests.servers import free_port


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The attempts after which it paused, and no pause."""
    attempts: list[int] = []

    def pause(attempt: int) -> float:
        attempts.append(attempt)
        return 0

    monkeypatch.setattr(module, "_pause", pause)
    return attempts


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(Answer()) as receiver:
        yield receiver


def test_what_a_load_balancer_answers_for_a_node_that_is_gone_is_asked_again_under_one_key(
    receiver: Receiver,
    paused: list[int],  # noqa: ARG001 - no pause
) -> None:
    receiver.answer(Answer(502), Answer(503, {}), Answer(504), Answer(429), Answer(502), Answer())
    with Client(receiver.url) as client:
        client.release_lock("deploy", Release(1))
    keys = {asked.headers["idempotency-key"] for asked in receiver.asked}
    assert len(receiver.asked) == 6 and len(keys) == 1


def test_it_gives_up_where_that_does_not_end(receiver: Receiver, paused: list[int]) -> None:
    receiver.answer(Answer(503, {"title": "Store is not available", "code": "store_unavailable", "detail": "away"}))
    with Client(receiver.url) as client, pytest.raises(Problem) as given_up:
        client.release_lock("deploy", Release(1))
    assert given_up.value.code == "store_unavailable"
    assert paused == [0, 1, 2, 3, 4, 5]


def test_it_gives_up_sooner_where_nobody_is(paused: list[int]) -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(UnreachableError, match="no coordinator"):
        client.release_lock("deploy", Release(1))
    assert paused == [0, 1, 2]


def test_it_gives_up_where_who_was_there_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []
    with ExitStack() as there:
        receiver = there.enter_context(Receiver(Answer(503, {})))

        def pause(attempt: int) -> float:
            attempts.append(attempt)
            if attempt == 3:
                there.close()
            return 0

        monkeypatch.setattr(module, "_pause", pause)
        with Client(receiver.url) as client, pytest.raises(UnreachableError, match="no coordinator"):
            client.release_lock("deploy", Release(1))
    assert attempts == [0, 1, 2, 3]


def test_an_answer_that_does_not_come_is_asked_for_again(receiver: Receiver, paused: list[int]) -> None:
    receiver.answer(Answer(seconds=3), Answer())
    with Client(receiver.url, timeout_seconds=1) as client:
        client.release_lock("deploy", Release(1))
    assert paused == [0]
