"""The whole program: settings in, chapters in order, outputs out.

The engine is made a swarm (chapter 5) before its networks (chapter 2): an overlay network needs one. Staging and prod
first have what each chapter has on AWS; their services go to the local engine as long as AWS is emulated.
"""

import os
from importlib.metadata import version

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from components.containers import Containers, ContainersArgs
from components.development import Development, DevelopmentArgs
from components.distribution import Distribution, DistributionArgs
from components.naming import Names
from components.network import Network, NetworkArgs
from components.plan import Plan, PlanArgs
from components.preflight import prepare
from components.secrets import Secrets, SecretsArgs
from components.settings import ENDPOINT_VARIABLE, Environment
from components.swarm import Swarm, SwarmArgs

settings, engine = prepare(pulumi.get_stack())
names = Names(settings.plan.name, pulumi.get_stack())
made_up = random.Provider("random")
on_engine = pulumi.ResourceOptions(providers=[docker.Provider("engine", host=engine.host), made_up])

cloud = None
if names.environment != Environment.DEV:
    from components.aws.program import deploy  # the SDK of AWS takes a second to load, which dev need not spend

    cloud = deploy(names, settings, made_up, os.environ.get(ENDPOINT_VARIABLE))
    pulumi.export("cloud", {"url": cloud.url, "repository": cloud.repository, "database": cloud.database})

plan = Plan(names, PlanArgs(settings.plan, settings.distribution, engine), on_engine)
development = Development(names, DevelopmentArgs(settings.development, engine.host), on_engine)
encrypted = cloud is not None and settings.network.encrypted_overlays
network = Network(names, NetworkArgs(development.swarm.id, encrypted=encrypted), on_engine)
containers = Containers(names, ContainersArgs(settings.containers.source), on_engine)
password = None if cloud is None else cloud.database_password
secrets = Secrets(names, SecretsArgs(settings.secrets, development.swarm.id, password), on_engine)
swarm = Swarm(names, SwarmArgs(engine.host, development.swarm.node), on_engine)
distribution = Distribution(
    names,
    DistributionArgs(
        settings.distribution,
        engine.host,
        settings.development.example_work and cloud is None,
        containers,
        network,
        secrets,
        swarm,
    ),
    on_engine,
)

pulumi.export("url", distribution.url)
pulumi.export("versions", {"engine": engine.version, "coordinator": version("beamops-coordinator")})
pulumi.export("memory_mib", plan.memory_mib)
pulumi.export(
    "images", {"coordinator": containers.coordinator, "postgresql": containers.postgresql, "proxy": containers.proxy}
)
