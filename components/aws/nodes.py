"""Chapter 8 on AWS, Swarm: what a node may do, what it runs when it starts, and the lease that one swarm lives by."""

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pulumi
import pulumi_aws as aws
from coordinator import contract

from components.aws.autoscaling import NAMESPACE
from components.aws.containers import CACHE
from components.aws.monitoring import alerts_namespace
from components.aws.policies import allow
from components.aws.roles import make_role
from components.chapter import AwsChapter
from components.engine import SOCKET_GROUP
from components.naming import Names

_COMMENT: Final = re.compile(r"\s*#(?!!)")
SCRIPT: Final = Path(__file__).parent / "node.sh"
Role = Literal["manager", "worker"]
_SESSION_MANAGER: Final = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
_USER_DATA_BYTES: Final = 16 * 1024


@dataclass(frozen=True)
class NodesArgs:
    """Where the swarm is, and what encrypts its tokens."""

    account: str
    region: str
    proxy_port: int
    managers_apart: bool
    key: pulumi.Input[str]


class Nodes(AwsChapter):
    """Instance profiles of managers and workers, their start-up, and the table with the swarm's lease.

    No port 22: whoever must reach a node does so through Session Manager.
    """

    number = 8

    def __init__(self, names: Names, args: NodesArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args = args
        self.lease = aws.dynamodb.Table(
            "lease",
            aws.dynamodb.TableArgs(
                name=names.of("swarm"),
                billing_mode="PAY_PER_REQUEST",
                hash_key="name",
                attributes=[aws.dynamodb.TableAttributeArgs(name="name", type="S")],
                server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True, kms_key_arn=args.key),
                point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
                tags=self.tags("swarm"),
            ),
            self.options(),
        )
        self.profiles: dict[Role, aws.iam.InstanceProfile] = {
            "manager": self._profile("manager"),
            "worker": self._profile("worker"),
        }
        self.register_outputs({"lease": self.lease.name})

    def user_data(self, role: Role) -> str:
        """What a node runs at its first start, in Base64: the script without its comments, and who it is.

        Raises:
            ValueError: it is larger than EC2 takes (16 KiB before encoding).
        """
        head = "\n".join(
            [
                "#!/bin/sh",
                f"export BEAMOPS_ROLE={role}",
                f"export BEAMOPS_STACK={self.names.stack}",
                f"export BEAMOPS_KEY=alias/{self.names.stack}",
                f"export BEAMOPS_METRICS=:{self._args.proxy_port}{contract.METRICS_PATH}",
                f"export BEAMOPS_MANAGERS={'apart' if self._args.managers_apart else 'serve'}",
                f"export AWS_DEFAULT_REGION={self._args.region}",
                f"export BEAMOPS_SOCKET_GROUP={SOCKET_GROUP}",
            ]
        )
        script = [line for line in SCRIPT.read_text().splitlines() if not _COMMENT.match(line)]
        text = "\n".join([head, *script, ""])
        if len(text.encode()) > _USER_DATA_BYTES:
            raise ValueError(f"user data is {len(text.encode())} bytes, EC2 takes {_USER_DATA_BYTES}")
        return b64encode(text.encode()).decode()

    def _profile(self, role: Role) -> aws.iam.InstanceProfile:
        made = make_role(
            self,
            role,
            "ec2.amazonaws.com",
            description=f"Nodes of the swarm: {role}s",
            managed=_SESSION_MANAGER,
        )
        policy = pulumi.Output.all(self.lease.arn, self._args.key).apply(
            lambda arns: json.dumps(
                node_policy(role, self.names, self._args.account, self._args.region, lease=arns[0], key=arns[1])
            )
        )
        aws.iam.RolePolicy(
            f"{role}-swarm", aws.iam.RolePolicyArgs(name="swarm", role=made.name, policy=policy), self.options()
        )
        return aws.iam.InstanceProfile(
            role,
            aws.iam.InstanceProfileArgs(name=self.names.of(role), role=made.name, tags=self.tags(role)),
            self.options(),
        )


def node_policy(role: Role, names: Names, account: str, region: str, *, lease: str, key: str) -> dict[str, Any]:
    """What a node may do: read its kind's token, put metrics; managers also write tokens, hold the lease, end nodes."""
    tokens = f"arn:aws:ssm:{region}:{account}:parameter/{names.stack}/swarm"
    images = f"arn:aws:ecr:{region}:{account}:repository/{names.stack}"
    groups = f"arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{names.stack}-*"
    tagging, metric = "ec2:CreateTags", "cloudwatch:PutMetricData"
    own = {"StringEquals": {"aws:ResourceTag/beamops:stack": names.stack}}
    # Whoever has a worker can make this stack's alarms go off, and move nobody's number of machines.
    spaces = [alerts_namespace(names), *([NAMESPACE] if role == "manager" else [])]
    permissions: dict[str, list[str]] = {
        "ssm:GetParameter": [f"{tokens}/{role}-token", *(f"{tokens}/{one}" for one in ("id", "managers", "images"))],
        "kms:Decrypt": [key],
        tagging: [f"arn:aws:ec2:{region}:{account}:instance/*"],
        "ecr:GetAuthorizationToken": ["*"],
        metric: ["*"],
        "ecr:BatchGetImage ecr:GetDownloadUrlForLayer": [f"{images}/*"],
        # What is pulled through the cache for the first time is put there by whoever pulls it.
        "ecr:BatchImportUpstreamImage ecr:CreateRepository": [f"{images}/{CACHE}/*"],
    }
    if role == "manager":
        permissions |= {
            "ssm:PutParameter": [f"{tokens}/*"],
            "ssm:GetParameter": [f"{tokens}/*"],
            "kms:Encrypt kms:GenerateDataKey": [key],
            "dynamodb:UpdateItem": [lease],
            "autoscaling:CompleteLifecycleAction": [groups],
            "autoscaling:DescribeAutoScalingInstances ec2:DescribeInstances": ["*"],
        }
    return allow(permissions, {tagging: own, metric: {"StringEquals": {"cloudwatch:namespace": spaces}}})
