"""Chapter 9, Distribution: PostgreSQL, the coordinator's replicas, and the proxy before them."""

from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_docker as docker
from coordinator import contract

from components import catalogue
from components.chapter import Chapter
from components.containers import ROOT, Containers
from components.naming import Names, digest_files, list_sources
from components.network import Network
from components.proxy import HEALTH_PATH, HEALTH_PORT, ProxyConfig, render_proxy
from components.resources import Job
from components.secrets import Secrets
from components.service import MIB, File, ServiceSpec, service_args
from components.settings import DistributionSettings, Environment
from components.swarm import Swarm

_PASSWORD_FILE: Final = "/run/secrets/database_password"  # noqa: S105 - a path
_DATABASE_PORT: Final = 5432


@dataclass(frozen=True)
class DistributionArgs:
    """What the services are made from."""

    settings: DistributionSettings
    host: str
    example_work: bool
    containers: Containers
    network: Network
    secrets: Secrets
    swarm: Swarm


class Distribution(Chapter):
    """PostgreSQL first, then its migrations, then the coordinator, then the proxy: each healthy before the next."""

    number = 9

    def __init__(self, names: Names, args: DistributionArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args = args
        self.database = self._make_database()
        migration = self._make_migration()
        self.coordinator = self._make_coordinator(migration)
        self.proxy = self._make_proxy()
        self.url = f"http://127.0.0.1:{args.settings.proxy.port}"
        self.register_outputs({"url": self.url})

    def _make_database(self) -> docker.Service:
        args, settings = self._args, self._args.settings.database
        start = self._config("database-start", (ROOT / "images" / "postgresql" / "start.sh").read_text())
        volume = docker.Volume(
            "database",
            docker.VolumeArgs(
                name=self.names.of("database"),
                labels=self.label(docker.VolumeLabelArgs),
            ),
            self.options(protect=self.names.environment == Environment.PROD),
        )
        return self._service(
            "database",
            image=args.containers.postgresql,
            user=catalogue.POSTGRESQL.user,
            command=["/bin/sh", "/etc/beamops/start.sh"],
            arguments=[f"{settings.memory_mib // 4}MB"],
            networks=[args.network.data.id],
            health=["pg_isready", "-q", "-h", "127.0.0.1", "-U", "coordinator", "-d", "coordinator"],
            memory_mib=settings.memory_mib,
            cpus=settings.cpus,
            order="stop-first",
            secrets=[self._password()],
            configs=[File(start.id, start.name, "/etc/beamops/start.sh")],
            volumes={"/var/lib/postgresql/data": volume.name},
            constraints=[args.swarm.data_constraint],
            start_seconds=600,  # recovery after a crash comes before the first connection
            stop_signal="SIGINT",  # fast shutdown: ends sessions, loses nothing
        )

    def _make_migration(self) -> Job:
        args = self._args
        migrations = digest_files(contract.MIGRATIONS, list_sources(contract.MIGRATIONS))
        return Job(
            "migration",
            host=args.host,
            service=self.names.of("migration"),
            image=args.containers.coordinator,
            command=[*contract.MIGRATE, *([contract.EXAMPLE_WORK] if args.example_work else [])],
            user=catalogue.PYTHON.user,
            env=self._coordinator_env(),
            networks=[args.network.data.id],
            secret_id=args.secrets.database_password.id,
            secret_name=args.secrets.database_password.name,
            secret_file=_PASSWORD_FILE,
            memory_bytes=args.settings.coordinator.memory_mib * MIB,
            labels=self.labels,
            triggers={"migrations": migrations, "database": self.database.id},
            opts=self.options(depends_on=[self.database]),
        )

    def _make_coordinator(self, migration: Job) -> docker.Service:
        args, settings = self._args, self._args.settings.coordinator
        return self._service(
            "coordinator",
            depends_on=[migration],
            image=args.containers.coordinator,
            user=catalogue.PYTHON.user,
            command=contract.SERVE,
            networks=[args.network.app.id, args.network.data.id],
            health=contract.PROBE,
            memory_mib=settings.memory_mib,
            cpus=settings.cpus,
            replicas=settings.replicas,
            env=self._coordinator_env()
            | {
                contract.HOST: "0.0.0.0",  # noqa: S104 - the networks decide who reaches it
                contract.TRUST_NETWORK: "true",
                contract.REPLICAS: str(settings.replicas),
                contract.DRAIN_SECONDS: str(settings.drain_seconds),
            },
            secrets=[self._password()],
            stop_seconds=settings.drain_seconds + 15,
        )

    def _make_proxy(self) -> docker.Service:
        args, settings = self._args, self._args.settings.proxy
        rendered = render_proxy(
            ProxyConfig(settings.port, self.names.of("coordinator"), contract.PORT, contract.READY_PATH)
        )
        config = self._config("proxy", rendered)
        return self._service(
            "proxy",
            depends_on=[self.coordinator],
            image=args.containers.proxy,
            user=catalogue.PROXY.user,
            command=["haproxy", "-W", "-db", "-f", "/etc/beamops/haproxy.cfg"],
            networks=[args.network.edge.id, args.network.app.id],
            health=["busybox", "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{HEALTH_PORT}{HEALTH_PATH}"],
            memory_mib=settings.memory_mib,
            cpus=settings.cpus,
            order="stop-first",
            configs=[File(config.id, config.name, "/etc/beamops/haproxy.cfg")],
            port=settings.port,
            stop_signal="SIGUSR1",  # soft stop: takes no more connections, finishes those it has
        )

    def _service(self, part: str, depends_on: list[pulumi.Resource] | None = None, **values: Any) -> docker.Service:
        spec = ServiceSpec(name=self.names.of(part), labels=self.labels, **values)
        return docker.Service(part, service_args(spec), self.options(depends_on=depends_on))

    def _config(self, part: str, content: str) -> docker.ServiceConfig:
        # The new one is made first: the old one can go only when no service uses it any more.
        return docker.ServiceConfig(
            part,
            docker.ServiceConfigArgs(
                name=self.names.versioned(part, content),
                data_raw=content,
                labels=self.label(docker.ServiceConfigLabelArgs),
            ),
            self.options(depends_on=[self._args.swarm], delete_before_replace=False),
        )

    def _password(self) -> File:
        secret = self._args.secrets.database_password
        return File(secret.id, secret.name, _PASSWORD_FILE)

    def _coordinator_env(self) -> dict[str, str]:
        address = f"coordinator@{self.names.of('database')}:{_DATABASE_PORT}"
        return {
            contract.DATABASE_URL: f"postgresql://{address}/coordinator",
            contract.DATABASE_PASSWORD_FILE: _PASSWORD_FILE,
        }
