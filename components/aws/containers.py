"""Chapter 3 on AWS, Containers: repositories for our images, and a cache of those of others."""

import json
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.chapter import AwsChapter
from components.naming import Names

_KEPT_RELEASES: Final = 30
_UNTAGGED_DAYS: Final = 7


@dataclass(frozen=True)
class ContainersArgs:
    """What encrypts the images."""

    key: pulumi.Input[str]
    cache: bool
    """Whether third-party images are cached: not where nothing is pulled."""


class Containers(AwsChapter):
    """Repositories whose tags never change, scanned on push; and a pull-through cache of third-party images."""

    number = 3

    def __init__(self, names: Names, args: ContainersArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self.coordinator = aws.ecr.Repository(
            "coordinator",
            aws.ecr.RepositoryArgs(
                name=f"{names.stack}/coordinator",
                image_tag_mutability="IMMUTABLE",
                image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
                encryption_configurations=[
                    aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=args.key)
                ],
                tags=self.tags("coordinator"),
            ),
            self.options(),
        )
        aws.ecr.LifecyclePolicy(
            "coordinator",
            aws.ecr.LifecyclePolicyArgs(repository=self.coordinator.name, policy=json.dumps(lifecycle())),
            self.options(),
        )
        if args.cache:
            aws.ecr.PullThroughCacheRule(
                "public",
                aws.ecr.PullThroughCacheRuleArgs(
                    ecr_repository_prefix=f"{names.stack}/public", upstream_registry_url="public.ecr.aws"
                ),
                self.options(),
            )
        self.register_outputs({"coordinator": self.coordinator.repository_url})


def lifecycle() -> dict[str, object]:
    """Which images go: those without a tag after a week, and all but the newest thirty releases."""
    return {
        "rules": [
            {
                "rulePriority": 1,
                "description": "without a tag",
                "selection": {
                    "tagStatus": "untagged",
                    "countType": "sinceImagePushed",
                    "countUnit": "days",
                    "countNumber": _UNTAGGED_DAYS,
                },
                "action": {"type": "expire"},
            },
            {
                "rulePriority": 2,
                "description": "all but the newest releases",
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": _KEPT_RELEASES},
                "action": {"type": "expire"},
            },
        ]
    }
