"""Machines, their groups, the load balancer before them, and its certificate."""

import time
from typing import Any, Final

from toolchain.plugin_aws.api import Api, ApiError
from toolchain.plugin_aws.codecs import (
    FLAG,
    FLAG_TEXT,
    FLOAT,
    NUMBER,
    TEXT,
    TEXTS,
    Alone,
    Attribute,
    Attributes,
    Block,
    Choice,
    Codec,
    Lone,
    Pairs,
    Several,
)
from toolchain.plugin_aws.rows_network import FIXED, OPTIONAL_FIXED
from toolchain.plugin_aws.table import BY_HOOK, Call, Field, It, Part, Row, Tags, Write, write_fields

_CERTIFICATE_SECONDS: Final = 120
_OWN: Final = "arn:aws:ec2:$region:$account"
_TEMPLATE: Final = "LaunchTemplateData."
_GROUP_TAG: Final = Block(
    {"key": ("Key", TEXT), "value": ("Value", TEXT), "propagateAtLaunch": ("PropagateAtLaunch", FLAG)}
)
_BALANCER_TAGS: Final = Tags(
    Pairs("Key"),
    Call("AddTags", {"ResourceArns": ["$id"], "Tags": "$tags"}),
    Call("RemoveTags", {"ResourceArns": ["$id"], "TagKeys": "$keys"}),
    Call("DescribeTags", {"ResourceArns": ["$id"]}, "TagDescriptions[0]"),
)
_REFRESH: Final = Block(
    {
        "strategy": ("strategy", TEXT),
        "preferences": (
            "preferences",
            Block(
                {
                    "minHealthyPercentage": ("minHealthyPercentage", NUMBER),
                    "instanceWarmup": ("instanceWarmup", TEXT),
                }
            ),
        ),
    }
)
_TRACKING: Final = Block(
    {
        "targetValue": ("TargetValue", FLOAT),
        "predefinedMetricSpecification": (
            "PredefinedMetricSpecification",
            Block({"predefinedMetricType": ("PredefinedMetricType", TEXT)}),
        ),
        "customizedMetricSpecification": (
            "CustomizedMetricSpecification",
            Block(
                {
                    "namespace": ("Namespace", TEXT),
                    "metricName": ("MetricName", TEXT),
                    "statistic": ("Statistic", TEXT),
                    "metricDimensions": (
                        "Dimensions",
                        Several(Block({"name": ("Name", TEXT), "value": ("Value", TEXT)})),
                    ),
                }
            ),
        ),
    }
)
_ACTION: Final = Block(
    {
        "type": ("Type", TEXT),
        "targetGroupArn": ("TargetGroupArn", TEXT),
        "redirect": (
            "RedirectConfig",
            Block({"port": ("Port", TEXT), "protocol": ("Protocol", TEXT), "statusCode": ("StatusCode", TEXT)}),
        ),
    }
)
_EBS: Final = Block(
    {
        "volumeSize": ("VolumeSize", NUMBER),
        "volumeType": ("VolumeType", TEXT),
        "encrypted": ("Encrypted", FLAG_TEXT),
        "kmsKeyId": ("KmsKeyId", TEXT),
        "deleteOnTermination": ("DeleteOnTermination", FLAG_TEXT),
    }
)


def _tag_group(api: Api, it: It) -> None:
    group = {"ResourceId": it.id, "ResourceType": "auto-scaling-group"}
    wanted = {tag["key"] for tag in it.new.get("tags") or []}
    gone = [{"Key": tag["key"], **group} for tag in it.old.get("tags") or [] if tag["key"] not in wanted]
    if gone:
        api.call("autoscaling", "DeleteTags", {"Tags": gone})
    tags = [{**_GROUP_TAG.write(tag), **group} for tag in it.new.get("tags") or []]
    if tags:
        api.call("autoscaling", "CreateOrUpdateTags", {"Tags": tags})


def _attach_targets(api: Api, it: It) -> None:
    had, wanted = set(it.old.get("targetGroupArns") or ()), set(it.new.get("targetGroupArns") or ())
    for operation, groups in (("Attach", wanted - had), ("Detach", had - wanted)):
        if groups:
            api.call(
                "autoscaling",
                f"{operation}LoadBalancerTargetGroups",
                {"AutoScalingGroupName": it.id, "TargetGroupARNs": sorted(groups)},
            )


def _new_template_version(api: Api, it: It) -> None:
    data = write_fields(_TEMPLATE_FIELDS, it.new)
    made = api.call("ec2", "CreateLaunchTemplateVersion", {"LaunchTemplateId": it.id, **data})
    if it.new.get("updateDefaultVersion"):
        number = str(made["LaunchTemplateVersion"]["VersionNumber"])
        api.call("ec2", "ModifyLaunchTemplate", {"LaunchTemplateId": it.id, "DefaultVersion": number})


def _attributes(noun: str, codecs: dict[str, tuple[Codec, Any]]) -> tuple[Part, ...]:
    """A part for each property that AWS keeps among a load balancer's or target group's attributes."""
    known = {f"{noun}Arn": "$id"}
    return tuple(
        Part(
            {name: Field("Attributes", codec, default=default)},
            Call(f"Modify{noun}Attributes", known),
            Call(f"Describe{noun}Attributes", known),
        )
        for name, (codec, default) in codecs.items()
    )


_HEALTH: Final = Block(
    {
        "path": ("HealthCheckPath", TEXT),
        "interval": ("HealthCheckIntervalSeconds", NUMBER),
        "timeout": ("HealthCheckTimeoutSeconds", NUMBER),
        "healthyThreshold": ("HealthyThresholdCount", NUMBER),
        "unhealthyThreshold": ("UnhealthyThresholdCount", NUMBER),
        "matcher": ("Matcher.HttpCode", TEXT),
    }
)


class _Domain:
    """A domain name, which may end in a dot."""

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        return TEXT.check(value, path)

    def write(self, value: Any) -> Any:
        """See Codec."""
        return value

    def read(self, value: Any) -> Any:
        """See Codec."""
        return value.removesuffix(".")

    def key(self, value: Any) -> Any:
        """See Codec."""
        return value.removesuffix(".").lower()


_ALIAS: Final = Block(
    {
        "name": ("DNSName", _Domain()),
        "zoneId": ("HostedZoneId", TEXT),
        "evaluateTargetHealth": ("EvaluateTargetHealth", FLAG),
    }
)
_OF_GROUP: Final = {"AutoScalingGroupName": "$autoscalingGroupName"}


def _await_certificate(api: Api, it: It) -> None:
    end = time.monotonic() + _CERTIFICATE_SECONDS
    while True:
        asked = {"CertificateArn": it.new["certificateArn"]}
        status = api.call("acm", "DescribeCertificate", asked)["Certificate"]["Status"]
        if status == "ISSUED":
            return
        if time.monotonic() > end:
            raise ApiError(f"the certificate is {status} after {_CERTIFICATE_SECONDS} s")
        time.sleep(0.2)


def _change_record(action: str) -> Write:
    def write(api: Api, it: It) -> None:
        of = it.new or it.state
        record: dict[str, Any] = {"Name": of["name"], "Type": of["type"]}
        if of.get("aliases"):
            record["AliasTarget"] = _ALIAS.write(of["aliases"][0])
        else:
            record |= {"TTL": int(of["ttl"]), "ResourceRecords": [{"Value": value} for value in of["records"]]}
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        api.call("route53", "ChangeResourceRecordSets", {"HostedZoneId": of["zoneId"], "ChangeBatch": batch})

    return write


_TEMPLATE_FIELDS: Final = {
    name: Field(_TEMPLATE + member, codec, read=f"LaunchTemplateData.{member}")
    for name, member, codec in (
        ("imageId", "ImageId", TEXT),
        ("instanceType", "InstanceType", TEXT),
        ("userData", "UserData", TEXT),
        ("iamInstanceProfile", "IamInstanceProfile", Block({"arn": ("Arn", TEXT)})),
        ("monitoring", "Monitoring", Block({"enabled": ("Enabled", FLAG)})),
        (
            "metadataOptions",
            "MetadataOptions",
            Block(
                {
                    "httpEndpoint": ("HttpEndpoint", TEXT),
                    "httpTokens": ("HttpTokens", TEXT),
                    "httpPutResponseHopLimit": ("HttpPutResponseHopLimit", NUMBER),
                }
            ),
        ),
        (
            "networkInterfaces",
            "NetworkInterfaces",
            Several(
                Block(
                    {
                        "associatePublicIpAddress": ("AssociatePublicIpAddress", FLAG_TEXT),
                        "deleteOnTermination": ("DeleteOnTermination", FLAG_TEXT),
                        "securityGroups": ("Groups", TEXTS),
                    }
                )
            ),
        ),
        (
            "blockDeviceMappings",
            "BlockDeviceMappings",
            Several(Block({"deviceName": ("DeviceName", TEXT), "ebs": ("Ebs", _EBS)})),
        ),
        (
            "tagSpecifications",
            "TagSpecifications",
            Several(Block({"resourceType": ("ResourceType", TEXT), "tags": ("Tags", Pairs("Key"))})),
        ),
    )
}


ROWS: Final = (
    Row(
        "aws:ec2/launchTemplate:LaunchTemplate",
        "ec2",
        Call("CreateLaunchTemplate"),
        "LaunchTemplate.LaunchTemplateId",
        Call(
            "DescribeLaunchTemplateVersions",
            {"LaunchTemplateId": "$id", "Versions": ["$Latest"]},
            "LaunchTemplateVersions[0]",
        ),
        Call("DeleteLaunchTemplate", {"LaunchTemplateId": "$id"}),
        {"name": Field("LaunchTemplateName", replace=True), **_TEMPLATE_FIELDS},
        update=_new_template_version,
        outputs={"arn": f"{_OWN}:launch-template/$id", "latestVersion": "VersionNumber"},
        tags=Tags(
            Pairs("Key"),
            Call("CreateTags", {"Resources": ["$id"], "Tags": "$tags"}),
            Call("DeleteTags", {"Resources": ["$id"], "Tags": "$keys"}),
            Call("DescribeTags", {"Filters": [{"Name": "resource-id", "Values": ["$id"]}]}),
            keys_in_pairs=True,
        ),
        name="name",
        volatile=("latestVersion",),
        local={"updateDefaultVersion": FLAG},
    ),
    Row(
        "aws:autoscaling/group:Group",
        "autoscaling",
        Call("CreateAutoScalingGroup"),
        "$name",
        Call("DescribeAutoScalingGroups", {"AutoScalingGroupNames": ["$id"]}, "AutoScalingGroups[0]"),
        Call("DeleteAutoScalingGroup", {"AutoScalingGroupName": "$id", "ForceDelete": True}),
        {
            "name": Field("AutoScalingGroupName", replace=True),
            "minSize": Field(codec=NUMBER, required=True),
            "maxSize": Field(codec=NUMBER, required=True),
            "desiredCapacity": Field(codec=NUMBER),
            "vpcZoneIdentifiers": Field("VPCZoneIdentifier", Several(TEXT, joined=True)),
            "launchTemplate": Field(codec=Block({"id": ("LaunchTemplateId", TEXT), "version": ("Version", TEXT)})),
            "healthCheckType": Field(default="EC2"),
            "healthCheckGracePeriod": Field(codec=NUMBER),
            "defaultInstanceWarmup": Field(codec=NUMBER, read=""),
        },
        update=Call("UpdateAutoScalingGroup", {"AutoScalingGroupName": "$id"}),
        parts=(
            Part({"targetGroupArns": Field(codec=TEXTS, read="TargetGroupARNs", default=[])}, _attach_targets),
            Part({"tags": Field(codec=Several(_GROUP_TAG), default=[])}, _tag_group),
        ),
        outputs={"arn": "AutoScalingGroupARN"},
        name="name",
        local={"instanceRefresh": _REFRESH},
    ),
    Row(
        "aws:autoscaling/policy:Policy",
        "autoscaling",
        Call("PutScalingPolicy"),
        "$name",
        Call("DescribePolicies", {**_OF_GROUP, "PolicyNames": ["$id"]}, "ScalingPolicies[0]"),
        Call("DeletePolicy", {**_OF_GROUP, "PolicyName": "$id"}),
        {
            "name": Field("PolicyName", replace=True),
            "autoscalingGroupName": Field("AutoScalingGroupName", required=True, replace=True),
            "policyType": Field(),
            "estimatedInstanceWarmup": Field(codec=NUMBER),
            "targetTrackingConfiguration": Field(codec=_TRACKING),
        },
        update=Call("PutScalingPolicy", whole=True),
        outputs={"arn": "PolicyARN"},
        name="name",
    ),
    Row(
        "aws:autoscaling/lifecycleHook:LifecycleHook",
        "autoscaling",
        Call("PutLifecycleHook"),
        "$name",
        Call("DescribeLifecycleHooks", {**_OF_GROUP, "LifecycleHookNames": ["$id"]}, "LifecycleHooks[0]"),
        Call("DeleteLifecycleHook", {**_OF_GROUP, "LifecycleHookName": "$id"}),
        {
            "name": Field("LifecycleHookName", replace=True),
            "autoscalingGroupName": Field("AutoScalingGroupName", required=True, replace=True),
            "lifecycleTransition": Field(required=True),
            "heartbeatTimeout": Field(codec=NUMBER),
            "defaultResult": Field(),
        },
        update=Call("PutLifecycleHook", whole=True),
        name="name",
    ),
    Row(
        "aws:lb/loadBalancer:LoadBalancer",
        "elbv2",
        Call("CreateLoadBalancer"),
        "LoadBalancers[0].LoadBalancerArn",
        Call("DescribeLoadBalancers", {"LoadBalancerArns": ["$id"]}, "LoadBalancers[0]"),
        Call("DeleteLoadBalancer", {"LoadBalancerArn": "$id"}),
        {
            "name": Field(replace=True, read="LoadBalancerName"),
            "internal": Field("Scheme", Choice({True: "internal", False: "internet-facing"}), replace=True),
            "loadBalancerType": Field("Type", replace=True),
        },
        parts=(
            Part({"securityGroups": Field(codec=TEXTS)}, Call("SetSecurityGroups", {"LoadBalancerArn": "$id"})),
            Part(
                {"subnets": Field(codec=TEXTS, read="AvailabilityZones[].SubnetId")},
                Call("SetSubnets", {"LoadBalancerArn": "$id"}),
            ),
            *_attributes(
                "LoadBalancer",
                {
                    "enableDeletionProtection": (Attribute("deletion_protection.enabled", FLAG), False),
                    "idleTimeout": (Attribute("idle_timeout.timeout_seconds", NUMBER), 60),
                    "dropInvalidHeaderFields": (
                        Attribute("routing.http.drop_invalid_header_fields.enabled", FLAG),
                        False,
                    ),
                    "accessLogs": (
                        Attributes(
                            {
                                "enabled": ("access_logs.s3.enabled", FLAG),
                                "bucket": ("access_logs.s3.bucket", TEXT),
                            }
                        ),
                        {"enabled": False},
                    ),
                },
            ),
        ),
        outputs={"arn": "LoadBalancerArn", "dnsName": "DNSName", "zoneId": "CanonicalHostedZoneId"},
        tags=_BALANCER_TAGS,
        name="name",
        before=lambda _api, it: {"Subnets": it.new["subnets"], "SecurityGroups": it.new["securityGroups"]},
    ),
    Row(
        "aws:lb/targetGroup:TargetGroup",
        "elbv2",
        Call("CreateTargetGroup"),
        "TargetGroups[0].TargetGroupArn",
        Call("DescribeTargetGroups", {"TargetGroupArns": ["$id"]}, "TargetGroups[0]"),
        Call("DeleteTargetGroup", {"TargetGroupArn": "$id"}),
        {
            "name": Field(replace=True, read="TargetGroupName"),
            "port": Field(codec=NUMBER, replace=True),
            "protocol": Field(replace=True),
            "vpcId": OPTIONAL_FIXED,
        },
        parts=(
            Part({"healthCheck": Field("*", _HEALTH, read="@")}, Call("ModifyTargetGroup", {"TargetGroupArn": "$id"})),
            *_attributes(
                "TargetGroup",
                {"deregistrationDelay": (Attribute("deregistration_delay.timeout_seconds", NUMBER), 300)},
            ),
        ),
        outputs={"arn": "TargetGroupArn"},
        tags=_BALANCER_TAGS,
        name="name",
    ),
    Row(
        "aws:lb/listener:Listener",
        "elbv2",
        Call("CreateListener"),
        "Listeners[0].ListenerArn",
        Call("DescribeListeners", {"ListenerArns": ["$id"]}, "Listeners[0]"),
        Call("DeleteListener", {"ListenerArn": "$id"}),
        {
            "loadBalancerArn": FIXED,
            "port": Field(codec=NUMBER),
            "protocol": Field(),
            "sslPolicy": Field(),
            "certificateArn": Field("Certificates", Alone(TEXT, "CertificateArn")),
            "defaultActions": Field(codec=Several(_ACTION), required=True),
        },
        update=Call("ModifyListener", {"ListenerArn": "$id"}),
        outputs={"arn": "ListenerArn"},
        tags=_BALANCER_TAGS,
    ),
    Row(
        "aws:acm/certificate:Certificate",
        "acm",
        Call("RequestCertificate"),
        "CertificateArn",
        Call("DescribeCertificate", {"CertificateArn": "$id"}, "Certificate"),
        Call("DeleteCertificate", {"CertificateArn": "$id"}),
        {
            "domainName": Field(replace=True),
            "validationMethod": Field(replace=True, read="DomainValidationOptions.0.ValidationMethod"),
        },
        outputs={
            "arn": "CertificateArn",
            "domainValidationOptions": (
                "DomainValidationOptions[].{domainName: DomainName, resourceRecordName: ResourceRecord.Name, "
                "resourceRecordType: ResourceRecord.Type, resourceRecordValue: ResourceRecord.Value}"
            ),
        },
        tags=Tags(
            Pairs("Key"),
            Call("AddTagsToCertificate", {"CertificateArn": "$id", "Tags": "$tags"}),
            Call("RemoveTagsFromCertificate", {"CertificateArn": "$id", "Tags": "$keys"}),
            Call("ListTagsForCertificate", {"CertificateArn": "$id"}),
            keys_in_pairs=True,
        ),
    ),
    Row(
        "aws:acm/certificateValidation:CertificateValidation",
        "acm",
        # Nothing is made: the provider waits here until AWS has seen the record.
        Call("DescribeCertificate"),
        "Certificate.CertificateArn",
        Call("DescribeCertificate", {"CertificateArn": "$certificateArn"}, "Certificate"),
        None,
        {
            "certificateArn": FIXED,
            "validationRecordFqdns": Field(BY_HOOK, TEXTS, replace=True, read=""),
        },
        after=_await_certificate,
    ),
    Row(
        "aws:route53/record:Record",
        "route53",
        Call("GetHostedZone", {"Id": "$zoneId"}),
        "$zoneId_$name_$type",
        Call(
            "ListResourceRecordSets",
            {"HostedZoneId": "$zoneId"},
            "ResourceRecordSets[?(Name=='$name' || Name=='$name.') && Type=='$type']|[0]",
        ),
        _change_record("DELETE"),
        {
            "zoneId": Field(BY_HOOK, required=True, replace=True, read=""),
            "name": Field(BY_HOOK, _Domain(), required=True, replace=True, read="Name"),
            "type": Field(BY_HOOK, required=True, read="Type"),
            "ttl": Field(BY_HOOK, NUMBER, read="TTL"),
            "records": Field(BY_HOOK, TEXTS, read="ResourceRecords[].Value"),
            "aliases": Field(BY_HOOK, Lone(_ALIAS), read="AliasTarget"),
        },
        update=_change_record("UPSERT"),
        after=_change_record("CREATE"),
        outputs={"fqdn": "Name"},
    ),
)
