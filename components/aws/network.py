"""Chapter 2 on AWS, Network: the VPC, its subnets, ways out, and who may talk to whom."""

import json
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from components.aws.policies import allow
from components.aws.roles import make_role
from components.aws.rules import ANYWHERE, GROUPS, Rule, make_rules
from components.aws.settings import NetworkSettings
from components.aws.subnets import ZoneSubnets, cut_network
from components.chapter import AwsChapter
from components.naming import Names

_INTERFACES: Final = (
    "ssm",
    "ssmmessages",
    "ec2messages",
    "secretsmanager",
    "kms",
    "logs",
    "ecr.api",
    "ecr.dkr",
    "autoscaling",
)
"""Services that nodes reach without leaving the VPC: Session Manager, secrets, keys, logs, images, scaling."""


@dataclass(frozen=True)
class NetworkArgs:
    """The network as configured."""

    settings: NetworkSettings
    proxy_port: int


class Network(AwsChapter):
    """Public subnets for the load balancer and NAT, private ones for nodes and the database.

    Security groups refer to each other, so that addresses never have to be kept up; nothing but the load balancer's
    443 and 80 is open to the world.
    """

    number = 2

    def __init__(self, names: Names, args: NetworkArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._settings = args.settings
        self._zones = cut_network(args.settings.cidr, [f"{args.settings.region}{zone}" for zone in args.settings.zones])
        self.vpc = aws.ec2.Vpc(
            "vpc",
            aws.ec2.VpcArgs(
                cidr_block=args.settings.cidr,
                enable_dns_hostnames=True,
                enable_dns_support=True,
                tags=self.tags("vpc"),
            ),
            self.options(),
        )
        # The group that every VPC comes with lets its members talk: emptied, so that nothing works by accident.
        aws.ec2.DefaultSecurityGroup(
            "default-group",
            aws.ec2.DefaultSecurityGroupArgs(vpc_id=self.vpc.id, ingress=[], egress=[], tags=self.tags("unused")),
            self.options(),
        )
        self.public, self.private = self._make_subnets()
        private_tables = self._make_routes()
        self.groups = {group: self._group(group, description) for group, description in GROUPS.items()}
        for rule in make_rules(args.proxy_port):
            self._open(rule)
        self._make_endpoints(private_tables)
        self._log_flows()
        self.register_outputs({"vpc": self.vpc.id, "private": self.private_ids, "public": self.public_ids})

    @property
    def private_ids(self) -> list[pulumi.Output[str]]:
        """Ids of the private subnets, one a zone."""
        return [subnet.id for subnet in self.private.values()]

    @property
    def public_ids(self) -> list[pulumi.Output[str]]:
        """Ids of the public subnets, one a zone."""
        return [subnet.id for subnet in self.public.values()]

    def _make_subnets(self) -> tuple[dict[str, aws.ec2.Subnet], dict[str, aws.ec2.Subnet]]:
        def subnet(kind: str, zone: ZoneSubnets, cidr: str) -> aws.ec2.Subnet:
            part = f"{kind}-{zone.zone[-1]}"
            return aws.ec2.Subnet(
                part,
                aws.ec2.SubnetArgs(
                    vpc_id=self.vpc.id,
                    availability_zone=zone.zone,
                    cidr_block=cidr,
                    map_public_ip_on_launch=False,
                    tags=self.tags(part),
                ),
                self.options(),
            )

        public = {zone.zone: subnet("public", zone, zone.public) for zone in self._zones}
        private = {zone.zone: subnet("private", zone, zone.private) for zone in self._zones}
        return public, private

    def _make_routes(self) -> list[aws.ec2.RouteTable]:
        gateway = aws.ec2.InternetGateway(
            "gateway",
            aws.ec2.InternetGatewayArgs(vpc_id=self.vpc.id, tags=self.tags("gateway")),
            self.options(),
        )
        out = self._route_table("public")
        self._default_route("public", out, gateway_id=gateway.id)
        nat: dict[str, aws.ec2.NatGateway] = {}
        for zone in self._zones[: 1 if self._settings.nat == "one" else None]:
            nat[zone.zone] = self._make_nat(zone.zone, gateway)
        first = next(iter(nat.values()))
        tables = []
        for zone in self._zones:
            letter = zone.zone[-1]
            self._associate(f"public-{letter}", out, self.public[zone.zone])
            table = self._route_table(f"private-{letter}")
            self._default_route(f"private-{letter}", table, nat_gateway_id=nat.get(zone.zone, first).id)
            self._associate(f"private-{letter}", table, self.private[zone.zone])
            tables.append(table)
        return tables

    def _make_nat(self, zone: str, gateway: aws.ec2.InternetGateway) -> aws.ec2.NatGateway:
        part = f"nat-{zone[-1]}"
        address = aws.ec2.Eip(
            part, aws.ec2.EipArgs(domain="vpc", tags=self.tags(part)), self.options(depends_on=[gateway])
        )
        return aws.ec2.NatGateway(
            part,
            aws.ec2.NatGatewayArgs(allocation_id=address.id, subnet_id=self.public[zone].id, tags=self.tags(part)),
            self.options(depends_on=[gateway]),
        )

    def _route_table(self, part: str) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            part, aws.ec2.RouteTableArgs(vpc_id=self.vpc.id, tags=self.tags(part)), self.options()
        )

    def _default_route(
        self,
        part: str,
        table: aws.ec2.RouteTable,
        gateway_id: pulumi.Input[str] | None = None,
        nat_gateway_id: pulumi.Input[str] | None = None,
    ) -> None:
        aws.ec2.Route(
            f"{part}-out",
            aws.ec2.RouteArgs(
                route_table_id=table.id,
                destination_cidr_block=ANYWHERE,
                gateway_id=gateway_id,
                nat_gateway_id=nat_gateway_id,
            ),
            self.options(),
        )

    def _associate(self, part: str, table: aws.ec2.RouteTable, subnet: aws.ec2.Subnet) -> None:
        aws.ec2.RouteTableAssociation(
            part,
            aws.ec2.RouteTableAssociationArgs(route_table_id=table.id, subnet_id=subnet.id),
            self.options(),
        )

    def _group(self, part: str, description: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            part,
            aws.ec2.SecurityGroupArgs(
                name=self.names.of(part), description=description, vpc_id=self.vpc.id, tags=self.tags(part)
            ),
            self.options(),
        )

    def _open(self, rule: Rule) -> None:
        source = None if rule.source is None else self.groups[rule.source]
        target = None if rule.target is None else self.groups[rule.target]
        if target is not None:
            aws.vpc.SecurityGroupIngressRule(
                rule.name,
                aws.vpc.SecurityGroupIngressRuleArgs(**self._side(rule, target, source)),
                self.options(),
            )
        if source is not None:
            aws.vpc.SecurityGroupEgressRule(
                rule.name,
                aws.vpc.SecurityGroupEgressRuleArgs(**self._side(rule, source, target)),
                self.options(),
            )

    def _side(self, rule: Rule, group: aws.ec2.SecurityGroup, peer: aws.ec2.SecurityGroup | None) -> dict[str, Any]:
        """One end of a rule: the group that it opens, to its peer or to anywhere."""
        return {
            "security_group_id": group.id,
            "ip_protocol": rule.protocol,
            "from_port": rule.port,
            "to_port": rule.port,
            "referenced_security_group_id": None if peer is None else peer.id,
            "cidr_ipv4": ANYWHERE if peer is None else None,
            "description": rule.description,
            "tags": self.tags(rule.name),
        }

    def _make_endpoints(self, private_tables: list[aws.ec2.RouteTable]) -> None:
        region = self._settings.region
        aws.ec2.VpcEndpoint(
            "s3",
            aws.ec2.VpcEndpointArgs(
                vpc_id=self.vpc.id,
                service_name=f"com.amazonaws.{region}.s3",
                vpc_endpoint_type="Gateway",
                route_table_ids=[table.id for table in private_tables],
                tags=self.tags("s3"),
            ),
            self.options(),
        )
        for service in _INTERFACES:
            part = service.replace(".", "-")
            aws.ec2.VpcEndpoint(
                part,
                aws.ec2.VpcEndpointArgs(
                    vpc_id=self.vpc.id,
                    service_name=f"com.amazonaws.{region}.{service}",
                    vpc_endpoint_type="Interface",
                    private_dns_enabled=True,
                    subnet_ids=self.private_ids,
                    security_group_ids=[self.groups["endpoints"].id],
                    tags=self.tags(part),
                ),
                self.options(),
            )

    def _log_flows(self) -> None:
        group = aws.cloudwatch.LogGroup(
            "flows",
            aws.cloudwatch.LogGroupArgs(
                name=f"/{self.names.stack}/flows",
                retention_in_days=self._settings.flow_log_days,
                tags=self.tags("flows"),
            ),
            self.options(),
        )
        role = make_role(self, "flows", "vpc-flow-logs.amazonaws.com")
        aws.iam.RolePolicy(
            "flows",
            aws.iam.RolePolicyArgs(
                name="write",
                role=role.name,
                policy=group.arn.apply(
                    lambda arn: json.dumps(
                        allow({"logs:CreateLogStream logs:PutLogEvents logs:DescribeLogStreams": [f"{arn}:*"]})
                    )
                ),
            ),
            self.options(),
        )
        aws.ec2.FlowLog(
            "flows",
            aws.ec2.FlowLogArgs(
                vpc_id=self.vpc.id,
                traffic_type="ALL",
                log_destination_type="cloud-watch-logs",
                log_destination=group.arn,
                iam_role_arn=role.arn,
                max_aggregation_interval=60,
                tags=self.tags("flows"),
            ),
            self.options(),
        )
