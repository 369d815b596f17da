"""The stand-in's table, row by row, against moto: made, read back as it was given, changed in place, taken away."""

import inspect
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import boto3
import jmespath
import pytest
from moto.server import ThreadedMotoServer

from components.aws.program import SERVICES
from toolchain.plugin_aws.api import Api, ApiError
from toolchain.plugin_aws.codecs import UNKNOWN
from toolchain.plugin_aws.resource import Resource
from toolchain.plugin_aws.rows import ROWS

REGION = "eu-central-1"
DEFAULTS = {"beamops:stack": "t-staging"}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}],
    }
)


def policy(action: str) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


@dataclass
class World:
    """An account with what the rows need to be there."""

    api: Api
    endpoint: str
    ids: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    def make(self, token: str, **inputs: Any) -> str:
        """What a row needs, made by the row of its type."""
        resource = Resource(ROWS[token], self.api, {})
        checked, faults = resource.check(inputs, {}, "t", "1234567")
        assert not faults
        id_, state, fault = resource.create(checked)
        assert fault is None, fault
        return str(state.get("arn", id_)) if token.startswith(("aws:kms/key", "aws:secretsmanager")) else id_


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    patch = pytest.MonkeyPatch()
    patch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    patch.setattr("moto.settings.ACM_VALIDATION_WAIT", 1)
    patch.delenv("AWS_PROFILE", raising=False)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"
    made = World(Api(REGION, dict.fromkeys(SERVICES, endpoint)), endpoint)
    ids, make = made.ids, made.make
    ids["vpc"] = make("aws:ec2/vpc:Vpc", cidrBlock="10.9.0.0/16")
    for letter, block in (("a", 0), ("b", 16)):
        ids[f"subnet-{letter}"] = make(
            "aws:ec2/subnet:Subnet",
            vpcId=ids["vpc"],
            cidrBlock=f"10.9.{block}.0/20",
            availabilityZone=f"{REGION}{letter}",
        )
    ids["gateway"] = make("aws:ec2/internetGateway:InternetGateway", vpcId=ids["vpc"])
    ids["other-gateway"] = make("aws:ec2/internetGateway:InternetGateway")
    for name in ("table", "other-table"):
        ids[name] = make("aws:ec2/routeTable:RouteTable", vpcId=ids["vpc"])
    for name in ("group", "other-group"):
        ids[name] = make("aws:ec2/securityGroup:SecurityGroup", name=name, description="x", vpcId=ids["vpc"])
    ids["address"] = make("aws:ec2/eip:Eip", domain="vpc")
    for name in ("role", "other-role"):
        make("aws:iam/role:Role", name=name, assumeRolePolicy=TRUST)
    ids["key"], ids["other-key"] = make("aws:kms/key:Key"), make("aws:kms/key:Key")
    ids["secret"] = make("aws:secretsmanager/secret:Secret", name="secret")
    ids["logs"] = f"arn:aws:logs:{REGION}:{made.api.account}:log-group:{make(LOGS, name='flows')}"
    ids["template"] = make(TEMPLATE, name="template", imageId="ami-12345678", instanceType="t4g.micro")
    ids["fleet"] = make(
        FLEET,
        name="fleet",
        minSize=0,
        maxSize=1,
        vpcZoneIdentifiers=[ids["subnet-a"]],
        launchTemplate={"id": ids["template"], "version": "1"},
    )
    ids["target"] = make("aws:lb/targetGroup:TargetGroup", name="target", port=80, protocol="HTTP", vpcId=ids["vpc"])
    ids["balancer"] = make(
        "aws:lb/loadBalancer:LoadBalancer",
        name="balancer",
        subnets=[ids["subnet-a"], ids["subnet-b"]],
        securityGroups=[ids["group"]],
    )
    ids["certificate"] = make("aws:acm/certificate:Certificate", domainName="t.example.com", validationMethod="DNS")
    zone = made.client("route53").create_hosted_zone(Name="example.com", CallerReference="x")
    ids["zone"] = zone["HostedZone"]["Id"].rpartition("/")[2]
    make("aws:rds/parameterGroup:ParameterGroup", name="parameters", family="postgres16", description="x")
    make("aws:rds/subnetGroup:SubnetGroup", name="subnets", description="x", subnetIds=[ids["subnet-a"]])
    ids["bucket"] = make("aws:s3/bucket:Bucket", bucket="t-bucket")
    ids["topic"] = make("aws:sns/topic:Topic", name="topic")
    ids["repository"] = make("aws:ecr/repository:Repository", name="t/repository")
    yield made
    server.stop()
    patch.undo()


LOGS = "aws:cloudwatch/logGroup:LogGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
FLEET = "aws:autoscaling/group:Group"
RULE = {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "cidrIpv4": "10.0.0.0/8", "description": "before"}


@dataclass(frozen=True)
class Case:
    """A resource, one change of it in place, and what AWS says of the change when it is asked without the table."""

    given: Callable[[dict[str, str]], dict[str, Any]]
    change: Callable[[dict[str, str]], dict[str, Any]] = lambda _: {}
    sees: tuple[str, str, dict[str, Any], str] = ("", "", {}, "")
    expected: Any = None


def lifecycle(priority: int) -> str:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}
    rule = {"rulePriority": priority, "selection": selection, "action": {"type": "expire"}}
    return json.dumps({"rules": [rule]})


def tagged(service: str, call: str, given: dict[str, Any], at: str) -> dict[str, Any]:
    """A change of tags, seen where the tags of a kind are."""
    return {"change": lambda _: {"tags": {"Name": "after"}}, "sees": (service, call, given, at), "expected": "after"}


def ec2(call: str, member: str, key: str) -> dict[str, Any]:
    return tagged("ec2", call, {member: ["$id"]}, f"{key}[0].Tags[?Key=='Name'].Value|[0]")


CASES = {
    "aws:ec2/vpc:Vpc": Case(
        lambda _: {"cidrBlock": "10.8.0.0/16", "enableDnsHostnames": True, "enableDnsSupport": True},
        lambda _: {"enableDnsHostnames": False},
        (
            "ec2",
            "describe_vpc_attribute",
            {"VpcId": "$id", "Attribute": "enableDnsHostnames"},
            "EnableDnsHostnames.Value",
        ),
        False,
    ),
    "aws:ec2/subnet:Subnet": Case(
        lambda ids: {"vpcId": ids["vpc"], "cidrBlock": "10.9.64.0/20", "availabilityZone": f"{REGION}a"},
        lambda _: {"mapPublicIpOnLaunch": True},
        ("ec2", "describe_subnets", {"SubnetIds": ["$id"]}, "Subnets[0].MapPublicIpOnLaunch"),
        True,
    ),
    "aws:ec2/internetGateway:InternetGateway": Case(
        lambda ids: {"vpcId": ids["vpc"], "tags": {"Name": "before"}},
        **ec2("describe_internet_gateways", "InternetGatewayIds", "InternetGateways"),
    ),
    "aws:ec2/routeTable:RouteTable": Case(
        lambda ids: {"vpcId": ids["vpc"], "tags": {"Name": "before", "gone": "x"}},
        **ec2("describe_route_tables", "RouteTableIds", "RouteTables"),
    ),
    "aws:ec2/route:Route": Case(
        lambda ids: {"routeTableId": ids["table"], "destinationCidrBlock": "0.0.0.0/0", "gatewayId": ids["gateway"]},
        lambda ids: {"gatewayId": ids["other-gateway"]},
        ("ec2", "describe_route_tables", {"RouteTableIds": ["$table"]}, "RouteTables[0].Routes[-1].GatewayId"),
        "$other-gateway",
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Case(
        lambda ids: {"routeTableId": ids["table"], "subnetId": ids["subnet-a"]},
        lambda ids: {"routeTableId": ids["other-table"]},
        (
            "ec2",
            "describe_route_tables",
            {"RouteTableIds": ["$other-table"]},
            "RouteTables[0].Associations[0].SubnetId",
        ),
        "$subnet-a",
    ),
    "aws:ec2/eip:Eip": Case(
        lambda _: {"domain": "vpc", "tags": {"Name": "before"}},
        **ec2("describe_addresses", "AllocationIds", "Addresses"),
    ),
    "aws:ec2/natGateway:NatGateway": Case(
        lambda ids: {"allocationId": ids["address"], "subnetId": ids["subnet-a"]},
        **ec2("describe_nat_gateways", "NatGatewayIds", "NatGateways"),
    ),
    "aws:ec2/securityGroup:SecurityGroup": Case(
        lambda ids: {"name": "t", "description": "x", "vpcId": ids["vpc"]},
        **ec2("describe_security_groups", "GroupIds", "SecurityGroups"),
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": Case(
        lambda ids: {"vpcId": ids["vpc"], "ingress": [], "egress": []},
        **ec2("describe_security_groups", "GroupIds", "SecurityGroups"),
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Case(
        lambda ids: {"securityGroupId": ids["group"], **RULE},
        lambda _: {"description": "after"},
        (
            "ec2",
            "describe_security_groups",
            {"GroupIds": ["$group"]},
            "SecurityGroups[0].IpPermissions[0].IpRanges[0].Description",
        ),
        "after",
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": Case(
        lambda ids: {
            "securityGroupId": ids["group"],
            "referencedSecurityGroupId": ids["other-group"],
            "ipProtocol": "50",
            "description": "x",
        },
        lambda _: {"ipProtocol": "51"},
        (
            "ec2",
            "describe_security_groups",
            {"GroupIds": ["$group"]},
            "SecurityGroups[0].IpPermissionsEgress[0].IpProtocol",
        ),
        "51",
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Case(
        lambda ids: {
            "vpcId": ids["vpc"],
            "serviceName": f"com.amazonaws.{REGION}.kms",
            "vpcEndpointType": "Interface",
            "privateDnsEnabled": True,
            "subnetIds": [ids["subnet-a"]],
            "securityGroupIds": [ids["group"]],
        },
        lambda ids: {"subnetIds": [ids["subnet-a"], ids["subnet-b"]]},
        ("ec2", "describe_vpc_endpoints", {"VpcEndpointIds": ["$id"]}, "length(VpcEndpoints[0].SubnetIds)"),
        2,
    ),
    "aws:ec2/flowLog:FlowLog": Case(
        lambda ids: {
            "vpcId": ids["vpc"],
            "trafficType": "ALL",
            "logDestinationType": "cloud-watch-logs",
            "logDestination": ids["logs"],
            "iamRoleArn": "arn:aws:iam::123456789012:role/role",
            "maxAggregationInterval": 60,
        },
        **ec2("describe_flow_logs", "FlowLogIds", "FlowLogs"),
    ),
    "aws:iam/role:Role": Case(
        lambda _: {"name": "t", "assumeRolePolicy": TRUST, "description": "before"},
        lambda _: {"description": "after"},
        ("iam", "get_role", {"RoleName": "t"}, "Role.Description"),
        "after",
    ),
    "aws:iam/rolePolicy:RolePolicy": Case(
        lambda _: {"name": "t", "role": "role", "policy": policy("s3:GetObject")},
        lambda _: {"policy": policy("s3:PutObject")},
        ("iam", "get_role_policy", {"RoleName": "role", "PolicyName": "t"}, "PolicyDocument.Statement[0].Action"),
        "s3:PutObject",
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Case(
        lambda _: {"role": "role", "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
        sees=("iam", "list_attached_role_policies", {"RoleName": "role"}, "AttachedPolicies[0].PolicyName"),
        expected="ReadOnlyAccess",
    ),
    "aws:iam/instanceProfile:InstanceProfile": Case(
        lambda _: {"name": "t", "role": "role"},
        lambda _: {"role": "other-role"},
        ("iam", "get_instance_profile", {"InstanceProfileName": "t"}, "InstanceProfile.Roles[0].RoleName"),
        "other-role",
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Case(
        lambda _: {"url": "https://token.example.com", "clientIdLists": ["sts.amazonaws.com"]},
        **tagged(
            "iam",
            "get_open_id_connect_provider",
            {"OpenIDConnectProviderArn": "$id"},
            "Tags[?Key=='Name'].Value|[0]",
        ),
    ),
    "aws:kms/key:Key": Case(
        lambda _: {"description": "x", "policy": policy("kms:*"), "deletionWindowInDays": 7},
        lambda _: {"enableKeyRotation": True},
        ("kms", "get_key_rotation_status", {"KeyId": "$id"}, "KeyRotationEnabled"),
        True,
    ),
    "aws:kms/alias:Alias": Case(
        lambda ids: {"name": "alias/t", "targetKeyId": ids["key"].rpartition("/")[2]},
        lambda ids: {"targetKeyId": ids["other-key"].rpartition("/")[2]},
        ("kms", "describe_key", {"KeyId": "alias/t"}, "KeyMetadata.Arn"),
        "$other-key",
    ),
    "aws:secretsmanager/secret:Secret": Case(
        lambda ids: {"name": "t", "description": "before", "kmsKeyId": ids["key"], "recoveryWindowInDays": 0},
        lambda _: {"description": "after"},
        ("secretsmanager", "describe_secret", {"SecretId": "t"}, "Description"),
        "after",
    ),
    "aws:ssm/parameter:Parameter": Case(
        lambda _: {"name": "/t/images", "type": "String", "insecureValue": "before"},
        lambda _: {"insecureValue": "after"},
        ("ssm", "get_parameter", {"Name": "$id"}, "Parameter.Value"),
        "after",
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Case(
        lambda ids: {"secretId": ids["secret"], "secretString": "s"},
        sees=("secretsmanager", "get_secret_value", {"SecretId": "secret"}, "SecretString"),
        expected="s",
    ),
    TEMPLATE: Case(
        lambda ids: {
            "name": "t",
            "imageId": "ami-12345678",
            "instanceType": "t4g.micro",
            "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
            "networkInterfaces": [{"associatePublicIpAddress": "false", "securityGroups": [ids["group"]]}],
            "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"volumeSize": 20, "encrypted": "true"}}],
            "tagSpecifications": [{"resourceType": "instance", "tags": {"Name": "x"}}],
            "updateDefaultVersion": True,
        },
        lambda _: {"instanceType": "t4g.large"},
        (
            "ec2",
            "describe_launch_template_versions",
            {"LaunchTemplateId": "$id", "Versions": ["$Default"]},
            "LaunchTemplateVersions[0].LaunchTemplateData.InstanceType",
        ),
        "t4g.large",
    ),
    FLEET: Case(
        lambda ids: {
            "name": "t",
            "minSize": 0,
            "maxSize": 2,
            "desiredCapacity": 0,
            "vpcZoneIdentifiers": [ids["subnet-a"], ids["subnet-b"]],
            "launchTemplate": {"id": ids["template"], "version": "1"},
            "tags": [{"key": "a", "value": "b", "propagateAtLaunch": False}],
        },
        lambda ids: {"maxSize": 5, "targetGroupArns": [ids["target"]]},
        (
            "autoscaling",
            "describe_auto_scaling_groups",
            {"AutoScalingGroupNames": ["t"]},
            "AutoScalingGroups[0].[MaxSize, TargetGroupARNs[0]]",
        ),
        [5, "$target"],
    ),
    "aws:autoscaling/policy:Policy": Case(
        lambda _: {
            "name": "t",
            "autoscalingGroupName": "fleet",
            "policyType": "TargetTrackingScaling",
            "targetTrackingConfiguration": {
                "predefinedMetricSpecification": {"predefinedMetricType": "ASGAverageCPUUtilization"},
                "targetValue": 50,
            },
        },
        lambda _: {
            "targetTrackingConfiguration": {
                "customizedMetricSpecification": {
                    "namespace": "n",
                    "metricName": "m",
                    "statistic": "Average",
                    "metricDimensions": [{"name": "a", "value": "b"}],
                },
                "targetValue": 5,
            }
        },
        (
            "autoscaling",
            "describe_policies",
            {"AutoScalingGroupName": "fleet", "PolicyNames": ["t"]},
            "ScalingPolicies[0].TargetTrackingConfiguration.CustomizedMetricSpecification.MetricName",
        ),
        "m",
    ),
    "aws:autoscaling/lifecycleHook:LifecycleHook": Case(
        lambda _: {
            "name": "t",
            "autoscalingGroupName": "fleet",
            "lifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
            "heartbeatTimeout": 60,
            "defaultResult": "CONTINUE",
        },
        lambda _: {"heartbeatTimeout": 90},
        (
            "autoscaling",
            "describe_lifecycle_hooks",
            {"AutoScalingGroupName": "fleet"},
            "LifecycleHooks[0].HeartbeatTimeout",
        ),
        90,
    ),
    "aws:lb/loadBalancer:LoadBalancer": Case(
        lambda ids: {
            "name": "t",
            "internal": False,
            "loadBalancerType": "application",
            "subnets": [ids["subnet-a"], ids["subnet-b"]],
            "securityGroups": [ids["group"]],
            "idleTimeout": 75,
            "accessLogs": {"bucket": ids["bucket"], "enabled": True},
        },
        lambda ids: {"securityGroups": [ids["other-group"]], "dropInvalidHeaderFields": True},
        ("elbv2", "describe_load_balancers", {"LoadBalancerArns": ["$id"]}, "LoadBalancers[0].SecurityGroups"),
        ["$other-group"],
    ),
    "aws:lb/targetGroup:TargetGroup": Case(
        lambda ids: {
            "name": "t",
            "port": 80,
            "protocol": "HTTP",
            "vpcId": ids["vpc"],
            "deregistrationDelay": 30,
            "healthCheck": {"path": "/before", "interval": 5, "timeout": 3, "matcher": "200"},
        },
        lambda _: {"healthCheck": {"path": "/after", "interval": 5, "timeout": 3, "matcher": "200"}},
        ("elbv2", "describe_target_groups", {"TargetGroupArns": ["$id"]}, "TargetGroups[0].HealthCheckPath"),
        "/after",
    ),
    "aws:lb/listener:Listener": Case(
        lambda ids: {
            "loadBalancerArn": ids["balancer"],
            "port": 443,
            "protocol": "HTTPS",
            "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
            "certificateArn": ids["certificate"],
            "defaultActions": [{"type": "forward", "targetGroupArn": ids["target"]}],
        },
        lambda _: {
            "defaultActions": [
                {"type": "redirect", "redirect": {"port": "443", "protocol": "HTTPS", "statusCode": "HTTP_301"}}
            ]
        },
        ("elbv2", "describe_listeners", {"ListenerArns": ["$id"]}, "Listeners[0].DefaultActions[0].Type"),
        "redirect",
    ),
    "aws:acm/certificate:Certificate": Case(
        lambda _: {"domainName": "u.example.com", "validationMethod": "DNS"},
        **tagged("acm", "list_tags_for_certificate", {"CertificateArn": "$id"}, "Tags[?Key=='Name'].Value|[0]"),
    ),
    "aws:acm/certificateValidation:CertificateValidation": Case(
        lambda ids: {"certificateArn": ids["certificate"], "validationRecordFqdns": ["x.example.com"]}
    ),
    "aws:route53/record:Record": Case(
        lambda ids: {"zoneId": ids["zone"], "name": "t.example.com", "type": "A", "ttl": 60, "records": ["192.0.2.1"]},
        lambda _: {"records": ["192.0.2.2"]},
        (
            "route53",
            "list_resource_record_sets",
            {"HostedZoneId": "$zone"},
            "ResourceRecordSets[?Name=='t.example.com.'].ResourceRecords[0].Value|[0]",
        ),
        "192.0.2.2",
    ),
    "aws:rds/parameterGroup:ParameterGroup": Case(
        lambda _: {
            "name": "t",
            "family": "postgres16",
            "description": "x",
            "parameters": [{"name": "rds.force_ssl", "value": "1"}],
        },
        lambda _: {"parameters": [{"name": "rds.force_ssl", "value": "0"}]},
        ("rds", "describe_db_parameters", {"DBParameterGroupName": "t"}, "Parameters[0].ParameterValue"),
        "0",
    ),
    "aws:rds/subnetGroup:SubnetGroup": Case(
        lambda ids: {"name": "t", "description": "before", "subnetIds": [ids["subnet-a"]]},
        lambda ids: {"subnetIds": [ids["subnet-a"], ids["subnet-b"]]},
        ("rds", "describe_db_subnet_groups", {"DBSubnetGroupName": "t"}, "length(DBSubnetGroups[0].Subnets)"),
        2,
    ),
    "aws:rds/instance:Instance": Case(
        lambda ids: {
            "identifier": "t",
            "engine": "postgres",
            "engineVersion": "16",
            "instanceClass": "db.t4g.micro",
            "allocatedStorage": 20,
            "storageEncrypted": True,
            "kmsKeyId": ids["key"],
            "username": "u",
            "password": "p" * 20,
            "dbSubnetGroupName": "subnets",
            "vpcSecurityGroupIds": [ids["group"]],
            "parameterGroupName": "parameters",
            "enabledCloudwatchLogsExports": ["postgresql"],
            "skipFinalSnapshot": True,
        },
        lambda _: {"instanceClass": "db.t4g.small", "backupRetentionPeriod": 9},
        ("rds", "describe_db_instances", {"DBInstanceIdentifier": "t"}, "DBInstances[0].BackupRetentionPeriod"),
        9,
    ),
    "aws:dynamodb/table:Table": Case(
        lambda ids: {
            "name": "t",
            "billingMode": "PAY_PER_REQUEST",
            "hashKey": "name",
            "attributes": [{"name": "name", "type": "S"}],
            "serverSideEncryption": {"enabled": True, "kmsKeyArn": ids["key"]},
        },
        lambda _: {"pointInTimeRecovery": {"enabled": True}},
        (
            "dynamodb",
            "describe_continuous_backups",
            {"TableName": "t"},
            "ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus",
        ),
        "ENABLED",
    ),
    "aws:s3/bucket:Bucket": Case(
        lambda _: {"bucket": "t-other-bucket", "tags": {"Name": "before", "gone": "x"}},
        **tagged("s3", "get_bucket_tagging", {"Bucket": "$id"}, "TagSet[?Key=='Name'].Value|[0]"),
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Case(
        lambda ids: {"bucket": ids["bucket"], "blockPublicAcls": True},
        lambda _: {"blockPublicPolicy": True},
        ("s3", "get_public_access_block", {"Bucket": "$id"}, "PublicAccessBlockConfiguration.BlockPublicPolicy"),
        True,
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Case(
        lambda ids: {
            "bucket": ids["bucket"],
            "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}],
        },
        lambda _: {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}]},
        (
            "s3",
            "get_bucket_encryption",
            {"Bucket": "$id"},
            "ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm",
        ),
        "aws:kms",
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Case(
        lambda ids: {
            "bucket": ids["bucket"],
            "rules": [{"id": "x", "status": "Enabled", "filter": {"prefix": ""}, "expiration": {"days": 9}}],
        },
        lambda _: {"rules": [{"id": "x", "status": "Enabled", "filter": {"prefix": ""}, "expiration": {"days": 8}}]},
        ("s3", "get_bucket_lifecycle_configuration", {"Bucket": "$id"}, "Rules[0].Expiration.Days"),
        8,
    ),
    "aws:s3/bucketPolicy:BucketPolicy": Case(
        lambda ids: {"bucket": ids["bucket"], "policy": policy("s3:GetObject")},
        lambda _: {"policy": policy("s3:PutObject")},
        ("s3", "get_bucket_policy", {"Bucket": "$id"}, "contains(Policy, 's3:PutObject')"),
        True,
    ),
    "aws:ecr/repository:Repository": Case(
        lambda ids: {
            "name": "t/other",
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": False},
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": ids["key"]}],
        },
        lambda _: {"imageScanningConfiguration": {"scanOnPush": True}},
        (
            "ecr",
            "describe_repositories",
            {"repositoryNames": ["$id"]},
            "repositories[0].imageScanningConfiguration.scanOnPush",
        ),
        True,
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Case(
        lambda ids: {"repository": ids["repository"], "policy": lifecycle(1)},
        lambda _: {"policy": lifecycle(2)},
        (
            "ecr",
            "get_lifecycle_policy",
            {"repositoryName": "$id"},
            "contains(lifecyclePolicyText, '\"rulePriority\": 2')",
        ),
        True,
    ),
    LOGS: Case(
        lambda _: {"name": "t", "retentionInDays": 7},
        lambda _: {"retentionInDays": 30},
        ("logs", "describe_log_groups", {"logGroupNamePrefix": "t"}, "logGroups[0].retentionInDays"),
        30,
    ),
    "aws:budgets/budget:Budget": Case(
        lambda _: {
            "name": "t",
            "budgetType": "COST",
            "timeUnit": "MONTHLY",
            "limitAmount": "5",
            "limitUnit": "USD",
            "costFilters": [{"name": "TagKeyValue", "values": ["user:a$b"]}],
            "notifications": [
                {
                    "comparisonOperator": "GREATER_THAN",
                    "threshold": 80,
                    "thresholdType": "PERCENTAGE",
                    "notificationType": "ACTUAL",
                    "subscriberEmailAddresses": ["a@example.com"],
                }
            ],
        },
        lambda _: {"limitAmount": "6"},
        ("budgets", "describe_budget", {"AccountId": "123456789012", "BudgetName": "t"}, "Budget.BudgetLimit.Amount"),
        "6",
    ),
    "aws:sns/topic:Topic": Case(
        lambda ids: {
            "name": "t",
            "displayName": "before",
            "kmsMasterKeyId": ids["key"],
            "policy": policy("sns:Publish"),
            "tags": {"a": "b"},
        },
        lambda _: {"displayName": "after", "policy": policy("sns:Subscribe")},
        ("sns", "get_topic_attributes", {"TopicArn": "$id"}, "Attributes.DisplayName"),
        "after",
    ),
    "aws:sns/topicSubscription:TopicSubscription": Case(
        lambda ids: {"topic": ids["topic"], "protocol": "email", "endpoint": "a@example.com"},
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Case(
        lambda ids: {
            "name": "t",
            "alarmDescription": "before",
            "namespace": "BEAMOps",
            "metricName": "AlertFiring",
            "dimensions": {"Alert": "CoordinatorDown"},
            "period": 60,
            "statistic": "Maximum",
            "comparisonOperator": "GreaterThanThreshold",
            "threshold": 0,
            "evaluationPeriods": 1,
            "treatMissingData": "ignore",
            "alarmActions": [ids["topic"]],
            "okActions": [ids["topic"]],
            "tags": {"a": "b"},
        },
        lambda _: {"alarmDescription": "after", "evaluationPeriods": 10},
        ("cloudwatch", "describe_alarms", {"AlarmNames": ["t"]}, "MetricAlarms[0].EvaluationPeriods"),
        10,
    ),
}
NEVER_CHANGED = {
    "aws:sns/topicSubscription:TopicSubscription",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:secretsmanager/secretVersion:SecretVersion",
    "aws:acm/certificateValidation:CertificateValidation",
}
"""Every property of these makes a new resource: there is nothing to change in place."""
NEW_AT_TIMES = {"privateDnsEnabled"}
"""Of endpoints that are no interfaces, which do not have it."""
STAYS = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:secretsmanager/secretVersion:SecretVersion",
    "aws:acm/certificateValidation:CertificateValidation",
}
"""These go with what they are of."""


def fill(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: fill(one, ids) for key, one in value.items()}
    if isinstance(value, list):
        return [fill(one, ids) for one in value]
    return ids.get(value[1:], value) if isinstance(value, str) and value.startswith("$") else value


def test_every_row_has_its_case() -> None:
    assert set(CASES) == set(ROWS)


@pytest.mark.parametrize("token", CASES)
def test_a_row(world: World, token: str) -> None:
    case, resource = CASES[token], Resource(ROWS[token], world.api, DEFAULTS)

    def check(inputs: dict[str, Any]) -> dict[str, Any]:
        checked, faults = resource.check(inputs, {}, "t", "1234567")
        assert not faults, faults
        return checked

    given = check(case.given(world.ids))
    id_, state, fault = resource.create(given)
    assert fault is None, fault
    assert not [name for name, value in state.items() if value is None], state

    def assert_settled(inputs: dict[str, Any], state: dict[str, Any], when: str) -> None:
        found = resource.read(id_, inputs, state)
        assert found is not None, f"{when}: it is not there"
        difference = resource.diff(found[0], inputs, found[1])
        assert not difference.changed, f"{when}: {difference.detail}; AWS has {found[0]}"
        assert found[1] == state, f"{when}: the state is read back otherwise"

    assert_settled(given, state, "after it was made")
    changed = check({**case.given(world.ids), **case.change(world.ids)})
    if changed != given:
        assert not resource.diff(given, changed, state).replaces, "the change should be one in place"
        state, fault = resource.update(id_, given, changed, state)
        assert fault is None, fault
        assert_settled(changed, state, "after it was changed")
    else:
        assert token in NEVER_CHANGED
    if case.sees[0]:
        service, call, parameters, at = case.sees
        known = {**world.ids, "id": id_}
        answer = getattr(world.client(service), call)(**fill(parameters, known))
        assert jmespath.search(at, answer) == fill(case.expected, known), f"{call} says {answer}"
    resource.delete(id_, state)
    if token not in STAYS:
        assert resource.read(id_, changed, state) is None, "it is still there after it was taken away"
        resource.delete(id_, state)


def documented(token: str) -> dict[str, tuple[bool, str]]:
    """A type's properties in the SDK: whether it has to be given, and what its documentation says."""
    module, _, kind = token.removeprefix("aws:").partition("/")
    package = import_module(f"pulumi_aws.{module}")
    name = kind.partition(":")[2]
    arguments = getattr(package, f"{name}InitArgs", None) or getattr(package, f"{name}Args")
    told = dict(re.findall(r":param [^:]*? (\w+): (.*?)(?=:param|\Z)", arguments.__init__.__doc__ or "", re.DOTALL))
    signature = inspect.signature(arguments.__init__).parameters.values()
    given = [one for one in signature if one.name != "__self__"]
    return {
        re.sub(r"_(\w)", lambda found: found[1].upper(), one.name): (
            one.default is inspect.Parameter.empty,
            told.get(one.name, ""),
        )
        for one in given
    }


@pytest.mark.parametrize("token", ROWS)
def test_a_row_says_what_the_providers_documentation_says(token: str) -> None:
    sdk, row = documented(token), ROWS[token]
    fields = row.all_fields()
    assert not (set(fields) | set(row.local)) - set(sdk), "properties that the provider does not have"
    assert {name for name, (required, _) in sdk.items() if required} == {
        name for name, one in fields.items() if one.required
    }
    forced = {
        name
        for name, (_, text) in sdk.items()
        if re.search(r"forces? (?:a )?new|will be re-?created", text, re.IGNORECASE)
    }
    assert forced & set(fields) - NEW_AT_TIMES <= {name for name, one in fields.items() if one.replace}


def resource_of(world: World, token: str) -> Resource:
    return Resource(ROWS[token], world.api, DEFAULTS)


def test_an_unknown_property_is_refused(world: World) -> None:
    _, faults = resource_of(world, "aws:ec2/vpc:Vpc").check({"cidrBlock": "10.0.0.0/16", "ipv6": True}, {}, "t", "1")
    assert faults == [("ipv6", "the stand-in for the AWS plugin does not carry 'ipv6' of aws:ec2/vpc:Vpc")]


def test_an_unknown_nested_key_is_refused_by_its_path(world: World) -> None:
    inputs = {"metadataOptions": {"httpTokens": "required", "hops": 1}}
    _, ((name, fault),) = resource_of(world, TEMPLATE).check(inputs, {}, "t", "1")
    assert name == "metadataOptions"
    assert fault.startswith("metadataOptions.hops: unknown key; the stand-in carries httpEndpoint, ")


def test_what_aws_does_not_offer_is_refused_in_the_preview(world: World) -> None:
    inputs = {"vpcId": "vpc-1", "serviceName": "x", "vpcEndpointType": "Interfaces"}
    _, ((_, fault),) = resource_of(world, "aws:ec2/vpcEndpoint:VpcEndpoint").check(inputs, {}, "t", "1")
    assert fault.startswith("ec2 CreateVpcEndpoint: VpcEndpointType: given Interfaces, offered Interface, Gateway")


def test_a_missing_property_is_named(world: World) -> None:
    _, faults = resource_of(world, "aws:iam/role:Role").check({"name": "t"}, {}, "t", "1")
    assert faults == [("assumeRolePolicy", "missing required property 'assumeRolePolicy'")]


def test_a_made_up_name_is_kept_from_run_to_run(world: World) -> None:
    bucket = resource_of(world, "aws:s3/bucket:Bucket")
    first, _ = bucket.check({"bucketPrefix": "logs-"}, {}, "t", "1111111")
    second, _ = bucket.check({"bucketPrefix": "logs-"}, first, "t", "2222222")
    other, _ = bucket.check({"bucketPrefix": "other-"}, first, "t", "2222222")
    assert [one["bucket"] for one in (first, second, other)] == ["logs-1111111", "logs-1111111", "other-2222222"]


def test_a_preview_knows_what_is_given_and_no_more(world: World) -> None:
    state = resource_of(world, "aws:ec2/vpc:Vpc").foresee({"cidrBlock": "10.0.0.0/16"})
    assert state == {"cidrBlock": "10.0.0.0/16", "arn": UNKNOWN, "tagsAll": DEFAULTS}


def test_what_changed_behind_our_back_is_seen(world: World) -> None:
    vpc = resource_of(world, "aws:ec2/vpc:Vpc")
    inputs, _ = vpc.check({"cidrBlock": "10.7.0.0/16", "tags": {"Name": "x"}}, {}, "t", "1")
    id_, state, _ = vpc.create(inputs)
    ec2 = world.client("ec2")
    ec2.modify_vpc_attribute(VpcId=id_, EnableDnsHostnames={"Value": True})
    ec2.create_tags(Resources=[id_], Tags=[{"Key": "foreign", "Value": "y"}])
    found = vpc.read(id_, inputs, state)
    assert found is not None
    assert vpc.diff(found[0], inputs, found[1]).detail == {"enableDnsHostnames": "DELETE", "tags.foreign": "DELETE"}


def test_the_order_of_keys_and_of_sets_is_no_change(world: World) -> None:
    tags = [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
    turned = [dict(reversed(tag.items())) for tag in reversed(tags)]
    difference = resource_of(world, FLEET).diff({"tags": tags}, {"tags": turned}, {})
    assert not difference.changed


def test_a_new_default_tag_is_a_change(world: World) -> None:
    inputs = {"cidrBlock": "10.0.0.0/16"}
    state = resource_of(world, "aws:ec2/vpc:Vpc").foresee(inputs)
    after = Resource(ROWS["aws:ec2/vpc:Vpc"], world.api, {**DEFAULTS, "beamops:owner": "x"})
    assert after.diff(inputs, inputs, state).detail == {'tagsAll["beamops:owner"]': "ADD"}


def test_what_failed_after_it_was_made_is_handed_over(world: World) -> None:
    profile = resource_of(world, "aws:iam/instanceProfile:InstanceProfile")
    id_, state, fault = profile.create({"name": "half", "role": "no-such-role"})
    assert id_ == "half"
    assert fault is not None and fault.startswith("iam AddRoleToInstanceProfile: NoSuchEntity")
    assert world.client("iam").get_instance_profile(InstanceProfileName="half")
    profile.delete(id_, state)


def test_a_name_that_is_taken_is_one_line(world: World) -> None:
    with pytest.raises(ApiError, match=r"^iam CreateRole: EntityAlreadyExists: .*role"):
        resource_of(world, "aws:iam/role:Role").create({"name": "role", "assumeRolePolicy": TRUST})


@pytest.mark.parametrize(
    "url", ["https://ec2.eu-central-1.amazonaws.com", "http://10.0.0.1:5000", "http://example.com"]
)
def test_nothing_but_loopback_is_asked(url: str) -> None:
    with pytest.raises(ApiError, match="and nothing else"):
        Api(REGION, {"ec2": url})


def test_without_an_endpoint_nothing_is_asked() -> None:
    assert "AWS_ENDPOINT_URL" not in os.environ
    with pytest.raises(ApiError, match="needs aws:endpoints"):
        Api(REGION, {})
