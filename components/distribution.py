"""Chapter 9, Distribution: PostgreSQL where it is ours to run, the coordinator's replicas, the proxy before them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_docker as docker
from coordinator import contract

from components import catalogue
from components.chapter import Chapter
from components.colours import PARTS, SWITCH, coordinator_services
from components.containers import ROOT
from components.naming import Names, digest_files, list_sources
from components.network import Network
from components.proxy import GRACE_SECONDS, HEALTH_PATH, HEALTH_PORT, ProxyConfig, render_proxy
from components.resources import Job
from components.secrets import Secrets
from components.service import MIB, File, LogDriver, fetch, make_config, make_service, make_volume
from components.settings import DistributionSettings

_AUTHORITIES_FILE: Final = "/etc/beamops/database-authorities.pem"
_DATABASE_PORT: Final = 5432
_ACCEPTS: Final = "pg_isready -q -h 127.0.0.1 -U coordinator -d coordinator"
"""Waited for while it starts: an engine that hears no asks again no sooner than after two seconds."""
ZONE_LABEL: Final = "beamops.zone"
"""Label of nodes on AWS: node.sh sets it."""


@dataclass(frozen=True)
class Images:
    """References that change when, and only when, their content does."""

    coordinator: pulumi.Input[str]
    proxy: pulumi.Input[str]


@dataclass(frozen=True)
class SwarmDatabase:
    """PostgreSQL as a service of this swarm, on the node that has its data."""

    image: pulumi.Input[str]


@dataclass(frozen=True)
class ServerDatabase:
    """PostgreSQL beyond the swarm, over TLS, its certificate checked against these authorities (PEM)."""

    address: pulumi.Input[str]
    authorities: str


@dataclass(frozen=True)
class DistributionArgs:
    """What the services are made from."""

    settings: DistributionSettings
    host: str
    example_work: bool
    authenticate: bool
    """Whether callers must show a token: wherever others than this machine's can reach the proxy."""
    images: Images
    network: Network
    secrets: Secrets
    database: SwarmDatabase | ServerDatabase
    log_driver: LogDriver
    traces: str | None
    """Where spans go, where there is a collector."""
    keeps: Collection[str]
    """Colours whose version stays; see components/colours.py."""
    grafana: bool
    """Whether the proxy leads to Grafana."""
    first: bool
    """Whether no coordinator runs yet, nor did when this began."""
    serving: Sequence[str]
    """Constraints of what serves: none, where every node may."""
    swarm: pulumi.Resource
    """Before any service: what the swarm stands on."""


class Distribution(Chapter):
    """PostgreSQL and its migrations, then the coordinator; the proxy beside them.

    The migration waits for PostgreSQL by itself, and the proxy looks for coordinators all the time: neither need be
    made after it. Coordinators are, so that no version replaces one before the schema that it needs is there; the
    first replace none, and wait for it themselves.

    Where the database is a server beyond the swarm, the swarm has nodes in several zones: the coordinator's replicas
    are spread over them, and every node that runs services has a proxy for the load balancer to ask.
    """

    number = 9

    def __init__(self, names: Names, args: DistributionArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args = args
        self._on_server = isinstance(args.database, ServerDatabase)
        self.data: pulumi.Input[str] | None = None
        """The volume that PostgreSQL keeps its data on, where it is a service."""
        self._begun: list[pulumi.Input[str]] = []
        """What PostgreSQL waits for where it is a service: what waits for the same begins when it does."""
        self.database = None if isinstance(args.database, ServerDatabase) else self._make_database(args.database)
        self.authorities = self._make_authorities()
        """Files against which PostgreSQL's certificate is checked, where it is beyond the swarm."""
        self.database_address = self._find_database()
        self.admitted: list[pulumi.Resource] = []
        """Before whoever measures PostgreSQL."""
        if self._on_server and args.secrets.watcher_password is not None:
            self.admitted.append(self._admit_watcher(args.secrets.watcher_password))
        coordinator = args.settings.coordinator
        self.coordinators = coordinator_services(names, coordinator)
        migration = self._make_migration()
        if coordinator.release == "rolling":
            self._make_coordinator(PARTS["blue"], migration, {})
        else:
            sides = [
                self._make_coordinator(part, migration, {contract.COLOUR: colour}, kept=colour in args.keeps)
                for colour, part in PARTS.items()
            ]
            active: str = coordinator.active
            self._make_job(SWITCH, [*contract.SWITCH, active], {"active": active}, sides)
        self.proxy = self._make_proxy()
        self.url = f"http://127.0.0.1:{args.settings.proxy.port}"
        self.register_outputs({"url": self.url})

    def _make_authorities(self) -> list[File]:
        if not isinstance(self._args.database, ServerDatabase):
            return []
        return [self._config("database-authorities", self._args.database.authorities, _AUTHORITIES_FILE)]

    def _make_database(self, database: SwarmDatabase) -> docker.Service:
        args, settings = self._args, self._args.settings.database
        passwords = [file for file in (args.secrets.password, args.secrets.watcher_password) if file is not None]
        script = (ROOT / "images" / "postgresql" / "start.sh").read_text()
        start = self._config("database-start", script, "/etc/beamops/start.sh")
        self.data = make_volume(self, "database").name
        self._begun += [database.image, self.data, start.id, *(file.id for file in passwords)]
        return make_service(
            self,
            "database",
            image=database.image,
            user=catalogue.POSTGRESQL.user,
            command=["/bin/sh", start.path],
            arguments=[f"{settings.memory_mib // 4}MB"],
            networks=[args.network.data.id],
            health=["timeout", "5", "sh", "-c", f"until {_ACCEPTS}; do sleep 0.1; done"],
            memory_mib=settings.memory_mib,
            cpus=settings.cpus,
            log_driver=args.log_driver,
            order="stop-first",
            secrets=passwords,
            configs=[start],
            volumes={"/var/lib/postgresql/data": self.data},
            constraints=[self.names.data_constraint],
            start_seconds=600,  # recovery after a crash comes before the first connection
            stop_signal="SIGINT",  # fast shutdown: ends sessions, loses nothing
        )

    def _make_migration(self) -> Job:
        args = self._args
        migrations = digest_files(contract.MIGRATIONS, list_sources(contract.MIGRATIONS))
        command = [*contract.MIGRATE, contract.WAIT, *([contract.EXAMPLE_WORK] if args.example_work else [])]
        triggers = {"migrations": migrations}
        return self._make_job(
            "migration",
            command,
            triggers,
            [args.swarm],
            data=self.data,
            image=self._image_beside_database(),
            waiting=self.coordinators if args.first else [],
        )

    def _image_beside_database(self) -> pulumi.Output[str]:
        """The coordinator's image for what waits for PostgreSQL by itself, known no sooner than that begins.

        Otherwise Ctrl-C could come between the two, and leave the one waiting for the other, which never comes.
        """
        return pulumi.Output.all(self._args.images.coordinator, *self._begun).apply(lambda values: str(values[0]))

    def _admit_watcher(self, password: File) -> Job:
        """Who measures PostgreSQL has a role there; where PostgreSQL is a service, it makes the role as it starts."""
        triggers = {"password": password.name, "database": self.database_address}
        command = [*contract.ADMIT_WATCHER, password.path]
        return self._make_job("watcher", command, triggers, [self._args.swarm], [password])

    def _make_job(
        self,
        part: str,
        command: list[str],
        triggers: Mapping[str, pulumi.Input[str]],
        depends_on: Sequence[pulumi.Resource],
        secrets: Sequence[File] = (),
        data: pulumi.Input[str] | None = None,
        image: pulumi.Input[str] | None = None,
        waiting: Sequence[str] = (),
    ) -> Job:
        args = self._args
        return Job(
            part,
            host=args.host,
            service=self.names.of(part),
            image=image or args.images.coordinator,
            command=command,
            user=catalogue.PYTHON.user,
            env=self._coordinator_env(),
            networks=[args.network.data.id],
            secrets=[[file.id, file.name, file.path] for file in (args.secrets.password, *secrets)],
            configs=[[file.id, file.name, file.path] for file in self.authorities],
            memory_bytes=args.settings.coordinator.memory_mib * MIB,
            constraints=list(args.serving),
            labels=self.labels,
            triggers=dict(triggers),
            data=data,
            waiting=list(waiting),
            opts=self.options(depends_on=depends_on),
        )

    def _make_coordinator(
        self, part: str, migration: Job, env: Mapping[str, str], *, kept: bool = False
    ) -> docker.Service:
        args, settings = self._args, self._args.settings.coordinator
        after: list[pulumi.Resource] = [migration, *([self.database] if self.database else [])]
        return make_service(
            self,
            part,
            depends_on=[args.swarm] if args.first else after,
            keep_image=kept,
            image=self._image_beside_database() if args.first else args.images.coordinator,
            user=catalogue.PYTHON.user,
            command=contract.SERVE,
            networks=[args.network.app.id, args.network.data.id, *self._observed()],
            health=contract.PROBE,
            memory_mib=settings.memory_mib,
            cpus=settings.cpus,
            log_driver=args.log_driver,
            replicas=settings.replicas,
            replicas_most=settings.autoscale.maximum,
            env=self._coordinator_env()
            | {
                contract.HOST: "0.0.0.0",  # noqa: S104 - the networks decide who reaches it
                **({contract.AUTHENTICATE: "true"} if args.authenticate else {contract.TRUST_NETWORK: "true"}),
                contract.REPLICAS: str(settings.replicas * len(self.coordinators)),
                **env,
                contract.DRAIN_SECONDS: str(settings.drain_seconds),
                **({contract.TRACES_ENDPOINT: args.traces} if args.traces else {}),
            },
            secrets=[args.secrets.password],
            configs=self.authorities,
            constraints=args.serving,
            spread=ZONE_LABEL if self._on_server else None,
            stop_seconds=settings.drain_seconds + 15,
        )

    def _make_proxy(self) -> docker.Service:
        args, settings = self._args, self._args.settings.proxy
        rendered = render_proxy(
            ProxyConfig(
                settings.port,
                self.coordinators,
                contract.PORT,
                contract.READY_PATH,
                contract.METRICS_PATH,
                self.names.of("grafana") if args.grafana else None,
                args.network.observability is not None,
                self._on_server,
            )
        )
        config = self._config("proxy", rendered, "/etc/beamops/haproxy.cfg")
        return make_service(
            self,
            "proxy",
            depends_on=[args.swarm],
            image=args.images.proxy,
            user=catalogue.PROXY.user,
            command=["haproxy", "-W", "-db", "-f", config.path],
            networks=[args.network.edge.id, args.network.app.id, *self._observed()],
            health=fetch(f"http://127.0.0.1:{HEALTH_PORT}{HEALTH_PATH}"),
            memory_mib=settings.memory_mib,
            cpus=settings.cpus,
            log_driver=args.log_driver,
            replicas=None if self._on_server else 1,
            order="stop-first",
            # What stands before it must have seen one come back before the next goes.
            pause_seconds=GRACE_SECONDS if self._on_server else 0,
            configs=[config],
            constraints=args.serving,
            port=settings.port,
            stop_signal="SIGUSR1",  # soft stop: takes no more connections, finishes those it has
        )

    def _config(self, part: str, content: str, path: str) -> File:
        return make_config(self, part, content, path, self._args.swarm)

    def _observed(self) -> list[pulumi.Input[str]]:
        observability = self._args.network.observability
        return [] if observability is None else [observability.id]

    def _find_database(self) -> pulumi.Output[str]:
        """Where PostgreSQL is, from the host's name on, as its clients' libraries take it."""
        database, verified = self._args.database, ""
        address: pulumi.Input[str] = self.names.of("database")
        if isinstance(database, ServerDatabase):
            address, verified = database.address, f"?sslmode=verify-full&sslrootcert={_AUTHORITIES_FILE}"
        return pulumi.Output.concat(address, f":{_DATABASE_PORT}/coordinator{verified}")

    def _coordinator_env(self) -> dict[str, pulumi.Input[str]]:
        url = pulumi.Output.concat("postgresql://coordinator@", self.database_address)
        return {
            contract.DATABASE_URL: url,
            contract.DATABASE_PASSWORD_FILE: self._args.secrets.password.path,
        }
