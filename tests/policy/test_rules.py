"""Each rule on small fixtures: a violation caught, a compliant resource passed."""

import base64
import json
from datetime import date
from typing import Any

import pytest
from pulumi_policy import EnforcementLevel, ResourceValidationPolicy, StackValidationPolicy

from policies.pack import EXEMPTIONS, RULES, Exemption, Exemptions, make_policies
from policies.rule import UNKNOWN, Resource, Rule, StackRule

TODAY = date(2026, 11, 25)
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
FLEET = "aws:autoscaling/group:Group"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
DATABASE = "aws:rds/instance:Instance"
SOCKET = [{"source": "/var/run/docker.sock"}]
ENGINE_PROXY = ["coordinator", "engine-proxy"]
ENGINE_EXPORTER = ["coordinator", "engine-exporter"]
SERVICE = "docker:index/service:Service"
BUCKET = "aws:s3/bucket:Bucket"
ANYWHERE = {"cidrIpv4": "0.0.0.0/0"}


def trust(principal: dict[str, Any], **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal, "Condition": condition}
    return {"assumeRolePolicy": json.dumps({"Statement": [statement]})}


def allow(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"policy": json.dumps({"Statement": [{"Effect": "Allow", "Action": action, "Resource": resource, **more}]})}


def container(**values: Any) -> dict[str, Any]:
    return {"taskSpec": {"containerSpec": values}}


def hardened(**values: Any) -> dict[str, Any]:
    return container(**{"readOnly": True, "capDrops": ["ALL"], "user": "10001:10001", **values})


GITHUB = {"Federated": "arn:aws:iam::1:oidc-provider/token.actions.githubusercontent.com"}
SUBJECT = "token.actions.githubusercontent.com:sub"
BLOCK = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)
PROD = {"multiAz": True, "deletionProtection": True, "skipFinalSnapshot": False}
ENCODED = base64.b64encode(b"export KEY=AKIA" + b"A" * 16).decode()
MEMORY = {"memoryBytes": 1, "nanoCpus": 1}

RESOURCES: dict[str, tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = {
    # rule: type, properties that violate it, properties that do not
    "world-reaches-web-ports-alone": (
        INGRESS,
        [{**ANYWHERE, "fromPort": 22}, {"cidrIpv6": "::/0", "fromPort": 5432}, ANYWHERE],
        [{**ANYWHERE, "fromPort": 443}, {"cidrIpv4": "10.0.0.0/8", "fromPort": 22}, {**ANYWHERE, "fromPort": UNKNOWN}],
    ),
    "no-ssh": (
        INGRESS,
        [{"fromPort": 22, "toPort": 22}, {"fromPort": 0, "toPort": 65535}],
        [{"fromPort": 443, "toPort": 443}, {"fromPort": None, "toPort": None}],
    ),
    "rules-have-descriptions": (INGRESS, [{}, {"description": ""}], [{"description": "why"}]),
    "default-group-closed": (
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        [{"ingress": [{"self": True}]}],
        [{"ingress": []}, {}],
    ),
    "no-public-addresses": (
        "aws:ec2/subnet:Subnet",
        [{"mapPublicIpOnLaunch": True}],
        [{"mapPublicIpOnLaunch": False}, {}],
    ),
    "modern-tls-alone": (
        "aws:lb/listener:Listener",
        [
            {"protocol": "HTTPS", "sslPolicy": "ELBSecurityPolicy-2016-08"},
            {"protocol": "HTTPS"},
            {"protocol": "HTTP", "defaultActions": [{"type": "forward"}]},
        ],
        [
            {"protocol": "HTTPS", "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06"},
            {"protocol": "HTTP", "defaultActions": [{"type": "redirect"}]},
        ],
    ),
    "load-balancer-hardened": (
        "aws:lb/loadBalancer:LoadBalancer",
        [{}, {"dropInvalidHeaderFields": True}],
        [{"dropInvalidHeaderFields": True, "accessLogs": {"enabled": True}}],
    ),
    "overlays-encrypted": (
        "docker:index/network:Network",
        [{"driver": "overlay"}, {"driver": "overlay", "options": {}}],
        [{"driver": "overlay", "options": {"encrypted": "true"}}, {"driver": "bridge"}],
    ),
    "planned-ports-alone": (SERVICE, [{"endpointSpec": {"ports": [{"publishedPort": 5432}]}}], [{"endpointSpec": {}}]),
    "imdsv2": (
        TEMPLATE,
        [{}, {"metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 2}}],
        [{"metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1}}],
    ),
    "node-disks-encrypted": (
        TEMPLATE,
        [{}, {"blockDeviceMappings": [{"ebs": {"encrypted": "false"}}]}],
        [{"blockDeviceMappings": [{"ebs": {"encrypted": "true"}}]}],
    ),
    "nodes-without-public-address": (
        TEMPLATE,
        [{"networkInterfaces": [{"associatePublicIpAddress": "true"}]}, {"networkInterfaces": [{}]}],
        [{"networkInterfaces": [{"associatePublicIpAddress": "false"}]}],
    ),
    "nodes-without-ssh-key": (TEMPLATE, [{"keyName": "ops"}], [{}]),
    "scaling-limits-sane": (
        FLEET,
        [{"minSize": 3, "maxSize": 2}, {"minSize": 1, "maxSize": 1000}],
        [{"minSize": 1, "maxSize": 4}],
    ),
    "database-encrypted-and-private": (
        DATABASE,
        [{}, {"storageEncrypted": True, "publiclyAccessible": True}],
        [{"storageEncrypted": True}],
    ),
    "database-backed-up": (
        DATABASE,
        [{}, {"backupRetentionPeriod": 0}, {"backupRetentionPeriod": 3}],
        [{"backupRetentionPeriod": 7}],
    ),
    "prod-database-survives": (
        DATABASE,
        [{**PROD, "multiAz": False}, {**PROD, "deletionProtection": False}, {**PROD, "skipFinalSnapshot": True}],
        [PROD],
    ),
    "database-over-tls": (
        "aws:rds/parameterGroup:ParameterGroup",
        [{}, {"parameters": [{"name": "rds.force_ssl", "value": "0"}]}],
        [{"parameters": [{"name": "rds.force_ssl", "value": "1"}]}],
    ),
    "public-access-blocked": (
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        [{}, {**BLOCK, "blockPublicAcls": False}],
        [BLOCK],
    ),
    "table-encrypted-and-recoverable": (
        "aws:dynamodb/table:Table",
        [{}, {"serverSideEncryption": {"enabled": True}}],
        [{"serverSideEncryption": {"enabled": True}, "pointInTimeRecovery": {"enabled": True}}],
    ),
    "queues-encrypted": ("aws:sqs/queue:Queue", [{}], [{"kmsMasterKeyId": "key"}, {"sqsManagedSseEnabled": True}]),
    "log-retention-set": ("aws:cloudwatch/logGroup:LogGroup", [{}, {"retentionInDays": 0}], [{"retentionInDays": 30}]),
    "keys-rotate": ("aws:kms/key:Key", [{}, {"enableKeyRotation": False}], [{"enableKeyRotation": True}]),
    "images-immutable-and-scanned": (
        "aws:ecr/repository:Repository",
        [{}, {"imageTagMutability": "IMMUTABLE"}],
        [{"imageTagMutability": "IMMUTABLE", "imageScanningConfiguration": {"scanOnPush": True}}],
    ),
    "no-wildcard-on-everything": (
        "aws:iam/rolePolicy:RolePolicy",
        [allow("*"), allow("s3:*")],
        [allow("s3:GetObject"), allow("s3:*", "arn:aws:s3:::x"), allow("ec2:*", Condition={"Bool": {"x": "true"}})],
    ),
    "no-user-keys": ("aws:iam/accessKey:AccessKey", [{}], []),
    "trust-bound": (
        "aws:iam/role:Role",
        [
            trust({"AWS": "*"}),
            trust(GITHUB),
            trust(GITHUB, StringLike={SUBJECT: "repo:x/y:*"}),
        ],
        [trust({"Service": "ec2.amazonaws.com"}), trust(GITHUB, StringEquals={SUBJECT: "repo:x/y:environment:prod"})],
    ),
    "no-administrators": (
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        [{"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}],
        [{"policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, {"policyArn": UNKNOWN}],
    ),
    "services-bounded": (
        SERVICE,
        [{}, {"taskSpec": {"resources": {"limits": MEMORY}}}],
        [{"taskSpec": {"resources": {"limits": MEMORY, "reservation": MEMORY}}}],
    ),
    "services-checked": (
        SERVICE,
        [container(), container(healthcheck={"tests": ["NONE"]})],
        [container(healthcheck={"tests": ["CMD", "x"]})],
    ),
    "services-restarted": (
        SERVICE,
        [{}, {"taskSpec": {"restartPolicy": {"condition": "none"}}}],
        [{"taskSpec": {"restartPolicy": {"condition": "any"}}}],
    ),
    "updates-roll-back": (
        SERVICE,
        [{}, {"updateConfig": {"failureAction": "pause"}}],
        [{"updateConfig": {"failureAction": "rollback"}}],
    ),
    "services-hardened": (
        SERVICE,
        [
            hardened(readOnly=False),
            hardened(capDrops=[]),
            hardened(capAdds=["NET_ADMIN"]),
            hardened(user="0:0"),
            hardened(user=None),
        ],
        [hardened(), hardened(user=UNKNOWN)],
    ),
    "no-docker-socket": (
        SERVICE,
        [
            container(mounts=SOCKET),
            container(mounts=SOCKET, commands=["coordinator", "serve"]),
            container(mounts=[{"source": "/var/run"}]),
            container(mounts=[{"source": "/run/docker.sock/"}]),
            container(mounts=SOCKET, commands=ENGINE_PROXY) | {"endpointSpec": {"ports": [{"publishedPort": 1}]}},
            container(mounts=SOCKET, commands=ENGINE_EXPORTER) | {"endpointSpec": {"ports": [{"publishedPort": 1}]}},
            {
                "taskSpec": {
                    "containerSpec": {"mounts": SOCKET, "commands": ENGINE_EXPORTER},
                    "networksAdvanceds": [{"id": "observability"}, {"id": "edge"}],
                }
            },
            {
                "taskSpec": {
                    "containerSpec": {"mounts": SOCKET, "commands": ENGINE_PROXY},
                    "networksAdvanceds": [{"id": "engine"}, {"id": "edge"}],
                }
            },
        ],
        [
            container(mounts=[{"source": "data"}]),
            container(mounts=SOCKET, commands=ENGINE_PROXY),
            container(mounts=SOCKET, commands=ENGINE_EXPORTER),
        ],
    ),
    "images-pinned": (
        SERVICE,
        [container(image="haproxy:latest"), container(image="haproxy")],
        [
            container(image=f"haproxy@sha256:{'0' * 64}"),
            container(image=f"beamops/proxy:{'a' * 32}"),
            container(image=UNKNOWN),
        ],
    ),
    "logs-bounded": (
        SERVICE,
        [{}, {"taskSpec": {"logDriver": {"name": "fluentd", "options": {"fluentd-async": "true"}}}}],
        [{"taskSpec": {"logDriver": {"options": {bound: "10m"}}}} for bound in ("max-size", "cache-max-size")],
    ),
    "no-secret-in-environment": (
        SERVICE,
        [
            container(env={"DATABASE_PASSWORD": "hunter2"}),
            container(env={"URL": "postgresql://me:secret@database/x"}),
            container(labels=[{"label": "note", "value": "AKIA" + "A" * 16}]),
        ],
        [container(env={"COORDINATOR_DATABASE_PASSWORD_FILE": "/run/secrets/database_password", "PORT": "1"})],
    ),
    "no-secret-in-configs": (
        "docker:index/serviceConfig:ServiceConfig",
        [{"dataRaw": "-----BEGIN RSA PRIVATE KEY-----"}],
        [{"dataRaw": "listen :4000"}],
    ),
    "no-secret-in-user-data": (
        TEMPLATE,
        [{"userData": "export KEY=AKIA" + "A" * 16}, {"userData": ENCODED}],
        [{"userData": "export A=b"}],
    ),
}


def resource(kind: str, name: str = "x", props: dict[str, Any] | None = None, **more: Any) -> Resource:
    urn = f"urn:pulumi:{more.pop('stack', 'prod')}::beamops::{kind}::{name}"
    values: dict[str, Any] = {"protected": False, "parent": "beamops:aws:X", **more}
    return Resource(urn, kind, name, props or {}, **values)


def rule(name: str) -> Rule:
    (found,) = [one for one in RULES if one.name == name]
    assert isinstance(found, Rule)
    return found


def stack_rule(name: str) -> StackRule:
    (found,) = [one for one in RULES if one.name == name]
    assert isinstance(found, StackRule)
    return found


@pytest.mark.parametrize("name", RESOURCES)
def test_a_violation_is_caught_and_what_complies_passes(name: str) -> None:
    kind, wrong, right = RESOURCES[name]
    assert kind in rule(name).kinds
    for props in wrong:
        assert list(rule(name).check(resource(kind, props=props))), f"passed: {props}"
    for props in right:
        assert list(rule(name).check(resource(kind, props=props))) == [], f"caught: {props}"


def test_who_has_the_engines_socket_is_on_a_network_of_its_own_kind() -> None:
    check = rule("no-docker-socket").check
    networks = ("edge", "app", "data", "observability", "engine")
    passed = {
        (command[-1], network)
        for command in (ENGINE_PROXY, ENGINE_EXPORTER)
        for network in networks
        if not list(
            check(
                resource(SERVICE, command[-1], container(mounts=SOCKET, commands=command), uses={"taskSpec": {network}})
            )
        )
    }
    assert passed == {("engine-proxy", "engine"), ("engine-exporter", "observability")}


def test_managers_are_odd_and_three_in_prod() -> None:
    check = rule("odd-managers").check
    found = {
        (stack, count): bool(list(check(resource(FLEET, "managers", {"desiredCapacity": count}, stack=stack))))
        for stack in ("staging", "prod")
        for count in (1, 2, 3)
    }
    assert {given for given, caught in found.items() if caught} == {("staging", 2), ("prod", 1), ("prod", 2)}
    assert not list(check(resource(FLEET, "workers", {"desiredCapacity": 2})))


def test_what_keeps_data_in_prod_is_protected() -> None:
    check = rule("data-protected").check
    assert list(check(resource(DATABASE)))
    assert not list(check(resource(DATABASE, protected=True)))
    assert not list(check(resource(DATABASE, stack="staging")))
    assert not list(check(resource(BUCKET, "access-logs")))
    volume = "docker:index/volume:Volume"
    assert list(check(resource(volume, "prometheus", {"driver": "local"})))
    assert not list(check(resource(volume, "sockets", {"driver": "local", "driverOpts": {"type": "tmpfs"}})))


WORLD = resource(INGRESS, "https", ANYWHERE, uses={"securityGroupId": frozenset({"load-balancer"})})
TAGS = {"tags": {"Name": "x", "beamops:chapter": "network"}}
STACKS: dict[str, tuple[list[Resource], list[Resource]]] = {
    # rule: a stack that violates it, one that does not
    "world-reaches-load-balancer-alone": (
        [resource(INGRESS, "x", ANYWHERE, uses={"securityGroupId": frozenset({"nodes"})})],
        [WORLD],
    ),
    "flows-logged": (
        [resource("aws:ec2/vpc:Vpc", "vpc")],
        [resource("aws:ec2/vpc:Vpc", "vpc"), resource("aws:ec2/flowLog:FlowLog", uses={"vpcId": frozenset({"vpc"})})],
    ),
    "no-orphan-security-group": (
        [resource(GROUP, "load-balancer"), WORLD],
        [resource(GROUP, "nodes"), resource(TEMPLATE, uses={"networkInterfaces": frozenset({"nodes"})})],
    ),
    "database-not-on-edge": (
        [resource(SERVICE, "database", uses={"taskSpec": frozenset({"edge"})})],
        [resource(SERVICE, "database", uses={"taskSpec": frozenset({"data"})})],
    ),
    "buckets-closed": (
        [resource(BUCKET, "logs")],
        [
            resource(BUCKET, "logs"),
            *(
                resource(f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}", uses={"bucket": frozenset({"logs"})})
                for kind in ("BucketServerSideEncryptionConfiguration", "BucketPublicAccessBlock", "BucketPolicy")
            ),
        ],
    ),
    "everything-has-an-owner": (
        [resource(GROUP, parent="")],
        [resource(GROUP), resource("pulumi:providers:aws", parent="")],
    ),
    "everything-is-tagged": (
        [resource(GROUP), resource(GROUP, props={"tags": {"Name": "x"}})],
        [resource(GROUP, props=TAGS)],
    ),
    "costs-under-budget": (
        [
            resource("aws:budgets/budget:Budget", props={"limitAmount": "100"}),
            resource(TEMPLATE, "worker", {"instanceType": "m7i.xlarge"}),
            resource(FLEET, props={"desiredCapacity": 3}, uses={"launchTemplate": frozenset({"worker"})}),
        ],
        [
            resource("aws:budgets/budget:Budget", props={"limitAmount": "100"}),
            resource(TEMPLATE, "worker", {"instanceType": "t4g.small"}),
            resource(FLEET, props={"desiredCapacity": 3}, uses={"launchTemplate": frozenset({"worker"})}),
        ],
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_that_violates_a_rule_is_caught_and_one_that_complies_passes(name: str) -> None:
    wrong, right = STACKS[name]
    assert list(stack_rule(name).check(wrong))
    assert list(stack_rule(name).check(right)) == []


def test_every_rule_has_its_test_and_says_why_and_what_to_do() -> None:
    tested = {*RESOURCES, *STACKS, "odd-managers", "data-protected"}
    assert {one.name for one in RULES} == tested
    assert len({one.name for one in RULES}) == len(RULES)
    assert all(one.says and one.why and one.remedy for one in RULES)


def test_an_exemption_holds_until_its_day_and_for_its_resource_alone() -> None:
    given = Exemptions((Exemption("no-ssh", "x", "a reason", TODAY),), TODAY)
    assert given.cover("no-ssh", "x")
    assert not given.cover("no-ssh", "y")
    assert not given.cover("imdsv2", "x")
    assert list(given.faults()) == []
    late = Exemptions(given.given, date(2026, 11, 26))
    assert not late.cover("no-ssh", "x")
    assert list(late.faults()) == ["the exemption of x from no-ssh ended on 2026-11-25: mend it, or extend it"]


def test_an_exemption_from_no_rule_is_a_fault() -> None:
    given = Exemptions((Exemption("no-shh", "x", "a reason", TODAY),), TODAY)
    assert list(given.faults()) == ["there is no rule no-shh; docs/policies.md has them all"]


def test_the_pack_holds_every_rule_at_its_level() -> None:
    policies = {policy.name: policy for policy in make_policies("prod", Exemptions((), TODAY))}
    assert set(policies) == {*(one.name for one in RULES), EXEMPTIONS}
    assert {policy.enforcement_level for policy in policies.values()} == {EnforcementLevel.MANDATORY}
    advice = {
        one.name
        for one in make_policies("dev", Exemptions((), TODAY))
        if one.enforcement_level != EnforcementLevel.MANDATORY
    }
    assert advice == {"images-pinned", "planned-ports-alone"}
    assert all(isinstance(one, ResourceValidationPolicy | StackValidationPolicy) for one in policies.values())
