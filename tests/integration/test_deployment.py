"""Stack dev through the real engine, from nothing to nothing; the tests build on each other, in order."""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
import yaml
from pulumi import automation

from cli.toolchain import Toolchain
from components.containers import ROOT, Source
from tests.load import Load
from tests.servers import free_port, wait_until_ready

COPIED = ("__main__.py", "Pulumi.yaml", "app", "components", "images")


@dataclass
class Deployment:
    """A checkout of its own, deployed as a stack of its own, so that nothing of a user's is touched."""

    folder: Path
    name: str
    port: int
    stack: automation.Stack

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def configure(self, **chapters: Any) -> None:
        file = self.folder / "Pulumi.dev.yaml"
        content = yaml.safe_load(file.read_text()) if file.exists() else {}
        config = content.setdefault("config", {})
        config |= {f"beamops:{chapter}": value for chapter, value in chapters.items()}
        file.write_text(yaml.safe_dump(content))

    def edit(self, path: str, before: str, after: str) -> None:
        file = self.folder / path
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))

    def up(self, **options: Any) -> automation.UpResult:
        return self.stack.up(on_output=print, **options)


@pytest.fixture(scope="module")
def deployment(
    toolchain: Toolchain, source: Source, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copyfile(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (state := folder / "state").mkdir()
    name, port = f"t{secrets.token_hex(3)}", free_port()
    environment = {
        **toolchain.environment,
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": secrets.token_hex(8),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "BEAMOPS_IMAGES": source,
    }
    patch = pytest.MonkeyPatch()
    for key, value in environment.items():
        patch.setenv(key, value)
    stack = automation.create_stack(
        "dev", work_dir=str(folder), opts=automation.LocalWorkspaceOptions(env_vars=environment)
    )
    made = Deployment(folder, name, port, stack)
    made.configure(plan={"name": name}, distribution={"proxy": {"port": port}})
    before = engine.info()["Swarm"]["LocalNodeState"]
    yield made
    stack.destroy()
    assert engine.info()["Swarm"]["LocalNodeState"] == before
    patch.undo()


def names(found: list[Any], name: str) -> list[str]:
    return [one.name for one in found if one.name.startswith(name)]


def test_up_brings_a_service_that_works(deployment: Deployment) -> None:
    result = deployment.up()
    assert result.outputs["url"].value == deployment.url
    wait_until_ready(deployment.url)
    with httpx.Client(base_url=deployment.url) as client:
        (held,) = client.post("/v1/claims", json={"agent": "ada", "type": "review"}).json()["claims"]
        done = client.post(f"/v1/work/{held['item']['id']}/complete", json={"token": held["token"]})
        assert done.json()["status"] == "completed"


def test_no_secret_is_in_the_state_or_in_what_the_engine_shows(
    deployment: Deployment, engine: docker.DockerClient
) -> None:
    (database,) = engine.containers.list(filters={"name": f"{deployment.name}-dev-database"})
    printed = database.exec_run(["cat", "/run/secrets/database_password"]).output
    assert isinstance(printed, bytes)
    password = printed.decode()
    assert len(password) == 40
    state = "".join(file.read_text() for file in (deployment.folder / "state").rglob("*.json"))
    shown = json.dumps([one.attrs for one in engine.containers.list()])
    shown += json.dumps([service.attrs for service in engine.services.list()])
    logs = b"".join(one.logs() for one in engine.containers.list() if deployment.name in str(one.name)).decode()
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
    containers = engine.containers.list(filters={"name": f"{deployment.name}-dev-coordinator"})
    return {one.attrs["Config"]["Image"] for one in containers}


def test_a_new_version_rolls_without_a_failed_request(deployment: Deployment, engine: docker.DockerClient) -> None:
    before = running_image(engine, deployment)
    deployment.edit("app/coordinator/api/app.py", "BEAMOps coordinator", "BEAMOps coordinator, next")
    with Load(deployment.url) as load:
        deployment.up()
    print(load.report())
    assert load.failures == [], load.report()
    after = running_image(engine, deployment)
    assert len(after) == 1 and not after & before
    assert httpx.get(f"{deployment.url}/schema/openapi.json").json()["info"]["title"].endswith(", next")


def test_a_bad_version_is_rolled_back_and_the_old_one_serves_on(
    deployment: Deployment, engine: docker.DockerClient
) -> None:
    good = running_image(engine, deployment)
    deployment.edit("app/coordinator/probe.py", '"GET", LIVE_PATH', '"GET", "/nowhere"')
    with Load(deployment.url) as load, pytest.raises(automation.CommandError) as refused:
        deployment.up()
    print(load.report())
    assert "rollback" in str(refused.value)
    assert load.failures == [], load.report()
    assert running_image(engine, deployment) == good
    deployment.edit("app/coordinator/probe.py", '"GET", "/nowhere"', '"GET", LIVE_PATH')
    deployment.up()
    assert running_image(engine, deployment) == good


def test_a_rotated_password_is_a_new_secret_and_the_old_one_is_gone(
    deployment: Deployment, engine: docker.DockerClient
) -> None:
    counted = len(httpx.get(f"{deployment.url}/v1/work", params={"count": 500}).json()["items"])
    deployment.configure(secrets={"database_password_version": 2})
    deployment.up()
    wait_until_ready(deployment.url)
    assert len(httpx.get(f"{deployment.url}/v1/work", params={"count": 500}).json()["items"]) == counted
    (secret,) = names(engine.secrets.list(), deployment.name)
    assert "password-v2" in secret


def test_the_proxys_own_restart_is_the_one_gap(deployment: Deployment) -> None:
    deployment.configure(distribution={"proxy": {"port": deployment.port, "memory_mib": 160}})
    with Load(deployment.url) as load:
        deployment.up()
        wait_until_ready(deployment.url)
    print(load.report())
    assert load.gap_seconds < 15, load.report()


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
