"""What Prometheus and Alertmanager are told: whom to ask, whom to tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from components.naming import Names

_INTERVAL_SECONDS: Final = 10
RULES_FILE: Final = "/etc/beamops/rules.yml"
ALERTMANAGER_PORT: Final = 9093
PROMETHEUS_PORT: Final = 9090
_PEOPLE: Final = "people"
_NOBODY: Final = "nobody"
_OUTSIDE: Final = "outside"


@dataclass(frozen=True)
class Target:
    """Services that tell the same metrics, on every replica of them."""

    job: str
    services: Sequence[str]
    port: int
    path: str = "/metrics"


def render_prometheus(names: Names, targets: Sequence[Target]) -> str:
    """Prometheus' configuration: replicas are found by the names of the swarm's own DNS, on the overlay alone."""
    return _write(
        {
            "global": {
                "scrape_interval": f"{_INTERVAL_SECONDS}s",
                "scrape_timeout": "5s",
                "evaluation_interval": f"{_INTERVAL_SECONDS}s",
                "external_labels": {"environment": names.environment, "stack": names.stack},
            },
            "rule_files": [RULES_FILE],
            "alerting": {
                "alertmanagers": [
                    {"dns_sd_configs": [_find(Target("alertmanager", [names.of("alertmanager")], ALERTMANAGER_PORT))]}
                ]
            },
            "scrape_configs": [
                {
                    "job_name": target.job,
                    "metrics_path": target.path,
                    # What a target may cost, whatever it tells.
                    "sample_limit": 20_000,
                    "dns_sd_configs": [_find(target)],
                }
                for target in targets
            ],
        }
    )


def render_alertmanager(webhook: str | None, heartbeat: str | None = None) -> str:
    """Alertmanager's configuration: what is critical is told again each hour, what is a warning twice a day.

    What follows from something worse is not told beside it; `none` is for whoever watches the watcher, not for people.
    That one is told each minute that all is well.
    """
    told = _NOBODY if webhook is None else _PEOPLE
    receivers: list[dict[str, Any]] = [{"name": _NOBODY}]
    if webhook is not None:
        receivers.append({"name": _PEOPLE, "webhook_configs": [{"url": webhook, "send_resolved": True}]})
    beats: list[dict[str, Any]] = []
    if heartbeat is not None:
        receivers.append({"name": _OUTSIDE, "webhook_configs": [{"url": heartbeat, "send_resolved": False}]})
        # Shorter than the group's minute, or every second one would come too early to be told again.
        beats.append({"matchers": ['alertname="Watchdog"'], "receiver": _OUTSIDE, "repeat_interval": "50s"})
    return _write(
        {
            "route": {
                "receiver": _NOBODY,
                "group_by": ["environment", "alertname"],
                "group_wait": "10s",
                "group_interval": "1m",
                "routes": [
                    *beats,
                    {"matchers": ['severity="critical"'], "receiver": told, "repeat_interval": "1h"},
                    {"matchers": ['severity="warning"'], "receiver": told, "repeat_interval": "12h"},
                ],
            },
            "inhibit_rules": [
                {"source_matchers": [f'alertname="{cause}"'], "target_matchers": [f'alertname=~"{"|".join(effects)}"'],
                 "equal": ["environment"]}
                for cause, effects in CAUSES.items()
            ],
            "receivers": receivers,
        }
    )  # fmt: skip


CAUSES: Final = {
    "DatabaseDown": (
        "CoordinatorDown",
        "ProxyHasNoServer",
        "LeaderMissing",
        "HealthLow",
        "ErrorBudgetBurnsFast",
        "NoActiveAgents",
    ),
    "CoordinatorDown": (
        "CoordinatorReplicaMissing",
        "ProxyHasNoServer",
        "HealthLow",
        "ErrorBudgetBurnsFast",
        "NoActiveAgents",
    ),
    "ProxyHasNoServer": ("ErrorBudgetBurnsFast",),
    "ErrorBudgetBurnsFast": ("ErrorBudgetBurnsSlowly",),
    "LatencyBudgetBurnsFast": ("LatencyBudgetBurnsSlowly", "ClaimsSlow"),
}
"""Alerts that follow from others: the cause is told, and not each of its effects."""


def _find(target: Target) -> dict[str, Any]:
    return {
        "names": [f"tasks.{service}" for service in target.services],
        "type": "A",
        "port": target.port,
        "refresh_interval": f"{_INTERVAL_SECONDS // 2}s",
    }


def _write(content: dict[str, Any]) -> str:
    return str(yaml.safe_dump(content, sort_keys=False, width=1000))
