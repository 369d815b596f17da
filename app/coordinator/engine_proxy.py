"""The engine's proxy: of all that the engine can do, it lets through the scaling of services that are labelled for it.

Whoever reaches the engine's socket owns the machine. The autoscaler gets this instead: the engine's own API, of which
there are two calls, about services whose labels name limits.
"""

import re
from copy import deepcopy
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import structlog
from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import HTTPException, NotFoundException, PermissionDeniedException
from litestar.params import FromPath, FromQuery

from coordinator.contract import LIVE_PATH
from coordinator.engine import Engine
from coordinator.scaling import Limits, is_rolling, read_limits

_log = structlog.get_logger()
_TIMEOUT_SECONDS: Final = 10
_BODY_BYTES: Final = 256 * 1024
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}")


class ChangedError(HTTPException):
    """What is asked for was decided by what is there no more."""

    status_code = HTTPStatus.CONFLICT


def check_scaling(service: dict[str, Any], version: int, asked: Any) -> None:
    """Let through a number of replicas within the limits of the service's labels, and no other change.

    Args:
        service: as the engine tells it.
        version: of the service that was looked at by whoever asks.
        asked: the specification that is to be.

    Raises:
        PermissionDeniedException: it is another service, another change, or another number.
        ChangedError: it was looked at before its last change, or is on its way to another version.
    """
    if version != service["Version"]["Index"] or is_rolling(service):
        raise ChangedError("the service has changed, or is changing: look again")
    limits, allowed = _limits_of(service["Spec"]), deepcopy(service["Spec"])
    try:
        replicas = allowed["Mode"]["Replicated"]["Replicas"] = asked["Mode"]["Replicated"]["Replicas"]
    except (TypeError, KeyError):
        replicas = None
    if type(replicas) is not int or asked != allowed:
        raise PermissionDeniedException("nothing but the number of replicas may be changed")
    if limits.hold(replicas) != replicas:
        raise PermissionDeniedException(f"{replicas} replicas: {limits.minimum} to {limits.maximum} are allowed")


def _limits_of(spec: dict[str, Any]) -> Limits:
    limits = read_limits(spec)
    if limits is None:
        raise PermissionDeniedException("this service is not labelled to be scaled")
    return limits


def create_app(socket: Path) -> Litestar:
    """The proxy before the engine whose socket that is."""
    engine = Engine(socket, _TIMEOUT_SECONDS)

    async def inspect(service: str) -> dict[str, Any]:
        if not _NAME.fullmatch(service):
            raise NotFoundException(f"{service!r} is no service's name")
        answer = await engine.ask("GET", f"/services/{service}")
        if answer.is_error:
            raise HTTPException(answer.text.strip(), status_code=answer.status_code)
        found: dict[str, Any] = answer.json()
        _limits_of(found["Spec"])
        return found

    @get(LIVE_PATH)
    async def live() -> dict[str, str]:
        return await engine.ping()

    @get("/services/{service:str}")
    async def show(service: FromPath[str]) -> dict[str, Any]:
        return await inspect(service)

    @post("/services/{service:str}/update", status_code=HTTPStatus.OK)
    async def scale(service: FromPath[str], version: FromQuery[int], request: Request[Any, Any, Any]) -> Response[Any]:
        asked = await request.json()
        found = await inspect(service)
        check_scaling(found, version, asked)
        answer = await engine.ask("POST", f"/services/{found['ID']}/update", params={"version": version}, json=asked)
        _log.info("scaled", service=found["Spec"]["Name"], status=answer.status_code, **asked["Mode"]["Replicated"])
        return Response(answer.json(), status_code=answer.status_code)

    return Litestar(
        [live, show, scale], on_shutdown=[engine.close], openapi_config=None, request_max_body_size=_BODY_BYTES
    )
