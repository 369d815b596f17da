"""One trace, joined: what it was made of, how long each part took, and the log lines that belong to it."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from rich.markup import escape

from cli.console import StopError, console
from cli.watching import Watchers
from components.observability.collector import LOGS_PORT, TRACES_QUERY_PORT

_ID: Final = re.compile(r"[0-9a-f]{32}")
_LINES_MAX: Final = 1000
_SETTING: Final = "instrumentation.collector"


def show_trace(watchers: Watchers, trace: str) -> None:
    """Print a trace's spans, each below the one that it is part of, and then its log lines, oldest first.

    Raises:
        StopError: it is no trace's id, nothing is known of it, or the stack keeps no traces.
    """
    if not _ID.fullmatch(trace):
        raise StopError("a trace's id is 32 hexadecimal digits; `coordinator work show <id>` names the one of its item")
    spans, lines = _read_spans(watchers, trace), _read_lines(watchers, trace)
    if not spans and not lines:
        raise StopError(f"nothing is known of the trace {trace}: it is older than what is kept, or not of this stack")
    for depth, span in _walk(spans, None):
        did, service = escape(span["operationName"]), escape(span["service"])
        console.print(f"{'  ' * depth}[bold]{did}[/] [dim]{service}[/] {span['duration'] / 1000:.1f} ms")
    for line in lines:
        moment = datetime.fromisoformat(line["_time"]).astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]
        console.print(f"[dim]{moment}[/] [cyan]{escape(line.get('service', ''))}[/] ", end="")
        console.print(line["_msg"], markup=False)
    console.print(f"spans: {len(spans)}, log lines: {len(lines)}")


def _read_spans(watchers: Watchers, trace: str) -> list[dict[str, Any]]:
    said = watchers.ask("traces", f"{TRACES_QUERY_PORT}/api/traces/{trace}", _SETTING)
    if not said:
        return []
    (found,) = json.loads(said)["data"]
    processes = {name: process["serviceName"] for name, process in found["processes"].items()}
    known = {span["spanID"] for span in found["spans"]}
    spans = []
    for span in sorted(found["spans"], key=lambda one: int(one["startTime"])):
        above = next((one["spanID"] for one in span["references"] if one["spanID"] in known), None)
        spans.append({**span, "service": processes[span["processID"]], "above": above})
    return spans


def _read_lines(watchers: Watchers, trace: str) -> list[dict[str, Any]]:
    query = urlencode({"query": f'trace_id:="{trace}" | sort by (_time)', "limit": _LINES_MAX})
    said = watchers.ask("logs", f"{LOGS_PORT}/select/logsql/query?{query}", _SETTING)
    return [json.loads(line) for line in (said or b"").splitlines()]


def _walk(spans: list[dict[str, Any]], above: str | None, depth: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    for span in spans:
        if span["above"] == above:
            yield depth, span
            yield from _walk(spans, span["spanID"], depth + 1)
