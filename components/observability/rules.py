"""All rules of a stack, and Prometheus' file of them."""

from typing import Any

import yaml

from components.observability.alert import Alert, Expected, Recording, Subject
from components.observability.coordination import COORDINATION
from components.observability.platform import describe_platform
from components.observability.service_level import SERVICE_LEVEL


def list_subjects(expected: Expected) -> tuple[Subject, ...]:
    """All rules, a subject each."""
    return (COORDINATION, SERVICE_LEVEL, describe_platform(expected))


def list_alerts(expected: Expected) -> list[Alert]:
    """All alerts."""
    return [alert for subject in list_subjects(expected) for alert in subject.alerts]


def render_rules(expected: Expected) -> str:
    """The file of rules, as Prometheus reads it."""
    groups = [
        {
            "name": subject.name,
            "rules": [*map(_describe_recording, subject.recordings), *map(_describe_alert, subject.alerts)],
        }
        for subject in list_subjects(expected)
    ]
    return str(yaml.safe_dump({"groups": groups}, sort_keys=False, width=1000))


def _describe_recording(recording: Recording) -> dict[str, Any]:
    return {"record": recording.name, "expr": recording.expression}


def _describe_alert(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": f"{alert.minutes}m",
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "impact": alert.impact, "runbook": alert.runbook},
    }
