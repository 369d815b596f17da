"""The Model Context Protocol, by its SDK's own client against a coordinator that serves."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.servers import make_token, serve


@pytest.fixture
def url(url: str) -> str:
    return f"{url}/mcp"


async def use(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result
    return str(result.content[0].text)  # type: ignore[union-attr]


async def test_an_agent_does_its_work_by_tools_alone(url: str) -> None:
    async with Client(url) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"register", "claim_work", "renew", "complete", "fail", "release", "submit", "list"}
        assert all(tool.description and tool.input_schema["type"] == "object" for tool in tools.values())
        assert tools["complete"].input_schema["required"] == ["item", "token"]

        await use(client, "register", name="ada", capacity=2)
        done, later = [await use(client, "submit", type="build", title=title) for title in ("first", "second")]
        (claim,) = (await use(client, "claim_work", agent="ada"))["claims"]
        assert claim["item"]["id"] == done["id"]
        await use(client, "renew", item=done["id"], token=claim["token"], progress=50)
        assert (await use(client, "complete", item=done["id"], token=claim["token"]))["status"] == "completed"

        (claim,) = (await use(client, "claim_work", agent="ada"))["claims"]
        await use(client, "release", item=later["id"], token=claim["token"])
        (claim,) = (await use(client, "claim_work", agent="ada"))["claims"]
        failed = await use(client, "fail", item=later["id"], token=claim["token"], reason="no tools", retryable=False)
        assert failed["status"] == "failed"
        listed = await use(client, "list", status="completed")
        assert [item["id"] for item in listed["items"]] == [done["id"]]


async def test_what_the_api_refuses_is_told_to_the_model_with_its_code(url: str) -> None:
    async with Client(url) as client:
        item = await use(client, "submit", type="build", title="x")
        await use(client, "claim_work", agent="ada", id=item["id"])
        assert "not_claimable" in await refused(client, "claim_work", agent="bob", id=item["id"])
        assert "lease_lost" in await refused(client, "complete", item=item["id"], token=7)
        assert "invalid_request" in await refused(client, "submit", type="build")
        assert "invalid_request" in await refused(client, "list", count=100_000)
        assert "there is no tool delete_everything" in await refused(client, "delete_everything")
        assert "the id of a work item" in await refused(client, "complete", item="../agents", token=1)


async def test_a_repeated_key_does_nothing_twice(url: str) -> None:
    async with Client(url) as client:
        first, second = [
            await use(client, "submit", type="build", title="x", idempotency_key="the same key") for _ in range(2)
        ]
        assert first == second
        assert len((await use(client, "list"))["items"]) == 1


async def test_tools_ask_for_a_token_where_the_api_does(embedded: dict[str, str], tmp_path: Path) -> None:
    token = make_token(embedded, "agent", "ada")
    with serve({**embedded, "COORDINATOR_AUTHENTICATE": "true"}, tmp_path / "log") as url:
        async with httpx2.AsyncClient() as anybody:
            assert (await anybody.post(f"{url}/mcp", json={})).status_code == 401
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"})
        async with http, Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client:
            await use(client, "submit", type="build", title="x")
            await use(client, "claim_work", agent="ada")
            assert "forbidden" in await refused(client, "claim_work", agent="bob")


async def test_a_client_that_has_gone_while_waiting_is_given_nothing(url: str) -> None:
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "claim_work", "arguments": {"agent": "ghost", "wait_seconds": 20}},
    }
    headers = {"Accept": "application/json, text/event-stream"}
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(url, json=call, headers=headers, timeout=1.5)
    await asyncio.sleep(1.5)
    async with Client(url) as client:
        item = await use(client, "submit", type="build", title="x")
        await asyncio.sleep(1)
        listed = await use(client, "list")
    assert [(one["id"], one["status"]) for one in listed["items"]] == [(item["id"], "ready")]
