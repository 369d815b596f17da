"""IAM documents: each statement names its actions and its resources, and what it is bound to."""

import json
from collections.abc import Mapping
from typing import Any

VERSION = "2012-10-17"


def allow(
    permissions: Mapping[str, list[str]], conditions: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """A policy: actions, written with spaces between them, and the resources that they are allowed on.

    Args:
        permissions: `{"s3:GetObject s3:ListBucket": [arn, …]}`.
        conditions: bind the statement of the same actions, as IAM's `Condition` does.
    """
    statements = []
    for actions, resources in permissions.items():
        statement: dict[str, Any] = {"Effect": "Allow", "Action": sorted(actions.split()), "Resource": resources}
        if conditions and actions in conditions:
            statement["Condition"] = conditions[actions]
        statements.append(statement)
    return {"Version": VERSION, "Statement": statements}


def trust_service(service: str) -> str:
    """A trust policy for an AWS service of the same account."""
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return json.dumps({"Version": VERSION, "Statement": [statement]})


def trust_github(provider_arn: str, subjects: list[str]) -> str:
    """A trust policy for GitHub Actions: exactly these subjects, by OpenID Connect, and nobody with a key.

    Source: GitHub's documentation, "Configuring OpenID Connect in Amazon Web Services".
    """
    return json.dumps(
        {
            "Version": VERSION,
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Principal": {"Federated": provider_arn},
                    "Condition": {
                        "StringEquals": {
                            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                            "token.actions.githubusercontent.com:sub": subjects,
                        }
                    },
                }
            ],
        }
    )
