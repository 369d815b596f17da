"""What integration tests stand on: the engine, its images, PostgreSQL in a container, coordinators as processes."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import docker
import pytest

from cli.images import choose_source, ensure_images
from cli.stack import load_settings
from cli.toolchain import Toolchain, ensure_toolchain
from components import catalogue
from components.containers import ROOT, Source, base_reference, built_reference
from components.engine import connect, engine_host
from tests.servers import migrate, serve


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


@pytest.fixture(scope="session")
def postgresql(
    engine: docker.DockerClient, source: Source, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A real PostgreSQL, started as the stack starts it; its address and the file of its password."""
    image = catalogue.POSTGRESQL.pull
    if source == "build":
        image = built_reference(catalogue.POSTGRESQL)
        engine.images.build(
            path=str(ROOT / "images" / "postgresql"), tag=image, buildargs={"BASE": base_reference()}, rm=True
        )
    password = tmp_path_factory.mktemp("postgresql") / "password"
    password.write_text(secrets.token_hex(16))
    password.chmod(0o444)
    container = engine.containers.run(
        image,
        ["/bin/sh", "/etc/beamops/start.sh", "64MB"],
        detach=True,
        user=catalogue.POSTGRESQL.user,
        read_only=True,
        cap_drop=["ALL"],
        tmpfs={"/var/lib/postgresql/data": "uid=999,gid=999,mode=0700"},
        volumes={
            str(password): {"bind": "/run/secrets/database_password", "mode": "ro"},
            str(ROOT / "images" / "postgresql" / "start.sh"): {"bind": "/etc/beamops/start.sh", "mode": "ro"},
        },
        ports={"5432/tcp": ("127.0.0.1", 0)},
    )
    try:
        end = time.monotonic() + 60
        probe = ["pg_isready", "-q", "-h", "127.0.0.1", "-U", "coordinator", "-d", "coordinator"]
        while container.exec_run(probe).exit_code:
            container.reload()
            assert container.status == "running" and time.monotonic() < end, container.logs().decode()
            time.sleep(0.1)
        container.reload()
        port = container.attrs["NetworkSettings"]["Ports"]["5432/tcp"][0]["HostPort"]
        yield f"postgresql://coordinator@127.0.0.1:{port}", password
    finally:
        container.remove(force=True, v=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment that makes a coordinator use a fresh store of each kind."""
    if request.param == "sqlite":
        return {"COORDINATOR_DATABASE_URL": f"sqlite:///{tmp_path / 'work.db'}"}
    return _make_store(*request.getfixturevalue("postgresql"))


@pytest.fixture
def stores(postgresql: tuple[str, Path]) -> list[dict[str, str]]:
    """Two fresh databases on one PostgreSQL, to be compared."""
    return [_make_store(*postgresql), _make_store(*postgresql)]


def _make_store(server: str, password: Path) -> dict[str, str]:
    return {
        "COORDINATOR_DATABASE_URL": f"{server}/{_make_database(server, password)}",
        "COORDINATOR_DATABASE_PASSWORD_FILE": str(password),
    }


def _make_database(server: str, password: Path) -> str:
    secret = password.read_text()
    name = f"test_{secrets.token_hex(4)}"

    async def make() -> None:
        connection = await asyncpg.connect(f"{server}/coordinator", password=secret)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(make())
    return name


@pytest.fixture
def coordinators(store: dict[str, str], tmp_path: Path) -> Iterator[list[str]]:
    """Two coordinators on one PostgreSQL, or one on its SQLite file."""
    migrate(store)
    count = 1 if store["COORDINATOR_DATABASE_URL"].startswith("sqlite") else 2
    with ExitStack() as running:
        yield [running.enter_context(serve(store, tmp_path / f"coordinator-{number}.log")) for number in range(count)]
