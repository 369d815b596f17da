"""How the coordinator tells others of itself, and where it refuses to start."""

import io
import json
import logging
import sqlite3
from contextlib import closing, redirect_stdout
from pathlib import Path

import httpx
import pytest
from coordinator import contract, telemetry
from coordinator.api.app import Lifecycle, add_headers, create_app
from coordinator.schema import migrate, required_version
from coordinator.settings import Settings
from litestar.testing import AsyncTestClient
from pydantic import ValidationError


async def test_a_ready_coordinator_is_alive_and_measured(client: httpx.AsyncClient) -> None:
    assert (await client.get(contract.READY_PATH)).json() == {"status": "ready"}
    assert (await client.get(contract.LIVE_PATH)).json() == {"status": "alive"}
    await client.post("/v1/work", json={"type": "build", "title": "x"})
    await client.post("/v1/claims", json={"agent": "ada"})
    metrics = (await client.get(contract.METRICS_PATH)).text
    assert 'beamops_agent_work_claimed_total{priority="medium",team="",work_type="build"}' in metrics
    assert 'coordinator_request_duration_seconds_count{method="POST",route="/v1/claims",status="200"}' in metrics


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/metrics//", "/%6detrics"])
async def test_metrics_are_not_for_who_comes_through_a_load_balancer(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"X-Forwarded-Proto": "https"})
    assert answer.status_code == 403 and "beamops_" not in answer.text


async def test_a_draining_coordinator_is_alive_but_not_ready(client: httpx.AsyncClient, lifecycle: Lifecycle) -> None:
    await client.get(contract.READY_PATH)
    lifecycle.draining = True
    ready = await client.get(contract.READY_PATH)
    assert (ready.status_code, ready.json()["code"]) == (503, "store_unavailable")
    assert (await client.get(contract.LIVE_PATH)).status_code == 200


async def test_a_draining_coordinator_lets_go_of_connections(settings: Settings, client: httpx.AsyncClient) -> None:
    assert "connection" not in (await client.get("/v1/agents")).headers
    lifecycle = Lifecycle(draining=True)
    draining = add_headers(create_app(settings, lifecycle), lifecycle)
    transport = httpx.ASGITransport(draining)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as other:
        answer = await other.get(contract.READY_PATH)
    assert answer.headers["connection"] == "close"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_a_store_without_schema_makes_it_neither_ready_nor_alive(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'empty.db'}")
    async with AsyncTestClient(create_app(settings, Lifecycle())) as client:
        for path in (contract.READY_PATH, contract.LIVE_PATH):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable"), path


async def test_a_fault_of_ours_tells_the_caller_nothing(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("coordinator.agents.list_agents", break_down)
    answer = await client.get("/v1/agents")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text


def test_without_authentication_it_stays_on_this_machine() -> None:
    with pytest.raises(ValidationError, match=r"listen on 127\.0\.0\.1, set COORDINATOR_AUTHENTICATE=true, or"):
        Settings(host="0.0.0.0")
    assert Settings(host="0.0.0.0", trust_network=True).trust_network


def test_the_password_comes_from_its_file_and_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a/b@c\n")
    settings = Settings(database_url="postgresql://me@db:5432/work", database_password_file=tmp_path / "password")
    assert settings.database_dsn() == "postgresql://me:a%2Fb%40c@db:5432/work"


def test_the_published_interface_is_what_the_service_has() -> None:
    fields = {f"COORDINATOR_{name.upper()}" for name in Settings.model_fields}
    for name in ("DATABASE_URL", "DATABASE_PASSWORD_FILE", "HOST", "DRAIN_SECONDS", "TRUST_NETWORK"):
        assert getattr(contract, name) in fields, name
    assert Settings.model_fields["port"].default == contract.PORT
    assert (contract.MIGRATIONS / "versions").is_dir()
    assert required_version() >= "0001"


def test_a_store_that_a_newer_version_migrated_is_left_as_it_is(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'work.db'}")
    migrate(settings)
    with closing(sqlite3.connect(tmp_path / "work.db")) as store, store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
    migrate(settings)
    with closing(sqlite3.connect(tmp_path / "work.db")) as store:
        assert store.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_every_log_line_is_one_json_object() -> None:
    output = io.StringIO()
    handlers = logging.getLogger().handlers[:]
    with redirect_stdout(output):
        telemetry.configure_logs()
        logging.getLogger("elsewhere").warning("two\nlines")
        logging.getLogger("elsewhere").error("with a trace", exc_info=ValueError("broken"))
    logging.getLogger().handlers[:] = handlers
    first, second = map(json.loads, output.getvalue().splitlines())
    assert (first["event"], first["level"]) == ("two\nlines", "warning")
    assert "ValueError: broken" in second["exception"]


async def test_the_page_is_served_and_nothing_beside_it(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert "<title>Coordinator</title>" in page.text
    for part in ("style.css", "page.js"):
        assert (await client.get(f"/{part}")).status_code == 200, part
    assert (await client.get("/../settings.py")).status_code == 404


async def test_the_description_shows_examples_of_what_agents_send(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/schema/openapi.json")).json()["components"]["schemas"]
    for name in ("Submission", "ClaimRequest", "Renewal", "Completion", "Failure", "Release", "Registration"):
        fields = schemas[name]["properties"]
        assert all("examples" in fields[field] for field in schemas[name]["required"]), name


async def test_work_of_many_kinds_does_not_fill_the_metrics(client: httpx.AsyncClient) -> None:
    for number in range(250):
        item = (await client.post("/v1/work", json={"type": f"kind-{number}", "title": "x"})).json()["id"]
        await client.post("/v1/claims", json={"agent": "ada", "id": item})
    metrics = (await client.get(contract.METRICS_PATH)).text
    kinds = {line for line in metrics.splitlines() if line.startswith("beamops_agent_work_claimed_total{")}
    assert len(kinds) <= 201 + 5 and any('work_type="(other)"' in line for line in kinds)
