"""`make alerts`: what fires, what does not answer, and what nobody has asked yet, which is not the same."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli import alerts
from cli.console import console
from cli.watching import Watchers
from components.naming import Names

CLIENT: Any = None
WATCHERS = Watchers(CLIENT, "unix:///nowhere", Names("x", "dev"))


def alert(name: str, severity: str) -> dict[str, Any]:
    """One that has been firing for three minutes when it is shown."""
    runbook = f"docs/runbooks/{name}.md"
    return {
        "labels": {"alertname": name, "severity": severity},
        "annotations": {"summary": "No proxy answers", "impact": "Nobody is served", "runbook": runbook},
        "state": "firing",
        "activeAt": (datetime.now(UTC) - timedelta(minutes=3)).isoformat(),
    }


def target(job: str, health: str, error: str = "") -> dict[str, Any]:
    return {"labels": {"job": job, "instance": "10.0.2.6:9090"}, "health": health, "lastError": error}


def show(monkeypatch: pytest.MonkeyPatch, firing: list[dict[str, Any]], targets: list[dict[str, Any]]) -> list[str]:
    said = {"alerts": {"alerts": firing}, "targets?state=active": {"activeTargets": targets}}

    def ask(_: Watchers, _part: str, address: str, _setting: str) -> bytes:
        return json.dumps({"data": said[address.partition("/api/v1/")[2]]}).encode()

    monkeypatch.setattr(Watchers, "ask", ask)
    with console.capture() as shown:
        alerts.show_alerts(WATCHERS)
    return shown.get().splitlines()


def test_a_target_that_was_not_asked_yet_is_not_called_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert show(monkeypatch, [], [target("coordinator", "up"), target("prometheus", "unknown")]) == [
        "prometheus at 10.0.2.6:9090 was not asked yet",
        "0 firing or about to; 1 of 2 targets answer",
    ]


def test_what_fires_and_what_is_silent_stand_with_what_to_do_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert show(
        monkeypatch,
        [alert("Watchdog", "none"), alert("ProxyDown", "critical")],
        [target("proxy", "down", "connection refused")],
    ) == [
        "ProxyDown critical, firing for 3 min No proxy answers",
        "  Nobody is served. What to do: docs/runbooks/ProxyDown.md",
        "proxy at 10.0.2.6:9090 does not answer: connection refused",
        "1 firing or about to; 0 of 1 targets answer",
    ]
