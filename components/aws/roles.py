"""Roles that services of AWS take on."""

import pulumi_aws as aws

from components.aws.policies import trust_service
from components.chapter import AwsChapter


def make_role(
    chapter: AwsChapter, part: str, service: str, *, description: str | None = None, managed: str | None = None
) -> aws.iam.Role:
    """A role for a service, with one of AWS's own policies where it is named."""
    role = aws.iam.Role(
        part,
        aws.iam.RoleArgs(
            name=chapter.names.of(part),
            description=description,
            assume_role_policy=trust_service(service),
            tags=chapter.tags(part),
        ),
        chapter.options(),
    )
    if managed is not None:
        aws.iam.RolePolicyAttachment(
            f"{part}-managed",
            aws.iam.RolePolicyAttachmentArgs(role=role.name, policy_arn=managed),
            chapter.options(),
        )
    return role
