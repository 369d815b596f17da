"""Dashboards as data, and as Grafana reads them: what must hold of each, without Prometheus or Grafana."""

import json
import re
from collections import Counter

import pytest
from prometheus_client import REGISTRY

from components.containers import ROOT
from components.observability.alert import Expected
from components.observability.dashboards.panel import Dashboard
from components.observability.dashboards.rendering import DASHBOARDS, render_dashboard
from components.observability.rules import list_alerts
from tests.pictures import write_value

ALL = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels]
QUERIES = " ".join(expression for _, panel in ALL for expression in panel.queries.values())


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_what_is_kept_is_what_is_described(dashboard: Dashboard) -> None:
    kept = (ROOT / "docs" / "dashboards" / f"{dashboard.name}.json").read_text()
    assert kept == render_dashboard(dashboard), "`make docs` writes it anew"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_a_dashboard_is_one_that_grafana_can_import(dashboard: Dashboard) -> None:
    rendered = json.loads(render_dashboard(dashboard))
    assert rendered["uid"] == f"beamops-{dashboard.name}" and rendered["title"] == f"BEAMOps: {dashboard.title}"
    (source,) = rendered["templating"]["list"]
    assert (source["type"], source["name"], source["query"]) == ("datasource", "source", "prometheus")
    assert len(rendered["panels"]) == len(dashboard.panels)
    places: set[tuple[int, int]] = set()
    for panel in rendered["panels"]:
        assert panel["type"] in {"stat", "timeseries", "alertlist"} and panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & places, f"{panel['title']} lies on another"
        places |= cells
        if panel["type"] == "alertlist":
            assert panel["options"]["stateFilter"]["firing"] and "targets" not in panel, "Grafana asks for rules itself"
            continue
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters)) and letters[0] == "A"
        assert all(target["datasource"]["uid"] == "${source}" for target in panel["targets"])


def test_subjects_and_panels_have_names_of_their_own() -> None:
    assert len({dashboard.name for dashboard in DASHBOARDS}) == len(DASHBOARDS)
    twice = Counter((dashboard.name, panel.title) for dashboard, panel in ALL).most_common(1)[0]
    assert twice[1] == 1, twice
    assert {dashboard.name for dashboard in DASHBOARDS} == {
        "overview", "coordination", "agents", "flow", "api", "postgresql", "nodes", "proxy", "capacity",
        "service-level", "telemetry",
    }  # fmt: skip


def test_every_metric_that_an_alert_looks_at_has_a_picture() -> None:
    # What watches the watchers is in `make alerts`.
    of_their_own = {"alertmanager_notifications_failed_total", "prometheus_rule_evaluation_failures_total"}
    for alert in list_alerts(Expected(2, collected=True)):
        names = set(
            re.findall(
                r"\b((?:beamops|container|coordinator|pg|haproxy|node|process|prometheus)_[a-z0-9_A-Z]+)",
                alert.expression,
            )
        )
        missing = {name for name in names - of_their_own if name not in QUERIES}
        assert not missing, f"{alert.name} looks at {missing}, which no panel shows"


def test_every_metric_of_the_coordinators_own_has_a_picture() -> None:
    from coordinator import metrics  # noqa: F401, PLC0415 - registers them

    names = {family.name for family in REGISTRY.collect() if family.name.startswith(("beamops_", "coordinator_"))}
    assert {name for name in names if name not in QUERIES} <= {"beamops_insight_tokens"}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_a_dashboard_has_a_picture_of_its_data(dashboard: Dashboard) -> None:
    page, picture = ROOT / "docs" / "dashboards" / "README.md", f"{dashboard.name}.png"
    assert (page.parent / picture).read_bytes().startswith(b"\x89PNG"), "GOLDEN=1 on test_monitoring.py draws it"
    assert f"]({picture})" in page.read_text()


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [(0.99953, "percentunit", "99.953%"), (1, "percentunit", "100%"), (0.5, "percentunit", "50.0%"),
     (3 * 2**20, "bytes", "3 MiB"), (12, "bytes", "12 B"), (0.012, "s", "12 ms"), (2.5, "s", "2.5 s"),
     (40.04, "reqps", "40 req/s"), (7, "short", "7"), (1.5, "currencyUSD", "$1.50")],
)  # fmt: skip
def test_values_in_pictures_are_written_as_their_units_are_read(value: float, unit: str, written: str) -> None:
    assert write_value(value, unit) == written
