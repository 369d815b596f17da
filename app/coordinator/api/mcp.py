"""The Model Context Protocol at /mcp: each tool is one route of the API, with its checks, limits and refusals.

Stateless, so that any replica may answer: https://modelcontextprotocol.io, streamable HTTP.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import msgspec
from litestar import Litestar, asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool, ToolAnnotations

from coordinator import __version__
from coordinator.api.requests import require_role
from coordinator.model import ClaimRequest, Completion, Failure, Listing, Registration, Release, Renewal, Submission

_PATH: Final = "/mcp"
_LOOK_SECONDS: Final = 0.5
_BODY_BYTES: Final = 256 * 1024
_ITEM: Final[dict[str, object]] = {"type": "string", "description": "The work item's id."}
_KEY: Final[dict[str, object]] = {
    "type": "string",
    "minLength": 8,
    "maxLength": 128,
    "description": "The same key with the same arguments again gives the first answer again, and does nothing twice.",
}


@dataclass(frozen=True)
class _Route:
    description: str
    path: str
    arguments: type[msgspec.Struct]
    method: str = "POST"

    @property
    def on_item(self) -> bool:
        return "{item}" in self.path

    def describe(self, name: str) -> Tool:
        _, parts = msgspec.json.schema_components([self.arguments], ref_template="#/$defs/{name}")
        schema = parts.pop(self.arguments.__name__)
        extra: dict[str, dict[str, object]] = {"item": _ITEM} if self.on_item else {}
        if self.method == "POST":
            extra["idempotency_key"] = _KEY
        schema["properties"] = {**extra, **schema["properties"]}
        schema["required"] = [*(["item"] if self.on_item else []), *schema.get("required", [])]
        return Tool(
            name=name,
            description=self.description,
            input_schema={**schema, "$defs": parts, "additionalProperties": False},
            annotations=ToolAnnotations(read_only_hint=self.method == "GET", open_world_hint=False),
        )


_TOOLS: Final = {
    "register": _Route("Introduce yourself: name, team, skills, how much you can hold.", "/v1/agents", Registration),
    "claim_work": _Route(
        "Claim work by filter or id. What you get is yours alone until its lease ends; keep the token.",
        "/v1/claims",
        ClaimRequest,
    ),
    "renew": _Route("Extend a lease before it ends, and say how far you are.", "/v1/work/{item}/renew", Renewal),
    "complete": _Route("Say that the work is done, with its result.", "/v1/work/{item}/complete", Completion),
    "fail": _Route("Say that the work could not be done.", "/v1/work/{item}/fail", Failure),
    "release": _Route("Give work back undone, for another agent.", "/v1/work/{item}/release", Release),
    "submit": _Route("Put a new work item in.", "/v1/work", Submission),
    "list": _Route("List work items, newest first.", "/v1/work", Listing, "GET"),
}


class Tools:
    """The tools of one application."""

    def __init__(self, app: Litestar) -> None:
        self._api = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")  # type: ignore[arg-type]
        server: Server[dict[str, Any]] = Server(
            "coordinator", version=__version__, on_list_tools=_list_tools, on_call_tool=self._call_tool
        )
        self._manager = StreamableHTTPSessionManager(
            server, json_response=True, stateless=True, max_request_body_size=_BODY_BYTES
        )

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Answer requests until the context ends."""
        async with self._manager.run(), self._api:
            yield

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._manager.handle_request(scope, receive, send)  # type: ignore[arg-type]

    async def _call_tool(self, context: Any, params: CallToolRequestParams) -> CallToolResult:
        route = _TOOLS.get(params.name)
        if route is None:
            return _refuse(f"there is no tool {params.name}: {', '.join(_TOOLS)}")
        arguments = dict(params.arguments or {})
        key = arguments.pop("idempotency_key", None) or str(uuid.uuid4())
        headers = {"Idempotency-Key": str(key)} if route.method == "POST" else {}
        path = route.path
        if route.on_item:
            item = arguments.pop("item", None)
            if not isinstance(item, str) or not item.replace("-", "").isalnum():
                return _refuse("item: the id of a work item is needed")
            path = path.format(item=item)
        for name in ("authorization", "traceparent"):
            if value := _headers(context).get(name):
                headers[name] = value
        sent: dict[str, Any] = {"params": arguments} if route.method == "GET" else {"json": arguments}
        asking = self._api.request(route.method, path, headers=headers, timeout=None, **sent)
        answer = await _unless_gone(context, asking)
        if answer is None:
            return _refuse("the client has gone")
        if answer.is_error:
            problem = answer.json()
            return _refuse(f"{problem['code']}: {problem['detail']}", problem)
        return CallToolResult(content=[TextContent(text=answer.text)], structured_content=answer.json())


async def _unless_gone(context: Any, asking: Coroutine[Any, Any, httpx.Response]) -> httpx.Response | None:
    """The answer, unless the client goes away before: what nobody would get is not claimed."""
    task = asyncio.create_task(asking)
    try:
        while not (await asyncio.wait({task}, timeout=_LOOK_SECONDS))[0]:
            if context.request is not None and await context.request.is_disconnected():
                return None
        return task.result()
    finally:
        task.cancel()


async def _list_tools(_: Any, __: Any) -> ListToolsResult:
    return ListToolsResult(tools=[route.describe(name) for name, route in _TOOLS.items()])


def _headers(context: Any) -> Mapping[str, str]:
    return context.request.headers if context.request is not None else {}


def _refuse(text: str, problem: dict[str, Any] | None = None) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], structured_content=problem, is_error=True)


def mount() -> ASGIRouteHandler:
    """The route of /mcp."""

    @asgi(_PATH, is_mount=True, copy_scope=True, guards=[require_role])
    async def serve_mcp(scope: Scope, receive: Receive, send: Send) -> None:
        tools: Tools = scope["litestar_app"].state.tools
        await tools.handle(scope, receive, send)

    return serve_mcp
