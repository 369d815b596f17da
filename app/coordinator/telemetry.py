"""Logs and traces: JSON lines on standard output, spans by OTLP; each line carries the trace that it belongs to."""

import logging
import os
import sys
import time
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from coordinator import __version__, metrics
from coordinator.contract import LIVE_PATH, METRICS_PATH, READY_PATH, TRACES_ENDPOINT

_log = structlog.get_logger()
_tracer = trace.get_tracer("coordinator")
_QUIET: Final = {LIVE_PATH, READY_PATH, METRICS_PATH}
_ENDPOINTS: Final = (TRACES_ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def current_trace_id() -> str | None:
    """The trace that runs now, as 32 hexadecimal digits; None outside of any."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None


def configure_traces() -> None:
    """Give every request a trace; export them where OpenTelemetry's own variables say where to.

    Spans wait in a bounded queue and are dropped when nobody takes them: a lost collector slows nothing down.
    """
    resource = Resource.create({"service.name": "coordinator", "service.version": __version__})
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        trace.set_tracer_provider(TracerProvider(sampler=ALWAYS_OFF, resource=resource))
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    # A collector that is lost must not hold the end of this process up for the usual ten seconds.
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def observe(app: ASGIApp) -> ASGIApp:
    """Give a request its span, its log line and its place in the metrics, but for what probes and scrapers ask.

    By hand, because opentelemetry-instrumentation-asgi costs 64 µs a request where this costs 12 (docs/decisions/0004).
    """

    async def observed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"] in _QUIET:
            await app(scope, receive, send)
            return
        begin = time.perf_counter()
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR
        method, route = scope["method"], scope["path_template"]
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in {b"traceparent", b"tracestate"}
        }
        context = propagate.extract(carrier) if carrier else None

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with _tracer.start_as_current_span(f"{method} {route}", context, SpanKind.SERVER) as span:
            try:
                await app(scope, receive, sent)
            finally:
                seconds = time.perf_counter() - begin
                trace_id = current_trace_id() if span.is_recording() else None
                metrics.count_request(scope, status, seconds, trace_id)
                if span.is_recording():
                    span.set_attributes(
                        {
                            "http.request.method": method,
                            "http.route": route,
                            "url.path": scope["path"],
                            "http.response.status_code": status,
                        }
                    )
                    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                        span.set_status(StatusCode.ERROR)
                _log.info("request", method=method, path=scope["path"], status=status, ms=round(seconds * 1000, 1))

    return observed


def configure_logs() -> None:
    """Make every log line, ours and the libraries', one JSON object on standard output."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _add_trace,
    ]
    # Ours go straight to standard output: by way of the standard library a request's line costs 100 µs more.
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.JSONRenderer(lambda value, **_: msgspec.json.encode(value)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(lambda value, **_: msgspec.json.encode(value).decode()),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # What these say at INFO, our own request lines say better.
    for name in ("httpx", "httpx2", "mcp", "uvicorn.access", "alembic.runtime.plugins"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _add_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if trace_id := current_trace_id():
        event["trace_id"] = trace_id
    return event
