"""Staging and prod on AWS: the chapters in order."""

from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws
import pulumi_docker as docker

from components.aws.autoscaling import Autoscaling, AutoscalingArgs
from components.aws.containers import Containers, ContainersArgs
from components.aws.database import read_authorities
from components.aws.monitoring import Monitoring, MonitoringArgs
from components.aws.network import Network, NetworkArgs
from components.aws.nodes import Nodes, NodesArgs
from components.aws.pipeline import Pipeline, PipelineArgs
from components.aws.plan import Plan, PlanArgs, default_tags
from components.aws.production import Production, ProductionArgs
from components.aws.release import Release, ReleaseArgs
from components.aws.secrets import Secrets, SecretsArgs
from components.aws.session import session_host, ssh_options
from components.containers import Containers as LocalContainers
from components.containers import watching_images
from components.distribution import ServerDatabase
from components.naming import Names
from components.observability.alert import Expected
from components.observability.rules import list_alerts
from components.settings import Environment, Settings

SERVICES: Final = (
    "acm", "autoscaling", "budgets", "cloudwatch", "dynamodb", "ec2", "ecr", "elbv2", "iam", "kms", "logs", "rds",
    "route53", "s3", "secretsmanager", "sns", "ssm", "sts",
)  # fmt: skip


@dataclass(frozen=True)
class Cloud:
    """What the services need of what AWS has."""

    url: pulumi.Output[str]
    repositories: dict[str, aws.ecr.Repository]
    groups: list[pulumi.Resource]
    """Of machines: managers and workers."""
    database: pulumi.Output[str]
    database_password: pulumi.Output[str]
    on_aws: pulumi.ResourceOptions


def deploy(names: Names, settings: Settings, random: pulumi.ProviderResource, endpoint: str | None) -> Cloud:
    """Register every chapter.

    Raises:
        pulumi.RunError: the region lacks a zone that the settings name; nothing is registered then.
    """
    region = settings.network.region
    provider = _connect(names, settings, endpoint)
    asking = pulumi.InvokeOptions(provider=provider)
    _check_zones(asking, settings)
    account = aws.get_caller_identity(opts=asking).account_id
    hosted_zone = settings.production.hosted_zone
    zone_id = None if hosted_zone is None else aws.route53.get_zone(name=hosted_zone, opts=asking).zone_id
    on_aws = pulumi.ResourceOptions(providers=[provider, random])
    protected = names.environment == Environment.PROD

    Plan(names, PlanArgs(settings.plan), on_aws)
    network = Network(names, NetworkArgs(settings.network, settings.distribution.proxy.port), on_aws)
    secrets = Secrets(
        names, SecretsArgs(settings.secrets, account, region, settings.monitoring.enabled, protected), on_aws
    )
    # moto has no pull-through cache; what runs with it pulls nothing from AWS.
    pushed = [image.name for image in watching_images(settings)]
    images = ContainersArgs(secrets.key.arn, settings.containers.source, endpoint is None, pushed, protected)
    containers = Containers(names, images, on_aws)
    if settings.pipeline.repository is not None:
        Pipeline(names, PipelineArgs(settings.pipeline, account, region), on_aws)
    proxy_port, apart = settings.distribution.proxy.port, settings.production.managers_apart
    nodes = Nodes(names, NodesArgs(account, region, proxy_port, apart, secrets.key.arn), on_aws)
    production = Production(
        names,
        ProductionArgs(
            settings.production,
            zone_id,
            region if settings.production.bake_image else None,
            settings.distribution.proxy.port,
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
    if settings.monitoring.enabled:
        # Which there are depends on what is watched, and on no number.
        alerts = list_alerts(Expected(replicas=1, collected=settings.instrumentation.collector))
        told = MonitoringArgs(alerts, settings.plan.alert_email, account, region, secrets.key.arn)
        Monitoring(names, told, on_aws)

    host = settings.production.domain or production.balancer.dns_name
    return Cloud(
        url=pulumi.Output.concat("https://", host),
        repositories=containers.repositories,
        groups=[production.managers, production.workers],
        database=production.database.address,
        database_password=secrets.database_password,
        on_aws=on_aws,
    )


def release(
    names: Names,
    settings: Settings,
    cloud: Cloud,
    engine: str,
    containers: LocalContainers,
    kept: list[str],
    random: pulumi.ProviderResource,
) -> Release:
    """Bring the images that the engine here has to the machines, and give what services there stand on.

    `kept` are images that are there, and that services go on with.
    """
    production = settings.production
    host = session_host(names.stack, settings.network.region)
    swarm = docker.Provider("swarm", host=host, ssh_opts=ssh_options())
    return Release(
        names,
        ReleaseArgs(
            engine,
            host,
            pulumi.ResourceOptions(providers=[swarm, random]),
            settings.network.region,
            settings.containers.source,
            containers,
            watching_images(settings),
            kept,
            cloud.repositories,
            production,
            settings.autoscaling.minimum,
            settings.autoscaling.warm_up_seconds,
            cloud.groups,
            ServerDatabase(cloud.database, read_authorities(production.database, settings.network.region)),
            settings.network.encrypted_overlays,
        ),
        cloud.on_aws,
    )


def _connect(names: Names, settings: Settings, endpoint: str | None) -> aws.Provider:
    emulated: dict[str, Any] = {}
    if endpoint is not None:
        emulated = {
            "endpoints": [aws.ProviderEndpointArgs(**dict.fromkeys(SERVICES, endpoint))],
            "access_key": "emulated",
            "secret_key": "emulated",
            "skip_credentials_validation": True,
            "skip_metadata_api_check": True,
            "s3_use_path_style": True,
        }
    tags = aws.ProviderDefaultTagsArgs(tags=default_tags(names, settings.plan))
    return aws.Provider("aws", aws.ProviderArgs(region=settings.network.region, default_tags=tags, **emulated))


def _check_zones(asking: pulumi.InvokeOptions, settings: Settings) -> None:
    region = settings.network.region
    offered = aws.get_availability_zones(state="available", opts=asking).names
    missing = [zone for zone in settings.network.zones if f"{region}{zone}" not in offered]
    if missing:
        letters = ", ".join(sorted(name.removeprefix(region) for name in offered))
        raise pulumi.RunError(
            f"beamops:network.zones: {region} has no zone {', '.join(missing)}; it has {letters}: name those"
        )
