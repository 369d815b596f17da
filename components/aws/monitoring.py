"""Chapter 12 on AWS, Monitoring: what Alertmanager says reaches people by SNS, and so does its silence.

Containers have no credentials of AWS, so Alertmanager cannot publish by itself: the script of the node that it runs on
(node.sh) counts what fires into a metric, and CloudWatch tells a topic. A metric that no longer comes is an alarm too:
nobody watches then.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from components.aws.autoscaling import NAMESPACE
from components.aws.policies import VERSION
from components.chapter import AwsChapter
from components.naming import Names

ALERTS_METRIC: Final = "AlertsFiring"
SEVERITIES: Final = ("critical", "warning")
_PERIOD_SECONDS: Final = 60
_SILENT_MINUTES: Final = 10
"""Longer than Alertmanager takes to move to another node with the node that it was on."""


@dataclass(frozen=True)
class MonitoringArgs:
    """Who is told, and what encrypts what they are told."""

    email: str | None
    account: str
    region: str
    key: pulumi.Input[str]


class Monitoring(AwsChapter):
    """A topic, and alarms that tell it: something fires, by severity; or nobody watches."""

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
        for severity in SEVERITIES:
            self._make_alarm(
                severity,
                f"Alerts of {names.stack} fire ({severity}); `make alerts STACK={names.environment}` says which",
                severity,
                statistic="Maximum",
                comparison_operator="GreaterThanThreshold",
                threshold=0,
                evaluation_periods=1,
                # Nothing is known of what fires then, which the alarm below tells.
                treat_missing_data="ignore",
            )
        self._make_alarm(
            "silence",
            f"Nobody watches {names.stack}: Alertmanager has said nothing for {_SILENT_MINUTES} minutes",
            SEVERITIES[0],
            statistic="SampleCount",
            comparison_operator="LessThanThreshold",
            threshold=1,
            evaluation_periods=_SILENT_MINUTES,
            treat_missing_data="breaching",
        )
        self.register_outputs({"topic": self.topic.arn})

    def _make_alarm(self, part: str, description: str, severity: str, **values: Any) -> None:
        aws.cloudwatch.MetricAlarm(
            part,
            aws.cloudwatch.MetricAlarmArgs(
                name=self.names.of(part),
                alarm_description=description,
                namespace=NAMESPACE,
                metric_name=ALERTS_METRIC,
                dimensions={"Stack": self.names.stack, "Severity": severity},
                period=_PERIOD_SECONDS,
                alarm_actions=[self.topic.arn],
                ok_actions=[self.topic.arn],
                tags=self.tags(part),
                **values,
            ),
            self.options(),
        )


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
