"""Chapter 6 on AWS, Production: managers, workers, the load balancer, PostgreSQL."""

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws
from coordinator import contract

from components.aws.balancer import make_balancer
from components.aws.database import make_database
from components.aws.image import bake_image
from components.aws.machine import Architecture, find_architecture
from components.aws.network import Network
from components.aws.nodes import Nodes, Role
from components.aws.settings import AutoscalingSettings, ProductionSettings
from components.chapter import AwsChapter
from components.naming import Names

_IMAGE: Final = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default"
"""The parameter in which AWS keeps the newest Amazon Linux 2023; EC2 resolves it when a node starts."""


@dataclass(frozen=True)
class ProductionArgs:
    """What the machines stand on; `protected` keeps what holds data from being destroyed."""

    settings: ProductionSettings
    zone_id: str | None
    """Route 53 zone of the domain, where the stack has one."""
    bake_in: str | None
    """The region in which the nodes' image is baked; None: nodes start from Amazon Linux's own."""
    proxy_port: int
    autoscaling: AutoscalingSettings
    network: Network
    nodes: Nodes
    key: pulumi.Input[str]
    database_password: pulumi.Input[str]
    protected: bool


class Production(AwsChapter):
    """Groups of managers and workers behind a load balancer with TLS, and RDS PostgreSQL."""

    number = 6

    def __init__(self, names: Names, args: ProductionArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args = args
        self._baked: dict[Architecture, pulumi.Output[str]] = {}
        self.target = self._make_target()
        self.balancer = make_balancer(
            self, args.settings, args.zone_id, args.network, self.target, protected=args.protected
        )
        managers = args.settings.managers
        self.managers = self._group("manager", args.settings.manager_type, managers, managers, managers)
        scaling = args.autoscaling
        self.workers = self._group(
            "worker", args.settings.worker_type, scaling.minimum, scaling.maximum, max(1, scaling.minimum)
        )
        self.database = make_database(
            self, args.settings.database, args.network, args.key, args.database_password, protected=args.protected
        )
        self.register_outputs({"balancer": self.balancer.dns_name, "database": self.database.address})

    def _group(self, role: Role, machine: str, least: int, most: int, wanted: int) -> aws.autoscaling.Group:
        template = self._make_template(role, machine)
        warm_up = self._args.autoscaling.warm_up_seconds
        return aws.autoscaling.Group(
            f"{role}s",
            aws.autoscaling.GroupArgs(
                name=self.names.of(f"{role}s"),
                min_size=least,
                max_size=most,
                desired_capacity=wanted,
                vpc_zone_identifiers=self._args.network.private_ids,
                launch_template=aws.autoscaling.GroupLaunchTemplateArgs(
                    id=template.id, version=template.latest_version.apply(str)
                ),
                # Managers that keep apart have no proxy: a balancer would find nothing there.
                target_group_arns=[self.target.arn]
                if role == "worker" or not self._args.settings.managers_apart
                else [],
                health_check_type="EC2",
                health_check_grace_period=warm_up,
                default_instance_warmup=warm_up,
                instance_refresh=aws.autoscaling.GroupInstanceRefreshArgs(
                    strategy="Rolling",
                    preferences=aws.autoscaling.GroupInstanceRefreshPreferencesArgs(
                        min_healthy_percentage=healthy_percent(wanted), instance_warmup=str(warm_up)
                    ),
                ),
                tags=[
                    aws.autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=False)
                    for key, value in self.tags(f"{role}s").items()
                ],
            ),
            # How many workers there are is the scaling's business once they are there.
            self.options(ignore_changes=["desiredCapacity"] if role == "worker" else []),
        )

    def _make_template(self, role: Role, machine: str) -> aws.ec2.LaunchTemplate:
        args = self._args
        return aws.ec2.LaunchTemplate(
            role,
            aws.ec2.LaunchTemplateArgs(
                name=self.names.of(role),
                image_id=self._image(machine),
                instance_type=machine,
                iam_instance_profile=aws.ec2.LaunchTemplateIamInstanceProfileArgs(arn=args.nodes.profiles[role].arn),
                metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                    http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
                ),
                network_interfaces=[
                    aws.ec2.LaunchTemplateNetworkInterfaceArgs(
                        associate_public_ip_address="false",
                        security_groups=[args.network.groups["nodes"].id],
                        delete_on_termination="true",
                    )
                ],
                block_device_mappings=[
                    aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                        device_name="/dev/xvda",
                        ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                            volume_size=args.settings.disk_gib,
                            volume_type="gp3",
                            encrypted="true",
                            kms_key_id=args.key,
                            delete_on_termination="true",
                        ),
                    )
                ],
                monitoring=aws.ec2.LaunchTemplateMonitoringArgs(enabled=True),
                user_data=args.nodes.user_data(role),
                update_default_version=True,
                tag_specifications=[
                    aws.ec2.LaunchTemplateTagSpecificationArgs(
                        resource_type=kind,
                        tags={**self.tags(role), "beamops:stack": self.names.stack, "beamops:role": role},
                    )
                    for kind in ("instance", "volume")
                ],
                tags=self.tags(role),
            ),
            self.options(),
        )

    def _image(self, machine: str) -> pulumi.Input[str]:
        args, architecture = self._args, find_architecture(machine)
        if args.bake_in is None:
            return f"resolve:ssm:{_IMAGE}-{architecture}"
        if architecture not in self._baked:
            self._baked[architecture] = bake_image(
                self, architecture, machine, args.bake_in, args.network, args.key, args.settings.disk_gib
            )
        return self._baked[architecture]

    def _make_target(self) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            "proxy",
            aws.lb.TargetGroupArgs(
                name=self.names.of("proxy"),
                port=self._args.proxy_port,
                protocol="HTTP",
                vpc_id=self._args.network.vpc.id,
                deregistration_delay=30,
                health_check=aws.lb.TargetGroupHealthCheckArgs(
                    path=contract.READY_PATH,
                    interval=5,
                    timeout=3,
                    healthy_threshold=2,
                    unhealthy_threshold=2,
                    matcher="200",
                ),
                tags=self.tags("proxy"),
            ),
            self.options(),
        )


def healthy_percent(nodes: int) -> int:
    """How many percent of so many nodes must stay while they are replaced one at a time: a quorum loses no second."""
    return 100 * (nodes - 1) // nodes
