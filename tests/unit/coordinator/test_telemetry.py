"""Traces, log lines and limits: what a request leaves behind, and what it may not do too often."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from coordinator.client import Client
from coordinator.model import Submission
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider

from tests.receiver import Answer, Receiver
from tests.servers import make_token, serve

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def read_requests(log: Path, count: int) -> list[dict[str, Any]]:
    """The lines of so many requests, each written after its answer has gone out; every line has to be JSON."""
    end = time.monotonic() + 10
    while True:
        lines = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        requests = [line for line in lines if line["event"] == "request"]
        if len(requests) >= count:
            return requests
        assert time.monotonic() < end, f"{count} requests were made, the log has {lines}"
        time.sleep(0.02)


def test_a_trace_goes_on_at_the_coordinator_and_is_kept_with_the_item(url: str, log: Path) -> None:
    made = httpx.post(f"{url}/v1/work", json={"type": "x", "title": "x"}, headers={"traceparent": PARENT})
    assert made.json()["trace_id"] == TRACE
    (line,) = read_requests(log, 1)
    assert line["path"] == "/v1/work" and line["trace_id"] == TRACE and line["status"] == 201


def test_every_request_has_a_trace_of_its_own_without_one(url: str, log: Path) -> None:
    ids = {httpx.post(f"{url}/v1/work", json={"type": "x", "title": "x"}).json()["trace_id"] for _ in range(3)}
    assert len(ids) == 3 and all(len(one) == 32 for one in ids)
    assert ids == {line["trace_id"] for line in read_requests(log, 3)}


def test_every_log_line_is_json(url: str, log: Path) -> None:
    httpx.get(f"{url}/v1/work/none")
    httpx.get(f"{url}/nowhere")
    assert {line["path"] for line in read_requests(log, 2)} == {"/v1/work/none", "/nowhere"}


def test_the_client_passes_its_trace_on(url: str) -> None:
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("agent") as span, Client(url) as client:
        item = client.submit(Submission("x", "x"))
    assert item.trace_id == trace.format_trace_id(span.get_span_context().trace_id)


def test_spans_are_exported_where_the_standard_variables_say(embedded: dict[str, str], log: Path) -> None:
    with Receiver(Answer(body=b"")) as receiver:
        export = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
        with serve({**embedded, **export}, log) as url:
            httpx.post(f"{url}/v1/work", json={"type": "x", "title": "x"}, headers={"traceparent": PARENT})
    requests = [ExportTraceServiceRequest.FromString(asked.raw) for asked in receiver.asked]
    spans = [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    (span,) = [span for span in spans if span.name == "POST /v1/work"]
    assert span.trace_id.hex() == TRACE
    assert {one.key: one.value for one in span.attributes}["http.response.status_code"].int_value == 201
    service = {one.key: one.value.string_value for one in requests[0].resource_spans[0].resource.attributes}
    assert service["service.name"] == "coordinator"
    assert any(asked.path == "/v1/traces" for asked in receiver.asked)


def test_a_lost_collector_slows_nothing_down(embedded: dict[str, str], log: Path) -> None:
    with serve({**embedded, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, log) as url:
        with httpx.Client() as client:
            answers = [client.post(f"{url}/v1/work", json={"type": "x", "title": "x"}) for _ in range(300)]
        assert {answer.status_code for answer in answers} == {201}
        assert max(answer.elapsed.total_seconds() for answer in answers) < 2


def test_a_token_is_limited_and_another_is_not(embedded: dict[str, str], log: Path) -> None:
    one, other = make_token(embedded, "viewer"), make_token(embedded, "viewer")
    limited = {"COORDINATOR_AUTHENTICATE": "true", "COORDINATOR_RATE_LIMIT": "5/hour"}
    with serve({**embedded, **limited}, log) as url, httpx.Client(base_url=url) as client:
        headers = {"Authorization": f"Bearer {one}"}
        answers = [client.get("/v1/work", headers=headers) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        refused = answers[-1]
        assert refused.json()["code"] == "rate_limited" and int(refused.headers["retry-after"]) > 0
        assert client.get("/v1/work", headers={"Authorization": f"Bearer {other}"}).status_code == 200


def test_a_revoked_token_is_refused_within_a_second_or_two(embedded: dict[str, str], log: Path) -> None:
    token = make_token(embedded, "viewer")
    headers = {"Authorization": f"Bearer {token}"}
    with serve({**embedded, "COORDINATOR_AUTHENTICATE": "true"}, log) as url, httpx.Client(base_url=url) as client:
        assert client.get("/v1/work", headers=headers).status_code == 200
        command = [sys.executable, "-m", "coordinator", "admin", "revoke-token"]
        identity = token.removeprefix("cbt_").partition(".")[0]
        subprocess.run([*command, identity], env={**os.environ, **embedded}, check=True, capture_output=True)
        with httpx.Client(base_url=url, headers=headers) as again:
            for _ in range(60):
                if again.get("/v1/work").status_code == 401:
                    return
                asyncio.run(asyncio.sleep(0.05))
    pytest.fail("the revoked token was still let in after three seconds")


def test_without_authentication_another_name_for_loopback_is_refused(url: str) -> None:
    """A page that made its own name mean 127.0.0.1 must not get a browser on this machine to ask."""
    answer = httpx.get(f"{url}/v1/work", headers={"Host": "evil.example:4000"})
    assert answer.status_code == 403 and answer.json()["code"] == "forbidden"


def test_without_authentication_a_page_of_another_origin_is_refused(url: str) -> None:
    """A simple POST needs no leave of ours: a browser on this machine would send it for any page."""
    foreign = httpx.post(
        f"{url}/v1/work",
        content=b'{"type": "x", "title": "x"}',
        headers={"Content-Type": "text/plain", "Origin": "https://evil.example"},
    )
    assert foreign.status_code == 403
    own = httpx.post(f"{url}/v1/work", json={"type": "x", "title": "x"}, headers={"Origin": url})
    assert own.status_code == 201


def test_a_header_longer_than_any_token_is_not_looked_up(embedded: dict[str, str], log: Path) -> None:
    token = make_token(embedded, "viewer")
    with serve({**embedded, "COORDINATOR_AUTHENTICATE": "true"}, log) as url:
        padded = httpx.get(f"{url}/v1/work", headers={"Authorization": f"Bearer {token}{' ' * 10_000}x"})
        assert padded.status_code == 401
