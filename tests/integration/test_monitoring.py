"""Chapters 11 and 12 for real: rules that fire and stop, routes, an alert that reaches somebody, traces and lines."""

import json
import math
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
import yaml
from docker.models.containers import Container

from cli.images import ensure_images
from cli.toolchain import Toolchain
from cli.watching import Watchers
from components import catalogue
from components.catalogue import Image
from components.containers import ROOT, Source
from components.engine import engine_host, find_container, run_in
from components.naming import Names
from components.observability.alert import Alert, Example, Expected
from components.observability.collector import COLLECTOR_PORT, LOGS_PORT
from components.observability.configuration import (
    ALERTMANAGER_PORT,
    CAUSES,
    Target,
    render_alertmanager,
    render_prometheus,
)
from components.observability.dashboards.rendering import DASHBOARDS
from components.observability.rules import list_alerts, list_subjects, render_rules
from components.settings import InstrumentationSettings, Settings
from tests.agents import Agents
from tests.images import ensure_image
from tests.load import Load
from tests.pictures import draw_dashboard
from tests.receiver import Answer, Asked, Receiver
from tests.reliability import FULL
from tests.servers import free_port, wait_until_ready
from tests.stories import tell_story
from tests.user import User
from tests.waiting import wait_until

EXPECTED = Expected(replicas=2, collected=True)
WATCHED_WHOLE = replace(EXPECTED, scaled=True)
ALERTS = list_alerts(EXPECTED)
DRAWN_SECONDS = 420
HEARTBEAT_PATH = "/heartbeat"
COLLECTING = {"collector", "logs", "traces"}
WATCHDOG = next(alert for alert in ALERTS if alert.expression == "vector(1)")
OR_NOTHING = " or vector(0)"
WITHOUT_FAULTS = {OR_NOTHING: "", 'status=~"5.."': 'status=~"..."', ',severity!="none"': ""}
"""What only a fault would fill is asked for as if anything were one, and without what stands in for nothing."""
BESIDE_NUMBERS = re.compile(r" (<|>|>=|==) [\d.]+$")


@dataclass
class Tools:
    """promtool and amtool of the very images that are deployed."""

    folder: Path
    containers: dict[str, Container]

    def run(self, image: Image, *command: str) -> str:
        code, said, complaint = run_in(self.containers[image.name], command, workdir="/rules")
        assert code == 0, said + complaint
        return said.decode()


@pytest.fixture(scope="module")
def tools(engine: docker.DockerClient, source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    folder = tmp_path_factory.mktemp("rules")
    folder.chmod(0o755)
    with ExitStack() as made:
        tools = Tools(folder, {})
        for image in (catalogue.PROMETHEUS, catalogue.ALERTMANAGER):
            container = engine.containers.run(
                ensure_image(engine, source, image), entrypoint=["busybox", "sleep", "1800"],
                detach=True, network_mode="none", volumes={str(folder): {"bind": "/rules", "mode": "ro"}},
            )  # fmt: skip
            made.callback(container.remove, force=True)
            tools.containers[image.name] = container
        yield tools


@pytest.mark.parametrize(
    ("alert", "example"),
    [
        pytest.param(alert, example, id=f"{alert.name}-{number}" if number else alert.name)
        for alert in list_alerts(WATCHED_WHOLE)
        if alert != WATCHDOG
        for number, example in enumerate((alert.example, *alert.others))
    ],
)
def test_an_alert_fires_does_not_blink_and_ends(tools: Tools, alert: Alert, example: Example) -> None:
    (tools.folder / "rules.yml").write_text(render_rules(WATCHED_WHOLE))
    (tools.folder / "story.yml").write_text(yaml.safe_dump(tell_story(alert, example, "rules.yml")))
    tools.run(catalogue.PROMETHEUS, "promtool", "test", "rules", "story.yml")


def test_prometheus_accepts_its_configuration(tools: Tools) -> None:
    rendered = render_prometheus(Names("beamops", "dev"), [Target("coordinator", ["beamops-dev-coordinator"], 4000)])
    (tools.folder / "prometheus.yml").write_text(rendered.replace("/etc/beamops/", "/rules/"))
    (tools.folder / "rules.yml").write_text(render_rules(EXPECTED))
    said = tools.run(catalogue.PROMETHEUS, "promtool", "check", "config", "prometheus.yml")
    rules = sum(len(subject.alerts) + len(subject.recordings) for subject in list_subjects(EXPECTED))
    assert f"{rules} rules found" in said, said


@pytest.mark.parametrize(
    ("webhook", "heartbeat", "receivers"),
    [
        (None, None, {"critical": "nobody", "warning": "nobody", "none": "nobody"}),
        ("http://127.0.0.1:9/", None, {"critical": "people", "warning": "people", "none": "nobody"}),
        (None, "http://127.0.0.1:9/", {"critical": "nobody", "warning": "nobody", "none": "outside"}),
    ],
)
def test_alerts_go_where_the_table_says(
    tools: Tools, webhook: str | None, heartbeat: str | None, receivers: dict[str, str]
) -> None:
    (tools.folder / "alertmanager.yml").write_text(render_alertmanager(webhook, heartbeat))
    tools.run(catalogue.ALERTMANAGER, "amtool", "check-config", "alertmanager.yml")
    for severity, receiver in receivers.items():
        asked = ["amtool", "config", "routes", "test", "--config.file=alertmanager.yml", f"severity={severity}"]
        asked += ["alertname=Watchdog"] if severity == WATCHDOG.severity else []
        assert tools.run(catalogue.ALERTMANAGER, *asked).splitlines()[-1] == receiver
    used = {alert.severity for alert in ALERTS}
    assert used == set(receivers), "each severity that an alert has is in the table"


def test_effects_are_not_told_beside_their_cause(tools: Tools) -> None:
    (tools.folder / "alertmanager.yml").write_text(render_alertmanager("http://127.0.0.1:9/"))
    url = f"http://127.0.0.1:{ALERTMANAGER_PORT}"
    container = tools.containers[catalogue.ALERTMANAGER.name]
    begun = ["alertmanager", "--config.file=alertmanager.yml", "--storage.path=/tmp/kept", "--cluster.listen-address="]
    container.exec_run(begun, workdir="/rules", detach=True)
    ask = ["busybox", "wget", "-q", "-O", "-", f"{url}/api/v2/alerts"]
    wait_until("Alertmanager does not answer", 30, lambda: container.exec_run(ask).exit_code == 0)
    # An environment for each cause: it, what follows from it, and all that does not.
    there = {
        cause: {cause, *effects, *(one.name for one in ALERTS if one.name not in CAUSES)}
        for cause, effects in CAUSES.items()
    }
    there["none"] = set(there["DatabaseDown"]) - set(CAUSES)
    fired = [{"labels": {"environment": where, "alertname": name}} for where, names in there.items() for name in names]
    tell = ["--header", "Content-Type: application/json", "--post-data", json.dumps(fired)]
    tools.run(catalogue.ALERTMANAGER, *ask[:-1], *tell, ask[-1])
    follow = {
        where: {effect for one in names & CAUSES.keys() for effect in CAUSES[one]} for where, names in there.items()
    }

    def hushed() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {where: set() for where in there}
        for one in json.loads(tools.run(catalogue.ALERTMANAGER, *ask)):
            if one["status"]["inhibitedBy"]:
                found[one["labels"]["environment"]].add(one["labels"]["alertname"])
        return found

    wait_until("other alerts are held back than those that follow", 30, lambda: hushed() == follow)


@dataclass
class Watched:
    """A stack of the test's own that is watched, and whoever is told."""

    user: User
    name: str
    url: str
    engine: docker.DockerClient
    receiver: Receiver

    def container(self, part: str) -> Container:
        found = find_container(self.engine, f"{self.name}-dev-{part}")
        assert isinstance(found, Container), f"no container of {part} runs"
        return found

    def fetch(self, part: str, address: str) -> bytes:
        said = Watchers(self.engine, engine_host(None), Names(self.name, "dev")).ask(part, address, "monitoring")
        assert said is not None, f"{part} knows no {address}"
        return said

    def ask(self, path: str) -> object:
        return json.loads(self.fetch("prometheus", f"9090/api/v1/{path}"))["data"]

    def find_lines(self, query: str) -> list[dict[str, str]]:
        """Log lines that are kept, by a query of VictoriaLogs."""
        said = self.fetch("logs", f"{LOGS_PORT}/select/logsql/query?{httpx.QueryParams({'query': query})}")
        return [json.loads(line) for line in said.splitlines()]

    def query(self, expression: str) -> list[Any]:
        data = self.ask(f"query?{httpx.QueryParams({'query': expression})}")
        assert isinstance(data, dict)
        result: list[Any] = data["result"]
        return result

    def told(self, alert: str, status: str) -> bool:
        return any(
            one["labels"]["alertname"] == alert and one["status"] == status
            for asked in self.receiver.asked
            if asked.path != HEARTBEAT_PATH
            for one in json.loads(asked.body)["alerts"]
        )


@pytest.fixture(scope="module")
def watched(
    engine: docker.DockerClient,
    source: Source,
    toolchain: Toolchain,  # noqa: ARG001 - built before it is timed
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Watched]:
    # A container reaches this machine by the address of the bridge that it is on, and nothing else listens there.
    address = engine.networks.get("bridge").attrs["IPAM"]["Config"][0]
    gateway = address.get("Gateway", str(ip_network(address["Subnet"])[1]))
    assert ip_address(gateway) in ip_network(address["Subnet"])
    user = User(tmp_path_factory.mktemp(secrets.token_hex(3)), source, free_port())
    with Receiver(Answer(), address=gateway) as receiver:
        user.configure(
            distribution={"proxy": {"port": user.port}},
            monitoring={"enabled": True, "webhook": receiver.url, "heartbeat": f"{receiver.url}{HEARTBEAT_PATH}"},
            instrumentation={"collector": True},
        )
        # What is built takes minutes when it never was.
        ensure_images(Settings(instrumentation=InstrumentationSettings(collector=True)), source)
        code, said = user.run("up")
        try:
            assert code == 0, said
            wait_until_ready(url := f"http://127.0.0.1:{user.port}")
            yield Watched(user, user.name, url, engine, receiver)
        finally:
            code, said = user.run("down")
        assert code == 0, said


def test_every_rule_and_every_panel_finds_its_series_under_load(watched: Watched) -> None:
    with httpx.Client(base_url=watched.url, timeout=30) as client, Load(watched.url, per_second=20):
        client.post("/v1/agents", json={"name": "ada"}).raise_for_status()
        sides = {side for one in ALERTS for side in measured(one.expression)}
        panels = {query for one in DASHBOARDS for panel in one.panels for query in panel.queries.values()}
        empty = sides | panels

        def all_found() -> bool:
            nonlocal empty
            work_and_fail(client)  # what grows from one look to the next has a rate
            empty = {query for query in empty if not has_number(watched.query(as_if_wrong(query)))}
            return not empty

        try:
            wait_until("some find nothing", 300, all_found)
        except AssertionError:
            raise AssertionError(f"see what the targets tell; these rules and panels find nothing: {empty}") from None
        if os.environ.get("GOLDEN"):
            draw_dashboards(watched)
    jobs = {"coordinator", "proxy", "postgresql", "node", "engine", "prometheus", "alertmanager", *COLLECTING}
    found: list[tuple[str, str]] = []

    def all_up() -> bool:
        targets = watched.ask("targets?state=active")
        assert isinstance(targets, dict)
        found[:] = [(target["labels"]["job"], target["health"]) for target in targets["activeTargets"]]
        return set(found) == {(job, "up") for job in jobs}

    try:
        wait_until("not each target answers, and no other", 60, all_up)
    except AssertionError:
        raise AssertionError(f"each of {jobs} is to be up, and no other: {found}") from None
    services = {
        one.name for one in watched.engine.services.list(filters={"label": f"beamops.stack={watched.name}-dev"})
    }

    def told() -> set[str]:
        running = watched.query("sum by (service) (container_processes) > 0")
        return {one["metric"]["service"] for one in running}

    wait_until("of each service's containers, and of no others, it is not told", 60, lambda: told() == services)


def work_and_fail(client: httpx.Client) -> None:
    """Three items that are completed, each refused once before, and one that fails."""
    for _ in range(3):
        client.post("/v1/work", json={"type": "review", "title": "one"}).raise_for_status()
        (held,) = client.post("/v1/claims", json={"agent": "ada", "type": "review"}).json()["claims"]
        item = f"/v1/work/{held['item']['id']}"
        assert client.post(f"{item}/complete", json={"token": held["token"] + 1}).status_code == 409
        client.post(f"{item}/complete", json={"token": held["token"]}).raise_for_status()
    client.post("/v1/work", json={"type": "fails", "title": "one"}).raise_for_status()
    (held,) = client.post("/v1/claims", json={"agent": "ada", "type": "fails"}).json()["claims"]
    failed = {"token": held["token"], "reason": "it was to fail"}
    client.post(f"/v1/work/{held['item']['id']}/fail", json=failed).raise_for_status()


def draw_dashboards(watched: Watched) -> None:
    """Anew, the pictures in docs/dashboards: of some minutes in which agents are at work."""
    with Agents(watched.url, None, 40, cycles_per_second=12) as agents:
        agents.await_cycles(12 * DRAWN_SECONDS * 3 // 4, 2 * DRAWN_SECONDS)
        now = time.time()

        def ask(expression: str) -> list[dict[str, Any]]:
            over: dict[str, str | float] = {"query": expression, "start": now - DRAWN_SECONDS, "end": now, "step": 10}
            found = watched.ask(f"query_range?{httpx.QueryParams(over)}")
            assert isinstance(found, dict)
            return list(found["result"])

        for dashboard in DASHBOARDS:
            draw_dashboard(dashboard, ask, ROOT / "docs" / "dashboards" / f"{dashboard.name}.png")


def measured(expression: str) -> set[str]:
    """What an alert looks at, without the thresholds."""
    parts = re.split(r" (?:and|unless|or) (?:on\(\) )?", as_if_wrong(expression))
    return {BESIDE_NUMBERS.sub("", re.sub(r"^absent\((.*)\)$", r"\1", part)) for part in parts}


def as_if_wrong(query: str) -> str:
    for before, after in WITHOUT_FAULTS.items():
        query = query.replace(before, after)
    return query


def has_number(found: list[Any]) -> bool:
    return any(not math.isnan(float(one["value"][1])) for one in found)


def test_who_measures_postgresql_reads_none_of_its_tables(watched: Watched) -> None:
    query = 'PGPASSWORD="$(cat /run/secrets/watcher_password)" psql -h 127.0.0.1 -U watcher -d coordinator -tc "$0"'

    def ask(statement: str) -> tuple[int, bytes]:
        code, said, complaint = run_in(watched.container("database"), ["/bin/sh", "-c", query, statement])
        return code, said + complaint

    code, said = ask("SELECT count(*) FROM pg_stat_activity")
    assert code == 0, said
    for statement in ("SELECT * FROM api_token", "SELECT * FROM work_item", "CREATE TABLE mine (x int)"):
        code, said = ask(statement)
        assert code and b"permission denied" in said, (statement, said)


def test_one_id_joins_a_claims_lines_its_trace_and_its_exemplar(watched: Watched) -> None:
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    with httpx.Client(base_url=watched.url, timeout=30, headers={"traceparent": f"00-{trace}-{span}-01"}) as client:
        client.post("/v1/work", json={"type": "traced", "title": "one"}).raise_for_status()
        (held,) = client.post("/v1/claims", json={"agent": "ada", "type": "traced"}).json()["claims"]
        assert held["item"]["trace_id"] == trace
    parts = ("POST /v1/claims coordinator", '"path":"/v1/claims"', "spans: 2, log lines: 2")
    said = ""

    def joined() -> bool:
        nonlocal said
        said = watched.user.run("trace", "dev", "account", trace)[1]
        return all(part in said for part in parts)

    try:
        wait_until("a trace is not whole", 60, joined)
    except AssertionError:
        raise AssertionError(f"see the collector's log; `make trace` says:\n{said}") from None
    now = time.time()
    series = "beamops_agent_coordination_latency_seconds_bucket"
    asked: dict[str, str | float] = {"query": series, "start": now - 300, "end": now + 60}

    def is_exemplar() -> bool:
        found = watched.ask(f"query_exemplars?{httpx.QueryParams(asked)}")
        assert isinstance(found, list)
        return trace in {one["labels"]["trace_id"] for series in found for one in series["exemplars"]}

    wait_until("the claim's latency has no exemplar of its trace", 60, is_exemplar)


def test_every_service_is_in_the_logs_and_a_metric_by_otlp_in_prometheus(watched: Watched) -> None:
    services = {"coordinator", "database", "proxy", "prometheus", "alertmanager", "logs", "traces", "postgres-exporter"}

    def heard() -> bool:
        counted = watched.find_lines("* | stats by (service) count() lines")
        return {f"{watched.name}-dev-{service}" for service in services} <= {line["service"] for line in counted}

    wait_until("a service is in no log; see the collector's own", 60, heard)
    moment = str(time.time_ns())
    point = {"asInt": "7", "timeUnixNano": moment}
    metric = {"name": "measured_by_an_agent", "gauge": {"dataPoints": [point]}}
    told = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    address = f"http://{watched.name}-dev-collector:{COLLECTOR_PORT}/v1/metrics"
    send = "import sys, httpx; httpx.post(sys.argv[1], json=eval(sys.argv[2])).raise_for_status()"
    code, said = watched.container("coordinator").exec_run(["python3", "-c", send, address, repr(told)])
    assert code == 0, said
    wait_until("Prometheus has not what came by OTLP", 30, lambda: watched.query("measured_by_an_agent"))


def test_a_collector_that_is_stuck_or_gone_slows_no_coordinator_and_its_lines_come_later(watched: Watched) -> None:
    collector = watched.container("collector")
    with Load(watched.url, per_second=40) as before:
        wait_until("too few requests", 30, lambda: before.sent > 300)
    collector.pause()
    began = time.monotonic()
    try:
        title = secrets.token_hex(8)
        httpx.get(f"{watched.url}/v1/work/{title}", timeout=30)
        with Load(watched.url, per_second=40) as stuck:
            wait_until("too few requests", 30, lambda: stuck.sent > 300)
    finally:
        away_ms = (time.monotonic() - began) * 1000
        collector.unpause()
    wait_until("a line that came meanwhile is lost", 60, lambda: watched.find_lines(title))
    collector.kill()
    title = secrets.token_hex(8)
    httpx.get(f"{watched.url}/v1/work/{title}", timeout=30)
    with Load(watched.url, per_second=40) as gone:
        wait_until("too few requests", 30, lambda: gone.sent > 300)
    wait_until("no line comes to the collector that took its place", 90, lambda: watched.find_lines(title))
    for load in (before, stuck, gone):
        print(load.report())
    assert not stuck.failures and not gone.failures
    assert stuck.median_ms < 2 * before.median_ms + 50, "requests wait for the collector"
    assert max(stuck.took_ms) < away_ms / 2, "a request waited for the collector"
    # A container that starts takes its share of a small machine's processors.
    assert gone.median_ms < 3 * before.median_ms + 200, "requests wait for a collector that is not there"
    waited = [took for took in gone.took_ms if took > away_ms / 2]
    assert len(waited) < gone.sent / 100, f"requests waited for a collector that is not there: {waited}"


def test_coordinators_that_are_gone_are_told_and_so_is_their_return(watched: Watched) -> None:
    (coordinator,) = watched.engine.services.list(filters={"name": f"{watched.name}-dev-coordinator"})
    coordinator.scale(0)
    began = time.monotonic()
    wait_until("nobody is told that no coordinator answers", 240, lambda: watched.told("CoordinatorDown", "firing"))
    fired = time.monotonic() - began
    assert httpx.get(f"{watched.url}/v1/work").status_code == 503
    errors = "beamops:request_errors:ratio_rate5m > 0"
    wait_until("an outage is no error of the budget", 60, lambda: watched.query(errors))
    if FULL:  # it has to hold for two minutes, and whoever is told is told ten seconds later
        effect = 'time() - ALERTS_FOR_STATE{alertname="ProxyHasNoServer"} > 150'
        wait_until("an effect does not fire", 240, lambda: watched.query(effect))
        assert not watched.told("ProxyHasNoServer", "firing"), "an effect is told beside its cause"
    said = watched.user.run("alerts")[1]
    assert "CoordinatorDown critical, firing" in said and "docs/runbooks/coordinator-down.md" in said, said
    coordinator.reload()
    coordinator.scale(2)
    began = time.monotonic()
    wait_until("nobody is told that it is over", 240, lambda: watched.told("CoordinatorDown", "resolved"))
    print(f"told after {fired:.0f} s, resolved told {time.monotonic() - began:.0f} s after the return")
    assert not watched.told("CoordinatorReplicaMissing", "firing"), "an effect is not told beside its cause"


def test_who_watches_from_outside_hears_each_minute_that_rules_are_worked_out(watched: Watched) -> None:
    def beats() -> list[Asked]:
        return [asked for asked in watched.receiver.asked if asked.path == HEARTBEAT_PATH]

    wait_until("the heartbeat does not go on", 240, lambda: len(beats()) > 2)
    names = {one["labels"]["alertname"] for beat in beats() for one in json.loads(beat.body)["alerts"]}
    assert names == {"Watchdog"} and not watched.told("Watchdog", "firing")


def test_a_silence_outlives_its_alertmanager(watched: Watched) -> None:
    amtool = ["amtool", f"--alertmanager.url=http://127.0.0.1:{ALERTMANAGER_PORT}", "silence"]
    before = watched.container("alertmanager")
    code, said = before.exec_run([*amtool, "add", "--author=ada", "--comment=known", "alertname=WorkWaits"])
    assert code == 0, said
    before.stop()
    wait_until("no other one comes", 60, lambda: watched.container("alertmanager").id != before.id, (AssertionError,))

    def kept() -> bool:
        code, said, _ = run_in(watched.container("alertmanager"), [*amtool, "query"])
        return code == 0 and b"WorkWaits" in said

    wait_until("the silence is not there", 60, kept, (AssertionError, docker.errors.APIError))
