"""Staging on a real account, as far as it can be had here: services go to five machines, through sessions, by digest.

What stands in for AWS is in tests/site.py; the program, the engine, the swarm, the images' way and PostgreSQL are real.
"""

import re
import secrets
from functools import partial
from typing import Any

import httpx
import pytest
from coordinator.autoscaler import P95_QUERY, READY_QUERY
from coordinator.contract import SPARE_LABEL

from components.aws.machines import ON_WORKERS, check_overlay
from components.engine import EngineError, find_services
from tests.agents import Agents
from tests.aws import REGION
from tests.load import BY_WHAT_WAITS, queued
from tests.reliability import FULL, check_and_keep
from tests.servers import post, wait_until_ready
from tests.site import MANAGERS, MEANWHILE, WORKERS, Site, on_every_worker
from tests.waiting import wait_until as wait_until_true

wait_until = partial(wait_until_true, meanwhile=MEANWHILE)


def test_services_go_to_machines_of_the_account(site: Site, token: str) -> None:
    for node in site.workers:
        url = f"http://{node.address}:4000"
        wait_until_ready(url, 60)
        assert httpx.get(f"{url}/v1/work").status_code == 401, "whoever has no token learns nothing"
        assert httpx.get(f"{url}/v1/work", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert httpx.get(f"{url}/metrics").status_code == 200
        behind = {"X-Forwarded-Proto": "https"}
        for path in ("metrics", "metrics/", "/metrics", "%6detrics"):
            answer = httpx.get(f"{url}/{path}", headers=behind)
            assert answer.status_code == 403, f"the load balancer shows metrics to all, at /{path}"


def test_managers_run_nothing_that_serves_and_every_worker_does(site: Site, token: str) -> None:  # noqa: ARG001
    with site.nodes.nodes[0].client() as client:
        nodes = {node.id: node.attrs["Spec"] for node in client.nodes.list()}
        assert {spec["Availability"] for spec in nodes.values()} == {"active"}, "what manages is kept apart by its role"
        services = {service.name.rpartition("-")[2]: service for service in client.services.list()}
        assert set(services) == {"coordinator", "proxy"}, "PostgreSQL is RDS's"
        for name, service in services.items():
            wait_until(f"{name} is not on every worker", 180, partial(on_every_worker, service))
        # moto puts all machines of a group into its first zone.
        assert {spec["Labels"]["beamops.zone"] for spec in nodes.values()} == {f"{REGION}a"}
        image = services["coordinator"].attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        assert f"127.0.0.1:{site.registry}/{site.stack}/coordinator@sha256:" in image


def test_the_doctor_finds_the_nodes(site: Site, token: str) -> None:  # noqa: ARG001
    said = site.call("doctor")
    for role, count in (("managers", MANAGERS), ("workers", WORKERS)):
        assert f"✓ {role} {count} of {count} have joined" in " ".join(said.replace("│", " ").split()), said


def test_an_overlay_network_that_does_not_carry_is_told_before_a_service_is_made(site: Site, token: str) -> None:  # noqa: ARG001
    engine = site.nodes.nodes[0].engine
    with site.nodes.nodes[0].client() as client:
        coordinator = next(one for one in client.services.list() if one.name.endswith("-coordinator"))
        image = coordinator.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        check = partial(check_overlay, engine, site.stack, image, constraints=[ON_WORKERS])
        check(encrypted=False)
        # This machine's kernel lacks the cipher, and swarm says nothing of it.
        with pytest.raises(EngineError, match="encrypted does not carry between the nodes; their kernel may lack"):
            check(encrypted=True)
        assert {one.name.rpartition("-")[2] for one in client.services.list()} == {"coordinator", "proxy"}
        assert not client.networks.list(names=[f"{site.stack}-overlay-check"])


WATCHERS = {
    "coordinator": 2, "proxy": WORKERS, "postgresql": 1, "node": MANAGERS + WORKERS, "engine": WORKERS, "prometheus": 1,
    "alertmanager": 1, "collector": MANAGERS + WORKERS, "logs": 1, "traces": 1, "autoscaler": 1,
}  # fmt: skip


def at_rest(service: Any) -> bool:
    """One replica on each worker, and none is on its way."""
    service.reload()
    return on_every_worker(service) and SPARE_LABEL not in service.attrs["Spec"]["Labels"]


def test_machines_are_watched(site: Site, token: str) -> None:  # noqa: ARG001
    """Metrics, rules, lines and traces, as on one engine; RDS is measured by a role of its own, over TLS."""
    autoscale = {"maximum": 2 * WORKERS, **BY_WHAT_WAITS}
    site.configure(
        monitoring={"enabled": True},
        instrumentation={"collector": True},
        distribution={"coordinator": {"replicas": WORKERS, "autoscale": autoscale}},
    )
    site.call("up")
    with site.nodes.nodes[0].client() as client:
        (service,) = find_services(client, f"{site.stack}-coordinator")
        wait_until("coordinators are not one on each worker, and at rest", 240, partial(at_rest, service))
    answered = f"{sum(WATCHERS.values())} of {sum(WATCHERS.values())} targets answer"
    up: dict[str, int] = {}

    def all_answer() -> bool:
        nonlocal up
        up = {one["metric"]["job"]: int(one["value"][1]) for one in site.query("count by (job) (up == 1)")}
        return up == WATCHERS and site.call("alerts").rstrip().endswith(answered)

    try:
        wait_until(f"not {answered}", 240, all_answer)
    except AssertionError as error:
        error.add_note(f"{up} answer, and {WATCHERS} should; `make alerts` says:\n{site.type('alerts').stdout}")
        raise
    assert [one["value"][1] for one in site.query("max(pg_up)")] == ["1"], "nobody measures RDS"
    with site.nodes.nodes[0].client() as client:
        managers = {str(node.id) for node in client.nodes.list(filters={"role": "manager"})}
        names = {
            service.name.removeprefix(f"{site.stack}-")
            for service in client.services.list()
            for task in service.tasks({"desired-state": "running"})
            if task.get("NodeID") in managers
        }
    assert names == {"node-exporter", "collector", "engine-proxy"}, "managers run what serves, or lack who watches"
    (version,) = site.query('pg_static{job="postgresql"}')
    assert version["metric"]["server"].endswith(".rds.amazonaws.com:5432")


def test_what_happens_on_machines_is_one_trace(site: Site, token: str) -> None:
    id_ = secrets.token_hex(16)
    headers = {"Authorization": f"Bearer {token}", "traceparent": f"00-{id_}-{secrets.token_hex(8)}-01"}
    with httpx.Client(base_url=f"http://{site.workers[0].address}:4000", headers=headers, timeout=30) as client:
        assert post(client, "/v1/work", {"type": "x", "title": "x"}).status_code == 201

    def found() -> bool:
        counted = re.search(r"spans: (\d+), log lines: (\d+)", site.type("trace", id_).stdout)
        return counted is not None and int(counted[1]) > 0 and int(counted[2]) > 0

    wait_until("a request's spans and lines are not found by its id", 60, found)


def test_replicas_follow_the_load_on_machines(site: Site, operator: str) -> None:
    """The autoscaler is on a worker, and reaches a manager's engine by the proxy there."""
    url = f"http://{site.workers[0].address}:4000"
    headers = {"Authorization": f"Bearer {operator}"}
    with site.nodes.nodes[0].client() as client:
        (service,) = find_services(client, f"{site.stack}-coordinator")

        def running() -> int:
            tasks = service.tasks({"desired-state": "running"})
            return sum(task["Status"]["State"] == "running" for task in tasks)

        wait_until("coordinators are not one on each worker, and at rest", 240, partial(at_rest, service))
        with (
            Agents(url, operator, 20, cycles_per_second=10) as agents,
            httpx.Client(base_url=url, headers=headers, timeout=30) as asking,
        ):
            agents.await_cycles(20, 60)
            assert running() == WORKERS
            with queued(asking, 100):
                up = wait_until("replicas do not follow: see the autoscaler", 240, lambda: running() == 2 * WORKERS)
            try:
                down = wait_until("replicas do not fall back", 300, lambda: running() == WORKERS)
            except AssertionError as error:
                asked = ("beamops_autoscaler_replicas", READY_QUERY, P95_QUERY)
                error.add_note("\n".join(f"{query}: {site.query(query)}" for query in asked))
                error.add_note(site.find("autoscaler").logs(tail=30).decode())
                raise
            agents.await_cycles(50, 120)
    check_and_keep("replicas follow the load on machines", agents, up_after_s=up, down_after_s=down)
    assert up < 60 or not FULL, "a slow machine's seconds say nothing, a whole run's do"


def test_what_fires_reaches_cloudwatch_and_silence_does_not_look_like_peace(site: Site, token: str) -> None:  # noqa: ARG001
    """The node that Alertmanager runs on tells it, for as long as somebody works out rules."""
    (topic,) = site.client("sns").list_topics()["Topics"]
    alarms = {one["Dimensions"][0]["Value"]: one for one in site.client("cloudwatch").describe_alarms()["MetricAlarms"]}
    assert all(alarm["AlarmActions"] == [topic["TopicArn"]] for alarm in alarms.values())
    wait_until("nobody is told that the watchdog fires", 90, lambda: site.tells(alarms["Watchdog"]))
    with site.nodes.nodes[0].client() as client:
        (service,) = find_services(client, f"{site.stack}-coordinator")
        wait_until("coordinators are not one on each worker", 180, partial(on_every_worker, service))
    wait_until("an alert is open", 180, lambda: not site.tells(alarms["CoordinatorDown"]))
    with site.scaled("autoscaler", 0), site.scaled("coordinator", 0):
        wait_until("no coordinator answers, and nobody hears", 240, lambda: site.tells(alarms["CoordinatorDown"]))
    wait_until_ready(f"http://{site.workers[0].address}:4000", 60)
    wait_until("it is over, and nobody hears", 240, lambda: not site.tells(alarms["CoordinatorDown"]))
    if FULL:  # Alertmanager believes for four minutes what it was told last
        with site.scaled("prometheus", 0):
            wait_until("Prometheus is gone, and all looks well", 420, lambda: not site.tells(alarms["Watchdog"]))
        wait_until("Prometheus is back, and nobody hears", 180, lambda: site.tells(alarms["Watchdog"]))


def test_versions_stand_side_by_side_on_machines(site: Site, operator: str) -> None:
    """Both on every worker, one that serves; the switch is a word in the stack file. The way back is tried on dev."""

    def serving() -> set[str]:
        answers = [
            httpx.get(f"http://{node.address}:4000/v1/config", headers={"Authorization": f"Bearer {operator}"})
            for node in site.workers
            for _ in range(5)
        ]
        return {answer.raise_for_status().json()["settings"]["COORDINATOR_COLOUR"] for answer in answers}

    for active in ("blue", "green"):
        site.configure(distribution={"coordinator": {"release": "blue-green", "active": active}})
        site.call("up")
        # Both may for a second or two, since none stands by before the other serves; and colours that are new come with
        # a new configuration of the proxies, which begin anew one after the other.
        wait_until(f"not {active} alone serves", 120, lambda: serving() == {active})  # noqa: B023
    with site.nodes.nodes[0].client() as client:
        for part in ("coordinator", "coordinator-green"):
            (service,) = find_services(client, f"{site.stack}-{part}")
            wait_until(f"{part} is not on every worker", 300, partial(on_every_worker, service))


def test_a_second_up_changes_nothing_and_down_leaves_nothing(site: Site, token: str) -> None:  # noqa: ARG001
    said = site.call("up")
    assert "unchanged" in said and not re.search(r"\d (created|updated|replaced|deleted)", said), said
    site.call("down")
    with site.nodes.nodes[0].client() as client:
        assert client.services.list() == []
        assert not client.networks.list(filters={"label": f"beamops.stack={site.stack}"})
    assert site.client("rds").describe_db_instances()["DBInstances"] == []
