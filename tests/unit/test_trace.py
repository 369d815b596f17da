"""`make trace`: spans below the ones that they are part of, lines in order, and one line where nothing is known."""

import json
from typing import Any

import pytest

from cli import trace
from cli.console import StopError, console
from cli.watching import Watchers
from components.naming import Names

ID = "954f385699c79d107ed30f074c82d7c9"
NAMES = Names("x", "dev")
CLIENT: Any = None
WATCHERS = Watchers(CLIENT, "unix:///nowhere", NAMES)


def span(name: str, id_: str, above: str | None, begin: int) -> dict[str, Any]:
    references = [] if above is None else [{"refType": "CHILD_OF", "traceID": ID, "spanID": above}]
    return {"spanID": id_, "operationName": name, "references": references, "startTime": begin, "duration": 3700,
            "processID": "p1"}  # fmt: skip


def answer(monkeypatch: pytest.MonkeyPatch, spans: list[dict[str, Any]], lines: list[dict[str, str]]) -> None:
    """What who keeps them would say."""
    found = {"data": [{"spans": spans, "processes": {"p1": {"serviceName": "coordinator"}}}]}
    said = {"traces": json.dumps(found).encode() if spans else None, "logs": "\n".join(map(json.dumps, lines)).encode()}
    monkeypatch.setattr(Watchers, "ask", lambda _watchers, part, *_: said[part])


def test_spans_stand_below_what_they_are_part_of_and_lines_after(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = [
        span("store", "b", "a", 20),
        span("[bold]POST[/] /v1/work", "a", "elsewhere", 10),
        span("later", "c", None, 30),
    ]
    line = {"_time": "2026-11-26T12:47:06.606Z", "service": "x-dev-coordinator", "_msg": '{"event":"[red]request"}'}
    answer(monkeypatch, spans, [line])
    with console.capture() as shown:
        trace.show_trace(WATCHERS, ID)
    assert shown.get().splitlines() == [
        "[bold]POST[/] /v1/work coordinator 3.7 ms",
        "  store coordinator 3.7 ms",
        "later coordinator 3.7 ms",
        '12:47:06.606 x-dev-coordinator {"event":"[red]request"}',
        "spans: 3, log lines: 1",
    ]


def test_what_is_not_kept_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, [], [])
    with pytest.raises(StopError, match="older than what is kept, or not of this stack"):
        trace.show_trace(WATCHERS, ID)
    with pytest.raises(StopError, match="32 hexadecimal digits"):
        trace.show_trace(WATCHERS, "954F")
