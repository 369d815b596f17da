"""Chapter 1 on AWS, Plan: a budget with an alert, and the tags that everything carries."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.chapter import AwsChapter
from components.naming import Names
from components.settings import PlanSettings

_NEAR_PERCENT = 80


@dataclass(frozen=True)
class PlanArgs:
    """What the stack may cost, and who is told."""

    settings: PlanSettings


class Plan(AwsChapter):
    """The monthly budget of what carries the stack's tag."""

    number = 1

    def __init__(self, names: Names, args: PlanArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        told = [args.settings.alert_email] if args.settings.alert_email else []
        self.budget = aws.budgets.Budget(
            "budget",
            aws.budgets.BudgetArgs(
                name=names.stack,
                budget_type="COST",
                time_unit="MONTHLY",
                limit_amount=str(args.settings.monthly_budget_usd),
                limit_unit="USD",
                cost_filters=[
                    aws.budgets.BudgetCostFilterArgs(name="TagKeyValue", values=[f"user:beamops:stack${names.stack}"])
                ],
                notifications=[
                    aws.budgets.BudgetNotificationArgs(
                        comparison_operator="GREATER_THAN",
                        threshold=threshold,
                        threshold_type="PERCENTAGE",
                        notification_type=kind,
                        subscriber_email_addresses=told,
                    )
                    for kind, threshold in (("ACTUAL", _NEAR_PERCENT), ("FORECASTED", 100))
                    if told
                ],
                tags=self.tags("budget"),
            ),
            self.options(),
        )
        self.register_outputs({"budget": self.budget.name})


def default_tags(names: Names, settings: PlanSettings) -> dict[str, str]:
    """Tags of everything on AWS that can carry tags; the provider puts them on."""
    return {
        "beamops:stack": names.stack,
        "beamops:environment": names.environment,
        "beamops:owner": settings.owner,
        "beamops:managed-by": "pulumi",
    }
