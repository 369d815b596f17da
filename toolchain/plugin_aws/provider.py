"""The plugin's gRPC service: what the engine asks of a provider, answered from the table."""

import json
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from typing import Any, Final, NoReturn

import boto3
import grpc
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from toolchain.plugin_aws.api import Api, ApiError
from toolchain.plugin_aws.functions import FUNCTIONS
from toolchain.plugin_aws.resource import Resource
from toolchain.plugin_aws.rows import ROWS

VERSION: Final = "7.51.1"
"""The plugin that the SDK asks for."""
_SECRET: Final = "4dabf18193072939515e22adb298388d"  # noqa: S105 - the sdk's mark of a secret, not one
_CALLS_AT_ONCE: Final = 32
_MESSAGE_BYTES: Final = 64 * 2**20
_SETTINGS: Final = {
    "region", "endpoints", "defaultTags", "skipCredentialsValidation", "skipMetadataApiCheck",
    "skipRequestingAccountId", "skipRegionValidation", "s3UsePathStyle", "accessKey", "secretKey", "version",
}  # fmt: skip


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The stand-in: one region of one emulated account."""

    def __init__(self) -> None:
        self._api: Api | None = None
        self._default_tags: dict[str, str] = {}

    def Handshake(self, _request: Any, _context: Any) -> Any:
        """Say that we are there."""
        return provider_pb2.ProviderHandshakeResponse()

    def Attach(self, _request: Any, _context: Any) -> Any:
        """The engine's address: never needed."""
        return empty_pb2.Empty()

    def Cancel(self, _request: Any, _context: Any) -> Any:
        """Calls are short: those that run end by themselves."""
        return empty_pb2.Empty()

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:
        """The version that we stand in for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, _request: Any, _context: Any) -> Any:
        """Programs bring the SDK, which has the schema's types already."""
        return provider_pb2.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request: Any, _context: Any) -> Any:
        """Refuse settings that would be passed over in silence."""
        unknown = sorted(set(request.news.fields) - _SETTINGS)
        failures = [
            provider_pb2.CheckFailure(property=name, reason=f"the stand-in for the AWS plugin has no setting {name}")
            for name in unknown
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, _context: Any) -> Any:
        """Which settings changed; none of them replaces anything."""
        changed = [
            name
            for name in {*request.news.fields, *request.old_inputs.fields}
            if request.news.fields.get(name) != request.old_inputs.fields.get(name)
        ]
        return provider_pb2.DiffResponse(changes=_changes(changed), diffs=changed)

    def Configure(self, request: Any, context: Any) -> Any:
        """Take region, endpoints and default tags; what is not on loopback is refused."""
        settings = {name: _parsed(value) for name, value in _plain(request.args).items()}
        endpoints = {name: url for group in settings.get("endpoints") or () for name, url in group.items() if url}
        if not endpoints and (everywhere := os.environ.get("AWS_ENDPOINT_URL")):
            # What all of AWS's SDKs read, the official plugin's among them.
            endpoints = dict.fromkeys(boto3.Session().get_available_services(), everywhere)
        self._default_tags = (settings.get("defaultTags") or {}).get("tags") or {}
        try:
            self._api = Api(settings.get("region") or "us-east-1", endpoints)
        except ApiError as error:
            _abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:
        """Fill in the name, and say everything that is wrong."""
        resource = self._resource(request, context)
        inputs, faults = resource.check(
            _plain(request.news), _plain(request.olds), request.urn.rpartition("::")[2], _suffix(request.randomSeed)
        )
        failures = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in faults]
        return provider_pb2.CheckResponse(inputs=_struct(inputs), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        """What changes, and what of it makes a new resource."""
        resource = self._resource(request, context)
        old, new = _plain(request.old_inputs), _plain(request.news)
        difference = resource.diff(old, new, _plain(request.olds))
        kinds = provider_pb2.PropertyDiff
        return provider_pb2.DiffResponse(
            changes=_changes(difference.changed),
            diffs=sorted(difference.changed),
            replaces=sorted(difference.replaces),
            deleteBeforeReplace=difference.delete_first,
            hasDetailedDiff=True,
            detailedDiff={
                path: kinds(kind=getattr(kinds, kind), inputDiff=True) for path, kind in difference.detail.items()
            },
        )

    def Create(self, request: Any, context: Any) -> Any:
        """Make it; in a preview say what will be known only then."""
        resource, inputs = self._resource(request, context), _plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=_struct(resource.foresee(inputs)))
        id_, state, fault = self._do(context, lambda: resource.create(inputs))
        if fault is not None:
            self._half_made(context, id_, state, inputs, fault)
        return provider_pb2.CreateResponse(id=id_, properties=_struct(state))

    def Read(self, request: Any, context: Any) -> Any:
        """What AWS has now."""
        resource = self._resource(request, context)
        found = self._do(context, lambda: resource.read(request.id, _plain(request.inputs), _plain(request.properties)))
        if found is None:
            return provider_pb2.ReadResponse(id="")
        inputs, state = found
        return provider_pb2.ReadResponse(id=request.id, inputs=_struct(inputs), properties=_struct(state))

    def Update(self, request: Any, context: Any) -> Any:
        """Change it in place."""
        resource = self._resource(request, context)
        old, new, state = _plain(request.old_inputs), _plain(request.news), _plain(request.olds)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_struct(resource.foresee(new, state)))
        state, fault = self._do(context, lambda: resource.update(request.id, old, new, state))
        if fault is not None:
            # The old inputs stay noted, so that the next run does all of it again.
            self._half_made(context, request.id, state, old, fault)
        return provider_pb2.UpdateResponse(properties=_struct(state))

    def Delete(self, request: Any, context: Any) -> Any:
        """Take it away; what is gone already is no fault."""
        resource = self._resource(request, context)
        state = _plain(request.properties)
        self._do(context, lambda: resource.delete(request.id, state))
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        """A function: a look-up."""
        function, api, given = FUNCTIONS.get(request.tok), self._ready(context), _plain(request.args)
        if function is None:
            had = ", ".join(sorted(FUNCTIONS))
            _abort(
                context,
                grpc.StatusCode.UNIMPLEMENTED,
                f"the stand-in for the AWS plugin has no function {request.tok}; it has {had}",
            )
        return provider_pb2.InvokeResponse(**{"return": _struct(self._do(context, lambda: function(api, given)))})

    def _resource(self, request: Any, context: Any) -> Resource:
        token = request.urn.split("::")[2].rpartition("$")[2]
        if token not in ROWS:
            _abort(
                context,
                grpc.StatusCode.UNIMPLEMENTED,
                f"the stand-in for the AWS plugin has no row for {token} (toolchain/plugin_aws/rows_*.py)",
            )
        return Resource(ROWS[token], self._ready(context), self._default_tags)

    def _ready(self, context: Any) -> Api:
        if self._api is None:
            _abort(context, grpc.StatusCode.FAILED_PRECONDITION, "the engine has not configured the provider")
        return self._api

    def _do(self, context: Any, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except ApiError as error:
            _abort(context, grpc.StatusCode.UNKNOWN, str(error))

    def _half_made(self, context: Any, id_: str, state: Any, inputs: Any, fault: str) -> None:
        """Hand over what was done before a call failed, so that the engine knows of it."""
        detail = any_pb2.Any()
        detail.Pack(
            provider_pb2.ErrorResourceInitFailed(
                id=id_, properties=_struct(state), inputs=_struct(inputs), reasons=[fault]
            )
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=fault, details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        _abort(context, grpc.StatusCode.UNKNOWN, fault)


def serve() -> None:
    """Answer on a port of loopback, whose number is the first line of output, until the engine ends us."""
    options = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", _MESSAGE_BYTES)]
    server = grpc.server(futures.ThreadPoolExecutor(_CALLS_AT_ONCE), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # The engine ends us by a signal, after its last call, and waits for it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os._exit(0))
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


def _abort(context: Any, code: Any, message: str) -> NoReturn:
    context.abort(code, message)
    raise AssertionError("abort ends the call")


def _changes(changed: Iterable[str]) -> Any:
    response = provider_pb2.DiffResponse
    return response.DIFF_SOME if changed else response.DIFF_NONE


def _suffix(seed: bytes) -> str:
    return seed.hex()[:7] if seed else secrets.token_hex(4)[:7]


def _parsed(value: Any) -> Any:
    """The engine hands a provider's settings over as JSON in texts."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = _unwrapped(json_format.MessageToDict(struct))
    return plain


def _unwrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return _unwrapped(value["value"]) if _SECRET in value else {key: _unwrapped(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_unwrapped(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update({name: value for name, value in values.items() if value is not None})
    return struct
