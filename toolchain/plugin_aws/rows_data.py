"""What keeps data: PostgreSQL, the swarm's lease, access logs, images, flow logs; and the budget."""

from typing import Any, Final

from toolchain.plugin_aws.api import Api
from toolchain.plugin_aws.codecs import FLAG, NUMBER, TEXT, TEXTS, UNKNOWN, Block, Document, Lone, Pairs, Several
from toolchain.plugin_aws.rows_network import OPTIONAL_FIXED
from toolchain.plugin_aws.table import BY_HOOK, Call, Field, It, Part, Row, Tags, write_fields

_RDS_TAGS: Final = Tags(
    Pairs("Key"),
    Call("AddTagsToResource", {"ResourceName": "$arn", "Tags": "$tags"}),
    Call("RemoveTagsFromResource", {"ResourceName": "$arn", "TagKeys": "$keys"}),
    Call("ListTagsForResource", {"ResourceName": "$arn"}),
    at="TagList",
)
_LOWER_TAGS: Final = Tags(
    Pairs("Key"),
    Call("TagResource", {"resourceArn": "$arn", "tags": "$tags"}),
    Call("UntagResource", {"resourceArn": "$arn", "tagKeys": "$keys"}),
    Call("ListTagsForResource", {"resourceArn": "$arn"}),
    at="tags",
)
_BUCKET: Final = Field(required=True, replace=True, read="")
_OF_BUCKET: Final = {"Bucket": "$bucket"}
_OF_REPOSITORY: Final = {"repositoryName": "$id"}
_PARAMETER: Final = Block(
    {"name": ("ParameterName", TEXT), "value": ("ParameterValue", TEXT), "applyMethod": ("ApplyMethod", TEXT)}
)
_ENCRYPTION: Final = Block(
    {
        "applyServerSideEncryptionByDefault": (
            "ApplyServerSideEncryptionByDefault",
            Block({"sseAlgorithm": ("SSEAlgorithm", TEXT)}),
        )
    }
)
_EXPIRY: Final = Block(
    {
        "id": ("ID", TEXT),
        "status": ("Status", TEXT),
        "filter": ("Filter", Block({"prefix": ("Prefix", TEXT)})),
        "expiration": ("Expiration", Block({"days": ("Days", NUMBER)})),
    }
)
_NOTIFICATION: Final = {
    "comparisonOperator": Field(),
    "threshold": Field(codec=NUMBER),
    "thresholdType": Field(),
    "notificationType": Field(),
}
_NOTIFICATIONS: Final = Several(
    Block(
        {
            "comparisonOperator": ("ComparisonOperator", TEXT),
            "threshold": ("Threshold", NUMBER),
            "thresholdType": ("ThresholdType", TEXT),
            "notificationType": ("NotificationType", TEXT),
            "subscriberEmailAddresses": ("SubscriberEmailAddresses", TEXTS),
        }
    )
)


_COST_FILTERS: Final = Several(Block({"name": ("Name", TEXT), "values": ("Values", TEXTS)}))


class _CostFilters:
    """A list of names with values in Pulumi, an object in AWS."""

    def check(self, value: Any, path: str) -> list[str]:
        """See Codec."""
        return _COST_FILTERS.check(value, path)

    def write(self, value: Any) -> Any:
        """See Codec."""
        return {one["name"]: one["values"] for one in value}

    def read(self, value: Any) -> Any:
        """See Codec."""
        return [{"name": name, "values": values} for name, values in value.items()]

    def key(self, value: Any) -> Any:
        """See Codec."""
        return value if value == UNKNOWN else _COST_FILTERS.key(value)


def _delete_bucket(api: Api, it: It) -> None:
    given = {"Bucket": it.id}
    while it.state.get("forceDestroy"):
        found = api.call("s3", "ListObjectsV2", given).get("Contents", [])
        if not found:
            break
        objects = [{"Key": one["Key"]} for one in found]
        api.call("s3", "DeleteObjects", {**given, "Delete": {"Objects": objects}})
    api.call("s3", "DeleteBucket", given)


def _change_parameters(api: Api, it: It) -> None:
    group = {"DBParameterGroupName": it.id}
    wanted = {one["name"] for one in it.new.get("parameters") or ()}
    gone = [one for one in it.old.get("parameters") or () if one["name"] not in wanted]
    if gone:
        reset = [{"ParameterName": one["name"], "ApplyMethod": one.get("applyMethod", "immediate")} for one in gone]
        api.call("rds", "ResetDBParameterGroup", {**group, "Parameters": reset})
    if wanted:
        api.call("rds", "ModifyDBParameterGroup", {**group, "Parameters": _given_parameters(it)})


def _given_parameters(it: It) -> list[dict[str, Any]]:
    return [_PARAMETER.write({"applyMethod": "immediate", **one}) for one in it.new["parameters"]]


def _change_database(api: Api, it: It) -> None:
    changed = {name: value for name, value in it.new.items() if value != it.old.get(name)}
    parameters = write_fields(_DATABASE, changed)
    if "EnableCloudwatchLogsExports" in parameters:
        wanted, had = set(parameters.pop("EnableCloudwatchLogsExports")), set(it.old["enabledCloudwatchLogsExports"])
        parameters["CloudwatchLogsExportConfiguration"] = {
            "EnableLogTypes": sorted(wanted - had),
            "DisableLogTypes": sorted(had - wanted),
        }
    now = bool(it.new.get("applyImmediately"))
    api.call("rds", "ModifyDBInstance", {"DBInstanceIdentifier": it.id, "ApplyImmediately": now, **parameters})


def _notifications(api: Api, it: It) -> dict[str, Any]:
    told = [
        {
            "Notification": write_fields(_NOTIFICATION, one),
            "Subscribers": [
                {"SubscriptionType": "EMAIL", "Address": address} for address in one["subscriberEmailAddresses"]
            ],
        }
        for one in it.new.get("notifications") or ()
    ]
    return {"AccountId": api.account, **({"NotificationsWithSubscribers": told} if told else {})}


def _replace_budget(api: Api, it: It) -> None:
    # The provider sends UpdateBudget and so on, which moto lacks; a budget keeps nothing that would be lost.
    api.call("budgets", "DeleteBudget", {"AccountId": api.account, "BudgetName": it.new["name"]})
    api.call("budgets", "CreateBudget", {**write_fields(_BUDGET, it.new), **_notifications(api, it)})


def _replace_subnet_group(api: Api, it: It) -> None:
    # The provider sends ModifyDBSubnetGroup, after which moto no longer has the group.
    api.call("rds", "DeleteDBSubnetGroup", {"DBSubnetGroupName": it.id})
    api.call("rds", "CreateDBSubnetGroup", write_fields(_SUBNET_GROUP, it.new))
    it.state["tagsAll"] = {}


_SUBNET_GROUP: Final = {
    "name": Field("DBSubnetGroupName", replace=True),
    "description": Field("DBSubnetGroupDescription"),
    "subnetIds": Field(codec=TEXTS, required=True, read="Subnets[].SubnetIdentifier"),
}
_BUDGET: Final = {
    "name": Field("Budget.BudgetName", replace=True, read="BudgetName"),
    "budgetType": Field("Budget.BudgetType", required=True, read="BudgetType"),
    "timeUnit": Field("Budget.TimeUnit", required=True, read="TimeUnit"),
    "limitAmount": Field("Budget.BudgetLimit.Amount", read="BudgetLimit.Amount"),
    "limitUnit": Field("Budget.BudgetLimit.Unit", read="BudgetLimit.Unit"),
    "costFilters": Field("Budget.CostFilters", _CostFilters(), read="CostFilters", default=[]),
    # Whom it tells, and its tags, moto does not say.
    "notifications": Field(BY_HOOK, _NOTIFICATIONS, read=""),
    "tags": Field("ResourceTags", Pairs("Key"), read=""),
}
_DATABASE: Final = {
    "identifier": Field("DBInstanceIdentifier", replace=True),
    "engine": Field(replace=True),
    "engineVersion": Field(),
    "instanceClass": Field("DBInstanceClass", required=True),
    "allocatedStorage": Field(codec=NUMBER),
    "maxAllocatedStorage": Field(codec=NUMBER),
    "storageType": Field(),
    "storageEncrypted": Field(codec=FLAG, replace=True),
    "kmsKeyId": OPTIONAL_FIXED,
    "dbName": Field("DBName", replace=True),
    "username": Field("MasterUsername", replace=True),
    "password": Field("MasterUserPassword", read=""),
    "port": Field(codec=NUMBER, read="Endpoint.Port"),
    "multiAz": Field("MultiAZ", FLAG),
    "publiclyAccessible": Field(codec=FLAG),
    "dbSubnetGroupName": Field("DBSubnetGroupName", read="DBSubnetGroup.DBSubnetGroupName"),
    "vpcSecurityGroupIds": Field(codec=TEXTS, read="VpcSecurityGroups[].VpcSecurityGroupId"),
    "parameterGroupName": Field("DBParameterGroupName", read="DBParameterGroups.0.DBParameterGroupName"),
    "backupRetentionPeriod": Field(codec=NUMBER),
    "copyTagsToSnapshot": Field(codec=FLAG),
    "deletionProtection": Field(codec=FLAG, default=False),
    "performanceInsightsEnabled": Field(
        "EnablePerformanceInsights", FLAG, read="PerformanceInsightsEnabled", quiet=True
    ),
    "performanceInsightsKmsKeyId": Field("PerformanceInsightsKMSKeyId", quiet=True),
    "monitoringInterval": Field(codec=NUMBER),
    "monitoringRoleArn": Field(),
    "enabledCloudwatchLogsExports": Field("EnableCloudwatchLogsExports", TEXTS, read="EnabledCloudwatchLogsExports"),
    "autoMinorVersionUpgrade": Field(codec=FLAG),
}


def _bucket_part(noun: str, calls: tuple[str, str, str | None], fields: dict[str, Field], at: str = "@") -> Row:
    """What Pulumi keeps as a resource of its own, and S3 as a property of its bucket."""
    put, get, delete = calls
    return Row(
        f"aws:s3/{noun[0].lower()}{noun[1:]}:{noun}",
        "s3",
        Call(put, _OF_BUCKET),
        "$bucket",
        Call(get, _OF_BUCKET, at),
        None if delete is None else Call(delete, _OF_BUCKET),
        {"bucket": _BUCKET, **fields},
        update=Call(put, _OF_BUCKET, whole=True),
    )


ROWS: Final = (
    Row(
        "aws:rds/parameterGroup:ParameterGroup",
        "rds",
        Call("CreateDBParameterGroup"),
        "DBParameterGroup.DBParameterGroupName",
        Call("DescribeDBParameterGroups", {"DBParameterGroupName": "$id"}, "DBParameterGroups[0]"),
        Call("DeleteDBParameterGroup", {"DBParameterGroupName": "$id"}),
        {
            "name": Field("DBParameterGroupName", replace=True),
            "family": Field("DBParameterGroupFamily", required=True, replace=True),
            "description": Field(replace=True),
        },
        parts=(
            Part(
                {"parameters": Field(codec=Several(_PARAMETER), default=[])},
                _change_parameters,
                Call("DescribeDBParameters", {"DBParameterGroupName": "$id", "Source": "user"}),
            ),
        ),
        outputs={"arn": "DBParameterGroupArn"},
        tags=_RDS_TAGS,
        name="name",
    ),
    Row(
        "aws:rds/subnetGroup:SubnetGroup",
        "rds",
        Call("CreateDBSubnetGroup"),
        "DBSubnetGroup.DBSubnetGroupName",
        Call("DescribeDBSubnetGroups", {"DBSubnetGroupName": "$id"}, "DBSubnetGroups[0]"),
        Call("DeleteDBSubnetGroup", {"DBSubnetGroupName": "$id"}),
        _SUBNET_GROUP,
        update=_replace_subnet_group,
        outputs={"arn": "DBSubnetGroupArn"},
        tags=_RDS_TAGS,
        name="name",
    ),
    Row(
        "aws:rds/instance:Instance",
        "rds",
        Call("CreateDBInstance"),
        "DBInstance.DBInstanceIdentifier",
        Call("DescribeDBInstances", {"DBInstanceIdentifier": "$id"}, "DBInstances[0]"),
        Call(
            "DeleteDBInstance",
            {
                "DBInstanceIdentifier": "$id",
                "SkipFinalSnapshot": "$skipFinalSnapshot",
                "FinalDBSnapshotIdentifier": "$finalSnapshotIdentifier",
            },
        ),
        _DATABASE,
        update=_change_database,
        outputs={"arn": "DBInstanceArn", "address": "Endpoint.Address", "status": "DBInstanceStatus"},
        tags=_RDS_TAGS,
        name="identifier",
        local={"skipFinalSnapshot": FLAG, "finalSnapshotIdentifier": TEXT, "applyImmediately": FLAG},
    ),
    Row(
        "aws:dynamodb/table:Table",
        "dynamodb",
        Call("CreateTable", {"KeySchema": [{"AttributeName": "$hashKey", "KeyType": "HASH"}]}),
        "TableDescription.TableName",
        Call("DescribeTable", {"TableName": "$id"}, "Table"),
        Call("DeleteTable", {"TableName": "$id"}),
        {
            "name": Field("TableName", replace=True),
            "hashKey": Field(BY_HOOK, replace=True, read="KeySchema.0.AttributeName"),
            "attributes": Field(
                "AttributeDefinitions",
                Several(Block({"name": ("AttributeName", TEXT), "type": ("AttributeType", TEXT)})),
            ),
            "billingMode": Field(read="BillingModeSummary.BillingMode"),
            "serverSideEncryption": Field(
                "SSESpecification",
                Block({"enabled": ("Enabled", FLAG), "kmsKeyArn": ("KMSMasterKeyId", TEXT)}),
                read="SSEDescription.{Enabled: Status=='ENABLED', KMSMasterKeyId: KMSMasterKeyArn}",
            ),
        },
        update=Call("UpdateTable", {"TableName": "$id"}),
        parts=(
            Part(
                {
                    "pointInTimeRecovery": Field(
                        "PointInTimeRecoverySpecification",
                        Block({"enabled": ("PointInTimeRecoveryEnabled", FLAG)}),
                        read=(
                            "PointInTimeRecoveryDescription."
                            "{PointInTimeRecoveryEnabled: PointInTimeRecoveryStatus=='ENABLED'}"
                        ),
                        default={"enabled": False},
                    )
                },
                Call("UpdateContinuousBackups", {"TableName": "$id"}),
                Call("DescribeContinuousBackups", {"TableName": "$id"}, "ContinuousBackupsDescription"),
            ),
        ),
        outputs={"arn": "TableArn"},
        tags=Tags(
            Pairs("Key"),
            Call("TagResource", {"ResourceArn": "$arn", "Tags": "$tags"}),
            Call("UntagResource", {"ResourceArn": "$arn", "TagKeys": "$keys"}),
            Call("ListTagsOfResource", {"ResourceArn": "$arn"}),
        ),
        name="name",
    ),
    Row(
        "aws:s3/bucket:Bucket",
        "s3",
        Call("CreateBucket"),
        "$bucket",
        Call("HeadBucket", {"Bucket": "$id"}),
        _delete_bucket,
        {"bucket": Field(replace=True, read="")},
        outputs={"arn": "arn:aws:s3:::$id"},
        tags=Tags(
            Pairs("Key"),
            # Both write all: S3 has no call for one tag.
            Call("PutBucketTagging", {"Bucket": "$id", "Tagging": {"TagSet": "$tags"}}),
            Call("DeleteBucketTagging", {"Bucket": "$id"}),
            Call("GetBucketTagging", {"Bucket": "$id"}),
            at="TagSet",
        ),
        name="bucket",
        local={"forceDestroy": FLAG},
        # The one region of which S3 does not want to be told.
        before=lambda api, _it: (
            {} if api.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": api.region}}
        ),
    ),
    _bucket_part(
        "BucketPublicAccessBlock",
        ("PutPublicAccessBlock", "GetPublicAccessBlock", "DeletePublicAccessBlock"),
        {
            name: Field(f"PublicAccessBlockConfiguration.{member}", FLAG, read=member, default=False)
            for name, member in (
                ("blockPublicAcls", "BlockPublicAcls"),
                ("blockPublicPolicy", "BlockPublicPolicy"),
                ("ignorePublicAcls", "IgnorePublicAcls"),
                ("restrictPublicBuckets", "RestrictPublicBuckets"),
            )
        },
        "PublicAccessBlockConfiguration",
    ),
    _bucket_part(
        "BucketServerSideEncryptionConfiguration",
        ("PutBucketEncryption", "GetBucketEncryption", "DeleteBucketEncryption"),
        {"rules": Field("ServerSideEncryptionConfiguration.Rules", Several(_ENCRYPTION), required=True)},
    ),
    _bucket_part(
        "BucketLifecycleConfiguration",
        ("PutBucketLifecycleConfiguration", "GetBucketLifecycleConfiguration", "DeleteBucketLifecycle"),
        {"rules": Field("LifecycleConfiguration.Rules", Several(_EXPIRY), read="Rules")},
    ),
    _bucket_part(
        "BucketPolicy",
        ("PutBucketPolicy", "GetBucketPolicy", "DeleteBucketPolicy"),
        {"policy": Field(codec=Document(), required=True)},
    ),
    Row(
        "aws:ecr/repository:Repository",
        "ecr",
        Call("CreateRepository"),
        "repository.repositoryName",
        Call("DescribeRepositories", {"repositoryNames": ["$id"]}, "repositories[0]"),
        Call("DeleteRepository", {"repositoryName": "$id", "force": "$forceDelete"}),
        {
            "name": Field("repositoryName", replace=True),
            "encryptionConfigurations": Field(
                "encryptionConfiguration",
                Lone(Block({"encryptionType": ("encryptionType", TEXT), "kmsKey": ("kmsKey", TEXT)})),
                replace=True,
            ),
        },
        parts=(
            Part(
                {"imageTagMutability": Field("imageTagMutability", default="MUTABLE")},
                Call("PutImageTagMutability", _OF_REPOSITORY),
            ),
            Part(
                {
                    "imageScanningConfiguration": Field(
                        "imageScanningConfiguration",
                        Block({"scanOnPush": ("scanOnPush", FLAG)}),
                        default={"scanOnPush": False},
                    )
                },
                Call("PutImageScanningConfiguration", _OF_REPOSITORY),
            ),
        ),
        outputs={"arn": "repositoryArn", "repositoryUrl": "repositoryUri", "registryId": "registryId"},
        tags=_LOWER_TAGS,
        name="name",
        local={"forceDelete": FLAG},
    ),
    Row(
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        "ecr",
        Call("PutLifecyclePolicy"),
        "$repository",
        Call("GetLifecyclePolicy", _OF_REPOSITORY),
        Call("DeleteLifecyclePolicy", _OF_REPOSITORY),
        {
            "repository": Field("repositoryName", required=True, replace=True),
            "policy": Field("lifecyclePolicyText", Document(), required=True),
        },
        update=Call("PutLifecyclePolicy", whole=True),
        outputs={"registryId": "registryId"},
    ),
    Row(
        "aws:cloudwatch/logGroup:LogGroup",
        "logs",
        Call("CreateLogGroup"),
        "$name",
        Call("DescribeLogGroups", {"logGroupNamePrefix": "$id"}, "logGroups[?logGroupName=='$id']|[0]"),
        Call("DeleteLogGroup", {"logGroupName": "$id"}),
        {"name": Field("logGroupName", replace=True)},
        parts=(
            Part(
                {"retentionInDays": Field("retentionInDays", NUMBER)},
                Call("PutRetentionPolicy", {"logGroupName": "$id"}),
                remove=Call("DeleteRetentionPolicy", {"logGroupName": "$id"}),
            ),
        ),
        outputs={"arn": "arn:aws:logs:$region:$account:log-group:$id"},
        tags=Tags(Pairs(), *(_LOWER_TAGS.add, _LOWER_TAGS.remove), _LOWER_TAGS.read, at="tags"),
        name="name",
    ),
    Row(
        "aws:budgets/budget:Budget",
        "budgets",
        Call("CreateBudget"),
        "$account:$name",
        Call("DescribeBudget", {"AccountId": "$account", "BudgetName": "$name"}, "Budget"),
        Call("DeleteBudget", {"AccountId": "$account", "BudgetName": "$name"}),
        _BUDGET,
        update=_replace_budget,
        outputs={"arn": "arn:aws:budgets::$account:budget/$name"},
        name="name",
        before=_notifications,
    ),
)
