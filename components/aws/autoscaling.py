"""Chapter 10 on AWS, Autoscaling of nodes: two targets, and a worker that ends is drained first."""

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.aws.settings import AutoscalingSettings
from components.chapter import AwsChapter
from components.naming import Names

NAMESPACE: Final = "BEAMOps"
READY_METRIC: Final = "ReadyWorkPerWorker"


@dataclass(frozen=True)
class AutoscalingArgs:
    """What scales, and to what."""

    settings: AutoscalingSettings
    workers: pulumi.Input[str]


class Autoscaling(AwsChapter):
    """Workers follow processor use and ready work; a manager drains the one that ends before it goes."""

    number = 10

    def __init__(self, names: Names, args: AutoscalingArgs, options: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(names, options)
        self._args = args
        settings = args.settings
        self._track(
            "cpu",
            aws.autoscaling.PolicyTargetTrackingConfigurationArgs(
                predefined_metric_specification=aws.autoscaling.PolicyTargetTrackingConfigurationPredefinedMetricSpecificationArgs(
                    predefined_metric_type="ASGAverageCPUUtilization"
                ),
                target_value=settings.cpu_percent,
            ),
        )
        self._track(
            "ready-work",
            aws.autoscaling.PolicyTargetTrackingConfigurationArgs(
                customized_metric_specification=aws.autoscaling.PolicyTargetTrackingConfigurationCustomizedMetricSpecificationArgs(
                    namespace=NAMESPACE,
                    metric_name=READY_METRIC,
                    statistic="Average",
                    metric_dimensions=[
                        aws.autoscaling.PolicyTargetTrackingConfigurationCustomizedMetricSpecificationMetricDimensionArgs(
                            name="Stack", value=names.stack
                        )
                    ],
                ),
                target_value=settings.ready_per_worker,
            ),
        )
        self.hook = aws.autoscaling.LifecycleHook(
            "drain",
            aws.autoscaling.LifecycleHookArgs(
                name=names.of("drain"),
                autoscaling_group_name=args.workers,
                lifecycle_transition="autoscaling:EC2_INSTANCE_TERMINATING",
                heartbeat_timeout=settings.drain_seconds,
                # A node that cannot be drained in time must not stay for ever.
                default_result="CONTINUE",
            ),
            self.options(),
        )
        self.register_outputs({"hook": self.hook.name})

    def _track(self, part: str, target: aws.autoscaling.PolicyTargetTrackingConfigurationArgs) -> None:
        aws.autoscaling.Policy(
            part,
            aws.autoscaling.PolicyArgs(
                name=self.names.of(part),
                autoscaling_group_name=self._args.workers,
                policy_type="TargetTrackingScaling",
                estimated_instance_warmup=self._args.settings.warm_up_seconds,
                target_tracking_configuration=target,
            ),
            self.options(),
        )
