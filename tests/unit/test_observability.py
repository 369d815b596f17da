"""Rules and configurations as data: what must hold of each, without Prometheus."""

import re
from pathlib import Path

import pytest
import yaml

from components.naming import Names
from components.observability.alert import Alert, Expected
from components.observability.configuration import CAUSES, Target, render_alertmanager, render_prometheus
from components.observability.rules import list_alerts, render_rules

ROOT = Path(__file__).parents[2]
EXPECTED = Expected(replicas=3, collected=True)
ALERTS = list_alerts(EXPECTED)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_has_a_runbook_that_says_what_it_says(alert: Alert) -> None:
    page = (ROOT / alert.runbook).read_text()
    assert page.startswith(f"# {alert.name}\n")
    shown = re.sub(r"(?<=< )3$", "2", alert.expression)  # the page shows dev's two replicas
    assert shown in page, f"{alert.runbook} shows another expression"
    assert alert.impact in page and f"**Severity** {alert.severity}" in page
    assert "## What to do" in page


def test_the_list_of_runbooks_has_every_alert_and_no_other() -> None:
    listed = re.findall(r"^\| \[(\w+)\]", (ROOT / "docs" / "runbooks" / "README.md").read_text(), re.MULTILINE)
    assert listed == [alert.name for alert in ALERTS]
    pages = {page.name for page in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README.md"}
    assert pages == {Path(alert.runbook).name for alert in ALERTS}


def test_alerts_have_names_of_their_own_and_causes_are_alerts() -> None:
    names = [alert.name for alert in ALERTS]
    assert len(set(names)) == len(names)
    assert {name for cause, effects in CAUSES.items() for name in (cause, *effects)} <= set(names)


def test_how_many_replicas_there_should_be_is_the_settings() -> None:
    (group,) = [one for one in yaml.safe_load(render_rules(EXPECTED))["groups"] if one["name"] == "platform"]
    (rule,) = [one for one in group["rules"] if one["alert"] == "CoordinatorReplicaMissing"]
    assert rule["expr"].endswith("< 3") and rule["for"] == "2m" and rule["labels"] == {"severity": "warning"}


def test_prometheus_asks_replicas_by_the_swarms_names_alone() -> None:
    target = Target("coordinator", ["x-dev-coordinator"], 4000)
    rendered = yaml.safe_load(render_prometheus(Names("x", "dev"), [target]))
    assert rendered["global"]["external_labels"] == {"environment": "dev", "stack": "x-dev"}
    found = [job["dns_sd_configs"][0] for job in rendered["scrape_configs"]]
    found.append(rendered["alerting"]["alertmanagers"][0]["dns_sd_configs"][0])
    assert [one["names"] for one in found] == [["tasks.x-dev-coordinator"], ["tasks.x-dev-alertmanager"]]
    assert "static_configs" not in str(rendered)


def test_without_a_webhook_nobody_is_told() -> None:
    assert [one["name"] for one in yaml.safe_load(render_alertmanager(None))["receivers"]] == ["nobody"]
