"""Staging and prod against mocks: what is open, what is encrypted, who may do what; nothing of dev's among it."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_random as random
import pytest

from components.aws import program
from components.aws.machine import find_architecture
from components.aws.nodes import SCRIPT, node_policy
from components.aws.pipeline import deploy_policy, keep_secrets_closed
from components.aws.policies import trust_github
from components.aws.production import healthy_percent
from components.aws.rules import make_rules
from components.aws.subnets import cut_network
from components.containers import ROOT
from components.naming import Names
from components.observability.alert import Expected
from components.observability.rules import list_alerts
from components.settings import SettingsError, read_settings
from tests.program import register

ACCOUNT = "123456789012"
CERTIFICATE = f"arn:aws:acm:eu-central-1:{ACCOUNT}:certificate/00000000-0000-0000-0000-000000000000"
STAGING = {
    "beamops:pipeline": json.dumps({"repository": "beamops/beamops"}),
    "beamops:production": json.dumps({"certificate_arn": CERTIFICATE}),
}
PROD = {
    "beamops:plan": json.dumps({"alert_email": "ops@example.com"}),
    "beamops:network": json.dumps({"zones": ["a", "b", "c"], "nat": "per-zone"}),
    "beamops:pipeline": json.dumps({"repository": "beamops/beamops"}),
    "beamops:production": json.dumps(
        {
            "certificate_arn": CERTIFICATE,
            "managers": 3,
            "database": {"multi_zone": True, "deletion_protection": True, "backup_days": 14},
        }
    ),
}
ARNS = {
    "LogGroup": "logs:{0}:log-group:flows",
    "Table": "dynamodb:{0}:table/lease",
    "Key": "kms:{0}:key/00000000-0000-0000-0000-000000000000",
}
Seen = list[pulumi.runtime.MockResourceArgs]


class Recorder(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.seen: Seen = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.seen.append(args)
        kind = args.typ.rpartition(":")[2]
        outputs = {"arn": f"arn:aws:{ARNS.get(kind, 'x:{0}').format(f'eu-central-1:{ACCOUNT}')}", **args.inputs}
        if args.typ.endswith(":LoadBalancer"):
            outputs["dnsName"] = "balancer.example"
        if args.typ.endswith("imagebuilder/image:Image"):
            outputs["outputResources"] = [{"amis": [{"image": f"ami-{args.name}"}]}]
        if args.typ.endswith("RandomPassword"):
            outputs["result"] = "p" * 40
        return f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        if args.token.endswith("getAvailabilityZones"):
            return {"names": [f"eu-central-1{zone}" for zone in "abc"]}, []
        assert args.token.endswith("getCallerIdentity"), args.token
        return {"accountId": ACCOUNT, "id": ACCOUNT, "arn": "x", "userId": "x"}, []


def run(stack: str, config: dict[str, str]) -> Seen:
    recorder = Recorder()
    settings = read_settings(stack, config)
    register(
        recorder, stack, lambda: program.deploy(Names("beamops", stack), settings, random.Provider("random"), None)
    )
    return recorder.seen


@pytest.fixture(scope="module")
def staging() -> Seen:
    return run("staging", STAGING)


@pytest.fixture(scope="module")
def prod() -> Seen:
    return run("prod", PROD)


@pytest.fixture(params=["staging", "prod"])
def stack(request: pytest.FixtureRequest) -> Seen:
    seen: Seen = request.getfixturevalue(request.param)
    return seen


def of_type(seen: Seen, kind: str) -> dict[str, dict[str, Any]]:
    return {args.name: args.inputs for args in seen if args.typ.endswith(f":{kind}")}


def test_each_chapter_that_aws_has_is_there(stack: Seen) -> None:
    chapters = {args.typ.rpartition(":")[2] for args in stack if args.typ.startswith("beamops:aws:")}
    assert chapters == {
        "Plan", "Network", "Secrets", "Containers", "Pipeline", "Nodes", "Production", "Autoscaling",
    }  # fmt: skip


@pytest.fixture(scope="module")
def watched() -> Seen:
    return run("prod", {**PROD, "beamops:monitoring": json.dumps({"enabled": True})})


def test_who_watches_is_told_by_a_topic_that_alarms_alone_publish_to(watched: Seen) -> None:
    (topic,) = of_type(watched, "Topic").values()
    assert topic["kmsMasterKeyId"]
    (policy,) = (one for one in json.loads(topic["policy"])["Statement"] if one["Effect"] == "Allow")
    assert policy["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert policy["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert [one["endpoint"] for one in of_type(watched, "TopicSubscription").values()] == ["ops@example.com"]
    key = json.loads(of_type(watched, "Key")["key"]["policy"])
    assert "cloudwatch.amazonaws.com" in json.dumps(key), "alarms cannot write to a topic that they have no key of"


def test_each_alert_has_an_alarm_and_silence_has_one(watched: Seen) -> None:
    alarms = of_type(watched, "MetricAlarm")
    told = {alert.name for alert in list_alerts(Expected(1)) if alert.severity != "none"}
    assert set(alarms) == told | {"Watchdog"}
    assert {name for name, one in alarms.items() if one["treatMissingData"] == "breaching"} == {"Watchdog"}
    script = SCRIPT.read_text()
    for name, alarm in alarms.items():
        assert alarm["dimensions"] == {"Alert": name}
        assert f"MetricName={alarm['metricName']},Value=1,Dimensions=[{{Name=Alert,Value=$name}}]" in script
        assert alarm["namespace"] == "BEAMOps/beamops-prod" and '--namespace "BEAMOps/$BEAMOPS_STACK"' in script
        assert alarm["alarmActions"] == alarm["okActions"] != []
    page = "docs/runbooks/coordinator-down.md"
    assert page in alarms["CoordinatorDown"]["alarmDescription"] and (ROOT / page).exists()


def test_a_worker_writes_no_metric_that_moves_machines() -> None:
    names, known = Names("beamops", "prod"), {"lease": "lease", "key": "key"}
    for document, spaces in (
        (node_policy("worker", names, ACCOUNT, "eu-central-1", **known), ["BEAMOps/beamops-prod"]),
        (node_policy("manager", names, ACCOUNT, "eu-central-1", **known), ["BEAMOps/beamops-prod", "BEAMOps"]),
    ):
        (statement,) = (one for one in statements(document) if "cloudwatch:PutMetricData" in one["Action"])
        assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": spaces}}


def test_images_of_those_who_watch_have_repositories(watched: Seen) -> None:
    names = {one["name"].rpartition("/")[2] for one in of_type(watched, "Repository").values()}
    assert names == {"coordinator", "prometheus", "alertmanager", "node-exporter", "postgres-exporter"}
    # In prod too they go when monitoring is turned off: what is in them can be had again.
    kept = {name for name, one in of_type(watched, "Repository").items() if not one["forceDelete"]}
    assert kept == {"coordinator"}


def test_who_is_not_watched_has_no_alarms(stack: Seen) -> None:
    assert not of_type(stack, "Topic") and not of_type(stack, "MetricAlarm")
    assert "cloudwatch.amazonaws.com" not in of_type(stack, "Key")["key"]["policy"]


def test_nothing_of_dev_is_made(stack: Seen) -> None:
    assert not [args.typ for args in stack if "SingleNodeSwarm" in args.typ or args.typ.startswith("docker:")]


def test_only_the_load_balancer_is_open_to_the_world(stack: Seen) -> None:
    world = {
        (args["securityGroupId"], args["fromPort"])
        for args in of_type(stack, "SecurityGroupIngressRule").values()
        if "cidrIpv4" in args
    }
    assert world == {("load-balancer-id", 443), ("load-balancer-id", 80)}
    assert not any(rule.port == 22 for rule in make_rules(4000)), "nodes are reached through Session Manager"


def test_every_rule_says_why(stack: Seen) -> None:
    for kind in ("SecurityGroupIngressRule", "SecurityGroupEgressRule"):
        assert all(rule["description"] for rule in of_type(stack, kind).values())


def test_port_80_redirects_and_443_speaks_modern_tls_alone(stack: Seen) -> None:
    listeners = of_type(stack, "Listener")
    (action,) = listeners["http"]["defaultActions"]
    assert action["type"] == "redirect" and action["redirect"]["protocol"] == "HTTPS"
    assert listeners["https"]["sslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    assert listeners["https"]["certificateArn"] == CERTIFICATE


def test_nodes_have_imdsv2_encrypted_disks_and_no_public_address(stack: Seen) -> None:
    templates = of_type(stack, "LaunchTemplate")
    assert set(templates) == {"manager", "worker"}
    for template in templates.values():
        assert template["metadataOptions"]["httpTokens"] == "required"
        assert template["metadataOptions"]["httpPutResponseHopLimit"] == 1
        assert template["networkInterfaces"][0]["associatePublicIpAddress"] == "false"
        disk = template["blockDeviceMappings"][0]["ebs"]
        assert (disk["encrypted"], disk["volumeType"]) == ("true", "gp3") and disk["kmsKeyId"]
        script = base64.b64decode(template["userData"]).decode()
        assert script.startswith("#!/bin/sh\nexport BEAMOPS_ROLE=") and "docker swarm join" in script


def test_nodes_start_from_the_newest_image_of_their_processor_or_from_one_that_was_baked(prod: Seen) -> None:
    newest = {args["imageId"].rpartition("-")[2] for args in of_type(prod, "LaunchTemplate").values()}
    assert newest == {"x86_64"}
    production = {**json.loads(PROD["beamops:production"]), "manager_type": "t4g.medium", "bake_image": True}
    baked = run("prod", {**PROD, "beamops:production": json.dumps(production)})
    images = {name: args["imageId"] for name, args in of_type(baked, "LaunchTemplate").items()}
    assert images == {"manager": "ami-node-arm64", "worker": "ami-node-x86-64"}
    recipes = of_type(baked, "ImageRecipe").values()
    assert all(mapping["ebs"]["encrypted"] for recipe in recipes for mapping in recipe["blockDeviceMappings"])


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [
        ("t4g.medium", "arm64"), ("c7gn.large", "arm64"), ("x2gd.large", "arm64"), ("im4gn.large", "arm64"),
        ("a1.large", "arm64"), ("g5g.xlarge", "arm64"), ("g4dn.xlarge", "x86_64"), ("m7i.large", "x86_64"),
        ("t3a.small", "x86_64"),
    ],
)  # fmt: skip
def test_a_machine_has_the_processor_that_its_name_says(machine: str, architecture: str) -> None:
    assert find_architecture(machine) == architecture


def test_the_database_is_encrypted_private_and_over_tls(stack: Seen) -> None:
    database = of_type(stack, "Instance")["database"]
    assert database["storageEncrypted"] and not database["publiclyAccessible"]
    assert database["vpcSecurityGroupIds"] == ["database-id"]
    parameters = {one["name"]: one["value"] for one in of_type(stack, "ParameterGroup")["database"]["parameters"]}
    assert parameters["rds.force_ssl"] == "1"


def test_prod_is_protected_and_spread_over_zones(prod: Seen, staging: Seen) -> None:
    database = of_type(prod, "Instance")["database"]
    assert database["deletionProtection"] and database["multiAz"] and not database["skipFinalSnapshot"]
    assert len(of_type(prod, "NatGateway")) == 3 and len(of_type(staging, "NatGateway")) == 1
    assert of_type(prod, "Group")["managers"]["desiredCapacity"] == 3
    assert len(of_type(prod, "Group")["managers"]["vpcZoneIdentifiers"]) == 3


def test_the_key_rotates_and_images_cannot_be_overwritten(stack: Seen) -> None:
    assert of_type(stack, "Key")["key"]["enableKeyRotation"]
    repository = of_type(stack, "Repository")["coordinator"]
    assert repository["imageTagMutability"] == "IMMUTABLE" and repository["imageScanningConfiguration"]["scanOnPush"]


def test_no_bucket_is_public(stack: Seen) -> None:
    blocks = of_type(stack, "BucketPublicAccessBlock")
    assert set(blocks) == set(of_type(stack, "Bucket"))
    for block in blocks.values():
        assert all(block[name] for name in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls"))


def test_no_password_is_in_a_resource_that_is_not_made_for_one(stack: Seen) -> None:
    kept = {args.typ for args in stack if "p" * 40 in json.dumps(args.inputs, default=str)}
    assert kept <= {"aws:secretsmanager/secretVersion:SecretVersion", "aws:rds/instance:Instance"}


def test_everything_that_can_carry_tags_says_its_chapter(stack: Seen) -> None:
    for args in stack:
        if "tags" in args.inputs and args.typ != "aws:autoscaling/group:Group":
            assert args.inputs["tags"]["beamops:chapter"], args.name


def test_a_zone_that_the_region_lacks_is_one_line() -> None:
    lacking = {**STAGING, "beamops:network": json.dumps({"zones": ["a", "d"]})}
    with pytest.raises(pulumi.RunError, match=r"eu-central-1 has no zone d; it has a, b, c: name those"):
        run("staging", lacking)


@pytest.mark.parametrize(
    ("stack_name", "changes", "line"),
    [
        ("prod", {"production": {"managers": 2}}, "should be odd"),
        ("prod", {"production": {"managers": 1}}, "production.managers: given 1, prod needs 3 at least"),
        ("staging", {"autoscaling": {"minimum": 5, "maximum": 2}}, "minimum 5 should not be above maximum 2"),
        (
            "prod",
            {"production": {"database": {"multi_zone": True}}},
            "deletion_protection: given false, prod needs true",
        ),
        ("staging", {"network": {"cidr": "10.20.0.0/24"}}, "should be /16 to /20"),
        ("staging", {"network": {"cidr": "10.0.0.0/16"}}, "overlaps 10.0.0.0/16, the swarm's overlay networks"),
        ("staging", {"network": {"cidr": "8.8.0.0/16"}}, "should be of private addresses"),
        ("staging", {"network": {"zones": ["a", "a"]}}, "a zone is named twice"),
        (
            "staging",
            {"production": {"certificate_arn": CERTIFICATE.replace("eu-central-1", "us-east-1")}},
            "the certificate is of us-east-1, the stack of eu-central-1",
        ),
        ("staging", {"production": {}}, "certificate_arn: not given"),
        (
            "staging",
            {"monitoring": {"enabled": True, "grafana": True}},
            "monitoring.grafana: given true, which machines of an account cannot have",
        ),
    ],
)
def test_what_cannot_be_is_one_line(stack_name: str, changes: dict[str, Any], line: str) -> None:
    config = STAGING if stack_name == "staging" else PROD
    given = {**config, **{f"beamops:{chapter}": json.dumps(value) for chapter, value in changes.items()}}
    with pytest.raises(SettingsError) as raised:
        read_settings(stack_name, given)
    faults = [fault for fault in raised.value.faults if line in fault]
    assert len(faults) == 1, raised.value.faults
    assert faults[0].startswith(f"Pulumi.{stack_name}.yaml: beamops:")


def test_a_zone_that_is_added_renumbers_no_other() -> None:
    two = cut_network("10.20.0.0/16", ["eu-central-1a", "eu-central-1c"])
    three = cut_network("10.20.0.0/16", ["eu-central-1a", "eu-central-1b", "eu-central-1c"])
    assert [zone for zone in three if zone.zone != "eu-central-1b"] == two
    subnets = [cidr for zone in three for cidr in (zone.public, zone.private)]
    assert len(set(subnets)) == 6 and subnets[0] == "10.20.128.0/20"


@pytest.mark.parametrize(("nodes", "percent"), [(1, 0), (3, 66), (5, 80)])
def test_nodes_are_replaced_one_at_a_time(nodes: int, percent: int) -> None:
    assert healthy_percent(nodes) == percent
    assert nodes - (nodes * percent // 100) <= max(1, 2 if nodes == 3 else 1)


def statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["Statement"]
    return found


def check_no_wildcards(document: dict[str, Any], unless: Callable[[dict[str, Any]], bool]) -> None:
    for statement in statements(document):
        if statement["Effect"] == "Allow" and "*" in statement["Resource"] and not unless(statement):
            actions = statement["Action"]
            assert all(not action.endswith(":*") for action in actions), statement


def test_the_preview_role_reads_no_secret_and_opens_no_session() -> None:
    (statement,) = statements(keep_secrets_closed())
    assert statement["Effect"] == "Deny"
    assert {"secretsmanager:GetSecretValue", "ssm:StartSession", "kms:Decrypt"} <= set(statement["Action"])


def test_the_deploy_role_is_bound_to_its_region_and_its_own_roles() -> None:
    document = deploy_policy(Names("beamops", "prod"), ACCOUNT, "eu-central-1")
    check_no_wildcards(document, lambda statement: "aws:RequestedRegion" in str(statement.get("Condition")))
    iam = [one for one in statements(document) if any(action.startswith("iam:") for action in one["Action"])]
    assert iam and all(arn.split("/")[1].startswith("beamops-prod-") for one in iam for arn in one["Resource"])
    assert not any("User" in action or "AccessKey" in action for one in iam for action in one["Action"])


@pytest.mark.parametrize("role", ["manager", "worker"])
def test_a_node_may_do_what_its_script_does_and_no_more(role: Any) -> None:
    document = node_policy(role, Names("beamops", "prod"), ACCOUNT, "eu-central-1", lease="lease", key="key")
    actions = {action for one in statements(document) for action in one["Action"]}
    assert all("*" not in action for action in actions)
    assert ("ssm:PutParameter" in actions) == (role == "manager")
    readable = [one["Resource"] for one in statements(document) if "ssm:GetParameter" in one["Action"]]
    read = {arn.rpartition("/")[2] for arns in readable for arn in arns}
    assert read == ({"*"} if role == "manager" else {"worker-token", "id", "managers", "images"})


def test_a_managers_policy_is_what_the_script_calls() -> None:
    called = {
        f"{service}:{''.join(word.capitalize() for word in operation.split('-'))}"
        for service, operation in re.findall(r"\baws ([a-z0-9]+) ([a-z-]+)", SCRIPT.read_text())
    }
    called = {{"ecr:GetLoginPassword": "ecr:GetAuthorizationToken"}.get(one, one) for one in called}
    document = node_policy("manager", Names("beamops", "prod"), ACCOUNT, "eu-central-1", lease="lease", key="key")
    allowed = {action for one in statements(document) for action in one["Action"]}
    assert called <= allowed, f"the script calls {called - allowed}"
    # What Docker and the encryption of parameters call, nobody types.
    beside = {action for action in allowed - called if not action.startswith(("kms:", "ecr:"))}
    assert beside == set()


def test_a_deployment_may_use_every_service_that_the_stack_has() -> None:
    """And what a session with a manager takes."""
    document = deploy_policy(Names("beamops", "prod"), ACCOUNT, "eu-central-1")
    allowed = {action.split(":")[0] for one in statements(document) for action in one["Action"]}
    called = {"elbv2": "elasticloadbalancing"}
    used = {called.get(service, service) for service in program.SERVICES} | {"ec2-instance-connect", "ssm"}
    assert used <= allowed


def test_github_is_trusted_for_exact_subjects_alone() -> None:
    document = json.loads(trust_github("arn:x", ["repo:beamops/beamops:environment:prod"]))
    condition = document["Statement"][0]["Condition"]
    assert set(condition) == {"StringEquals"}, "no pattern: a pattern matches what nobody thought of"
    assert condition["StringEquals"]["token.actions.githubusercontent.com:sub"] == [
        "repo:beamops/beamops:environment:prod"
    ]
