"""What resources cost a month: list prices on demand, without data transfer, discounts or taxes.

Source: AWS's public price lists (aws.amazon.com: ec2/pricing/on-demand, rds/postgresql/pricing, vpc/pricing,
elasticloadbalancing/pricing, ebs/pricing, kms/pricing, secrets-manager/pricing, cloudwatch/pricing), region
eu-central-1, as known on 2026-11-25: written down from memory and not fetched, since none of them is reached from where
this is built. An estimate that is there to catch a factor, not a percent.
"""

from typing import Final

from policies.rule import Resource, at, several

DATED: Final = "2026-11-25"
_HOURS: Final = 730
MACHINES: Final = {
    "t4g.small": 0.0192, "t4g.medium": 0.0384, "t4g.large": 0.0768, "t4g.xlarge": 0.1536, "t4g.2xlarge": 0.3072,
    "t3.medium": 0.0480, "t3.large": 0.0960, "t3.xlarge": 0.1920, "m7g.large": 0.0976, "m7g.xlarge": 0.1952,
    "m7i.large": 0.1207, "m7i.xlarge": 0.2415, "c7g.large": 0.0829, "c7g.xlarge": 0.1658, "r7g.large": 0.1292,
}  # fmt: skip
"""USD an hour, Linux."""
_DATABASES: Final = {
    "db.t4g.micro": 0.019, "db.t4g.small": 0.038, "db.t4g.medium": 0.076, "db.t4g.large": 0.151, "db.m7g.large": 0.208,
    "db.m7g.xlarge": 0.416, "db.r7g.large": 0.274, "db.r7g.xlarge": 0.548,
}  # fmt: skip
"""USD an hour, one zone; a standby costs as much again."""
_PER_HOUR: Final = {
    "aws:ec2/natGateway:NatGateway": 0.052,
    "aws:lb/loadBalancer:LoadBalancer": 0.027,
    "aws:ec2/eip:Eip": 0.005,
}
_PER_MONTH: Final = {
    "aws:kms/key:Key": 1.0,
    "aws:secretsmanager/secret:Secret": 0.4,
    "aws:cloudwatch/metricAlarm:MetricAlarm": 0.1,
}
_ENDPOINT_ZONE_HOUR: Final = 0.012
_DISK_GIB: Final = 0.0952
_DATABASE_GIB: Final = 0.137
_UNKNOWN_MACHINE: Final = 0.2
_UNKNOWN_DATABASE: Final = 0.4
_NODE_DISK_GIB: Final = 40


def plan_month(resources: list[Resource]) -> float:
    """USD a month of all of them."""
    templates = {
        resource.name: str(at(resource.props, "instanceType"))
        for resource in resources
        if resource.kind == "aws:ec2/launchTemplate:LaunchTemplate"
    }
    return sum(
        month_of(
            resource, next((templates[one] for one in resource.uses.get("launchTemplate", ()) if one in templates), "")
        )
        for resource in resources
    )


def month_of(resource: Resource, machine: str = "") -> float:
    """USD a month; 0 for what costs nothing by itself. What the table lacks counts as a large one.

    Args:
        resource: of any type.
        machine: type of the machines, for a group of them.
    """
    props, kind = resource.props, resource.kind
    if kind in _PER_HOUR:
        return _HOURS * _PER_HOUR[kind]
    if kind in _PER_MONTH:
        return _PER_MONTH[kind]
    if kind == "aws:ec2/vpcEndpoint:VpcEndpoint" and at(props, "vpcEndpointType") == "Interface":
        return _HOURS * _ENDPOINT_ZONE_HOUR * max(1, len(several(at(props, "subnetIds"))))
    if kind == "aws:autoscaling/group:Group":
        # What runs when nothing is to be done: the scaling buys the rest by the load.
        count = at(props, "desiredCapacity")
        hour = MACHINES.get(machine, _UNKNOWN_MACHINE)
        return float(count or 0) * (_HOURS * hour + _NODE_DISK_GIB * _DISK_GIB)
    if kind == "aws:rds/instance:Instance":
        hour = _DATABASES.get(str(at(props, "instanceClass")), _UNKNOWN_DATABASE)
        once = _HOURS * hour + float(at(props, "allocatedStorage") or 0) * _DATABASE_GIB
        return once * (2 if at(props, "multiAz") is True else 1)
    return 0.0
