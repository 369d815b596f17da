"""Chapter 4 on AWS, Pipeline: GitHub may preview and deploy, each by a role of its own, and no key is kept anywhere."""

import json
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from components.aws.policies import allow, trust_github
from components.aws.settings import PipelineSettings
from components.chapter import AwsChapter
from components.naming import Names

_ISSUER: Final = "https://token.actions.githubusercontent.com"
_READ_ONLY: Final = "arn:aws:iam::aws:policy/ReadOnlyAccess"
_SESSION_SECONDS: Final = 3600
_SERVICES: Final = (
    "acm", "autoscaling", "budgets", "cloudwatch", "dynamodb", "ec2", "ec2-instance-connect", "ecr",
    "elasticloadbalancing", "events", "imagebuilder", "kms", "lambda", "logs", "rds", "route53", "s3",
    "secretsmanager", "sns", "ssm",
)  # fmt: skip


@dataclass(frozen=True)
class PipelineArgs:
    """Whose pipeline, in which account."""

    settings: PipelineSettings
    account: str
    region: str


class Pipeline(AwsChapter):
    """OpenID Connect with GitHub: pull requests preview with a role that can change nothing; the branch deploys."""

    number = 4

    def __init__(self, names: Names, args: PipelineArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        repository = args.settings.repository
        provider = aws.iam.OpenIdConnectProvider(
            "github",
            aws.iam.OpenIdConnectProviderArgs(
                url=_ISSUER, client_id_lists=["sts.amazonaws.com"], tags=self.tags("github")
            ),
            self.options(),
        )
        self.preview = self._role(
            "preview",
            provider,
            [f"repo:{repository}:pull_request", f"repo:{repository}:ref:refs/heads/{args.settings.branch}"],
        )
        aws.iam.RolePolicyAttachment(
            "preview-read",
            aws.iam.RolePolicyAttachmentArgs(role=self.preview.name, policy_arn=_READ_ONLY),
            self.options(),
        )
        self._policy("preview-secrets", self.preview, keep_secrets_closed())
        self.deploy = self._role("deploy", provider, [f"repo:{repository}:environment:{names.environment}"])
        self._policy("deploy", self.deploy, deploy_policy(names, args.account, args.region))
        self.register_outputs({"preview": self.preview.arn, "deploy": self.deploy.arn})

    def _role(self, part: str, provider: aws.iam.OpenIdConnectProvider, subjects: list[str]) -> aws.iam.Role:
        return aws.iam.Role(
            part,
            aws.iam.RoleArgs(
                name=self.names.of(part),
                description=f"GitHub Actions: {part} {self.names.stack}",
                assume_role_policy=provider.arn.apply(lambda arn: trust_github(arn, subjects)),
                max_session_duration=_SESSION_SECONDS,
                tags=self.tags(part),
            ),
            self.options(),
        )

    def _policy(self, part: str, role: aws.iam.Role, document: dict[str, Any]) -> None:
        aws.iam.RolePolicy(
            part,
            aws.iam.RolePolicyArgs(name=part, role=role.name, policy=json.dumps(document)),
            self.options(),
        )


def keep_secrets_closed() -> dict[str, Any]:
    """What the preview role is denied of what AWS's own policy allows: values of secrets, sessions, and what writes."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Action": [
                    "athena:GetSessionEndpoint",
                    "cognito-idp:GetTokensFromRefreshToken",
                    "kms:Decrypt",
                    "secretsmanager:GetSecretValue",
                    "ssm:GetParameter",
                    "ssm:GetParameters",
                    "ssm:GetParametersByPath",
                    "ssm:StartSession",
                    "s3:GetObject",
                    "s3express:CreateSession",
                ],
                "Resource": "*",
            }
        ],
    }


def deploy_policy(names: Names, account: str, region: str) -> dict[str, Any]:
    """What a deployment may do: its services in its region, and roles of its own name, which only they may be given."""
    own_roles = [f"arn:aws:iam::{account}:{kind}/{names.stack}-*" for kind in ("role", "instance-profile", "policy")]
    services = " ".join(f"{service}:*" for service in _SERVICES)
    roles = (
        "iam:AddRoleToInstanceProfile iam:AttachRolePolicy iam:CreateInstanceProfile iam:CreateRole "
        "iam:DeleteInstanceProfile iam:DeleteRole iam:DeleteRolePolicy iam:DetachRolePolicy iam:GetInstanceProfile "
        "iam:GetRole iam:GetRolePolicy iam:ListAttachedRolePolicies iam:ListInstanceProfilesForRole "
        "iam:ListRolePolicies iam:PutRolePolicy iam:RemoveRoleFromInstanceProfile iam:TagInstanceProfile iam:TagRole "
        "iam:UntagRole iam:UpdateAssumeRolePolicy iam:UpdateRole"
    )
    passed = "iam:PassRole"
    # Regional services cannot be named by resource before they exist; their region and the roles bound what is done.
    return allow(
        {services: ["*"], roles: own_roles, passed: own_roles[:1], "sts:GetCallerIdentity": ["*"]},
        {
            services: {"StringEquals": {"aws:RequestedRegion": [region, "us-east-1"]}},
            passed: {
                "StringEquals": {
                    "iam:PassedToService": [
                        "ec2.amazonaws.com", "lambda.amazonaws.com", "vpc-flow-logs.amazonaws.com",
                        "monitoring.rds.amazonaws.com", "autoscaling.amazonaws.com",
                    ]
                }
            },
        },
    )  # fmt: skip
