"""What the engine's proxy lets through, asked of a small engine on a socket."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest
from coordinator.contract import LIVE_PATH, MAXIMUM_LABEL, MINIMUM_LABEL
from coordinator.engine_proxy import create_app
from litestar.testing import TestClient

from tests.sockets import serve_on

SPEC: dict[str, Any] = {
    "Name": "coordinator",
    "Labels": {MINIMUM_LABEL: "2", MAXIMUM_LABEL: "4"},
    "TaskTemplate": {"ContainerSpec": {"Image": "coordinator:1", "Env": ["A=1"]}},
    "Mode": {"Replicated": {"Replicas": 2}},
}


class Engine:
    """Answers as the Docker Engine does, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.more: dict[str, Any] = {}
        self.specs = {"coordinator": SPEC, "database": {**SPEC, "Labels": {}}}

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.asked.append((method, path, body))
        spec = self.specs.get(path.split("/")[2] if path.startswith("/services/") else "")
        if method == "GET" and path != "/_ping" and spec is None:
            return 404, {"message": "no such service"}
        return 200, {"ID": "coordinator", "Version": {"Index": 7}, "Spec": spec} | self.more


@pytest.fixture
def engine(socket: Path) -> Iterator[Engine]:
    engine = Engine()
    with serve_on(socket, engine.answer):
        yield engine


@pytest.fixture
def proxy(engine: Engine, socket: Path) -> Iterator[httpx.Client]:  # noqa: ARG001 - it is there
    with TestClient(create_app(socket)) as client:
        yield client


def scaled(replicas: Any, **more: Any) -> dict[str, Any]:
    spec = deepcopy(SPEC) | more
    spec["Mode"]["Replicated"]["Replicas"] = replicas
    return spec


def update(proxy: httpx.Client, spec: Any, service: str = "coordinator") -> httpx.Response:
    return proxy.post(f"/services/{service}/update", params={"version": 7}, json=spec)


def test_a_labelled_service_is_read_and_scaled(proxy: httpx.Client, engine: Engine) -> None:
    assert proxy.get("/services/coordinator").json()["Spec"] == SPEC
    assert update(proxy, scaled(4)).status_code == 200
    assert engine.asked[-1] == ("POST", "/services/coordinator/update?version=7", scaled(4))


@pytest.mark.parametrize(
    "spec",
    [
        scaled(5),
        scaled(1),
        scaled("3"),
        scaled(True),
        scaled(None),
        scaled(3, Name="another"),
        scaled(3, Labels={MINIMUM_LABEL: "0", MAXIMUM_LABEL: "99"}),
        scaled(3, TaskTemplate={"ContainerSpec": {"Image": "another:1", "Mounts": [{"Source": "/"}]}}),
        scaled(3, UpdateConfig={"Parallelism": 9}),
        {"Mode": {"Global": {}}},
        [],
        None,
        "scale",
    ],
)
def test_no_other_change_comes_through(proxy: httpx.Client, engine: Engine, spec: Any) -> None:
    assert update(proxy, spec).status_code == 403
    assert not [one for one in engine.asked if one[0] == "POST"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/services/database", 403),
        ("POST", "/services/database/update?version=7", 403),
        ("GET", "/services/nothing", 404),
        ("GET", "/services", 404),
        ("GET", "/services/..%2Fcontainers%2Fjson", 404),
        ("GET", "/services/%2e%2e", 404),
        ("GET", "/services/coordinator%3FinsertDefaults=1", 404),
        ("GET", "/containers/json", 404),
        ("GET", "/secrets", 404),
        ("GET", "/v1.41/services/coordinator", 404),
        ("POST", "/services/create", 405),
        ("DELETE", "/services/coordinator", 405),
        ("POST", "/containers/create", 404),
        ("POST", "/services/coordinator/update", 400),
        ("POST", "/services/coordinator/update?version=x", 400),
    ],
)
def test_nothing_else_of_the_engine_is_reached(
    proxy: httpx.Client, engine: Engine, method: str, path: str, status: int
) -> None:
    body = None if method in {"GET", "DELETE"} else scaled(3)
    assert proxy.request(method, path, json=body).status_code == status
    assert {(one[0], one[1].split("?")[0]) for one in engine.asked} <= {
        ("GET", "/services/database"), ("GET", "/services/nothing")
    }  # fmt: skip


@pytest.mark.parametrize("more", [{"Version": {"Index": 8}}, {"UpdateStatus": {"State": "updating"}}])
def test_what_was_decided_by_another_state_is_refused(
    proxy: httpx.Client, engine: Engine, more: dict[str, Any]
) -> None:
    engine.more = more
    assert update(proxy, scaled(4)).status_code == 409
    assert not [one for one in engine.asked if one[0] == "POST"]


def test_what_is_too_large_is_refused(proxy: httpx.Client, engine: Engine) -> None:
    assert update(proxy, scaled(3, Name="a" * 300_000)).status_code == 413
    assert engine.asked == []


def test_an_engine_that_is_gone_is_told(socket: Path) -> None:
    with TestClient(create_app(socket)) as proxy:
        with serve_on(socket, Engine().answer):
            assert proxy.get(LIVE_PATH).status_code == 200
        socket.unlink()
        assert proxy.get("/services/coordinator").status_code == 502
        assert proxy.get(LIVE_PATH).status_code == 502
