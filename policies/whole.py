"""What holds of a stack as a whole."""

from collections.abc import Iterator
from typing import Final

from policies.prices import plan_month
from policies.rule import Resource, StackRule, Unknown, at, of_kind

_CHAPTER: Final = "beamops:"
_FREE: Final = ("pulumi:", "beamops:", "pulumi-python:")
_TAGGED: Final = (
    "aws:ec2/vpc:Vpc",
    "aws:ec2/subnet:Subnet",
    "aws:ec2/natGateway:NatGateway",
    "aws:ec2/securityGroup:SecurityGroup",
    "aws:ec2/launchTemplate:LaunchTemplate",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:rds/instance:Instance",
    "aws:s3/bucket:Bucket",
    "aws:dynamodb/table:Table",
    "aws:kms/key:Key",
    "aws:iam/role:Role",
    "aws:secretsmanager/secret:Secret",
    "aws:ecr/repository:Repository",
    "aws:cloudwatch/logGroup:LogGroup",
)
_TAGS: Final = ("Name", "beamops:chapter")


def _check_owners(resources: list[Resource]) -> Iterator[tuple[str, Resource | None]]:
    for resource in resources:
        if not resource.kind.startswith(_FREE) and not resource.parent.startswith(_CHAPTER):
            yield "belongs to no chapter", resource


def _check_tags(resources: list[Resource]) -> Iterator[tuple[str, Resource | None]]:
    for resource in resources:
        tags = at(resource.props, "tags")
        if resource.kind in _TAGGED and not isinstance(tags, Unknown):
            missing = [name for name in _TAGS if name not in (tags or {})]
            if missing:
                yield f"has no tag {', '.join(missing)}", resource


def _check_costs(resources: list[Resource]) -> Iterator[tuple[str, Resource | None]]:
    for budget in of_kind(resources, "aws:budgets/budget:Budget"):
        limit = float(at(budget.props, "limitAmount"))
        planned = plan_month(resources)
        if planned > limit:
            yield f"what is planned costs about {planned:.0f} USD a month, the budget is {limit:.0f}", budget


RULES: Final = (
    StackRule(
        "everything-has-an-owner",
        "Every resource belongs to a chapter",
        "What nobody owns is never removed",
        "make it in a chapter, with self.options()",
        "low",
        _check_owners,
    ),
    StackRule(
        "everything-is-tagged",
        "What can carry tags has a name and its chapter",
        "Costs and alerts are told apart by tags",
        "tags=self.tags(<part>)",
        "low",
        _check_tags,
    ),
    StackRule(
        "costs-under-budget",
        "What is planned costs less a month than the stack's budget",
        "The bill comes a month later",
        "take smaller machines, or raise beamops:plan.monthly_budget_usd",
        "medium",
        _check_costs,
    ),
)
