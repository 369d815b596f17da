"""Settings of the chapters that staging and prod have on AWS."""

from ipaddress import IPv4Network
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_LARGEST_VPC: Final = 16
_SMALLEST_VPC: Final = 20
_TAKEN_NETWORKS: Final = {"172.17.0.0/16": "Docker's own bridge", "10.0.0.0/16": "the swarm's overlay networks"}
LOG_DAYS: Final = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827)
"""Retentions that CloudWatch Logs offers (PutRetentionPolicy)."""


class Model(BaseModel):
    """A group of settings: nothing that is not named here, and nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NetworkSettings(Model):
    """Chapter 2: the VPC of staging and prod; dev has overlay networks alone."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[1-9]$")] = Field(
        "eu-central-1", description="The AWS region of everything."
    )
    zones: Annotated[list[Annotated[str, Field(pattern=r"^[a-h]$")]], Field(min_length=2, max_length=6)] = Field(
        ["a", "b"], description="Letters of the availability zones; one that is added renumbers no other."
    )
    cidr: str = Field(
        "10.20.0.0/16", description="The VPC's addresses, /16 to /20; each zone has two sixteenths of them."
    )
    nat: Literal["one", "per-zone"] = Field(
        "one",
        description="NAT gateways: one for all zones, or one in each, so that a lost zone cuts off no other.",
    )
    flow_log_days: int = Field(30, description="How long flow logs are kept, in days, as CloudWatch offers them.")
    encrypted_overlays: bool = Field(
        default=True, description="Encrypt what goes from node to node. `AWS=emulated` turns it off, and says so."
    )

    @field_validator("zones")
    @classmethod
    def _zones_differ(cls, zones: list[str]) -> list[str]:
        if len(set(zones)) != len(zones):
            raise ValueError("a zone is named twice")
        return zones

    @field_validator("cidr")
    @classmethod
    def _private_and_large(cls, cidr: str) -> str:
        try:
            network = IPv4Network(cidr)
        except ValueError as error:
            raise ValueError(f"should be a network such as 10.20.0.0/16: {error}") from None
        if not network.is_private:
            raise ValueError("should be of private addresses (RFC 1918)")
        if not _LARGEST_VPC <= network.prefixlen <= _SMALLEST_VPC:
            raise ValueError(f"should be /{_LARGEST_VPC} to /{_SMALLEST_VPC}: two subnets a zone are cut out of it")
        for taken, whose in _TAKEN_NETWORKS.items():
            if network.overlaps(IPv4Network(taken)):
                raise ValueError(f"overlaps {taken}, {whose}")
        return cidr

    @field_validator("flow_log_days")
    @classmethod
    def _offered(cls, days: int) -> int:
        if days not in LOG_DAYS:
            raise ValueError(f"CloudWatch keeps logs for {', '.join(map(str, LOG_DAYS))} days")
        return days


class PipelineSettings(Model):
    """Chapter 4: which repository may preview and deploy, by OpenID Connect; no key is kept anywhere."""

    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$")] | None = Field(
        None, description="GitHub repository, owner/name; without it no pipeline is made."
    )
    branch: str = Field("main", pattern=r"^[A-Za-z0-9._/-]+$", description="The branch that is deployed.")


class DatabaseServerSettings(Model):
    """RDS PostgreSQL."""

    instance_class: str = Field("db.t4g.medium", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$", description="Its machine.")
    storage_gib: int = Field(
        50, ge=20, le=16384, description="Its disk, in GiB; it grows to four times that by itself."
    )
    multi_zone: bool = Field(default=False, description="A standby in another zone; prod must have it.")
    deletion_protection: bool = Field(default=False, description="Refuse to be deleted; prod must have it.")
    authorities: str | None = Field(
        None, description="File with the certificates of RDS's authorities (PEM); fetched from AWS when not given."
    )
    backup_days: int = Field(7, ge=1, le=35, description="How long backups are kept; at least 7 in prod.")


class ProductionSettings(Model):
    """Chapter 6: machines, load balancer, database of staging and prod."""

    managers: int = Field(1, ge=1, le=7, description="Manager nodes of the swarm: an odd number; prod needs 3.")
    manager_type: str = Field("t3.medium", pattern=r"^[a-z0-9]+\.[a-z0-9]+$", description="Machine of a manager.")
    worker_type: str = Field("t3.large", pattern=r"^[a-z0-9]+\.[a-z0-9]+$", description="Machine of a worker.")
    disk_gib: int = Field(40, ge=20, le=1024, description="Encrypted disk of a node, in GiB.")
    certificate_arn: Annotated[str, Field(pattern=r"^arn:aws:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]+$")] | None = (
        Field(None, description="Certificate of the load balancer; or let one be made for `domain`.")
    )
    domain: Annotated[str, Field(pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$")] | None = Field(
        None, description="Name under which the coordinator is reached; a certificate for it is made and validated."
    )
    hosted_zone: Annotated[str, Field(pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$")] | None = Field(
        None, description="Name of the Route 53 zone that `domain` is in, such as example.com; it must be there."
    )
    bake_image: bool = Field(
        default=False,
        description="Bake nodes' image with EC2 Image Builder, for a faster start; not with AWS=emulated.",
    )
    database: DatabaseServerSettings = Field(default_factory=DatabaseServerSettings, description="PostgreSQL.")

    @property
    def managers_apart(self) -> bool:
        """Whether managers keep to managing, so that nothing that serves can cost the swarm its quorum."""
        return self.managers > 1

    @field_validator("managers")
    @classmethod
    def _odd(cls, managers: int) -> int:
        if managers % 2 == 0:
            raise ValueError("should be odd: an even number of managers survives no more losses than one less")
        return managers


class AutoscalingSettings(Model):
    """Chapter 10: how many worker nodes there are."""

    minimum: int = Field(1, ge=0, le=100, description="Workers at least.")
    maximum: int = Field(4, ge=1, le=100, description="Workers at most.")
    cpu_percent: int = Field(50, ge=10, le=90, description="Processor use that is aimed at, in percent.")
    ready_per_worker: int = Field(50, ge=1, le=10_000, description="Ready work items a worker that are aimed at.")
    warm_up_seconds: int = Field(180, ge=30, le=3600, description="Until a new worker counts.")
    drain_seconds: int = Field(300, ge=30, le=7200, description="How long a worker that ends may take to drain.")

    @model_validator(mode="after")
    def _minimum_below_maximum(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} should not be above maximum {self.maximum}")
        return self
