"""VPC and what is in it."""

from typing import Any, Final

from toolchain.plugin_aws.api import Api
from toolchain.plugin_aws.codecs import FLAG, NUMBER, TEXT, TEXTS, Alone, Block, Pairs, Several
from toolchain.plugin_aws.table import BY_HOOK, Call, Field, It, Part, Row, Tags

FIXED: Final = Field(required=True, replace=True)
"""Given, and never changed in place."""
OPTIONAL_FIXED: Final = Field(replace=True)
EC2_TAGS: Final = Tags(
    Pairs("Key"),
    Call("CreateTags", {"Resources": ["$id"], "Tags": "$tags"}),
    Call("DeleteTags", {"Resources": ["$id"], "Tags": "$keys"}),
    keys_in_pairs=True,
)
_ALONE: Final = Alone(TEXT)
_NO_RULES: Final = Several(Block({}))
"""A list that has to be empty: the default group is there to be closed."""
_OWN: Final = "arn:aws:ec2:$region:$account"


def _attach(api: Api, it: It) -> None:
    if it.old.get("vpcId"):
        api.call("ec2", "DetachInternetGateway", {"InternetGatewayId": it.id, "VpcId": it.old["vpcId"]})
    if it.new.get("vpcId"):
        api.call("ec2", "AttachInternetGateway", {"InternetGatewayId": it.id, "VpcId": it.new["vpcId"]})


def _detach(api: Api, it: It) -> None:
    _attach(api, It(it.id, {}, it.state, it.state))


def _empty_group(api: Api, it: It) -> None:
    """The provider takes every rule out of a default group when it takes the group on."""
    group = api.call("ec2", "DescribeSecurityGroups", {"GroupIds": [it.id]})["SecurityGroups"][0]
    for side, rules in (("Ingress", group["IpPermissions"]), ("Egress", group["IpPermissionsEgress"])):
        if rules:
            api.call("ec2", f"RevokeSecurityGroup{side}", {"GroupId": it.id, "IpPermissions": rules})


def _close_group(api: Api, it: It) -> None:
    """AWS lets a new group talk to anywhere; the provider takes that away."""
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    api.call("ec2", "RevokeSecurityGroupEgress", {"GroupId": it.id, "IpPermissions": [everything]})


def _permission(_: Api, it: It) -> dict[str, Any]:
    new = it.new
    rule: dict[str, Any] = {"IpProtocol": new["ipProtocol"]}
    # moto wants ports of protocols that have none; -1 is how AWS says so.
    rule |= {"FromPort": int(new.get("fromPort", -1)), "ToPort": int(new.get("toPort", -1))}
    said = {"Description": new["description"]} if new.get("description") else {}
    if new.get("cidrIpv4"):
        rule["IpRanges"] = [{"CidrIp": new["cidrIpv4"], **said}]
    if new.get("referencedSecurityGroupId"):
        rule["UserIdGroupPairs"] = [{"GroupId": new["referencedSecurityGroupId"], **said}]
    return {"IpPermissions": [rule]}


def _change_rule(api: Api, it: It) -> None:
    # The provider sends ModifySecurityGroupRules, which moto takes and does not tell afterwards.
    side = "Egress" if it.state["egress"] else "Ingress"
    group = {"GroupId": it.new["securityGroupId"]}
    api.call("ec2", f"RevokeSecurityGroup{side}", group | {"SecurityGroupRuleIds": [it.state["securityGroupRuleId"]]})
    made = api.call("ec2", f"AuthorizeSecurityGroup{side}", group | _permission(api, it))
    # It is another one to AWS, and has no tags yet.
    it.state["tagsAll"] = {}
    it.state["securityGroupRuleId"] = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]


def _change_association(api: Api, it: It) -> None:
    change = {"AssociationId": it.state["associationId"], "RouteTableId": it.new["routeTableId"]}
    it.state["associationId"] = api.call("ec2", "ReplaceRouteTableAssociation", change)["NewAssociationId"]


def _change_endpoint(api: Api, it: It) -> None:
    changes: dict[str, Any] = {"VpcEndpointId": it.id}
    for name, member in (
        ("routeTableIds", "RouteTable"),
        ("subnetIds", "Subnet"),
        ("securityGroupIds", "SecurityGroup"),
    ):
        had, wanted = set(it.old.get(name) or ()), set(it.new.get(name) or ())
        changes |= {f"Add{member}Ids": sorted(wanted - had)} if wanted - had else {}
        changes |= {f"Remove{member}Ids": sorted(had - wanted)} if had - wanted else {}
    if it.new.get("privateDnsEnabled") != it.old.get("privateDnsEnabled"):
        changes["PrivateDnsEnabled"] = bool(it.new.get("privateDnsEnabled"))
    api.call("ec2", "ModifyVpcEndpoint", changes)


def _rule(kind: str) -> Row:
    """A rule; the provider changes all of it in place but its group."""
    return Row(
        f"aws:vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule",
        "ec2",
        Call(f"AuthorizeSecurityGroup{kind}", {"GroupId": "$securityGroupId"}),
        "SecurityGroupRules[0].SecurityGroupRuleId",
        Call("DescribeSecurityGroupRules", {"SecurityGroupRuleIds": ["$securityGroupRuleId"]}, "SecurityGroupRules[0]"),
        Call(
            f"RevokeSecurityGroup{kind}",
            {"GroupId": "$securityGroupId", "SecurityGroupRuleIds": ["$securityGroupRuleId"]},
        ),
        {
            "securityGroupId": Field("GroupId", required=True, replace=True),
            "ipProtocol": Field(BY_HOOK, required=True, read="IpProtocol"),
            "fromPort": Field(BY_HOOK, NUMBER, read="FromPort"),
            "toPort": Field(BY_HOOK, NUMBER, read="ToPort"),
            "cidrIpv4": Field(BY_HOOK, read="CidrIpv4"),
            "referencedSecurityGroupId": Field(BY_HOOK, read="ReferencedGroupInfo.GroupId"),
            # Not told of rules between groups.
            "description": Field(BY_HOOK, read="Description", quiet=True),
        },
        update=_change_rule,
        outputs={"egress": "IsEgress"},
        made={"securityGroupRuleId": "SecurityGroupRules[0].SecurityGroupRuleId"},
        tags=Tags(
            Pairs("Key"),
            Call("CreateTags", {"Resources": ["$securityGroupRuleId"], "Tags": "$tags"}),
            Call("DeleteTags", {"Resources": ["$securityGroupRuleId"], "Tags": "$keys"}),
            keys_in_pairs=True,
        ),
        before=_permission,
    )


ROWS: Final = (
    Row(
        "aws:ec2/vpc:Vpc",
        "ec2",
        Call("CreateVpc"),
        "Vpc.VpcId",
        Call("DescribeVpcs", {"VpcIds": ["$id"]}, "Vpcs[0]"),
        Call("DeleteVpc", {"VpcId": "$id"}),
        {"cidrBlock": OPTIONAL_FIXED},
        parts=tuple(
            Part(
                {name: Field(f"{member}.Value", FLAG, default=default)},
                Call("ModifyVpcAttribute", {"VpcId": "$id"}),
                Call("DescribeVpcAttribute", {"VpcId": "$id", "Attribute": name}),
            )
            for name, member, default in (
                ("enableDnsSupport", "EnableDnsSupport", True),
                ("enableDnsHostnames", "EnableDnsHostnames", False),
            )
        ),
        outputs={"arn": f"{_OWN}:vpc/$id"},
        tags=EC2_TAGS,
    ),
    Row(
        "aws:ec2/subnet:Subnet",
        "ec2",
        Call("CreateSubnet"),
        "Subnet.SubnetId",
        Call("DescribeSubnets", {"SubnetIds": ["$id"]}, "Subnets[0]"),
        Call("DeleteSubnet", {"SubnetId": "$id"}),
        {"vpcId": FIXED, "cidrBlock": OPTIONAL_FIXED, "availabilityZone": OPTIONAL_FIXED},
        parts=(
            Part(
                {
                    "mapPublicIpOnLaunch": Field(
                        "MapPublicIpOnLaunch.Value", FLAG, read="MapPublicIpOnLaunch", default=False
                    )
                },
                Call("ModifySubnetAttribute", {"SubnetId": "$id"}),
            ),
        ),
        outputs={"arn": "SubnetArn", "availabilityZoneId": "AvailabilityZoneId"},
        tags=EC2_TAGS,
    ),
    Row(
        "aws:ec2/internetGateway:InternetGateway",
        "ec2",
        Call("CreateInternetGateway"),
        "InternetGateway.InternetGatewayId",
        Call("DescribeInternetGateways", {"InternetGatewayIds": ["$id"]}, "InternetGateways[0]"),
        Call("DeleteInternetGateway", {"InternetGatewayId": "$id"}),
        {},
        parts=(Part({"vpcId": Field(read="Attachments[0].VpcId")}, _attach),),
        outputs={"arn": f"{_OWN}:internet-gateway/$id"},
        tags=EC2_TAGS,
        before_delete=_detach,
    ),
    Row(
        "aws:ec2/routeTable:RouteTable",
        "ec2",
        Call("CreateRouteTable"),
        "RouteTable.RouteTableId",
        Call("DescribeRouteTables", {"RouteTableIds": ["$id"]}, "RouteTables[0]"),
        Call("DeleteRouteTable", {"RouteTableId": "$id"}),
        {"vpcId": FIXED},
        outputs={"arn": f"{_OWN}:route-table/$id"},
        tags=EC2_TAGS,
    ),
    Row(
        "aws:ec2/route:Route",
        "ec2",
        Call("CreateRoute"),
        "r-$routeTableId-$destinationCidrBlock",
        Call(
            "DescribeRouteTables",
            {"RouteTableIds": ["$routeTableId"]},
            "RouteTables[0].Routes[?DestinationCidrBlock=='$destinationCidrBlock']|[0]",
        ),
        Call("DeleteRoute", {"RouteTableId": "$routeTableId", "DestinationCidrBlock": "$destinationCidrBlock"}),
        {
            "routeTableId": Field(required=True, replace=True, read=""),
            "destinationCidrBlock": OPTIONAL_FIXED,
            "gatewayId": Field(),
            "natGatewayId": Field(),
        },
        update=Call("ReplaceRoute", whole=True),
        outputs={"state": "State"},
    ),
    Row(
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "ec2",
        Call("AssociateRouteTable"),
        "AssociationId",
        Call(
            "DescribeRouteTables",
            {"Filters": [{"Name": "association.route-table-association-id", "Values": ["$associationId"]}]},
            "RouteTables[0].Associations[?RouteTableAssociationId=='$associationId']|[0]",
        ),
        Call("DisassociateRouteTable", {"AssociationId": "$associationId"}),
        {"routeTableId": Field(required=True), "subnetId": OPTIONAL_FIXED},
        update=_change_association,
        made={"associationId": "AssociationId"},
    ),
    Row(
        "aws:ec2/eip:Eip",
        "ec2",
        Call("AllocateAddress"),
        "AllocationId",
        Call("DescribeAddresses", {"AllocationIds": ["$id"]}, "Addresses[0]"),
        Call("ReleaseAddress", {"AllocationId": "$id"}),
        {"domain": Field(replace=True)},
        outputs={"allocationId": "AllocationId", "publicIp": "PublicIp", "arn": f"{_OWN}:elastic-ip/$id"},
        tags=EC2_TAGS,
    ),
    Row(
        "aws:ec2/natGateway:NatGateway",
        "ec2",
        Call("CreateNatGateway"),
        "NatGateway.NatGatewayId",
        # A deleted one is told for an hour, as deleted.
        Call("DescribeNatGateways", {"NatGatewayIds": ["$id"]}, "NatGateways[?State!='deleted']|[0]"),
        Call("DeleteNatGateway", {"NatGatewayId": "$id"}),
        {
            "allocationId": Field(replace=True, read="NatGatewayAddresses.0.AllocationId"),
            "subnetId": OPTIONAL_FIXED,
        },
        outputs={"publicIp": "NatGatewayAddresses[0].PublicIp"},
        tags=EC2_TAGS,
    ),
    Row(
        "aws:ec2/securityGroup:SecurityGroup",
        "ec2",
        Call("CreateSecurityGroup"),
        "GroupId",
        Call("DescribeSecurityGroups", {"GroupIds": ["$id"]}, "SecurityGroups[0]"),
        Call("DeleteSecurityGroup", {"GroupId": "$id"}),
        {
            "name": Field("GroupName", replace=True),
            "description": Field(replace=True),
            "vpcId": OPTIONAL_FIXED,
        },
        outputs={"arn": f"{_OWN}:security-group/$id"},
        tags=EC2_TAGS,
        name="name",
        after=_close_group,
    ),
    Row(
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "ec2",
        # Taken on and never made: it is there with its VPC, and goes with it.
        Call(
            "DescribeSecurityGroups",
            {
                "Filters": [
                    {"Name": "vpc-id", "Values": ["$vpcId"]},
                    {"Name": "group-name", "Values": ["default"]},
                ]
            },
        ),
        "SecurityGroups[0].GroupId",
        Call("DescribeSecurityGroups", {"GroupIds": ["$id"]}, "SecurityGroups[0]"),
        None,
        {
            "vpcId": Field(BY_HOOK, replace=True, read="VpcId"),
            "ingress": Field(BY_HOOK, _NO_RULES, read="IpPermissions"),
            "egress": Field(BY_HOOK, _NO_RULES, read="IpPermissionsEgress"),
        },
        update=_empty_group,
        outputs={"arn": f"{_OWN}:security-group/$id"},
        tags=EC2_TAGS,
        after=_empty_group,
    ),
    _rule("Ingress"),
    _rule("Egress"),
    Row(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "ec2",
        Call("CreateVpcEndpoint"),
        "VpcEndpoint.VpcEndpointId",
        Call("DescribeVpcEndpoints", {"VpcEndpointIds": ["$id"]}, "VpcEndpoints[?State!='deleted']|[0]"),
        Call("DeleteVpcEndpoints", {"VpcEndpointIds": ["$id"]}),
        {
            "vpcId": FIXED,
            "serviceName": OPTIONAL_FIXED,
            "vpcEndpointType": OPTIONAL_FIXED,
            "privateDnsEnabled": Field(codec=FLAG, default=False),
            "routeTableIds": Field(codec=TEXTS, default=[]),
            "subnetIds": Field(codec=TEXTS, default=[]),
            "securityGroupIds": Field(codec=TEXTS, read="Groups[].GroupId", default=[]),
        },
        update=_change_endpoint,
        before=lambda _api, it: {"PrivateDnsEnabled": bool(it.new.get("privateDnsEnabled"))},
        outputs={"arn": f"{_OWN}:vpc-endpoint/$id", "state": "State"},
        tags=EC2_TAGS,
    ),
    Row(
        "aws:ec2/flowLog:FlowLog",
        "ec2",
        Call("CreateFlowLogs"),
        "FlowLogIds[0]",
        Call("DescribeFlowLogs", {"FlowLogIds": ["$id"]}, "FlowLogs[0]"),
        Call("DeleteFlowLogs", {"FlowLogIds": ["$id"]}),
        {
            "vpcId": Field("ResourceIds", _ALONE, replace=True, read="ResourceId"),
            "trafficType": OPTIONAL_FIXED,
            "logDestinationType": OPTIONAL_FIXED,
            "logDestination": OPTIONAL_FIXED,
            "iamRoleArn": Field("DeliverLogsPermissionArn", replace=True),
            "maxAggregationInterval": Field(codec=NUMBER, replace=True, default=600),
        },
        outputs={"arn": f"{_OWN}:vpc-flow-log/$id"},
        tags=EC2_TAGS,
        before=lambda _api, _it: {"ResourceType": "VPC"},
    ),
)
