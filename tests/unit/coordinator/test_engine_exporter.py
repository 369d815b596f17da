"""What the engine's exporter tells, of a small engine on a socket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from coordinator.contract import LIVE_PATH, METRICS_PATH
from coordinator.engine_exporter import create_app
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from tests.sockets import serve_on

INFO = {
    "ContainersRunning": 3, "ContainersPaused": 0, "ContainersStopped": 1, "Images": 7, "ServerVersion": "20.10.24",
    "Swarm": {"ControlAvailable": True, "Nodes": 5, "Managers": 3},
}  # fmt: skip
CGROUP_1 = {
    "cpu_stats": {"cpu_usage": {"total_usage": 1_500_000_000}, "throttling_data": {"throttled_time": 250_000_000}},
    "memory_stats": {
        "usage": 100, "limit": 256,
        "stats": {"total_active_file": 20, "total_inactive_file": 30, "active_file": 1, "inactive_file": 1},
    },
    "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}},
    "pids_stats": {"current": 4},
}  # fmt: skip
CGROUP_2 = CGROUP_1 | {
    "memory_stats": {"usage": 100, "limit": 256, "stats": {"active_file": 2, "inactive_file": 3}},
}
BEGINNING: dict[str, Any] = {"cpu_stats": {}, "memory_stats": {}, "pids_stats": {}, "networks": None}
STATS = {"a" * 64: CGROUP_1, "b" * 64: CGROUP_2, "c" * 64: BEGINNING, "d" * 64: 404, "e" * 64: 500}


class Engine:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.info: dict[str, Any] = INFO
        self.status = 200

    def answer(self, method: str, path: str, _body: Any) -> tuple[int, Any]:
        assert method == "GET"
        self.asked.append(path)
        plain = urlsplit(path).path
        if plain.endswith("/stats"):
            stats = STATS[plain.split("/")[2]]
            return (stats, {"message": "it ends"}) if isinstance(stats, int) else (200, stats)
        names = {"com.docker.swarm.service.name": "x-dev-coordinator"}
        containers = [{"Id": id_, "Names": ["/x"], "Labels": names} for id_ in STATS]
        return self.status, {"/_ping": "OK", "/info": self.info, "/containers/json": containers}[plain]


@pytest.fixture
def engine(socket: Path) -> Iterator[Engine]:
    engine = Engine()
    with serve_on(socket, engine.answer):
        yield engine


@pytest.fixture
def exporter(engine: Engine, socket: Path) -> Iterator[httpx.Client]:  # noqa: ARG001 - it is there
    with TestClient(create_app(socket, "beamops.stack=x-dev")) as client:
        yield client


def read(exporter: httpx.Client) -> dict[tuple[str, str], float]:
    """Values by name and container, or state, or nothing."""
    answer = exporter.get(METRICS_PATH)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, sample.labels.get("container") or sample.labels.get("state") or ""): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_what_a_container_uses_is_told(exporter: httpx.Client) -> None:
    told, container = read(exporter), "a" * 12
    assert told["container_cpu_usage_seconds_total", container] == 1.5
    assert told["container_cpu_cfs_throttled_seconds_total", container] == 0.25
    assert told["container_spec_memory_limit_bytes", container] == 256
    assert told["container_network_receive_bytes_total", container] == 11
    assert told["container_network_transmit_bytes_total", container] == 22
    assert told["container_processes", container] == 4


def test_files_that_are_kept_for_the_next_read_are_no_memory_in_use(exporter: httpx.Client) -> None:
    told = read(exporter)
    assert told["container_memory_used_bytes", "a" * 12] == 50, "cgroup 1"
    assert told["container_memory_used_bytes", "b" * 12] == 95, "cgroup 2"


def test_of_what_has_just_begun_or_ended_nothing_is_made_up(exporter: httpx.Client) -> None:
    told = read(exporter)
    assert {container for name, container in told if name.startswith("container_")} == {"a" * 12, "b" * 12}


def test_the_engine_is_told_of(exporter: httpx.Client, engine: Engine) -> None:
    told = read(exporter)
    states = {state: told["engine_daemon_container_states_containers", state] for state in ("running", "stopped")}
    assert states == {"running": 3, "stopped": 1}
    assert (told["engine_swarm_nodes", ""], told["engine_swarm_managers", ""]) == (5, 3)
    engine.info = INFO | {"Swarm": {"ControlAvailable": False, "Nodes": 0}}
    assert ("engine_swarm_nodes", "") not in read(exporter), "a worker does not know"


def test_it_asks_for_one_stacks_containers_and_for_nothing_else(exporter: httpx.Client, engine: Engine) -> None:
    exporter.get(f"{METRICS_PATH}?stream=true&path=/secrets")
    for path in ("/containers/json", "/secrets", "/info", "/"):
        assert exporter.get(path).status_code == 404
        assert exporter.post(path, json={}).status_code in {404, 405}
    assert exporter.post(METRICS_PATH, json={}).status_code == 405
    (listing,) = [one for one in engine.asked if one.startswith("/containers/json")]
    assert parse_qs(urlsplit(listing).query) == {"filters": ['{"label": ["beamops.stack=x-dev"]}']}
    plain = {urlsplit(one).path for one in engine.asked}
    assert plain == {"/info", "/containers/json"} | {f"/containers/{id_}/stats" for id_ in STATS}


def test_an_engine_that_does_not_answer_well_is_no_engine_that_runs_nothing(
    exporter: httpx.Client, engine: Engine
) -> None:
    engine.status = 500
    assert exporter.get(METRICS_PATH).status_code == 502
    assert exporter.get(LIVE_PATH).status_code == 502
