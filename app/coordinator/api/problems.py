"""Errors on the wire: RFC 9457 problem+json with a stable `code`, and never a stack trace."""

import math
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from coordinator import metrics
from coordinator.errors import CoordinatorError, RateLimitedError

_log = structlog.get_logger()


def refuse(_: Request[Any, Any, Any], error: CoordinatorError) -> Response[dict[str, object]]:
    """A refusal of the domain."""
    if error.status == HTTPStatus.CONFLICT:
        metrics.CONFLICTS.labels(error.code).inc()
    answer = _problem(error.status, error.code, error.title, str(error))
    if isinstance(error, RateLimitedError):
        answer.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return answer


def reject(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, object]]:
    """A request that is wrong before the domain sees it: body, parameter, path or method."""
    status = HTTPStatus(error.status_code)
    if isinstance(error, ValidationException):
        faults = [
            f"{fault['key']}: {fault['message']}" if fault.get("key") else fault["message"] for fault in _extra(error)
        ]
        return _problem(status, "invalid_request", "Request is not valid", "; ".join(faults) or error.detail)
    return _problem(status, status.name.lower(), status.phrase, error.detail)


def hide(_: Request[Any, Any, Any], error: Exception) -> Response[dict[str, object]]:
    """A fault of ours: told to the log whole, to the caller not at all."""
    _log.error("request failed", exc_info=error)
    return _problem(500, "internal_error", "Internal error", "the fault is in the coordinator's log")


def _extra(error: ValidationException) -> list[dict[str, Any]]:
    return error.extra if isinstance(error.extra, list) else []


def _problem(status: int, code: str, title: str, detail: str) -> Response[dict[str, object]]:
    return Response(
        {"type": "about:blank", "title": title, "status": int(status), "detail": detail, "code": code},
        status_code=status,
        media_type="application/problem+json",
    )
