"""Chapter 7 on AWS, Secrets: one key, the database password in Secrets Manager, tokens that nodes alone may read."""

import json
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.chapter import AwsChapter
from components.naming import Names
from components.settings import SecretsSettings

_DELETION_DAYS: Final = 30
_LENGTH: Final = 40


@dataclass(frozen=True)
class SecretsArgs:
    """Which versions, in which account; `protected` keeps what holds data from being destroyed."""

    settings: SecretsSettings
    account: str
    region: str
    alarms: bool
    """Whether CloudWatch's alarms tell a topic that the key encrypts."""
    protected: bool


class Secrets(AwsChapter):
    """A key that rotates every year, and what it encrypts."""

    number = 7

    def __init__(self, names: Names, args: SecretsArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self.key = aws.kms.Key(
            "key",
            aws.kms.KeyArgs(
                description=f"Everything that {names.stack} keeps",
                enable_key_rotation=True,
                deletion_window_in_days=_DELETION_DAYS,
                policy=json.dumps(key_policy(args.account, args.region, alarms=args.alarms)),
                tags=self.tags("key"),
            ),
            self.options(protect=args.protected, retain_on_delete=args.protected),
        )
        aws.kms.Alias(
            "key",
            aws.kms.AliasArgs(name=f"alias/{names.stack}", target_key_id=self.key.key_id),
            self.options(),
        )
        version = args.settings.database_password_version
        password = random.RandomPassword(
            "database-password",
            random.RandomPasswordArgs(length=_LENGTH, special=False, keepers={"version": str(version)}),
            self.options(),
        )
        self.database = aws.secretsmanager.Secret(
            "database",
            aws.secretsmanager.SecretArgs(
                name=f"{names.stack}/database",
                description="User and password of PostgreSQL",
                kms_key_id=self.key.arn,
                recovery_window_in_days=_DELETION_DAYS if args.protected else 0,
                tags=self.tags("database"),
            ),
            self.options(protect=args.protected),
        )
        aws.secretsmanager.SecretVersion(
            "database",
            aws.secretsmanager.SecretVersionArgs(
                secret_id=self.database.id,
                secret_string=password.result.apply(
                    lambda value: json.dumps({"username": "coordinator", "password": value})
                ),
            ),
            self.options(),
        )
        self.database_password = password.result
        self.register_outputs({"key": self.key.arn, "database": self.database.arn})


def key_policy(account: str, region: str, *, alarms: bool) -> dict[str, Any]:
    """Who may use the key: the account's own policies decide; and CloudWatch of the region, for this account."""
    topics = {
        "Sid": "Alarms",
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Account",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Sid": "Logs",
                "Effect": "Allow",
                "Principal": {"Service": f"logs.{region}.amazonaws.com"},
                "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
                "Resource": "*",
                "Condition": {
                    "ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{region}:{account}:log-group:*"}
                },
            },
            *([topics] if alarms else []),
        ],
    }
