"""Agents at work while what serves them is updated, drained, killed and cut in two: nothing fails, nothing is lost."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import docker
import httpx
import pytest
import yaml
from coordinator.client import Problem
from coordinator.model import Completion

from cli.tokens import make_token, revoke_token
from components.naming import Names
from tests.agents import LEASE_SECONDS, Agents
from tests.balancer import balance
from tests.nodes import Node
from tests.reliability import AGENTS, CYCLES_PER_SECOND, FULL, check_and_keep
from tests.servers import post, wait_until_ready
from tests.site import MEANWHILE, WORKERS, Site, on_every_worker
from tests.waiting import wait_until as wait_until_true

SETTLED_CYCLES = 3000 if FULL else 150
"""Items to be done after what was done to the stack, so that its consequences are seen."""
WORK_SECONDS = 180 if FULL else 0
"""How long agents are at work in a scenario, at least."""
wait_until = partial(wait_until_true, meanwhile=MEANWHILE)


@pytest.fixture(scope="module")
def url(site: Site, token: str, engine: docker.DockerClient) -> Iterator[str]:  # noqa: ARG001 - staging is up
    targets = [f"{node.address}:4000" for node in site.workers]
    with balance(engine, site.folder, targets) as url:
        wait_until_ready(url, 60)
        yield url
    spread(site)


@contextmanager
def at_work(url: str, token: str) -> Iterator[Agents]:
    with Agents(url, token, AGENTS, CYCLES_PER_SECOND) as agents:
        begin = time.monotonic()
        agents.await_cycles(50, 120)
        yield agents
        agents.await_cycles(SETTLED_CYCLES, 300)
        wait_until_true(
            "agents have not been at work for long enough",
            WORK_SECONDS + 1,
            lambda: time.monotonic() - begin > WORK_SECONDS,
        )


@contextmanager
def manager(site: Site) -> Iterator[docker.DockerClient]:
    """Of a manager that can decide."""
    for node in site.managers:
        if node.process is not None:
            with node.client() as client:
                if client.info()["Swarm"]["ControlAvailable"]:
                    yield client
                    return
    raise AssertionError("no manager is left")


def find(client: docker.DockerClient, part: str) -> Any:
    return next(one for one in client.services.list() if one.name.endswith(f"-{part}"))


def roll(site: Site, part: str) -> float:
    """Replace every replica of a service by one like it, as a new version does."""
    with manager(site) as client:
        find(client, part).force_update()

        def rolled() -> bool:
            state = find(client, part).attrs.get("UpdateStatus", {})
            assert state.get("State") != "paused", state
            return bool(state.get("State") == "completed")

        return wait_until(f"{part} is not rolled", 180, rolled)


def ready_nodes(client: docker.DockerClient) -> set[str]:
    return {str(node.id) for node in client.nodes.list() if node.attrs["Status"]["State"] == "ready"}


def replicas(client: docker.DockerClient, part: str) -> int:
    """How many run, on nodes that are there."""
    ready = ready_nodes(client)
    tasks = find(client, part).tasks({"desired-state": "running"})
    return sum(task["Status"]["State"] == "running" and task.get("NodeID") in ready for task in tasks)


def all_back(site: Site) -> None:
    wanted = {"nodes": len(site.nodes.nodes), "coordinators": WORKERS, "proxies": WORKERS}
    found: dict[str, int] = {}

    def back() -> bool:
        with manager(site) as client:
            counted = len(ready_nodes(client)), replicas(client, "coordinator"), replicas(client, "proxy")
        found.update(zip(wanted, counted, strict=True))
        return found == wanted

    try:
        wait_until("not all are back", 300, back)
    except AssertionError:
        members = "\n".join(node.tell() for node in site.nodes.nodes if node.process is not None)
        raise AssertionError(f"there are {found}, and should be {wanted}; nodes and services:\n{members}") from None


def spread(site: Site) -> float:
    """Wait until each worker has a coordinator again: the leading manager moves one to a node that came back."""

    def even() -> bool:
        with manager(site) as client:
            return on_every_worker(find(client, "coordinator"))

    return wait_until("coordinators are not one on each worker", 180, even)


def through(node: Node, token: str) -> httpx.Client:
    """Somebody who asks that node's proxy."""
    return httpx.Client(base_url=f"http://{node.address}:4000", headers=bearer(token), timeout=5)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_100_agents_on_5_nodes_under_100_ms(site: Site, url: str, operator: str) -> None:
    """Of 100 claims 99. Nodes and agents share the processors of one machine."""
    spread(site)
    with Agents(url, operator, 100, cycles_per_second=10) as agents:
        agents.await_cycles(300, 120)
    took = sorted(agents.claim_seconds)
    median_ms, p99_ms = (1000 * took[len(took) * share // 100] for share in (50, 99))
    check_and_keep("a hundred agents on five nodes", agents, claim_p50_ms=median_ms, claim_p99_ms=p99_ms)
    assert p99_ms < 100 or not FULL, "a slow machine's seconds say nothing, a whole run's do"


def test_agreement_within_5_s(site: Site, operator: str) -> None:
    """What is done at one node is what every other one says."""
    with ExitStack() as open_:
        first, second = (open_.enter_context(through(node, operator)) for node in site.workers)
        for here, there in ((first, second), (second, first)) * 10:
            item = submit(here)
            (held,) = post(there, "/v1/claims", {"agent": "ada", "id": item}).raise_for_status().json()["claims"]
            post(here, f"/v1/work/{item}/complete", {"token": held["token"]}).raise_for_status()
            wait_until_true("the other node says otherwise", 5, partial(is_completed, there, item), (httpx.HTTPError,))


def test_a_rolling_upgrade_loses_nothing(site: Site, url: str, operator: str) -> None:
    with at_work(url, operator) as agents:
        seconds = roll(site, "coordinator")
    check_and_keep("rolling update of the coordinator", agents, rolled_after_s=seconds)


def test_a_rolling_upgrade_of_the_proxy_loses_nothing(site: Site, url: str, operator: str) -> None:
    with at_work(url, operator) as agents:
        seconds = roll(site, "proxy")
    check_and_keep("rolling update of the proxy", agents, rolled_after_s=seconds)


def test_rotation_of_tokens(site: Site, url: str) -> None:
    names = Names(site.name, "staging")
    with manager(site) as client:
        old = make_token(client, names, "old", "operator")
        with at_work(url, old) as agents:
            agents.use(make_token(client, names, "new", "operator"))
            wait_until_true("requests with the old token go on", 120, agents.have_changed)
            revoke_token(client, names, old)
    check_and_keep("rotation of tokens", agents)


def test_rotation_of_the_database_password(site: Site, url: str, operator: str) -> None:
    content = yaml.safe_load(site.stack_file.read_text())
    content["config"]["beamops:secrets"] = {"database_password_version": 2}
    with at_work(url, operator) as agents, site.following_password():
        site.stack_file.write_text(yaml.safe_dump(content))
        begin = time.monotonic()
        site.call("up")
        seconds = time.monotonic() - begin
    with manager(site) as client:
        (kept,) = (one for one in client.secrets.list() if "-database-password-" in one.name)
    assert "-database-password-v2-" in kept.name, "the old password is gone, and the new one is used"
    check_and_keep("rotation of the database password", agents, deployed_after_s=seconds)


def test_a_worker_is_drained(site: Site, url: str, operator: str) -> None:
    spread(site)
    with manager(site) as client, at_work(url, operator) as agents:
        member = member_of(client, site.workers[-1])
        try:
            set_availability(member, "drain")
            seconds = wait_until(
                "the replicas do not run elsewhere", 60,
                lambda: replicas(client, "coordinator") == WORKERS and replicas(client, "proxy") == WORKERS - 1,
            )  # fmt: skip
        finally:
            set_availability(member, "active")
        spread_seconds = spread(site)
    all_back(site)
    check_and_keep("drain of a worker", agents, elsewhere_after_s=seconds, spread_again_after_s=spread_seconds)


@contextmanager
def killed(site: Site, node: Node) -> Iterator[None]:
    """It is off until the context ends, and then back."""
    node.kill()
    try:
        yield
    finally:
        node.start()
    all_back(site)


def test_node_failure_claims_transferred_within_30_s(site: Site, url: str, operator: str) -> None:
    lost = site.workers[-1]
    spread(site)
    with manager(site) as client:
        member = member_of(client, lost)
    with at_work(url, operator) as agents, ExitStack() as while_lost:
        with through(lost, operator) as agent:
            held = {"agent": "lost", "id": submit(agent), "lease_seconds": 5}
            (claim,) = post(agent, "/v1/claims", held).raise_for_status().json()["claims"]
        while_lost.enter_context(killed(site, lost))
        begin = time.monotonic()
        with httpx.Client(base_url=url, headers=bearer(operator), timeout=5) as asking:
            wanted = {**held, "agent": "next"}
            transferred = wait_until_true(
                "nobody gets what an agent held that went with its node", 30,
                lambda: asking.post("/v1/claims", json=wanted).status_code == 200, (httpx.HTTPError,),
            )  # fmt: skip
        with manager(site) as client:
            wait_until("the loss is not seen", 60, lambda: member.id not in ready_nodes(client))
            wait_until("no replica runs in its place", 60, lambda: replicas(client, "coordinator") == WORKERS)
        seconds = time.monotonic() - begin
        with agents.open_client() as late, pytest.raises(Problem) as refused:
            late.complete(claim["item"]["id"], Completion(claim["token"]))
        assert refused.value.code == "lease_lost", "who lost its claim completed the item of another"
        agents.await_cycles(50, 300)
    check_and_keep("loss of a worker", agents, replicas_again_after_s=seconds, claims_transferred_after_s=transferred)
    assert seconds < 20 or not FULL, "a slow machine's seconds say nothing, a whole run's do"


def test_the_leading_manager_is_killed(site: Site, url: str, operator: str) -> None:
    with manager(site) as client:
        leaders = [node for node in client.nodes.list() if node.attrs.get("ManagerStatus", {}).get("Leader")]
        leader = next(one for one in site.managers if member_of(client, one).id == leaders[0].id)
    with at_work(url, operator) as agents, killed(site, leader):

        def deployable() -> bool:
            with manager(site) as client:
                find(client, "coordinator").force_update()
                return True

        seconds = wait_until("nothing can be deployed", 60, deployable)
        agents.await_cycles(50, 300)
    check_and_keep("loss of the leading manager", agents, deployable_after_s=seconds)
    assert seconds < 25 or not FULL, "a slow machine's seconds say nothing, a whole run's do"


def test_a_partition_reconciles(site: Site, url: str, operator: str) -> None:
    """Each half still reaches the store and the load balancer: both may serve, and no item is in two hands."""
    few = [site.managers[-1], site.workers[-1]]
    many = [node for node in site.nodes.nodes if node not in few]
    spread(site)
    with manager(site) as client:
        member = member_of(client, few[-1])
    with at_work(url, operator) as agents:
        with cut(few, many), manager(site) as client:
            wait_until("the cut is not seen", 60, lambda: member.id not in ready_nodes(client))
            with through(few[-1], operator) as lone, through(site.workers[0], operator) as other:
                claim = {"agent": "lone", "id": submit(other), "lease_seconds": LEASE_SECONDS}
                assert post(lone, "/v1/claims", claim).status_code == 200, "the half that was cut off claims nothing"
                assert post(other, "/v1/claims", {**claim, "agent": "other"}).status_code == 409, "a double claim"
            agents.await_cycles(SETTLED_CYCLES, 300)
            # A worker that reported to a manager of the other half counted as lost too, and its replicas with it. When
            # the halves meet the swarm elects anew, and until then it starts nothing in place of what ends.
            wait_until(
                "the half that goes on is not whole", 120,
                lambda: replicas(client, "coordinator") == WORKERS and replicas(client, "proxy") == 1,
            )  # fmt: skip
        begin = time.monotonic()
        all_back(site)
        seconds = time.monotonic() - begin
    check_and_keep("network cut in two", agents, healed_after_s=seconds)


def submit(client: httpx.Client) -> str:
    """An item that agents at work do not ask for."""
    return str(post(client, "/v1/work", {"type": "apart", "title": "x"}).raise_for_status().json()["id"])


def is_completed(client: httpx.Client, item: str) -> bool:
    return bool(client.get(f"/v1/work/{item}").raise_for_status().json()["status"] == "completed")


def member_of(client: docker.DockerClient, node: Node) -> Any:
    return next(one for one in client.nodes.list() if one.attrs["Status"]["Addr"] == node.address)


def set_availability(member: Any, availability: str) -> None:
    def is_set() -> bool:
        member.reload()
        member.update({**member.attrs["Spec"], "Availability": availability})
        return True

    # The leading manager may write to it between the two.
    wait_until(f"a node is not to be {availability}", 30, is_set)


@contextmanager
def cut(few: list[Node], many: list[Node]) -> Iterator[None]:
    """Nothing passes between the two; what the test itself sends does."""

    def rule(action: str) -> None:
        for node in few:
            for other in many:
                for chain, end in (("INPUT", "-s"), ("OUTPUT", "-d")):
                    words = ["iptables", "-w", action, chain, end, other.address, "-j", "DROP"]
                    subprocess.run(["nsenter", f"--net=/run/netns/{node.name}", *words], check=True)

    rule("-I")
    try:
        yield
    finally:
        rule("-D")
