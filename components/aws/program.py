"""Staging and prod on AWS: the chapters in order, from settings to outputs."""

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.aws.autoscaling import Autoscaling, AutoscalingArgs
from components.aws.containers import Containers, ContainersArgs
from components.aws.network import Network, NetworkArgs
from components.aws.nodes import Nodes, NodesArgs
from components.aws.pipeline import Pipeline, PipelineArgs
from components.aws.plan import Plan, PlanArgs, default_tags
from components.aws.production import Production, ProductionArgs
from components.aws.secrets import Secrets, SecretsArgs
from components.naming import Names
from components.settings import Environment, Settings


def deploy(names: Names, settings: Settings) -> None:
    """Register every chapter.

    Raises:
        pulumi.RunError: the region lacks a zone that the settings name; nothing is registered then.
    """
    region = settings.network.region
    provider = aws.Provider(
        "aws",
        aws.ProviderArgs(
            region=region, default_tags=aws.ProviderDefaultTagsArgs(tags=default_tags(names, settings.plan))
        ),
    )
    _check_zones(provider, settings)
    account = aws.get_caller_identity(opts=pulumi.InvokeOptions(provider=provider)).account_id
    on_aws = pulumi.ResourceOptions(providers=[provider, random.Provider("random")])
    protected = names.environment == Environment.PROD

    Plan(names, PlanArgs(settings.plan), on_aws)
    network = Network(names, NetworkArgs(settings.network), on_aws)
    secrets = Secrets(names, SecretsArgs(settings.secrets, account, region, protected), on_aws)
    containers = Containers(names, ContainersArgs(secrets.key.arn), on_aws)
    if settings.pipeline.repository is not None:
        Pipeline(names, PipelineArgs(settings.pipeline, account, region), on_aws)
    nodes = Nodes(names, NodesArgs(account, region, secrets.key.arn), on_aws)
    production = Production(
        names,
        ProductionArgs(
            settings.production,
            settings.autoscaling,
            network,
            nodes,
            secrets.key.arn,
            secrets.database_password,
            protected,
        ),
        on_aws,
    )
    Autoscaling(names, AutoscalingArgs(settings.autoscaling, production.workers.name), on_aws)

    host = settings.production.domain or production.balancer.dns_name
    pulumi.export("url", pulumi.Output.concat("https://", host))
    pulumi.export("images", {"coordinator": containers.coordinator.repository_url})
    pulumi.export("database", production.database.address)


def _check_zones(provider: aws.Provider, settings: Settings) -> None:
    region = settings.network.region
    offered = aws.get_availability_zones(state="available", opts=pulumi.InvokeOptions(provider=provider)).names
    missing = [zone for zone in settings.network.zones if f"{region}{zone}" not in offered]
    if missing:
        letters = ", ".join(sorted(name.removeprefix(region) for name in offered))
        raise pulumi.RunError(
            f"beamops:network.zones: {region} has no zone {', '.join(missing)}; it has {letters}: name those"
        )
