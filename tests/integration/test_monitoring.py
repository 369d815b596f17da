"""Chapters 11 and 12 for real: rules that fire and stop, routes, and an alert that reaches somebody."""

import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

import docker
import httpx
import pytest
import yaml
from docker.models.containers import Container

from cli.toolchain import Toolchain
from components import catalogue
from components.catalogue import Image
from components.containers import Source
from components.engine import find_container
from components.naming import Names
from components.observability.alert import Alert, Expected
from components.observability.configuration import Target, render_alertmanager, render_prometheus
from components.observability.dashboards.rendering import DASHBOARDS
from components.observability.rules import list_alerts, list_subjects, render_rules
from tests.images import ensure_image
from tests.load import Load
from tests.receiver import Answer, Receiver
from tests.servers import free_port, wait_until_ready
from tests.stories import tell_story
from tests.user import User
from tests.waiting import wait_until

EXPECTED = Expected(replicas=2, memory_bytes=256 * 1024 * 1024)
ALERTS = list_alerts(EXPECTED)
WATCHDOG = next(alert for alert in ALERTS if alert.expression == "vector(1)")
BESIDE_NUMBERS = re.compile(r" (<|>|>=|==) [\d.]+$")


@dataclass
class Tools:
    """promtool and amtool of the very images that are deployed."""

    folder: Path
    containers: dict[str, Container]

    def run(self, image: Image, *command: str) -> str:
        code, said = self.containers[image.name].exec_run(list(command), workdir="/rules")
        assert isinstance(said, bytes)
        assert code == 0, said.decode()
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


@pytest.mark.parametrize("alert", [one for one in ALERTS if one != WATCHDOG], ids=lambda alert: alert.name)
def test_an_alert_fires_does_not_blink_and_ends(tools: Tools, alert: Alert) -> None:
    (tools.folder / "rules.yml").write_text(render_rules(EXPECTED))
    (tools.folder / "story.yml").write_text(yaml.safe_dump(tell_story(alert, "rules.yml")))
    tools.run(catalogue.PROMETHEUS, "promtool", "test", "rules", "story.yml")


def test_prometheus_accepts_its_configuration(tools: Tools) -> None:
    rendered = render_prometheus(Names("beamops", "dev"), [Target("coordinator", "beamops-dev-coordinator", 4000)])
    (tools.folder / "prometheus.yml").write_text(rendered.replace("/etc/beamops/", "/rules/"))
    (tools.folder / "rules.yml").write_text(render_rules(EXPECTED))
    said = tools.run(catalogue.PROMETHEUS, "promtool", "check", "config", "prometheus.yml")
    rules = sum(len(subject.alerts) + len(subject.recordings) for subject in list_subjects(EXPECTED))
    assert f"{rules} rules found" in said, said


@pytest.mark.parametrize(
    ("webhook", "receivers"),
    [
        (None, {"critical": "nobody", "warning": "nobody", "none": "nobody"}),
        ("http://127.0.0.1:9/", {"critical": "people", "warning": "people", "none": "nobody"}),
    ],
)
def test_alerts_go_where_the_table_says(tools: Tools, webhook: str | None, receivers: dict[str, str]) -> None:
    (tools.folder / "alertmanager.yml").write_text(render_alertmanager(webhook))
    tools.run(catalogue.ALERTMANAGER, "amtool", "check-config", "alertmanager.yml")
    for severity, receiver in receivers.items():
        asked = ["amtool", "config", "routes", "test", "--config.file=alertmanager.yml", f"severity={severity}"]
        assert tools.run(catalogue.ALERTMANAGER, *asked).splitlines()[-1] == receiver
    used = {alert.severity for alert in ALERTS}
    assert used == set(receivers), "each severity that an alert has is in the table"


@dataclass
class Watched:
    """A stack of the test's own that is watched, and whoever is told."""

    user: User
    name: str
    url: str
    engine: docker.DockerClient
    receiver: Receiver

    def ask(self, path: str) -> object:
        prometheus = find_container(self.engine, f"{self.name}-dev-prometheus")
        assert prometheus is not None
        url = f"http://127.0.0.1:9090/api/v1/{path}"
        code, said = prometheus.exec_run(["busybox", "wget", "-q", "-O", "-", url])
        assert code == 0 and isinstance(said, bytes), said
        return json.loads(said)["data"]

    def query(self, expression: str) -> list[object]:
        data = self.ask(f"query?{httpx.QueryParams({'query': expression})}")
        assert isinstance(data, dict)
        result: list[object] = data["result"]
        return result

    def told(self, alert: str, status: str) -> bool:
        return any(
            one["labels"]["alertname"] == alert and one["status"] == status
            for asked in self.receiver.asked
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
            monitoring={"enabled": True, "webhook": receiver.url},
        )
        code, said = user.run("up")
        try:
            assert code == 0, said
            wait_until_ready(url := f"http://127.0.0.1:{user.port}")
            yield Watched(user, user.name, url, engine, receiver)
        finally:
            code, said = user.run("down")
        assert code == 0, said


def test_every_rule_and_every_panel_finds_its_series_under_load(watched: Watched) -> None:
    with httpx.Client(base_url=watched.url) as client, Load(watched.url, per_second=20):
        client.post("/v1/agents", json={"name": "ada"}).raise_for_status()
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
        empty = {"?"}

        def all_found() -> bool:
            nonlocal empty
            sides = {side for one in ALERTS for side in measured(one)}
            panels = {query for one in DASHBOARDS for panel in one.panels for query in panel.queries.values()}
            empty = {side for side in sides | panels if not watched.query(side)}
            return not empty

        try:
            wait_until("some find nothing", 120, all_found)
        except AssertionError:
            raise AssertionError(f"see what the targets tell; these rules and panels find nothing: {empty}") from None
    targets = watched.ask("targets?state=active")
    assert isinstance(targets, dict)
    jobs = {target["labels"]["job"]: target["health"] for target in targets["activeTargets"]}
    assert set(jobs) == {"coordinator", "proxy", "postgresql", "node", "prometheus", "alertmanager"}
    assert set(jobs.values()) == {"up"}, jobs


def measured(alert: Alert) -> set[str]:
    """What an alert looks at, without the thresholds."""
    parts = re.split(r" (?:and|unless|or) (?:on\(\) )?", alert.expression)
    return {BESIDE_NUMBERS.sub("", re.sub(r"^absent\((.*)\)$", r"\1", part)) for part in parts}


def test_coordinators_that_are_gone_are_told_and_so_is_their_return(watched: Watched) -> None:
    (coordinator,) = watched.engine.services.list(filters={"name": f"{watched.name}-dev-coordinator"})
    coordinator.scale(0)
    began = time.monotonic()
    wait_until("nobody is told that no coordinator answers", 240, lambda: watched.told("CoordinatorDown", "firing"))
    fired = time.monotonic() - began
    said = watched.user.run("alerts")[1]
    assert "CoordinatorDown critical, firing" in said and "docs/runbooks/coordinator-down.md" in said, said
    coordinator.reload()
    coordinator.scale(2)
    began = time.monotonic()
    wait_until("nobody is told that it is over", 240, lambda: watched.told("CoordinatorDown", "resolved"))
    print(f"told after {fired:.0f} s, resolved told {time.monotonic() - began:.0f} s after the return")
    assert not watched.told("CoordinatorReplicaMissing", "firing"), "an effect is not told beside its cause"
