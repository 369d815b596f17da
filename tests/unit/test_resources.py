"""When a job runs again: by its triggers, and by the volume that it works on."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import docker
import pytest
from pulumi.output import Unknown

from components import resources
from components.resources import _JobProvider

BEFORE: dict[str, Any] = {"host": "engine", "triggers": {"migrations": "1"}, "data": "volume", "data_made": "then"}


@pytest.fixture(autouse=True)
def volumes(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the engine has: names of volumes, and when they were made."""
    there = {"volume": "then"}

    def get(name: str) -> Any:
        assert isinstance(name, str), "the engine is asked for what is not known yet"
        if name not in there:
            raise docker.errors.NotFound(name)
        return SimpleNamespace(attrs={"CreatedAt": there[name]})

    @contextmanager
    def connect(host: str) -> Iterator[Any]:
        assert host == "engine"
        yield SimpleNamespace(volumes=SimpleNamespace(get=get))

    monkeypatch.setattr(resources, "connect", connect)
    return there


def runs_again(**new: Any) -> bool | None:
    return _JobProvider().diff("job", BEFORE, {**BEFORE, "data_made": None, **new}).changes


def test_nothing_changed_and_it_does_not_run_again() -> None:
    assert not runs_again()


def test_other_triggers_make_it_run_again() -> None:
    assert runs_again(triggers={"migrations": "2"})


def test_another_volume_of_the_same_name_makes_it_run_again(volumes: dict[str, str]) -> None:
    volumes["volume"] = "now"
    assert runs_again()
    del volumes["volume"]
    assert runs_again()


def test_a_preview_that_knows_no_volume_yet_says_that_it_will_run() -> None:
    assert runs_again(data=Unknown())


def test_a_job_without_data_goes_by_its_triggers() -> None:
    before = {**BEFORE, "data": None, "data_made": None}
    assert not _JobProvider().diff("job", before, before).changes
