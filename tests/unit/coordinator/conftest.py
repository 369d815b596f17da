"""A coordinator in this process, on SQLite in a folder of the test's own, with a clock that the test turns."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from coordinator.api import app as api
from coordinator.api.app import Lifecycle, create_app
from coordinator.schema import _migrate
from coordinator.settings import Settings
from coordinator.store import SQLiteStore
from litestar.testing import AsyncTestClient

from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{tmp_path / 'work.db'}")


@pytest.fixture
async def client(
    settings: Settings, clock: Clock, lifecycle: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    await _migrate(settings)

    async def open_store(_: Settings) -> SQLiteStore:
        assert settings.sqlite_path is not None
        return await SQLiteStore.open(settings.sqlite_path, clock)

    monkeypatch.setattr(api, "open_store", open_store)
    async with AsyncTestClient(create_app(settings, lifecycle), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def submit(client: httpx.AsyncClient) -> Callable[..., Any]:
    async def submit(**fields: Any) -> dict[str, Any]:
        answer = await client.post("/v1/work", json={"type": "build", "title": "Build it", **fields})
        assert answer.status_code == 201, answer.text
        item: dict[str, Any] = answer.json()
        return item

    return submit


@pytest.fixture
def claim(client: httpx.AsyncClient) -> Callable[..., Any]:
    async def claim(agent: str = "ada", **fields: Any) -> list[dict[str, Any]]:
        answer = await client.post("/v1/claims", json={"agent": agent, **fields})
        assert answer.status_code == 200, answer.text
        claims: list[dict[str, Any]] = answer.json()["claims"]
        return claims

    return claim


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short
        yield Path(folder) / "docker.sock"
