"""What Prometheus says is wrong now, asked where it runs: it has no port on any node."""

import json
from datetime import UTC, datetime
from typing import Any

from cli.console import StopError, console
from cli.watching import Watchers
from components.observability.configuration import PROMETHEUS_PORT


def show_alerts(watchers: Watchers) -> None:
    """A line for each alert that fires or is about to, and for each target that does not answer.

    Raises:
        StopError: Prometheus does not run there, or does not answer.
    """
    alerts = [one for one in _ask(watchers, "alerts")["alerts"] if one["labels"]["severity"] != "none"]
    targets = _ask(watchers, "targets?state=active")["activeTargets"]
    lost = [target for target in targets if target["health"] != "up"]
    for alert in sorted(alerts, key=lambda one: (one["labels"]["severity"], one["labels"]["alertname"])):
        labels, told = alert["labels"], alert["annotations"]
        minutes = (datetime.now(UTC) - datetime.fromisoformat(alert["activeAt"])).total_seconds() / 60
        colour = "red" if labels["severity"] == "critical" else "yellow"
        name = f"[bold {colour}]{labels['alertname']}[/]"
        console.print(f"{name} [dim]{labels['severity']}, {alert['state']} for {minutes:.0f} min[/] {told['summary']}")
        console.print(f"  {told['impact']}. What to do: {told['runbook']}", soft_wrap=True)
    for target in lost:
        labels = target["labels"]
        # It is unknown until it was asked once, a quarter of a minute after it is found.
        silent = f"does not answer: {target['lastError']}" if target["health"] == "down" else "was not asked yet"
        console.print(f"[bold]{labels['job']}[/] at {labels['instance']} {silent}")
    console.print(f"{len(alerts)} firing or about to; {len(targets) - len(lost)} of {len(targets)} targets answer")


def _ask(watchers: Watchers, path: str) -> Any:
    said = watchers.ask("prometheus", f"{PROMETHEUS_PORT}/api/v1/{path}", "monitoring.enabled")
    if not said:
        raise StopError(f"{watchers.names.of('prometheus')} says nothing of {path}; try again")
    return json.loads(said)["data"]
