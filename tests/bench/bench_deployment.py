"""`pulumi up` of dev against `docker stack deploy` of an equal compose file, and against an empty program."""

import base64
import secrets
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
import yaml
from coordinator import contract
from pulumi import automation

from cli.toolchain import Toolchain
from components.containers import Source, coordinator_reference, packages_reference
from tests.bench.bench_coordinator import keep
from tests.compose import describe
from tests.deployment import Deployment, prepare_deployment
from tests.servers import free_port, wait_until_ready
from tests.waiting import wait_until

TURNS, DEPLOY_RATIO, NOOP_RATIO = 3, 1.2, 3
CHANGED = ("app/coordinator/api/app.py", "BEAMOps coordinator", "BEAMOps coordinator, {}")


@pytest.fixture
def deployment(
    toolchain: Toolchain, source: Source, engine: docker.DockerClient, tmp_path: Path
) -> Iterator[Deployment]:
    # Both find a swarm that is there: a first one is made in a second or so, by whoever comes first.
    made = engine.info()["Swarm"]["LocalNodeState"] != "active"
    if made:
        engine.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1:2377")
    try:
        with prepare_deployment(toolchain, source, tmp_path) as deployment:
            yield deployment
    finally:
        if made:
            engine.swarm.leave(force=True)


def timed(do: Callable[[], object]) -> float:
    begin = time.monotonic()
    do()
    return time.monotonic() - begin


@contextmanager
def composed(engine: docker.DockerClient, deployment: Deployment, folder: Path) -> Iterator[Callable[[str], None]]:
    """Deploy the same services by compose, with the image given for the coordinator; until all are healthy."""
    name, port = f"t{secrets.token_hex(3)}", free_port()
    password = engine.secrets.create(name=f"{name}-password", data=base64.b64encode(secrets.token_bytes(20)))
    prefix = f"{deployment.name}-dev-"
    configs = [config for config in engine.configs.list() if config.name.startswith(prefix)]
    kept = []
    text = yaml.safe_dump(describe(engine, f"{deployment.name}-dev", port, f"{name}-password")).replace(prefix, "")
    for config in configs:
        # What services call each other by is what the compose file calls them.
        data, part = base64.b64decode(config.attrs["Spec"]["Data"]).decode(), config.name.removeprefix(prefix)
        kept.append(engine.configs.create(name=f"{name}-{part}", data=data.replace(prefix, "").encode()))
        text = text.replace(part, f"{name}-{part}")
    content = yaml.safe_load(text)
    coordinator = content["services"]["coordinator"]
    # A compose file has no order: the migration runs beside, and waits for the database as ours does.
    migration = {**coordinator, "entrypoint": [*contract.MIGRATE, contract.WAIT, contract.EXAMPLE_WORK]}
    migration["deploy"] = {"replicas": 1, "restart_policy": {"condition": "on-failure", "delay": "1s"}}
    migration.pop("healthcheck")
    content["services"]["migration"] = migration

    def deploy(image: str) -> None:
        coordinator["image"] = image
        (folder / "compose.yml").write_text(yaml.safe_dump(content))
        command = ["docker", "stack", "deploy", "--resolve-image", "never", "-c", str(folder / "compose.yml"), name]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        wait_until_ready(f"http://127.0.0.1:{port}", 120)
        await_replicas(engine, f"{name}_coordinator", image)

    try:
        yield deploy
    finally:
        subprocess.run(["docker", "stack", "rm", name], check=True, capture_output=True)
        wait_until(
            "the composed stack does not go", 90,
            lambda: not any(
                str(one.name).startswith(f"{name}_") for one in engine.containers.list(all=True, ignore_removed=True)
            ),
        )  # fmt: skip
        for volume in engine.volumes.list():
            if str(volume.name).startswith(f"{name}_"):
                volume.remove()
        password.remove()
        for config in kept:
            config.remove()


def await_replicas(engine: docker.DockerClient, service: str, image: str) -> None:
    """Until both replicas are of that image and healthy, and no other is left."""

    def settled() -> bool:
        # One that goes meanwhile is none that is asked for.
        found = engine.containers.list(
            filters={"label": f"com.docker.swarm.service.name={service}"}, ignore_removed=True
        )
        states = [(one.attrs["Config"]["Image"], one.attrs["State"]["Health"]["Status"]) for one in found]
        (described,) = engine.services.list(filters={"name": service})
        rolling = described.attrs.get("UpdateStatus", {}).get("State") == "updating"
        return states == [(image, "healthy")] * 2 and not rolling

    wait_until(f"{service} has not two healthy replicas of {image}", 120, settled)


def test_up_and_a_roll_against_stack_deploy(
    deployment: Deployment, engine: docker.DockerClient, source: Source, tmp_path: Path
) -> None:
    service, folder = f"{deployment.name}-dev-coordinator", deployment.folder
    image = coordinator_reference(source)
    deployment.up()  # images are built; what is compared is the deployment of them
    ups, stacks, rolls, stack_rolls = [], [], [], []
    path, before, after = CHANGED

    def bring_up() -> None:
        # As it is typed: the Automation API asks for outputs and history when all is done.
        done = subprocess.run(
            ["pulumi", "up", "--stack", "dev", "--yes", "--skip-preview", "--non-interactive"],
            cwd=folder, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until_ready(deployment.url)

    for turn in range(TURNS):
        # Each has an image of its own to build: what one has built is in the other's cache.
        with composed(engine, deployment, tmp_path) as deploy:
            stacks.append(timed(lambda: deploy(image)))
            deployment.edit(path, before, after.format(f"composed {turn}"))

            def build_and_deploy() -> None:
                tag = f"beamops-bench:{secrets.token_hex(4)}"
                base = packages_reference(source)
                engine.images.build(path=str(folder / "app"), tag=tag, buildargs={"BASE": base}, rm=True)
                deploy(tag)

            stack_rolls.append(timed(build_and_deploy))
        deployment.edit(path, f"composed {turn}", f"up {turn}")
        rolls.append(timed(bring_up))
        deployment.edit(path, after.format(f"up {turn}"), before)
        deployment.stack.destroy()
        ups.append(timed(bring_up))
        await_replicas(engine, service, image)
    print(f"up {ups}, stack deploy {stacks}; roll {rolls}, stack deploy {stack_rolls}")
    up, roll = (
        statistics.median(ours) / statistics.median(theirs) for ours, theirs in ((ups, stacks), (rolls, stack_rolls))
    )
    keep(up_vs_stack_deploy=round(up, 2), roll_vs_stack_deploy=round(roll, 2))
    assert up <= DEPLOY_RATIO and roll <= DEPLOY_RATIO


def test_an_up_that_changes_nothing_against_an_empty_program(deployment: Deployment, tmp_path: Path) -> None:
    (empty := tmp_path / "empty").mkdir()
    (empty / "Pulumi.yaml").write_text("name: empty\nruntime:\n  name: python\n  options:\n    virtualenv: .venv\n")
    (empty / "__main__.py").write_text("")
    (empty / ".venv").symlink_to(deployment.folder / ".venv")
    nothing = automation.create_stack(
        "empty",
        work_dir=str(empty),
        opts=automation.LocalWorkspaceOptions(env_vars=deployment.stack.workspace.env_vars),
    )
    deployment.up()
    nothing.up()
    ours, theirs = [], []
    for _ in range(TURNS):
        ours.append(timed(lambda: deployment.up(expect_no_changes=True)))
        theirs.append(timed(nothing.up))
    print(f"no change {ours}, empty program {theirs}")
    ratio = statistics.median(ours) / statistics.median(theirs)
    keep(noop_vs_empty=round(ratio, 2))
    assert ratio <= NOOP_RATIO
