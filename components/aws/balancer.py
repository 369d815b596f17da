"""The load balancer of chapter 6: TLS alone, access logs, and a redirect from what is not TLS."""

import json
from typing import Final

import pulumi
import pulumi_aws as aws

from components.aws.network import Network
from components.aws.rules import HTTP, HTTPS
from components.aws.settings import ProductionSettings
from components.chapter import AwsChapter

_TLS_POLICY: Final = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.2 and 1.3 with forward secrecy alone (AWS: "Security policies for your Application Load Balancer")."""
_LOG_DAYS: Final = 90
_IDLE_SECONDS: Final = 75
"""Longer than a claim may wait for work."""
_WRITER: Final = "logdelivery.elasticloadbalancing.amazonaws.com"


def make_balancer(
    chapter: AwsChapter,
    settings: ProductionSettings,
    zone_id: str | None,
    network: Network,
    target: aws.lb.TargetGroup,
    *,
    protected: bool,
) -> aws.lb.LoadBalancer:
    """A load balancer in the public subnets that forwards to the target; `zone_id` is where its name is kept."""
    logs = _make_log_bucket(chapter, protected=protected)
    balancer = aws.lb.LoadBalancer(
        "balancer",
        aws.lb.LoadBalancerArgs(
            name=chapter.names.stack,
            internal=False,
            load_balancer_type="application",
            security_groups=[network.groups["load-balancer"].id],
            subnets=network.public_ids,
            drop_invalid_header_fields=True,
            enable_deletion_protection=protected,
            idle_timeout=_IDLE_SECONDS,
            access_logs=aws.lb.LoadBalancerAccessLogsArgs(bucket=logs.bucket, enabled=True),
            tags=chapter.tags("balancer"),
        ),
        chapter.options(),
    )
    forward = aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=target.arn)
    aws.lb.Listener(
        "https",
        aws.lb.ListenerArgs(
            load_balancer_arn=balancer.arn,
            port=HTTPS,
            protocol="HTTPS",
            ssl_policy=_TLS_POLICY,
            certificate_arn=_make_certificate(chapter, settings, zone_id),
            default_actions=[forward],
            tags=chapter.tags("https"),
        ),
        chapter.options(),
    )
    aws.lb.Listener(
        "http",
        aws.lb.ListenerArgs(
            load_balancer_arn=balancer.arn,
            port=HTTP,
            protocol="HTTP",
            default_actions=[
                aws.lb.ListenerDefaultActionArgs(
                    type="redirect",
                    redirect=aws.lb.ListenerDefaultActionRedirectArgs(
                        port=str(HTTPS), protocol="HTTPS", status_code="HTTP_301"
                    ),
                )
            ],
            tags=chapter.tags("http"),
        ),
        chapter.options(),
    )
    if settings.domain is not None and zone_id is not None:
        aws.route53.Record(
            "domain",
            aws.route53.RecordArgs(
                zone_id=zone_id,
                name=settings.domain,
                type="A",
                aliases=[
                    aws.route53.RecordAliasArgs(
                        name=balancer.dns_name, zone_id=balancer.zone_id, evaluate_target_health=False
                    )
                ],
            ),
            chapter.options(),
        )
    return balancer


def _make_certificate(chapter: AwsChapter, settings: ProductionSettings, zone_id: str | None) -> pulumi.Input[str]:
    if settings.certificate_arn is not None:
        return settings.certificate_arn
    if settings.domain is None or zone_id is None:
        raise ValueError("settings are checked before: a certificate is given, or a domain and its zone")
    certificate = aws.acm.Certificate(
        "certificate",
        aws.acm.CertificateArgs(domain_name=settings.domain, validation_method="DNS", tags=chapter.tags("certificate")),
        chapter.options(delete_before_replace=False),
    )
    proof = certificate.domain_validation_options[0]
    record = aws.route53.Record(
        "certificate",
        aws.route53.RecordArgs(
            zone_id=zone_id,
            name=proof.resource_record_name,
            type=proof.resource_record_type,
            records=[proof.resource_record_value],
            ttl=300,
        ),
        chapter.options(),
    )
    return aws.acm.CertificateValidation(
        "certificate",
        aws.acm.CertificateValidationArgs(certificate_arn=certificate.arn, validation_record_fqdns=[record.fqdn]),
        chapter.options(),
    ).certificate_arn


def _make_log_bucket(chapter: AwsChapter, *, protected: bool) -> aws.s3.Bucket:
    bucket = aws.s3.Bucket(
        "access-logs",
        aws.s3.BucketArgs(
            bucket_prefix=f"{chapter.names.stack}-logs-"[:37],
            force_destroy=not protected,
            tags=chapter.tags("access-logs"),
        ),
        chapter.options(),
    )
    aws.s3.BucketPublicAccessBlock(
        "access-logs",
        aws.s3.BucketPublicAccessBlockArgs(
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
        ),
        chapter.options(),
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        "access-logs",
        aws.s3.BucketServerSideEncryptionConfigurationInitArgs(
            bucket=bucket.id,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                        # Load balancers write with keys of S3's own alone.
                        sse_algorithm="AES256"
                    )
                )
            ],
        ),
        chapter.options(),
    )
    aws.s3.BucketLifecycleConfiguration(
        "access-logs",
        aws.s3.BucketLifecycleConfigurationArgs(
            bucket=bucket.id,
            rules=[
                aws.s3.BucketLifecycleConfigurationRuleArgs(
                    id="expire",
                    status="Enabled",
                    filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                    expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=_LOG_DAYS),
                )
            ],
        ),
        chapter.options(),
    )
    aws.s3.BucketPolicy(
        "access-logs",
        aws.s3.BucketPolicyArgs(bucket=bucket.id, policy=bucket.arn.apply(lambda arn: json.dumps(log_policy(arn)))),
        chapter.options(),
    )
    return bucket


def log_policy(bucket: str) -> dict[str, object]:
    """Who may write access logs: the load balancers' own service; and nobody anything without TLS."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Write",
                "Effect": "Allow",
                "Principal": {"Service": _WRITER},
                "Action": "s3:PutObject",
                "Resource": f"{bucket}/AWSLogs/*",
            },
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket, f"{bucket}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }
