"""A violation of each rule, blocked by the engine: a stack that does everything wrong, previewed with the pack."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from moto.server import ThreadedMotoServer

from cli.toolchain import Toolchain, add_stand_in
from components.aws.program import SERVICES
from components.containers import ROOT
from components.engine import engine_host
from policies.pack import EXEMPTIONS, RULES

PROGRAM = """\
import json
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_docker as docker

given = json.loads(Path("given.json").read_text())
endpoints = [aws.ProviderEndpointArgs(**dict.fromkeys(given["services"], given["endpoint"]))]
account = aws.Provider("aws", region="eu-central-1", access_key="x", secret_key="x", endpoints=endpoints)
engine = docker.Provider("engine", host=given["engine"])
made = {}


def fill(value):
    if isinstance(value, dict):
        return {key: fill(one) for key, one in value.items()}
    if isinstance(value, list):
        return [fill(one) for one in value]
    return made[value[1:]].id if isinstance(value, str) and value.startswith("@") else value


for name, kind, props in given["resources"]:
    options = pulumi.ResourceOptions(provider=account if kind.startswith("aws:") else engine)
    made[name] = pulumi.CustomResource(kind, name, fill(props), options)
"""
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ANYBODY = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
SOCKET = {"type": "bind", "source": "/var/run/docker.sock", "target": "/x"}
RESOURCES: list[tuple[str, str, dict[str, Any]]] = [
    ("vpc", "aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}),
    ("nodes", "aws:ec2/securityGroup:SecurityGroup", {"description": "x", "vpcId": "@vpc"}),
    (
        "ssh",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        {"securityGroupId": "@nodes", "ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIpv4": "0.0.0.0/0"},
    ),
    ("default", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", {"vpcId": "@vpc", "ingress": [{}]}),
    (
        "subnet",
        "aws:ec2/subnet:Subnet",
        {"vpcId": "@vpc", "cidrBlock": "10.0.0.0/20", "mapPublicIpOnLaunch": True},
    ),
    (
        "balancer",
        "aws:lb/loadBalancer:LoadBalancer",
        {"name": "x", "subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"]},
    ),
    (
        "http",
        "aws:lb/listener:Listener",
        {
            "loadBalancerArn": "arn:x",
            "port": 80,
            "protocol": "HTTP",
            "defaultActions": [{"type": "forward", "targetGroupArn": "arn:x"}],
        },
    ),
    (
        "manager",
        "aws:ec2/launchTemplate:LaunchTemplate",
        {
            "name": "x",
            "instanceType": "m7i.xlarge",
            "networkInterfaces": [{"associatePublicIpAddress": "true"}],
            "userData": "AKIA" + "A" * 16,
        },
    ),
    (
        "managers",
        "aws:autoscaling/group:Group",
        {"name": "x", "minSize": 5, "maxSize": 4, "desiredCapacity": 4, "launchTemplate": {"id": "@manager"}},
    ),
    (
        "lost",
        "aws:rds/instance:Instance",
        {"identifier": "x", "engine": "postgres", "instanceClass": "db.t4g.micro", "skipFinalSnapshot": True},
    ),
    ("parameters", "aws:rds/parameterGroup:ParameterGroup", {"name": "x", "family": "postgres16", "description": "x"}),
    ("bucket", "aws:s3/bucket:Bucket", {}),
    ("block", "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", {"bucket": "x", "blockPublicAcls": False}),
    (
        "table",
        "aws:dynamodb/table:Table",
        {
            "name": "xyz",
            "hashKey": "x",
            "attributes": [{"name": "x", "type": "S"}],
            "billingMode": "PAY_PER_REQUEST",
        },
    ),
    ("logs", "aws:cloudwatch/logGroup:LogGroup", {"name": "x"}),
    ("key", "aws:kms/key:Key", {}),
    ("images", "aws:ecr/repository:Repository", {"name": "xx"}),
    ("role", "aws:iam/role:Role", {"name": "x", "assumeRolePolicy": json.dumps({"Statement": [ANYBODY]})}),
    (
        "policy",
        "aws:iam/rolePolicy:RolePolicy",
        {"name": "x", "role": "x", "policy": json.dumps({"Statement": [EVERYTHING]})},
    ),
    (
        "administrator",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        {"role": "x", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    (
        "budget",
        "aws:budgets/budget:Budget",
        {"name": "x", "budgetType": "COST", "timeUnit": "MONTHLY", "limitAmount": "1", "limitUnit": "USD"},
    ),
    ("edge", "docker:index/network:Network", {"name": "x", "driver": "overlay"}),
    ("config", "docker:index/serviceConfig:ServiceConfig", {"dataRaw": "-----BEGIN RSA PRIVATE KEY-----"}),
    (
        "database",
        "docker:index/service:Service",
        {
            "name": "x",
            "taskSpec": {
                "containerSpec": {"image": "postgres:latest", "env": {"PASSWORD": "hunter2"}, "mounts": [SOCKET]},
                "networksAdvanceds": [{"id": "@edge"}],
            },
            "endpointSpec": {"ports": [{"targetPort": 5432, "publishedPort": 5432}]},
        },
    ),
]
NOT_CARRIED = {"queues-encrypted", "no-user-keys", "nodes-without-ssh-key"}
"""Of types and properties that no stack has, and the stand-in refuses: tests/policy has their fixtures."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_the_engine_blocks_a_violation_of_each_rule(tmp_path: Path, toolchain: Toolchain, endpoint: str) -> None:
    (tmp_path / "__main__.py").write_text(PROGRAM)
    runtime = {"name": "python", "options": {"virtualenv": str(ROOT / ".venv")}}
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "wrong", "runtime": runtime}))
    ended = {"rule": "no-ssh", "resource": "ssh", "reason": "it was for a week", "expires": "2020-01-01"}
    config = {"beamops:policies": {"exemptions": [ended]}}
    (tmp_path / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": config}))
    given = {"services": SERVICES, "endpoint": endpoint, "engine": engine_host(None), "resources": RESOURCES}
    (tmp_path / "given.json").write_text(json.dumps(given))
    (tmp_path / "state").mkdir()
    used = add_stand_in(toolchain)
    environment = {
        **os.environ,
        **used.environment,
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": secrets.token_hex(8),
        "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }

    def pulumi(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(used.program), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    created = pulumi("stack", "init", "prod")
    assert created.returncode == 0, created.stderr
    done = pulumi("preview", "--json", "--policy-pack", str(ROOT / "policies"))
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    faults = [
        event["diagnosticEvent"]["message"]
        for event in events
        if event.get("diagnosticEvent", {}).get("severity") == "error"
    ]
    told = [event["policyEvent"] for event in events if "policyEvent" in event]
    blocked = {one["policyName"] for one in told if one["enforcementLevel"] == "mandatory"}
    assert blocked == {*(rule.name for rule in RULES), EXEMPTIONS} - NOT_CARRIED, f"{faults} {done.stderr[-2000:]}"
    assert done.returncode != 0, "the engine goes on"
