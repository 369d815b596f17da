"""The whole program: settings in, chapters in order, outputs out.

The engine is made a swarm (chapter 5) before its networks (chapter 2): an overlay network needs one. Staging and prod
first have what each chapter has on AWS; their services go to the machines there, or here when AWS is emulated.
"""

import atexit
import gc
import os
from importlib.metadata import version

import pulumi
import pulumi_docker as docker
import pulumi_random as random
from coordinator import contract

from components import catalogue
from components.autoscaling import Autoscaling, AutoscalingArgs
from components.colours import RELEASED_VARIABLE, coordinator_services, keep_versions, read_released
from components.containers import Containers, ContainersArgs, coordinator_reference, watching_images
from components.development import Development, DevelopmentArgs
from components.distribution import Distribution, DistributionArgs, Images, ServerDatabase, SwarmDatabase
from components.engine import ENGINE_FOLDER, SOCKET_GROUP
from components.grafana import GrafanaArgs, make_grafana
from components.instrumentation import Instrumentation, InstrumentationArgs, collect_logs, collector_endpoint
from components.monitoring import Monitoring, MonitoringArgs
from components.naming import Names
from components.network import Network, NetworkArgs
from components.observability.alert import Expected
from components.plan import Plan, PlanArgs
from components.preflight import prepare
from components.secrets import Secrets, SecretsArgs
from components.service import IN_FILES
from components.settings import ENDPOINT_VARIABLE, Environment
from components.swarm import Swarm, SwarmArgs

# A program of a few seconds makes no garbage that matters: looking for it costs a second, most of it at the end.
gc.disable()
atexit.register(gc.freeze)

settings, engine = prepare(pulumi.get_stack())
names = Names(settings.plan.name, pulumi.get_stack())
made_up = random.Provider("random")
on_engine = pulumi.ResourceOptions(providers=[docker.Provider("engine", host=engine.host), made_up])
endpoint = os.environ.get(ENDPOINT_VARIABLE)

cloud = None
if names.environment != Environment.DEV:
    from components.aws import program  # the SDK of AWS takes a second to load, which dev need not spend

    cloud = program.deploy(names, settings, made_up, endpoint)

plan = Plan(names, PlanArgs(settings, engine), on_engine)
on_machines = cloud is not None and endpoint is None
collector = settings.instrumentation.collector
watched_by = watching_images(settings)
grafana = catalogue.GRAFANA in watched_by
if settings.monitoring.grafana and not grafana:
    pulumi.log.warn(
        "beamops:monitoring.grafana: Grafana is left out, since it cannot be built and images are built here. Its "
        "dashboards are in docs/dashboards; `make alerts` and `make trace` show what is wrong"
    )
needed = ContainersArgs(settings.containers.source, database=not on_machines, watching=watched_by)
containers = Containers(names, needed, on_engine)
released = read_released(os.environ.get(RELEASED_VARIABLE))
newest = released.name_of(coordinator_reference(settings.containers.source))
keeps = keep_versions(settings.distribution.coordinator, newest, released)
database: SwarmDatabase | ServerDatabase
beneath: pulumi.Resource
if cloud is not None and on_machines:
    kept = [released.images[colour] for colour in keeps if colour in released.images]
    beneath = release = program.release(names, settings, cloud, engine.host, containers, kept, made_up)
    host, on_swarm, swarm_id = release.host, release.on_swarm, release.swarm
    images, watching, database, serving = release.images, release.watching, release.database, release.serving
else:
    development = Development(names, DevelopmentArgs(settings.development, engine.host), on_engine)
    beneath = Swarm(names, SwarmArgs(engine.host, development.swarm.node), on_engine)
    host, on_swarm, swarm_id = engine.host, on_engine, development.swarm.id
    assert containers.postgresql is not None  # noqa: S101 - made where it runs here
    images, watching = Images(containers.coordinator, containers.proxy), containers.watching
    database, serving = SwarmDatabase(containers.postgresql), []
autoscale = settings.distribution.coordinator.autoscale
network = Network(
    names,
    NetworkArgs(
        swarm_id,
        encrypted=cloud is not None and settings.network.encrypted_overlays,
        database_outside=on_machines,
        observed=settings.monitoring.enabled,
        scaled=autoscale.maximum is not None,
    ),
    on_swarm,
)
folder = ENGINE_FOLDER if on_machines else engine.folder
log_driver = collect_logs(names, folder) if collector else IN_FILES
password = None if cloud is None else cloud.database_password
secrets = Secrets(names, SecretsArgs(settings.secrets, swarm_id, password, settings.monitoring.enabled), on_swarm)
distribution = Distribution(
    names,
    DistributionArgs(
        settings.distribution,
        host,
        settings.development.example_work and cloud is None,
        cloud is not None,
        images,
        network,
        secrets,
        database,
        log_driver,
        collector_endpoint(names) if collector else None,
        keeps,
        grafana,
        not on_machines and engine.services.isdisjoint(coordinator_services(names, settings.distribution.coordinator)),
        serving,
        beneath,
    ),
    on_swarm,
)

if settings.monitoring.enabled:
    socket_group = SOCKET_GROUP if on_machines else engine.socket_group
    if socket_group is None:
        pulumi.log.warn(
            f"beamops:monitoring: nobody tells what containers use, since the engine at {engine.host} is not at "
            f"unix://{contract.ENGINE_SOCKET}; the rest is watched"
        )
    instrumentation = Instrumentation(
        names,
        InstrumentationArgs(
            watching,
            images.coordinator,
            socket_group,
            network,
            secrets,
            log_driver,
            collector,
            distribution,
            serving,
            beneath,
        ),
        on_swarm,
    )
    targets = [*instrumentation.targets]
    if autoscale.maximum is not None:
        assert socket_group is not None  # noqa: S101 - asked for by prepare
        scaling = AutoscalingArgs(autoscale, images.coordinator, network, socket_group, log_driver, serving)
        targets.append(Autoscaling(names, scaling, on_swarm).target)
    coordinator = settings.distribution.coordinator
    monitoring = Monitoring(
        names,
        MonitoringArgs(
            settings.monitoring,
            settings.instrumentation,
            watching,
            log_driver,
            network,
            targets,
            Expected(
                coordinator.replicas * len(distribution.coordinators),
                scaled=autoscale.maximum is not None,
                collected=collector,
                engine=socket_group is not None,
            ),
            not on_machines,
            beneath,
        ),
        on_swarm,
    )
    if grafana:
        image = watching[catalogue.GRAFANA.name]
        shown_by = GrafanaArgs(image, collector, network, not on_machines, log_driver, beneath)
        pulumi.export("grafana_password", pulumi.Output.secret(make_grafana(monitoring, shown_by)))

pulumi.export("url", cloud.url if cloud is not None and on_machines else distribution.url)
pulumi.export("versions", {"engine": engine.version, "coordinator": version("beamops-coordinator")})
pulumi.export("memory_mib", plan.memory_mib)
shown = {"coordinator": images.coordinator, "postgresql": containers.postgresql, "proxy": images.proxy}
pulumi.export("images", {name: image for name, image in shown.items() if image is not None})
if cloud is not None:
    repository = cloud.repositories["coordinator"].repository_url
    pulumi.export("cloud", {"url": cloud.url, "repository": repository, "database": cloud.database})
