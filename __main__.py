"""The whole program: settings in, chapters in order, outputs out.

In dev the engine is made a swarm (chapter 5) before its networks (chapter 2): an overlay network needs one.
"""

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
from components.swarm import Swarm, SwarmArgs

settings, engine = prepare(pulumi.get_stack())
names = Names(settings.plan.name, pulumi.get_stack())
on_engine = pulumi.ResourceOptions(providers=[docker.Provider("engine", host=engine.host), random.Provider("random")])

plan = Plan(names, PlanArgs(settings.plan, settings.distribution, engine), on_engine)
development = Development(names, DevelopmentArgs(settings.development, engine.host), on_engine)
network = Network(names, NetworkArgs(development.swarm.id), on_engine)
containers = Containers(names, ContainersArgs(settings.containers.source), on_engine)
secrets = Secrets(names, SecretsArgs(settings.secrets, development.swarm.id), on_engine)
swarm = Swarm(names, SwarmArgs(engine.host, development.swarm.node), on_engine)
distribution = Distribution(
    names,
    DistributionArgs(
        settings.distribution, engine.host, settings.development.example_work, containers, network, secrets, swarm
    ),
    on_engine,
)

pulumi.export("url", distribution.url)
pulumi.export("versions", {"engine": engine.version, "coordinator": version("beamops-coordinator")})
pulumi.export("memory_mib", plan.memory_mib)
pulumi.export(
    "images", {"coordinator": containers.coordinator, "postgresql": containers.postgresql, "proxy": containers.proxy}
)
