"""What Grafana is told: where its data is, and which dashboards there are. Nothing of it is clicked together."""

from typing import Any, Final

import yaml

from components.naming import Names
from components.observability.collector import TRACES_QUERY_PORT
from components.observability.configuration import ALERTMANAGER_PORT, PROMETHEUS_PORT

DASHBOARDS_FOLDER: Final = "/etc/beamops/dashboards"
_TRACES: Final = "traces"


def render_sources(names: Names, *, traces: bool) -> str:
    """Its data sources: Prometheus, Alertmanager, and Jaeger where traces are kept; nobody changes them by hand.

    Exemplars of latencies lead to their traces.
    """
    exemplars = {"exemplarTraceIdDestinations": [{"name": "trace_id", "datasourceUid": _TRACES}]} if traces else {}
    sources = [
        _source(names, "prometheus", "Prometheus", PROMETHEUS_PORT, {"httpMethod": "POST", **exemplars}),
        _source(names, "alertmanager", "Alertmanager", ALERTMANAGER_PORT, {"implementation": "prometheus"}),
    ]
    if traces:
        sources.append(_source(names, _TRACES, "Jaeger", TRACES_QUERY_PORT, {}))
    return _write({"apiVersion": 1, "prune": True, "datasources": sources})


def render_provider() -> str:
    """Where its dashboards are: in one folder, as files that it does not change."""
    provider = {
        "name": "beamops",
        "folder": "BEAMOps",
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": {"path": DASHBOARDS_FOLDER},
    }
    return _write({"apiVersion": 1, "providers": [provider]})


def _source(names: Names, part: str, name: str, port: int, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "uid": part,
        "name": name,
        "type": {_TRACES: "jaeger"}.get(part, part),
        "access": "proxy",
        "url": f"http://{names.of(part)}:{port}",
        "isDefault": part == "prometheus",
        "editable": False,
        "jsonData": more,
    }


def _write(content: dict[str, Any]) -> str:
    return str(yaml.safe_dump(content, sort_keys=False, width=1000))
