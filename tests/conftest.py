"""What integration tests stand on: the engine, its images, PostgreSQL in a container, coordinators as processes."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import asyncpg
import docker
import pytest
from docker.models.containers import Container
from docker.types import Mount

from cli.images import choose_source, ensure_images
from cli.stack import load_settings
from cli.toolchain import Toolchain, ensure_toolchain
from components import catalogue
from components.containers import ROOT, Source
from components.engine import connect, engine_host
from tests.images import ensure_image
from tests.servers import embed, free_port, migrate, serve


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    with connect(engine_host(None), 300) as client:
        yield client


@pytest.fixture(scope="session")
def source(engine: docker.DockerClient) -> Source:  # noqa: ARG001 - it has to answer first
    settings = load_settings("dev")
    chosen = choose_source(settings)
    ensure_images(settings, chosen)
    return chosen


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    return ensure_toolchain()


@dataclass(frozen=True)
class Database:
    """A real PostgreSQL of this test's own, started as the stack starts it."""

    container: Container
    url: str
    password: Path

    def wait_until_ready(self) -> None:
        end = time.monotonic() + 60
        probe = ["pg_isready", "-q", "-h", "127.0.0.1", "-U", "coordinator", "-d", "coordinator"]
        while self.container.exec_run(probe).exit_code:
            self.container.reload()
            assert self.container.status == "running" and time.monotonic() < end, self.container.logs().decode()
            time.sleep(0.1)

    def on_bridge(self) -> "Database":
        """The same by its address on Docker's bridge: published ports go through a proxy, which costs and counts."""
        self.container.reload()
        address = self.container.attrs["NetworkSettings"]["IPAddress"]
        assert self.container.client is not None
        bridge = self.container.client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Subnet"]
        assert ip_address(address) in ip_network(bridge), f"{address} is not on Docker's bridge {bridge}"
        return replace(self, url=f"postgresql://coordinator@{address}:5432")

    def make_store(self) -> dict[str, str]:
        """The environment that makes a coordinator use a fresh database."""
        secret, name = self.password.read_text(), f"test_{secrets.token_hex(4)}"

        async def make() -> None:
            connection = await asyncpg.connect(f"{self.url}/coordinator", password=secret)
            await connection.execute(f"CREATE DATABASE {name}")
            await connection.close()

        asyncio.run(make())
        return {
            "COORDINATOR_DATABASE_URL": f"{self.url}/{name}",
            "COORDINATOR_DATABASE_PASSWORD_FILE": str(self.password),
        }


@contextmanager
def run_database(engine: docker.DockerClient, source: Source, folder: Path, *, durable: bool) -> Iterator[Database]:
    """Start one, in memory or on a volume, and remove it with its data at the end."""
    image = ensure_image(engine, source, catalogue.POSTGRESQL)
    password = folder / "password"
    password.write_text(secrets.token_hex(16))
    password.chmod(0o444)
    data = "/var/lib/postgresql/data"
    port = free_port()
    container = engine.containers.run(
        image,
        ["/bin/sh", "/etc/beamops/start.sh", "64MB"],
        detach=True,
        user=catalogue.POSTGRESQL.user,
        read_only=True,
        cap_drop=["ALL"],
        tmpfs={} if durable else {data: "uid=999,gid=999,mode=0700"},
        mounts=[Mount(data, None, type="volume")] if durable else [],
        volumes={
            str(password): {"bind": "/run/secrets/database_password", "mode": "ro"},
            str(ROOT / "images" / "postgresql" / "start.sh"): {"bind": "/etc/beamops/start.sh", "mode": "ro"},
        },
        ports={"5432/tcp": ("127.0.0.1", port)},
    )
    try:
        database = Database(container, f"postgresql://coordinator@127.0.0.1:{port}", password)
        database.wait_until_ready()
        yield database
    finally:
        container.remove(force=True, v=True)


@pytest.fixture(scope="session")
def postgresql(
    engine: docker.DockerClient, source: Source, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """In memory, shared by tests that each have a database of their own."""
    with run_database(engine, source, tmp_path_factory.mktemp("postgresql"), durable=False) as database:
        yield database


@pytest.fixture
def durable_postgresql(engine: docker.DockerClient, source: Source, tmp_path: Path) -> Iterator[Database]:
    """On a disk, and one test's alone: it may be killed, and is measured."""
    folder = tmp_path / "durable"
    folder.mkdir()
    with run_database(engine, source, folder, durable=True) as database:
        yield database


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment that makes a coordinator use a fresh store of each kind."""
    if request.param == "sqlite":
        return {"COORDINATOR_DATABASE_URL": f"sqlite:///{tmp_path / 'work.db'}"}
    database: Database = request.getfixturevalue("postgresql")
    return database.make_store()


@pytest.fixture
def embedded(tmp_path: Path) -> dict[str, str]:
    """A fresh SQLite store: what a coordinator uses when nothing is configured."""
    return embed(tmp_path)


@pytest.fixture
def url(embedded: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """A coordinator that serves it; it logs to `log` in the test's folder."""
    with serve(embedded, tmp_path / "log") as url:
        yield url


@pytest.fixture
def coordinators(store: dict[str, str], tmp_path: Path) -> Iterator[list[str]]:
    """Two coordinators on one PostgreSQL, or one on its SQLite file."""
    migrate(store)
    count = 1 if store["COORDINATOR_DATABASE_URL"].startswith("sqlite") else 2
    with ExitStack() as running:
        yield [running.enter_context(serve(store, tmp_path / f"coordinator-{number}.log")) for number in range(count)]
