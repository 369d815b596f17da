"""PostgreSQL of chapter 6: RDS, encrypted, over TLS alone."""

from pathlib import Path
from typing import Final

import pulumi
import pulumi_aws as aws
import requests

from components.aws.network import Network
from components.aws.roles import make_role
from components.aws.rules import POSTGRESQL
from components.aws.settings import DatabaseServerSettings
from components.chapter import AwsChapter

_VERSION: Final = "16"
_AUTHORITIES: Final = "https://truststore.pki.rds.amazonaws.com/{0}/{0}-bundle.pem"
"""Whose certificates RDS's servers have (AWS: "Using SSL/TLS to encrypt a connection to a DB instance")."""
_FETCH_SECONDS: Final = 20
_MONITOR: Final = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"


def make_database(
    chapter: AwsChapter,
    settings: DatabaseServerSettings,
    network: Network,
    key: pulumi.Input[str],
    password: pulumi.Input[str],
    *,
    protected: bool,
) -> aws.rds.Instance:
    """The database of the coordinators, in the private subnets."""
    parameters = aws.rds.ParameterGroup(
        "database",
        aws.rds.ParameterGroupArgs(
            name=chapter.names.of("database"),
            family=f"postgres{_VERSION}",
            description="TLS alone, and slow statements logged",
            parameters=[
                aws.rds.ParameterGroupParameterArgs(name="rds.force_ssl", value="1"),
                aws.rds.ParameterGroupParameterArgs(name="log_min_duration_statement", value="1000"),
            ],
            tags=chapter.tags("database"),
        ),
        chapter.options(),
    )
    subnets = aws.rds.SubnetGroup(
        "database",
        aws.rds.SubnetGroupArgs(
            name=chapter.names.of("database"),
            description="The private subnets",
            subnet_ids=network.private_ids,
            tags=chapter.tags("database"),
        ),
        chapter.options(),
    )
    monitor = make_role(chapter, "database-monitor", "monitoring.rds.amazonaws.com", managed=_MONITOR)
    return aws.rds.Instance(
        "database",
        aws.rds.InstanceArgs(
            identifier=chapter.names.stack,
            engine="postgres",
            engine_version=_VERSION,
            instance_class=settings.instance_class,
            allocated_storage=settings.storage_gib,
            max_allocated_storage=4 * settings.storage_gib,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=key,
            db_name="coordinator",
            username="coordinator",
            password=password,
            port=POSTGRESQL,
            multi_az=settings.multi_zone,
            publicly_accessible=False,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[network.groups["database"].id],
            parameter_group_name=parameters.name,
            backup_retention_period=settings.backup_days,
            copy_tags_to_snapshot=True,
            deletion_protection=settings.deletion_protection,
            skip_final_snapshot=not protected,
            final_snapshot_identifier=f"{chapter.names.stack}-final" if protected else None,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=key,
            monitoring_interval=60,
            monitoring_role_arn=monitor.arn,
            enabled_cloudwatch_logs_exports=["postgresql", "upgrade"],
            auto_minor_version_upgrade=True,
            apply_immediately=False,
            tags=chapter.tags("database"),
        ),
        chapter.options(protect=protected, retain_on_delete=protected),
    )


def read_authorities(settings: DatabaseServerSettings, region: str) -> str:
    """The certificates (PEM) against which the database's own is checked: from a file, or from AWS.

    Raises:
        pulumi.RunError: they cannot be had.
    """
    key = "beamops:production.database.authorities"
    try:
        if settings.authorities is not None:
            return Path(settings.authorities).read_text()
        answer = requests.get(_AUTHORITIES.format(region), timeout=_FETCH_SECONDS)
        answer.raise_for_status()
    except (OSError, requests.RequestException) as error:
        raise pulumi.RunError(f"{key}: {error}; name a file that holds RDS's certificates") from None
    return answer.text
