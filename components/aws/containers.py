"""Chapter 3 on AWS, Containers: repositories for our images, and a cache of those of others."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.chapter import AwsChapter
from components.containers import Source
from components.naming import Names

CACHE: Final = "public"
"""Folder of our registry behind which ECR keeps what it pulls from Docker's official images at public.ecr.aws."""
_KEPT_RELEASES: Final = 30
_UNTAGGED_DAYS: Final = 7


@dataclass(frozen=True)
class ContainersArgs:
    """What encrypts the images, where third-party ones come from, whether `down` may take all of them away.

    `cache` is off where an emulator has none.
    """

    key: pulumi.Input[str]
    source: Source
    cache: bool
    pushed: Sequence[str]
    """Names of third-party images that are pushed, and not pulled by way of the cache."""
    protected: bool


class Containers(AwsChapter):
    """Repositories whose tags never change, scanned on push; and a pull-through cache of third-party images."""

    number = 3

    def __init__(self, names: Names, args: ContainersArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args = args
        proxy = ["proxy"] if args.source == "build" else []
        self.repositories = {part: self._make_repository(part) for part in ("coordinator", *proxy, *args.pushed)}
        if args.source == "pull" and args.cache:
            aws.ecr.PullThroughCacheRule(
                "public",
                aws.ecr.PullThroughCacheRuleArgs(
                    ecr_repository_prefix=f"{names.stack}/{CACHE}", upstream_registry_url="public.ecr.aws"
                ),
                self.options(),
            )
        self.register_outputs({"coordinator": self.repositories["coordinator"].repository_url})

    def _make_repository(self, part: str) -> aws.ecr.Repository:
        repository = aws.ecr.Repository(
            part,
            aws.ecr.RepositoryArgs(
                name=f"{self.names.stack}/{part}",
                image_tag_mutability="IMMUTABLE",
                image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
                encryption_configurations=[
                    aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=self._args.key)
                ],
                # What watches can be had again, and goes when it is turned off.
                force_delete=not self._args.protected or part in self._args.pushed,
                tags=self.tags(part),
            ),
            self.options(),
        )
        aws.ecr.LifecyclePolicy(
            part,
            aws.ecr.LifecyclePolicyArgs(repository=repository.name, policy=json.dumps(lifecycle())),
            self.options(),
        )
        return repository


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
