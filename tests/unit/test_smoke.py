"""A release that cannot be tried is put back, whatever it was that kept it from being tried."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
import pytest
import requests

from cli import release
from cli.console import StopError
from components.engine import EngineError
from components.naming import Names


@pytest.mark.parametrize(
    "error",
    [
        StopError("the smoke test did not succeed"),
        EngineError("the engine does not answer"),
        requests.ReadTimeout("after ten seconds"),
        docker.errors.APIError("conflict"),
        ValueError("no JSON"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_release_that_cannot_be_tried_is_put_back(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    @contextmanager
    def connect(_swarm: str) -> Iterator[None]:
        yield None

    def refuse(*_: Any) -> None:
        raise error

    put_back: list[Any] = []

    def note(_client: None, _names: Names, before: Any) -> list[str]:
        put_back.append(before)
        return []

    monkeypatch.setattr(release, "connect", connect)
    monkeypatch.setattr(release, "note_services", lambda _client, _names: {"x-dev-coordinator": "before"})
    monkeypatch.setattr(release, "make_token", refuse)
    monkeypatch.setattr(release, "roll_back", note)
    with pytest.raises(type(error)):
        release.release("unix:///nowhere", Names("x", "dev"), lambda: "http://127.0.0.1:9", authenticated=True)
    assert put_back == [{"x-dev-coordinator": "before"}]
