"""The node's script on five real engines, against an AWS API on the test's own network: one swarm, whatever happens."""

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.aws import REGION, ask
from tests.nodes import HOST, SCRIPT, Node, Nodes
from tests.servers import free_port

JOIN_SECONDS = 150


@dataclass
class Account:
    """An emulated AWS account with the swarm's table, and a machine for each node."""

    url: str
    stack: str = field(default_factory=lambda: f"t{secrets.token_hex(3)}")
    lease_seconds: int = 120

    def __post_init__(self) -> None:
        self.dynamodb, self.ec2, self.ssm = (self.client(name) for name in ("dynamodb", "ec2", "ssm"))
        self.dynamodb.create_table(
            TableName=f"{self.stack}-swarm",
            KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        kms = self.client("kms")
        kms.create_alias(AliasName=f"alias/{self.stack}", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        image = self.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        made = self.ec2.run_instances(ImageId=image, MinCount=5, MaxCount=5, InstanceType="t3.micro")
        self.instances = [instance["InstanceId"] for instance in made["Instances"]]

    def client(self, service: str) -> Any:
        return ask(service, self.url)

    def environment(self, node: Node, role: str) -> dict[str, str]:
        return {
            **node.script_environment(self.url, self.stack, role, self.instances[node.number - 1]),
            "BEAMOPS_LEASE_SECONDS": str(self.lease_seconds),
            "BEAMOPS_JOIN_SECONDS": str(JOIN_SECONDS),
        }

    @property
    def lease(self) -> dict[str, Any] | None:
        """Who holds it and until when, where anybody does."""
        found = self.dynamodb.get_item(TableName=f"{self.stack}-swarm", Key={"name": {"S": "swarm"}})
        item: dict[str, Any] | None = found.get("Item")
        return item

    def change_lease(self, **changed: dict[str, str]) -> None:
        """As if somebody had changed it."""
        item = {"name": {"S": "swarm"}, **(self.lease or {}), **changed}
        self.dynamodb.put_item(TableName=f"{self.stack}-swarm", Item=item)

    def ready(self) -> set[str]:
        """Instances whose tag says that they are in the swarm."""
        found = self.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["beamops:swarm"]}])["Tags"]
        return {tag["ResourceId"] for tag in found if tag["Value"] == "ready"}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    assert os.geteuid() == 0, "network namespaces can be made by root alone"
    # Not below pytest's folder: a socket's path has at most 108 characters.
    with Nodes(Path("/tmp") / f"bo-{secrets.token_hex(3)}") as nodes:  # noqa: S108
        yield nodes


@pytest.fixture(scope="module")
def url(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # noqa: ARG001 - the address is there
    """An AWS API that listens on the nodes' bridge alone."""
    port = free_port()
    with (tmp_path_factory.mktemp("moto") / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.account", "-H", HOST, "-p", str(port)], stdout=log, stderr=log
        )
    try:
        address = f"http://{HOST}:{port}"
        end = time.monotonic() + 60
        while subprocess.run(["curl", "-sf", "-o", "/dev/null", f"{address}/moto-api/"], check=False).returncode:
            assert time.monotonic() < end, "moto does not start"
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def account(url: str, nodes: Nodes) -> Iterator[Account]:
    yield Account(url)
    for node in nodes.nodes:
        if node.process is None:
            node.start()
        subprocess.run(["docker", "-H", node.engine, "swarm", "leave", "--force"], check=False, capture_output=True)


def roles(nodes: Nodes) -> dict[int, str]:
    return {node.number: "manager" if node.number <= 3 else "worker" for node in nodes.nodes}


def begin(account: Account, node: Node, role: str, command: str = "join") -> "subprocess.Popen[str]":
    return node.inside("sh", str(SCRIPT), command, environment=account.environment(node, role))


def wait_all(started: dict[int, "subprocess.Popen[str]"]) -> None:
    for number, process in started.items():
        said, _ = process.communicate(timeout=JOIN_SECONDS + 30)
        assert process.returncode == 0, f"node {number}: {said}"


def check_one_swarm(account: Account, nodes: Nodes, alive: list[Node]) -> None:
    managers = [node for node in alive if roles(nodes)[node.number] == "manager"]
    with managers[0].client() as client:
        end = time.monotonic() + 60
        while True:
            states = [member.attrs["Status"] for member in client.nodes.list()]
            if sum(state["State"] == "ready" for state in states) == len(alive):
                break
            # After a change of leader the others are unknown until they have reported to the new one.
            assert time.monotonic() < end, states
            time.sleep(0.2)
        clusters = {client.info()["Swarm"]["Cluster"]["ID"]}
    for node in managers[1:]:
        with node.client() as client:
            clusters.add(client.info()["Swarm"]["Cluster"]["ID"])
    assert len(clusters) == 1, "there are two swarms"
    assert account.ready() >= {account.instances[node.number - 1] for node in alive}


def test_all_join_in_any_order_and_again_after_a_reboot(account: Account, nodes: Nodes) -> None:
    seed = int(os.environ.get("SEED", secrets.randbits(32)))
    print(f"SEED={seed}")
    order = random.Random(seed).sample(nodes.nodes, len(nodes.nodes))
    begun = time.monotonic()
    wait_all({node.number: begin(account, node, roles(nodes)[node.number]) for node in order})
    check_one_swarm(account, nodes, nodes.nodes)
    print(f"five nodes joined in {time.monotonic() - begun:.0f} s, in the order {[node.number for node in order]}")
    token = account.ssm.get_parameter(Name=f"/{account.stack}/swarm/manager-token")["Parameter"]
    assert token["Type"] == "SecureString"
    rebooted = nodes.nodes[1]
    rebooted.kill()
    rebooted.start()
    wait_all({rebooted.number: begin(account, rebooted, "manager")})
    check_one_swarm(account, nodes, nodes.nodes)


def test_a_swarm_outlives_a_failure_of_power(account: Account, nodes: Nodes) -> None:
    """All its machines come back, and none finds a swarm until most managers have."""
    wait_all({node.number: begin(account, node, roles(nodes)[node.number]) for node in nodes.nodes})

    def members() -> set[str]:
        with nodes.nodes[0].client() as client:
            return {str(client.info()["Swarm"]["Cluster"]["ID"]), *(str(node.id) for node in client.nodes.list())}

    before = members()
    for node in nodes.nodes:
        node.kill()
    # It was off for longer than the lease lasts.
    account.change_lease(expires={"N": "0"})
    first, *others = nodes.nodes
    first.start()
    early = begin(account, first, "manager")
    with ThreadPoolExecutor() as together:
        list(together.map(Node.start, others))
    started = {node.number: begin(account, node, roles(nodes)[node.number]) for node in others}
    wait_all({first.number: early, **started})
    check_one_swarm(account, nodes, nodes.nodes)
    assert members() == before, "a node left its swarm, and joined anew or began another"


def test_the_first_manager_killed_in_the_middle_is_succeeded(account: Account, nodes: Nodes) -> None:
    """It has taken the lease, and dies before it has published a token."""
    first = nodes.nodes[0]
    account.lease_seconds = 20
    starting = begin(account, first, "manager")
    end = time.monotonic() + 60
    while account.lease is None:
        assert time.monotonic() < end, "the lease was not taken"
        time.sleep(0.05)
    os.killpg(starting.pid, signal.SIGKILL)
    starting.communicate()
    first.kill()
    others = nodes.nodes[1:]
    wait_all({node.number: begin(account, node, roles(nodes)[node.number]) for node in others})
    check_one_swarm(account, nodes, others)


def test_a_healthy_swarm_keeps_its_lease_and_rotates_its_tokens(account: Account, nodes: Nodes) -> None:
    first, second = nodes.nodes[:2]
    wait_all({first.number: begin(account, first, "manager")})
    before = account.ssm.get_parameter(Name=f"/{account.stack}/swarm/worker-token")["Parameter"]["Value"]
    began = time.time()
    wait_all({first.number: begin(account, first, "manager", "keep")})
    lease = account.lease
    assert lease is not None
    with first.client() as client:
        assert lease["holder"]["S"] == client.info()["Swarm"]["Cluster"]["ID"]
    assert int(lease["expires"]["N"]) > began + account.lease_seconds - 1
    after = account.ssm.get_parameter(Name=f"/{account.stack}/swarm/worker-token")["Parameter"]["Value"]
    assert after != before, "the tokens were not rotated"
    wait_all({second.number: begin(account, second, "manager")})
    check_one_swarm(account, nodes, [first, second])


def test_a_worker_that_lost_its_managers_for_good_goes_to_the_swarm_that_was_begun(
    account: Account, nodes: Nodes
) -> None:
    first, second, worker = nodes.nodes[0], nodes.nodes[1], nodes.nodes[3]
    wait_all({first.number: begin(account, first, "manager")})
    wait_all({worker.number: begin(account, worker, "worker")})
    first.kill()
    account.change_lease(expires={"N": "0"})
    wait_all({second.number: begin(account, second, "manager")})
    wait_all({worker.number: begin(account, worker, "worker", "keep")})
    check_one_swarm(account, nodes, [second, worker])


def test_a_leader_leaves_its_swarm_for_another_one_and_not_because_aws_is_silent(
    account: Account, nodes: Nodes
) -> None:
    first = nodes.nodes[0]
    wait_all({first.number: begin(account, first, "manager")})

    def keep(**changed: str) -> tuple[str, str]:
        """What the script says, and in which state the node then is."""
        environment = {**account.environment(first, "manager"), **changed}
        process = first.inside("sh", str(SCRIPT), "keep", environment=environment)
        said, _ = process.communicate(timeout=JOIN_SECONDS)
        assert process.returncode == 1, said
        with first.client() as client:
            return said, client.info()["Swarm"]["LocalNodeState"]

    said, state = keep(AWS_ENDPOINT_URL=f"http://{HOST}:9", AWS_MAX_ATTEMPTS="1")
    assert state == "active" and "cannot ask for the lease" in said, said
    account.change_lease(holder={"S": "another"}, expires={"N": str(int(time.time()) + 600)})
    said, state = keep()
    assert state == "inactive" and "another swarm holds the lease" in said, said


METRICS = """\
# TYPE beamops_work_items gauge
beamops_work_items{status="ready",team="a"} 7.0
beamops_work_items{status="ready",team="b"} 2.0
beamops_work_items{status="claimed",team="b"} 40.0
beamops_health_score{part="all"} 99.0
"""
IN_TURN = """
import http.server, itertools, pathlib, sys
answers = itertools.cycle((b"process_open_fds 9", b"process_open_fds 9", pathlib.Path(sys.argv[2]).read_bytes()))
class Proxy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(next(answers))
http.server.HTTPServer((sys.argv[1], 4000), Proxy).serve_forever()
"""
"""A proxy before three coordinators, of which one leads."""


def test_the_leader_tells_how_much_ready_work_there_is_for_each_worker(
    account: Account, nodes: Nodes, tmp_path: Path
) -> None:
    first, worker, other = nodes.nodes[0], nodes.nodes[3], nodes.nodes[4]
    wait_all({first.number: begin(account, first, "manager")})
    wait_all({node.number: begin(account, node, "worker") for node in (worker, other)})
    (tmp_path / "metrics").write_text(METRICS)
    (tmp_path / "serve.py").write_text(IN_TURN)
    server = [str(tmp_path / "serve.py"), worker.address, str(tmp_path / "metrics")]
    coordinator = worker.inside(sys.executable, *server, environment={})
    try:
        probe = ["curl", "-sf", "--retry", "20", "--retry-connrefused", "--retry-delay", "1"]
        first.inside(*probe, f"http://{worker.address}:4000/metrics", environment={}).communicate(timeout=30)
        wait_all({first.number: begin(account, first, "manager", "keep")})
    finally:
        coordinator.terminate()
        coordinator.communicate()
    told = account.client("cloudwatch").get_metric_statistics(
        Namespace="BEAMOps",
        MetricName="ReadyWorkPerWorker",
        Dimensions=[{"Name": "Stack", "Value": account.stack}],
        StartTime=datetime.now(UTC) - timedelta(hours=1),
        EndTime=datetime.now(UTC) + timedelta(hours=1),
        Period=60,
        Statistics=["Average"],
    )
    assert [point["Average"] for point in told["Datapoints"]] == [4.5]


def test_the_leader_writes_on_each_node_which_machine_it_is_and_that_a_worker_keeps_data(
    account: Account, nodes: Nodes
) -> None:
    first, worker = nodes.nodes[0], nodes.nodes[3]
    wait_all({first.number: begin(account, first, "manager")})
    wait_all({worker.number: begin(account, worker, "worker")})
    wait_all({first.number: begin(account, first, "manager", "keep")})
    with first.client() as client:
        found = {node.attrs["Spec"]["Labels"]["beamops.instance"]: node.attrs["Spec"] for node in client.nodes.list()}
    instances = {node.number: account.instances[node.number - 1] for node in (first, worker)}
    assert set(found) == set(instances.values())
    assert {spec["Availability"] for spec in found.values()} == {"active"}
    keeps = {instance for instance, spec in found.items() if f"{account.stack}.data" in spec["Labels"]}
    assert keeps == {instances[worker.number]}, "a manager that keeps apart keeps data"
    zones = {spec["Labels"]["beamops.zone"] for spec in found.values()}
    assert all(zone.startswith(REGION) for zone in zones)


def pretend(folder: Path, state: str) -> Path:
    """Put an engine into a folder that is in that state, and notes what it is told to do; gives its notes."""
    noted, engine = folder / "noted", folder / "docker"
    noted.touch()
    engine.write_text(
        f'#!/bin/sh\necho "$BEAMOPS_INSTANCE $*" >>{noted}\ncase "$*" in *State*) echo {state} ;; *) echo x ;; esac\n'
    )
    engine.chmod(0o755)
    return noted


@pytest.mark.parametrize(
    ("state", "settle_seconds", "newest", "begins"),
    [
        ("", "0", "another", False),
        ("pending", "300", "mine", False),
        ("pending", "0", "mine", True),
        ("pending", "300", "another", True),
    ],
    ids=["no engine", "looks for its swarm", "has not found it", "there is another one"],
)
def test_who_starts_anew_begins_a_swarm_when_its_own_is_gone(
    account: Account, nodes: Nodes, tmp_path: Path, state: str, settle_seconds: str, newest: str, begins: bool
) -> None:
    noted, note = pretend(tmp_path, state), tmp_path / "note"
    note.write_text("mine\n")
    account.ssm.put_parameter(Name=f"/{account.stack}/swarm/id", Type="String", Value=newest)
    base = account.environment(nodes.nodes[0], "manager")
    changed = {"BEAMOPS_JOIN_SECONDS": "5", "BEAMOPS_SETTLE_SECONDS": settle_seconds, "BEAMOPS_NOTE": str(note)}
    path = {"PATH": f"{tmp_path}{os.pathsep}{base['PATH']}"}
    process = nodes.nodes[0].inside("sh", str(SCRIPT), "join", environment={**base, **changed, **path})
    said, _ = process.communicate(timeout=60)
    assert ("swarm init" in noted.read_text()) is begins, said
    assert (account.lease is not None) is begins, "who does not begin a swarm holds up who would"


def test_of_twenty_starts_at_once_one_initialises(account: Account, nodes: Nodes, tmp_path: Path) -> None:
    """The lease alone is raced for: the engine is one that notes what it is told to do."""
    noted = pretend(tmp_path, "inactive")
    node = nodes.nodes[0]
    base = account.environment(node, "manager")
    started = [
        node.inside(
            "sh",
            str(SCRIPT),
            "join",
            environment={
                **base,
                "BEAMOPS_INSTANCE": f"i-{number}",
                "BEAMOPS_JOIN_SECONDS": "8",
                "BEAMOPS_LEASE_SECONDS": "120",
                "PATH": f"{tmp_path}{os.pathsep}{base['PATH']}",
            },
        )
        for number in range(20)
    ]
    for process in started:
        process.communicate(timeout=120)
    initialised = [line for line in noted.read_text().splitlines() if " swarm init " in line]
    assert len(initialised) == 1, initialised
