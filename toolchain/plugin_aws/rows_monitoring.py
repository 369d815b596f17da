"""Who is told what: topics, their subscriptions, alarms."""

from typing import Final

from toolchain.plugin_aws.api import Api
from toolchain.plugin_aws.codecs import NUMBER, TEXTS, Document, Pairs
from toolchain.plugin_aws.table import Call, Field, It, Row, Tags, write_fields

_TOPIC: Final = {
    "name": Field("Name", replace=True, read=""),
    "displayName": Field("Attributes.DisplayName", read="DisplayName"),
    "kmsMasterKeyId": Field("Attributes.KmsMasterKeyId", read="KmsMasterKeyId"),
    "policy": Field("Attributes.Policy", Document(), read="Policy"),
}
_ALARM: Final = {
    "name": Field("AlarmName", replace=True),
    "alarmDescription": Field(),
    "namespace": Field(),
    "metricName": Field(),
    "dimensions": Field("Dimensions", Pairs("Name")),
    "period": Field(codec=NUMBER),
    "statistic": Field(),
    "comparisonOperator": Field(),
    "threshold": Field(codec=NUMBER),
    "evaluationPeriods": Field(codec=NUMBER),
    "treatMissingData": Field(default="missing"),
    "alarmActions": Field("AlarmActions", TEXTS),
    "okActions": Field("OKActions", TEXTS),
}
_SUBSCRIPTION: Final = {
    "topic": Field("TopicArn", required=True, replace=True),
    "protocol": Field("Protocol", required=True, replace=True),
    "endpoint": Field("Endpoint", required=True, replace=True),
}


def _change_topic(api: Api, it: It) -> None:
    before, after = (write_fields(_TOPIC, one).get("Attributes", {}) for one in (it.old, it.new))
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            given = {"TopicArn": it.id, "AttributeName": name, "AttributeValue": after.get(name, "")}
            api.call("sns", "SetTopicAttributes", given)


def _tags(named: str) -> Tags:
    """Of what is named so by its ARN."""
    return Tags(
        Pairs("Key"),
        Call("TagResource", {named: "$arn", "Tags": "$tags"}),
        Call("UntagResource", {named: "$arn", "TagKeys": "$keys"}),
        Call("ListTagsForResource", {named: "$arn"}),
    )


ROWS: Final = (
    Row(
        "aws:sns/topic:Topic",
        "sns",
        Call("CreateTopic"),
        "TopicArn",
        Call("GetTopicAttributes", {"TopicArn": "$id"}, "Attributes"),
        Call("DeleteTopic", {"TopicArn": "$id"}),
        _TOPIC,
        update=_change_topic,
        outputs={"arn": "TopicArn", "owner": "Owner"},
        tags=_tags("ResourceArn"),
        name="name",
    ),
    Row(
        "aws:sns/topicSubscription:TopicSubscription",
        "sns",
        # Without it, AWS gives no id until somebody has confirmed.
        Call("Subscribe", {"ReturnSubscriptionArn": True}),
        "SubscriptionArn",
        Call("GetSubscriptionAttributes", {"SubscriptionArn": "$id"}, "Attributes"),
        Call("Unsubscribe", {"SubscriptionArn": "$id"}),
        _SUBSCRIPTION,
        outputs={"arn": "SubscriptionArn"},
    ),
    Row(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "cloudwatch",
        Call("PutMetricAlarm"),
        "$name",
        Call("DescribeAlarms", {"AlarmNames": ["$id"]}, "MetricAlarms[0]"),
        Call("DeleteAlarms", {"AlarmNames": ["$id"]}),
        _ALARM,
        update=Call("PutMetricAlarm", whole=True),
        outputs={"arn": "AlarmArn"},
        tags=_tags("ResourceARN"),
        name="name",
    ),
)
