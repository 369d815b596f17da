"""Staging on a real account against mocks: services for its machines, and nothing of them on the engine here."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pulumi
import pytest
from botocore.exceptions import NoCredentialsError

from components import preflight
from components.aws import account, program
from components.aws.account import check_account
from components.aws.machines import ON_WORKERS, Needed, digest_images, find_lacking
from components.aws.nodes import SCRIPT
from components.aws.session import explain_session, is_session, machine_host, session_host, ssh_options
from components.aws.settings import ProductionSettings
from components.colours import RELEASED_VARIABLE, Released
from components.engine import Engine, EngineError
from tests.program import run_program
from tests.unit.test_aws import STAGING, Recorder, Seen

ROOT = Path(__file__).parents[2]
ENGINE = Engine("unix:///here.sock", "20.10", "x86_64", 2**34, "inactive", manager=False, free_disk_bytes=None)
OLD = f"registry/coordinator@sha256:{'1' * 64}"
HOST = "ssh://ec2-user@beamops-staging.eu-central-1.session"


class Machines(Recorder):
    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        id_, outputs = super().new_resource(args)
        if args.typ.endswith(":PushedImage"):
            outputs["reference"] = f"registry/{args.name}@sha256:{'0' * 64}"
        if args.typ.endswith(":Repository"):
            outputs["repositoryUrl"] = f"registry/{args.inputs['name']}"
        if args.typ == "aws:rds/instance:Instance":
            outputs["address"] = "db.example"
        return id_, outputs


@contextmanager
def machines(config: dict[str, Any], **environment: str) -> Iterator[Seen]:
    """What is registered for the machines of an account."""
    patch = pytest.MonkeyPatch()
    for name, value in environment.items():
        patch.setenv(name, value)
    patch.setattr(preflight, "inspect_engine", lambda _: ENGINE)
    patch.setattr(preflight, "_check_images", lambda *_: None)
    patch.setattr(account, "check_account", lambda *_, **__: None)
    patch.setattr(program, "read_authorities", lambda *_: "certificates")
    recorder = Machines()
    given = {f"beamops:{chapter}": json.dumps(values) for chapter, values in config.items()}
    with run_program(recorder, "staging", {**STAGING, **given}):
        yield recorder.seen
    patch.undo()


@pytest.fixture(scope="module")
def staging() -> Iterator[Seen]:
    with machines({"containers": {"source": "build"}}) as seen:
        yield seen


@pytest.fixture(scope="module")
def watched() -> Iterator[Seen]:
    """With everything that watches, from images that are pulled; and a version that stands by for another one."""
    config = {
        "monitoring": {"enabled": True},
        "instrumentation": {"collector": True},
        "distribution": {"coordinator": {"release": "blue-green"}},
    }
    released = Released("blue", {"blue": OLD, "green": OLD})
    with machines(config, **{RELEASED_VARIABLE: json.dumps(asdict(released))}) as seen:
        yield seen


SEVERAL = {**json.loads(STAGING["beamops:production"]), "managers": 3}


@pytest.fixture(scope="module")
def scaled() -> Iterator[Seen]:
    """Three managers, and replicas that follow the load."""
    config = {
        "monitoring": {"enabled": True},
        "instrumentation": {"collector": True},
        "production": SEVERAL,
        "distribution": {"coordinator": {"autoscale": {"maximum": 4}}},
    }
    with machines(config) as seen:
        yield seen


def of_type(seen: Seen, kind: str) -> dict[str, dict[str, Any]]:
    return {args.name: args.inputs for args in seen if args.typ.endswith(f":{kind}") and "beamops:" not in args.typ}


def test_nothing_runs_on_the_engine_here(staging: Seen) -> None:
    assert not of_type(staging, "SingleNodeSwarm")
    assert not of_type(staging, "NodeLabels")
    assert set(of_type(staging, "Service")) == {"coordinator", "proxy"}, "PostgreSQL is RDS's"
    assert set(of_type(staging, "RemoteImage")) == {"coordinator", "proxy"}
    assert of_type(staging, "Job")["migration"]["host"] == HOST
    (swarm,) = [args.inputs for args in staging if args.typ == "pulumi:providers:docker" and args.name == "swarm"]
    assert swarm["host"] == HOST
    assert json.loads(swarm["sshOpts"]) == ssh_options()


def test_services_run_images_by_the_registrys_digest(staging: Seen) -> None:
    for name, service in of_type(staging, "Service").items():
        assert service["taskSpec"]["containerSpec"]["image"] == f"registry/{name}@sha256:{'0' * 64}"
    told = of_type(staging, "Parameter")["images"]["insecureValue"]
    assert told.split() == [f"registry/{name}@sha256:{'0' * 64}" for name in ("coordinator", "proxy")]
    nodes = of_type(staging, "ReadyNodes")["nodes"]
    assert nodes["images"] == nodes["manager_images"] == told


def test_every_node_has_the_images_of_those_who_watch_and_of_a_version_that_goes_on(watched: Seen) -> None:
    told = of_type(watched, "Parameter")["images"]["insecureValue"].split()
    services = {one["taskSpec"]["containerSpec"]["image"] for one in of_type(watched, "Service").values()}
    assert services <= set(told), f"no node could run {services - set(told)}"
    assert OLD in told and len(told) == len(set(told))
    pushed = of_type(watched, "PushedImage")
    assert {name for name, one in pushed.items() if not re.fullmatch(r"[0-9a-f]{32}", one["tag"])} == set()
    assert {"prometheus", "alertmanager", "collector", "logs", "traces"} < set(pushed)


def test_managers_that_are_several_run_what_is_about_the_node_or_the_swarm_alone(scaled: Seen) -> None:
    services = of_type(scaled, "Service")
    constraints = {name: one["taskSpec"]["placement"]["constraints"] for name, one in services.items()}
    keepers = {"prometheus", "alertmanager", "logs", "traces"}
    assert {name for name, one in constraints.items() if one == ["node.labels.beamops-staging.data == true"]} == keepers
    on_managers = {"engine-proxy": ["node.role==manager"], "node-exporter": [], "collector": []}
    assert {name: one for name, one in constraints.items() if name in on_managers} == on_managers
    serving = set(services) - keepers - set(on_managers)
    assert {tuple(constraints[name]) for name in serving} == {(ON_WORKERS,)}
    assert serving == {"coordinator", "proxy", "autoscaler", "engine-exporter", "postgres-exporter"}
    assert {tuple(job["constraints"]) for job in of_type(scaled, "Job").values()} == {(ON_WORKERS,)}
    assert of_type(scaled, "CarryingOverlay")["overlay"]["constraints"] == [], "managers have overlay networks too"
    told = of_type(scaled, "Parameter")["manager-images"]["insecureValue"]
    needed = {services[name]["taskSpec"]["containerSpec"]["image"] for name in on_managers}
    assert set(told.split()) == needed, "a manager lacks an image, or pulls one for nothing"
    assert of_type(scaled, "ReadyNodes")["nodes"]["manager_images"] == told


def test_managers_that_are_several_pull_nothing_where_nobody_watches() -> None:
    with machines({"containers": {"source": "build"}, "production": SEVERAL}) as seen:
        assert of_type(seen, "Parameter")["manager-images"]["insecureValue"] == "none"
        assert of_type(seen, "CarryingOverlay")["overlay"]["constraints"] == [ON_WORKERS]


def test_who_keeps_data_is_where_the_nodes_script_says_and_its_volume_there(watched: Seen) -> None:
    services = of_type(watched, "Service")
    assert 'keeper="$BEAMOPS_STACK.data"' in SCRIPT.read_text()
    for name in ("prometheus", "alertmanager", "logs"):
        assert services[name]["taskSpec"]["placement"]["constraints"] == ["node.labels.beamops-staging.data == true"]
        (mount,) = services[name]["taskSpec"]["containerSpec"]["mounts"]
        assert mount["source"] == f"beamops-staging-{name}"
    assert set(of_type(watched, "Volume")) == {"sockets"}


def test_who_measures_rds_has_a_role_there_and_checks_whose_it_is(watched: Seen) -> None:
    exporter = of_type(watched, "Service")["postgres-exporter"]["taskSpec"]["containerSpec"]
    assert exporter["env"]["DATA_SOURCE_URI"] == (
        "db.example:5432/coordinator?sslmode=verify-full&sslrootcert=/etc/beamops/database-authorities.pem"
        "&connect_timeout=3"
    )
    assert [one["fileName"] for one in exporter["configs"]] == ["/etc/beamops/database-authorities.pem"]
    job = of_type(watched, "Job")["watcher"]
    assert job["command"] == ["coordinator", "admin", "admit-watcher", "/run/secrets/watcher_password"]
    assert [path for _, _, path in job["secrets"]] == [
        "/run/secrets/database_password",
        "/run/secrets/watcher_password",
    ]
    assert "watcher" not in of_type(watched, "Service"), "it runs once"


def test_the_coordinators_check_whose_database_it_is_and_who_asks(staging: Seen) -> None:
    container = of_type(staging, "Service")["coordinator"]["taskSpec"]["containerSpec"]
    assert container["env"]["COORDINATOR_DATABASE_URL"] == (
        "postgresql://coordinator@db.example:5432/coordinator"
        "?sslmode=verify-full&sslrootcert=/etc/beamops/database-authorities.pem"
    )
    assert container["env"]["COORDINATOR_AUTHENTICATE"] == "true"
    assert "COORDINATOR_TRUST_NETWORK" not in container["env"]
    assert [config["fileName"] for config in container["configs"]] == ["/etc/beamops/database-authorities.pem"]


def test_replicas_are_spread_over_zones_and_every_node_has_a_proxy(staging: Seen) -> None:
    services = of_type(staging, "Service")
    assert services["coordinator"]["taskSpec"]["placement"]["prefs"] == ["spread=node.labels.beamops.zone"]
    assert services["proxy"]["mode"] == {"global": True}


def test_networks_are_encrypted_and_checked_before_a_service_is_made(staging: Seen) -> None:
    networks = of_type(staging, "Network")
    assert all(network["options"] == {"encrypted": "true"} for network in networks.values())
    assert {name for name, network in networks.items() if not network["internal"]} == {"edge", "data"}
    check = of_type(staging, "CarryingOverlay")["overlay"]
    assert check["encrypted"] is True
    assert check["swarm"] == "nodes-id", "the nodes are there first"


def machine(number: int, role: str, **tags: str) -> dict[str, Any]:
    tags = {"beamops:role": role, **{f"beamops:{key}": value for key, value in tags.items()}}
    return {"InstanceId": f"i-{number}", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def test_what_nodes_lack_is_said_of_each() -> None:
    ready = machine(1, "manager", swarm="ready", images="d")

    def lacking(machines: list[dict[str, Any]], workers: int) -> list[str]:
        return find_lacking(machines, {"manager": Needed(1, {"d", "e"}), "worker": Needed(workers, {"e"})})

    assert lacking([ready], 0) == []
    assert lacking([ready], 1) == ["there are 0 of 1 workers"]
    late = [machine(2, "worker"), machine(3, "worker", swarm="ready", images="old")]
    assert lacking([ready, *late], 2) == ["i-2 (worker) has not joined", "i-3 (worker) lacks images"]
    other = machine(4, "worker", swarm="ready", images="d")
    assert lacking([ready, other], 1) == ["i-4 (worker) lacks images"], "a worker goes by the managers' list"
    before = machine(5, "manager", swarm="ready", images="e")
    assert lacking([before], 0) == [], "a manager from before is waited for"


def test_nodes_and_the_program_name_a_list_of_images_alike() -> None:
    images = "registry/coordinator@sha256:1 registry/proxy@sha256:2"
    shell = subprocess.run(
        ["sh", "-c", 'printf %s "$1" | sha256sum | cut -c 1-16', "_", images],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shell.stdout.strip() == digest_images(images) == hashlib.sha256(images.encode()).hexdigest()[:16]
    assert "sha256sum | cut -c 1-16" in (ROOT / "components" / "aws" / "node.sh").read_text()


def test_a_session_names_no_machine() -> None:
    assert session_host("beamops-staging", "eu-central-1") == HOST
    assert machine_host(HOST, "i-1") == "ssh://ec2-user@i-1.beamops-staging.eu-central-1.session"
    assert is_session(HOST)
    assert not is_session("ssh://me@my-machine")


def test_a_session_that_cannot_be_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert explain_session(HOST).startswith("no session with a manager of beamops-staging: Could not connect")


class Account:
    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def get_caller_identity(self) -> None:
        if self._error is not None:
            raise self._error


def check(
    monkeypatch: pytest.MonkeyPatch, *, error: Exception | None = None, changes: bool = False, **types: str
) -> str:
    monkeypatch.setattr("boto3.client", lambda *_, **__: Account(error))
    settings = ProductionSettings.model_validate({"manager_type": "t3a.medium", "worker_type": "t3a.large", **types})
    try:
        check_account(settings, "eu-central-1", ENGINE, changes=changes)
    except EngineError as fault:
        return str(fault)
    return ""


def test_a_wrong_account_or_machine_is_one_line_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch) == ""
    assert check(monkeypatch, error=NoCredentialsError()).startswith("no AWS credentials are found; sign in")
    assert check(monkeypatch, worker_type="t4g.large") == (
        "beamops:production.worker_type: t4g.large is arm64, and the engine here builds for x86_64: deploy from an "
        "arm64 machine, or choose a type that is x86_64"
    )
    monkeypatch.setenv("PATH", "/nowhere")
    assert check(monkeypatch, changes=True).startswith(
        "aws and ssh and session-manager-plugin not found; nodes are reached"
    )
