"""Stack dev through the real engine, from nothing to nothing; the tests build on each other, in order."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
import httpx
import pytest
from pulumi import automation

from cli.toolchain import Toolchain
from components.containers import Source
from components.engine import run_in
from tests.agents import Agents
from tests.deployment import Deployment, prepare_deployment
from tests.load import Load
from tests.reliability import FULL, check_and_keep, keep
from tests.servers import wait_until_ready
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def deployment(
    toolchain: Toolchain, source: Source, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    before = engine.info()["Swarm"]["LocalNodeState"]
    with prepare_deployment(toolchain, source, tmp_path_factory.mktemp("checkout")) as made:
        yield made
    assert engine.info()["Swarm"]["LocalNodeState"] == before


def names(found: list[Any], name: str) -> list[str]:
    return [one.name for one in found if one.name.startswith(name)]


def test_up_brings_a_service_that_works(deployment: Deployment) -> None:
    result = deployment.up()
    assert result.outputs["url"].value == deployment.url
    wait_until_ready(deployment.url)
    with httpx.Client(base_url=deployment.url, timeout=30) as client:
        (held,) = client.post("/v1/claims", json={"agent": "ada", "type": "review"}).json()["claims"]
        done = client.post(f"/v1/work/{held['item']['id']}/complete", json={"token": held["token"]})
        assert done.json()["status"] == "completed"


def test_no_secret_is_in_the_state_or_in_what_the_engine_shows(
    deployment: Deployment, engine: docker.DockerClient
) -> None:
    (database,) = engine.containers.list(filters={"name": f"{deployment.name}-dev-database"}, ignore_removed=True)
    _, printed, _ = run_in(database, ["cat", "/run/secrets/database_password"])
    password = printed.decode()
    assert len(password) == 40
    state = "".join(file.read_text() for file in (deployment.folder / "state").rglob("*.json"))
    shown = json.dumps([one.attrs for one in engine.containers.list(ignore_removed=True)])
    shown += json.dumps([service.attrs for service in engine.services.list()])
    running = [one for one in engine.containers.list(ignore_removed=True) if deployment.name in str(one.name)]
    logs = b"".join(one.logs() for one in running).decode()
    for place, text in (("state", state), ("engine", shown), ("logs", logs)):
        assert password not in text, place


def test_a_second_up_changes_nothing(deployment: Deployment) -> None:
    result = deployment.up(expect_no_changes=True)
    changes = result.summary.resource_changes or {}
    assert set(changes) == {"same"}, changes


def test_a_refresh_finds_nothing_that_drifted(deployment: Deployment) -> None:
    result = deployment.stack.refresh(on_output=print, expect_no_changes=True)
    changes = result.summary.resource_changes or {}
    assert set(changes) == {"same"}, changes


def running_image(engine: docker.DockerClient, deployment: Deployment) -> set[str]:
    containers = engine.containers.list(filters={"name": f"{deployment.name}-dev-coordinator"}, ignore_removed=True)
    return {one.attrs["Config"]["Image"] for one in containers}


def test_a_new_version_rolls_without_a_failed_request(deployment: Deployment, engine: docker.DockerClient) -> None:
    before = running_image(engine, deployment)
    deployment.edit("app/coordinator/api/app.py", "BEAMOps coordinator", "BEAMOps coordinator, next")
    with Load(deployment.url) as load:
        deployment.up()
    keep("a new version on one machine", load.figures)
    assert load.failures == [], load.report()
    # Replicas of before end by themselves, within the time that they have for it.
    wait_until("both versions run", 60, lambda: len(running_image(engine, deployment)) == 1)
    assert not running_image(engine, deployment) & before
    assert httpx.get(f"{deployment.url}/schema/openapi.json").json()["info"]["title"].endswith(", next")


def test_a_bad_version_is_rolled_back_and_the_old_one_serves_on(
    deployment: Deployment, engine: docker.DockerClient
) -> None:
    good = running_image(engine, deployment)
    deployment.edit("app/coordinator/probe.py", '"GET", LIVE_PATH', '"GET", "/nowhere"')
    with Load(deployment.url) as load, pytest.raises(automation.CommandError) as refused:
        deployment.up()
    keep("a bad release that is rolled back", load.figures)
    assert "rollback" in str(refused.value)
    assert load.failures == [], load.report()
    wait_until("the bad version runs on", 60, lambda: running_image(engine, deployment) == good)
    deployment.edit("app/coordinator/probe.py", '"GET", "/nowhere"', '"GET", LIVE_PATH')
    deployment.up()
    wait_until("another version runs", 60, lambda: running_image(engine, deployment) == good)


def test_a_rotated_password_is_a_new_secret_and_the_old_one_is_gone(
    deployment: Deployment, engine: docker.DockerClient
) -> None:
    counted = len(httpx.get(f"{deployment.url}/v1/work", params={"count": 500}, timeout=30).json()["items"])
    deployment.configure(secrets={"database_password_version": 2})
    deployment.up()
    wait_until_ready(deployment.url)
    assert len(httpx.get(f"{deployment.url}/v1/work", params={"count": 500}, timeout=30).json()["items"]) == counted
    (secret,) = names(engine.secrets.list(), deployment.name)
    assert "password-v2" in secret


def test_a_killed_database_loses_nothing_that_was_acknowledged(
    deployment: Deployment, engine: docker.DockerClient
) -> None:
    with Agents(deployment.url, None, 50) as agents:
        agents.await_cycles(50, 60)
        (database,) = engine.containers.list(filters={"name": f"{deployment.name}-dev-database"}, ignore_removed=True)
        database.kill("SIGKILL")
        begin = time.monotonic()
        again: dict[str, str | list[str] | bool] = {"name": f"{deployment.name}-dev-database", "health": "healthy"}
        wait_until(
            "the swarm does not start PostgreSQL again", 60,
            lambda: any(one.id != database.id for one in engine.containers.list(filters=again, ignore_removed=True)),
        )  # fmt: skip
        wait_until_ready(deployment.url, 60)
        seconds = time.monotonic() - begin
        agents.await_cycles(100, 120)
    check_and_keep("loss of PostgreSQL", agents, ready_after_s=seconds)
    assert seconds < 10 or not FULL, "a slow machine's seconds say nothing, a whole run's do"


def test_the_proxys_own_restart_is_the_one_gap(deployment: Deployment) -> None:
    deployment.configure(distribution={"proxy": {"port": deployment.port, "memory_mib": 160}})
    with Load(deployment.url) as load:
        deployment.up()
        wait_until_ready(deployment.url)
    keep("a new proxy on one machine", load.figures)
    assert load.gap_seconds < 15, load.report()


def test_data_that_is_gone_is_made_anew_with_its_schema(deployment: Deployment, engine: docker.DockerClient) -> None:
    name = f"{deployment.name}-dev-database"
    engine.services.get(name).remove()
    wait_until(
        "PostgreSQL does not end",
        60,
        lambda: not engine.containers.list(all=True, filters={"name": name}, ignore_removed=True),
    )
    engine.volumes.get(name).remove()
    deployment.up(refresh=True)
    wait_until_ready(deployment.url)


def test_destroy_leaves_nothing(deployment: Deployment, engine: docker.DockerClient, swarm_before: str) -> None:
    deployment.stack.destroy(on_output=print)
    assert engine.info()["Swarm"]["LocalNodeState"] == swarm_before
    listings: list[Callable[[], list[Any]]] = [engine.networks.list, engine.volumes.list]
    if swarm_before == "active":
        listings += [engine.services.list, engine.secrets.list, engine.configs.list]
    assert [names(listing(), deployment.name) for listing in listings] == [[] for _ in listings]


@pytest.fixture(scope="module", autouse=True)
def swarm_before(engine: docker.DockerClient) -> str:
    state: str = engine.info()["Swarm"]["LocalNodeState"]
    return state
