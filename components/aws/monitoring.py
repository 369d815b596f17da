"""Chapter 12 on AWS, Monitoring: what Alertmanager says reaches people by SNS, and so does its silence.

Containers have no credentials of AWS, so Alertmanager cannot publish by itself: the script of the node that it runs on
(node.sh) puts what fires into a metric, and CloudWatch tells a topic. The watchdog always fires: an alarm is that it no
longer does.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from components.aws.autoscaling import NAMESPACE
from components.aws.policies import VERSION
from components.chapter import AwsChapter
from components.naming import Names
from components.observability.alert import Alert

_METRIC: Final = "AlertFiring"
_WATCHDOG: Final = "Watchdog"
_PERIOD_SECONDS: Final = 60
_SILENT_MINUTES: Final = 10
"""Longer than Prometheus and Alertmanager take to move to another node with the node that they were on."""


@dataclass(frozen=True)
class MonitoringArgs:
    """What may fire, who is told, and what encrypts what they are told."""

    alerts: Sequence[Alert]
    email: str | None
    account: str
    region: str
    key: pulumi.Input[str]


class Monitoring(AwsChapter):
    """A topic, and alarms that tell it: one for each alert, and one that nobody watches."""

    number = 12

    def __init__(self, names: Names, args: MonitoringArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        name = names.of("alerts")
        arn = f"arn:aws:sns:{args.region}:{args.account}:{name}"
        self.topic = aws.sns.Topic(
            "alerts",
            aws.sns.TopicArgs(
                name=name,
                display_name=f"BEAMOps {names.stack}",
                kms_master_key_id=args.key,
                policy=json.dumps(topic_policy(arn, args.account)),
                tags=self.tags("alerts"),
            ),
            self.options(),
        )
        if args.email is not None:
            aws.sns.TopicSubscription(
                "alerts",
                aws.sns.TopicSubscriptionArgs(topic=self.topic.arn, protocol="email", endpoint=args.email),
                self.options(),
            )
        for alert in args.alerts:
            if alert.severity != "none":
                self._make_alarm(
                    alert.name,
                    f"{alert.severity}: {alert.impact}. `make alerts STACK={names.environment}` says more, and "
                    f"{alert.runbook} what to do",
                    statistic="Maximum",
                    comparison_operator="GreaterThanThreshold",
                    threshold=0,
                    evaluation_periods=1,
                    treat_missing_data="notBreaching",
                )
        self._make_alarm(
            _WATCHDOG,
            f"Nobody watches {names.stack}: for {_SILENT_MINUTES} minutes no rule was worked out, or nobody was told",
            statistic="SampleCount",
            comparison_operator="LessThanThreshold",
            threshold=1,
            evaluation_periods=_SILENT_MINUTES,
            treat_missing_data="breaching",
        )
        self.register_outputs({"topic": self.topic.arn})

    def _make_alarm(self, alert: str, description: str, **values: Any) -> None:
        aws.cloudwatch.MetricAlarm(
            alert,
            aws.cloudwatch.MetricAlarmArgs(
                name=self.names.of(alert),
                alarm_description=description,
                namespace=alerts_namespace(self.names),
                metric_name=_METRIC,
                dimensions={"Alert": alert},
                period=_PERIOD_SECONDS,
                alarm_actions=[self.topic.arn],
                ok_actions=[self.topic.arn],
                tags=self.tags(alert),
                **values,
            ),
            self.options(),
        )


def alerts_namespace(names: Names) -> str:
    """Where a stack's nodes count what fires; any of them may write there."""
    return f"{NAMESPACE}/{names.stack}"


def topic_policy(arn: str, account: str) -> dict[str, Any]:
    """Who may publish: CloudWatch, for alarms of this account; and nobody without TLS.

    Source: AWS, "Amazon SNS topic policy for CloudWatch alarms" in the guide of CloudWatch.
    """
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Sid": "Alarms",
                "Effect": "Allow",
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                "Action": "sns:Publish",
                "Resource": arn,
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            },
            {
                "Sid": "Tls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sns:Publish",
                "Resource": arn,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }
