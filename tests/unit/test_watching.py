"""Who watches is asked where it runs: what it says, what it does not, and what never comes."""

from types import SimpleNamespace
from typing import Any

import pytest

from cli import watching
from cli.console import StopError
from cli.watching import Watchers
from components.naming import Names

CLIENT: Any = None
WATCHERS = Watchers(CLIENT, "unix:///nowhere", Names("x", "dev"))


class Container:
    """One whose commands end so, one after the other."""

    def __init__(self, *ends: tuple[int, bytes | None, bytes | None]) -> None:
        self.ends, self.asked = list(ends), 0

    def exec_run(self, command: list[str], *, demux: bool) -> SimpleNamespace:
        assert demux and command[:3] == ["busybox", "timeout", "20"], "it may wait for ever"
        self.asked += 1
        code, said, complaint = self.ends.pop(0)
        return SimpleNamespace(exit_code=code, output=(said, complaint))


def ask(monkeypatch: pytest.MonkeyPatch, container: Container) -> bytes | None:
    monkeypatch.setattr(watching, "find_container", lambda _client, _service: container)
    return WATCHERS.ask("prometheus", "9090/-/ready", "monitoring")


def test_an_answer_that_was_lost_on_its_way_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, Container((0, None, None), (0, b"ready", None))) == b"ready"


def test_what_it_does_not_know_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, Container((1, None, b"server returned error: HTTP/1.1 404 Not Found"))) is None


@pytest.mark.parametrize("code", [124, 143])
def test_one_that_never_answers_is_said_to_and_not_asked_again(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    stuck = Container((code, None, None))
    with pytest.raises(StopError, match="x-dev-prometheus does not answer: nothing came within 20 s"):
        ask(monkeypatch, stuck)
    assert stuck.asked == 1
