"""Calls of an AWS API on loopback: nothing here can reach AWS itself."""

import threading
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.model import OperationModel, Shape
from botocore.parsers import ResponseParserError
from botocore.validate import ParamValidator

_session = botocore.session.get_session()
"""One for clients and for `find_faults`: a service's description takes up to a tenth of a second to read."""
_GONE: Final = ("NotFound", "NoSuch", "DoesNotExist", "NotExist", "NonExist", "404")


class ApiError(Exception):
    """A call that failed, in one line; `gone` says that what it was about is not there."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


class Api:
    """Clients of one region, each made once."""

    def __init__(self, region: str, endpoints: Mapping[str, str]) -> None:
        check_loopback(endpoints)
        self.region = region
        self._endpoints = endpoints
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.account: str = self.call("sts", "GetCallerIdentity", {})["Account"]

    def call(self, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Do one call.

        Raises:
            ApiError: it was refused, or nothing answers.
        """
        try:
            answer: dict[str, Any] = getattr(self._client(service), xform_name(operation))(**parameters)
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            gone = any(word in code for word in _GONE) or "not found" in message.lower()
            raise ApiError(f"{service} {operation}: {code}: {message}", gone=gone) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise ApiError(f"{service} {operation}: {' '.join(str(error).split())}") from error
        answer.pop("ResponseMetadata", None)
        return answer

    def _client(self, service: str) -> Any:
        if service not in self._endpoints:
            raise ApiError(f"aws:endpoints names no {service}: the stand-in asks nothing of AWS itself")
        with self._lock:
            if service not in self._clients:
                self._clients[service] = _session.create_client(
                    service,
                    region_name=self.region,
                    endpoint_url=self._endpoints[service],
                    aws_access_key_id="emulated",
                    aws_secret_access_key="emulated",  # noqa: S106 - an emulated account has no secrets
                    config=Config(
                        retries={"max_attempts": 2}, max_pool_connections=32, s3={"addressing_style": "path"}
                    ),
                )
            return self._clients[service]


def check_loopback(endpoints: Mapping[str, str]) -> None:
    """Make sure that every endpoint is of this machine.

    Raises:
        ApiError: there is none, or one that is not on loopback.
    """
    if not endpoints:
        raise ApiError("the stand-in for the AWS plugin needs aws:endpoints, on loopback; it never asks AWS itself")
    for name, url in endpoints.items():
        try:
            loopback = ip_address(urlsplit(url).hostname or "").is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise ApiError(f"aws:endpoints.{name}: given {url}; the stand-in asks 127.0.0.1 or [::1] and nothing else")


def find_faults(service: str, operation: str, parameters: dict[str, Any]) -> list[str]:
    """What AWS's own description of a call says is wrong with its parameters: missing, of another type, not offered."""
    shape = _model(service, operation).input_shape
    try:
        report = ParamValidator().validate(parameters, shape)
    except ParamValidationError as error:
        return [str(error)]
    faults = report.generate_report().splitlines() if report.has_errors() else []
    return faults + [f"{service} {operation}: {fault}" for fault in _not_offered(shape, parameters, "")]


def _model(service: str, operation: str) -> OperationModel:
    return _session.get_service_model(service).operation_model(operation)


def _not_offered(shape: Shape, value: Any, path: str) -> list[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        known = [(name, one) for name, one in value.items() if name in shape.members]
        return [fault for name, one in known for fault in _not_offered(shape.members[name], one, f"{path}.{name}")]
    if shape.type_name == "list" and isinstance(value, list):
        return [fault for one in value for fault in _not_offered(shape.member, one, path)]
    offered = getattr(shape, "enum", None)
    # Machines' and databases' sizes come more often than botocore does.
    if offered and value not in offered and not shape.name.endswith("InstanceType"):
        return [f"{path.lstrip('.')}: given {value}, offered {', '.join(offered[:12])}"]
    return []
