"""Chapter 10 for real: replicas follow the load up and down again, agents at work notice nothing."""

import secrets
from collections.abc import Iterator
from typing import Any

import docker
import httpx
import pytest

from cli.toolchain import Toolchain
from components.containers import Source
from tests.agents import Agents
from tests.load import BY_WHAT_WAITS, queued
from tests.reliability import FULL, check_and_keep
from tests.servers import free_port, wait_until_ready
from tests.user import User
from tests.waiting import wait_until

FEWEST, MOST = 2, 4


def chapters(user: User, **coordinator: float) -> dict[str, Any]:
    autoscale = {"maximum": MOST, **BY_WHAT_WAITS}
    return {
        "distribution": {
            "proxy": {"port": user.port},
            "coordinator": {"replicas": FEWEST, "autoscale": autoscale, **coordinator},
        },
        "monitoring": {"enabled": True},
    }


@pytest.fixture
def user(
    source: Source,
    toolchain: Toolchain,  # noqa: ARG001 - built before it is timed
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[User]:
    user = User(tmp_path_factory.mktemp(secrets.token_hex(3)), source, free_port())
    user.configure(**chapters(user))
    yield user
    code, said = user.run("down")
    assert code == 0, said


def test_replicas_follow_the_load_and_fall_back(user: User, engine: docker.DockerClient) -> None:
    code, said = user.run("up")
    assert code == 0, said
    wait_until_ready(url := f"http://127.0.0.1:{user.port}")

    name = f"{user.name}-dev-coordinator"

    def running() -> int:
        return len(engine.containers.list(filters={"name": name, "health": "healthy"}, ignore_removed=True))

    def wanted() -> int:
        (service,) = engine.services.list(filters={"name": name})
        number: int = service.attrs["Spec"]["Mode"]["Replicated"]["Replicas"]
        return number

    with Agents(url, None, 20, cycles_per_second=10) as agents, httpx.Client(base_url=url, timeout=30) as client:
        agents.await_cycles(20, 60)
        assert wanted() == FEWEST
        with queued(client, 100):
            up = wait_until("replicas do not follow: see the autoscaler's log", 180, lambda: running() == MOST)
            user.configure(**chapters(user, cpus=0.9))
            code, said = user.run("up")
            assert code == 0 and "~ 1 updated" in said, said
            assert wanted() == MOST, "a deployment has set back what the autoscaler did"
        figures = {"up_after_s": up}
        if FULL:  # on machines they do in each run
            figures["down_after_s"] = wait_until("replicas do not fall back", 300, lambda: running() == FEWEST)
        agents.await_cycles(50, 120)
    check_and_keep("replicas follow the load", agents, **figures)
    assert up < 60 or not FULL, "a slow machine's seconds say nothing, a whole run's do"
