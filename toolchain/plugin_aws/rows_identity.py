"""Who may do what, keys and secrets."""

from typing import Final

from toolchain.plugin_aws.api import Api
from toolchain.plugin_aws.codecs import FLAG, NUMBER, TEXTS, Document, Pairs, Stripped
from toolchain.plugin_aws.rows_network import FIXED
from toolchain.plugin_aws.table import BY_HOOK, Call, Field, It, Part, Row, Tags

_DOCUMENT: Final = Document()


def _iam_tags(noun: str, key: str, read: Call | None) -> Tags:
    return Tags(
        Pairs("Key"),
        Call(f"Tag{noun}", {key: "$id", "Tags": "$tags"}),
        Call(f"Untag{noun}", {key: "$id", "TagKeys": "$keys"}),
        read,
    )


def _give_role(api: Api, it: It) -> None:
    name = {"InstanceProfileName": it.id}
    if it.old.get("role"):
        api.call("iam", "RemoveRoleFromInstanceProfile", {**name, "RoleName": it.old["role"]})
    if it.new.get("role"):
        api.call("iam", "AddRoleToInstanceProfile", {**name, "RoleName": it.new["role"]})


def _take_role(api: Api, it: It) -> None:
    _give_role(api, It(it.id, {}, it.state, it.state))


def _rotate_key(api: Api, it: It) -> None:
    api.call("kms", "EnableKeyRotation" if it.new.get("enableKeyRotation") else "DisableKeyRotation", {"KeyId": it.id})


def _delete_secret(api: Api, it: It) -> None:
    days = int(it.state.get("recoveryWindowInDays", 30))
    how = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
    api.call("secretsmanager", "DeleteSecret", {"SecretId": it.id, **how})


ROWS: Final = (
    Row(
        "aws:iam/role:Role",
        "iam",
        Call("CreateRole"),
        "$name",
        Call("GetRole", {"RoleName": "$id"}, "Role"),
        Call("DeleteRole", {"RoleName": "$id"}),
        {
            "name": Field("RoleName", replace=True),
            "description": Field(),
            "maxSessionDuration": Field(codec=NUMBER, default=3600),
        },
        update=Call("UpdateRole", {"RoleName": "$id"}, whole=True),
        parts=(
            Part(
                {
                    "assumeRolePolicy": Field(
                        "PolicyDocument", _DOCUMENT, required=True, read="AssumeRolePolicyDocument"
                    )
                },
                Call("UpdateAssumeRolePolicy", {"RoleName": "$id"}),
            ),
        ),
        before=lambda _api, it: {"AssumeRolePolicyDocument": it.new["assumeRolePolicy"]},
        outputs={"arn": "Arn", "uniqueId": "RoleId"},
        tags=_iam_tags("Role", "RoleName", None),
        name="name",
    ),
    Row(
        "aws:iam/rolePolicy:RolePolicy",
        "iam",
        Call("PutRolePolicy"),
        "$role:$name",
        Call("GetRolePolicy", {"RoleName": "$role", "PolicyName": "$name"}),
        Call("DeleteRolePolicy", {"RoleName": "$role", "PolicyName": "$name"}),
        {
            "name": Field("PolicyName", replace=True),
            "role": Field("RoleName", required=True, replace=True),
            "policy": Field("PolicyDocument", _DOCUMENT, required=True),
        },
        update=Call("PutRolePolicy", whole=True),
        name="name",
    ),
    Row(
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "iam",
        Call("AttachRolePolicy"),
        "$role/$policyArn",
        Call("ListAttachedRolePolicies", {"RoleName": "$role"}, "AttachedPolicies[?PolicyArn=='$policyArn']|[0]"),
        Call("DetachRolePolicy", {"RoleName": "$role", "PolicyArn": "$policyArn"}),
        {"role": Field("RoleName", required=True, replace=True, read=""), "policyArn": FIXED},
    ),
    Row(
        "aws:iam/instanceProfile:InstanceProfile",
        "iam",
        Call("CreateInstanceProfile"),
        "$name",
        Call("GetInstanceProfile", {"InstanceProfileName": "$id"}, "InstanceProfile"),
        Call("DeleteInstanceProfile", {"InstanceProfileName": "$id"}),
        {"name": Field("InstanceProfileName", replace=True)},
        parts=(Part({"role": Field(read="Roles[0].RoleName")}, _give_role),),
        outputs={"arn": "Arn", "uniqueId": "InstanceProfileId"},
        tags=_iam_tags("InstanceProfile", "InstanceProfileName", None),
        name="name",
        before_delete=_take_role,
    ),
    Row(
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "iam",
        Call("CreateOpenIDConnectProvider"),
        "OpenIDConnectProviderArn",
        Call("GetOpenIDConnectProvider", {"OpenIDConnectProviderArn": "$id"}),
        Call("DeleteOpenIDConnectProvider", {"OpenIDConnectProviderArn": "$id"}),
        {
            # AWS tells the address without its scheme.
            "url": Field(codec=Stripped("https://"), required=True, replace=True),
            "clientIdLists": Field("ClientIDList", TEXTS, required=True, replace=True),
        },
        outputs={"arn": "$id"},
        tags=_iam_tags("OpenIDConnectProvider", "OpenIDConnectProviderArn", None),
    ),
    Row(
        "aws:kms/key:Key",
        "kms",
        Call("CreateKey"),
        "KeyMetadata.KeyId",
        Call("DescribeKey", {"KeyId": "$id"}, "[KeyMetadata][?KeyState!='PendingDeletion']|[0]"),
        Call("ScheduleKeyDeletion", {"KeyId": "$id", "PendingWindowInDays": "$deletionWindowInDays"}),
        {"description": Field()},
        update=Call("UpdateKeyDescription", {"KeyId": "$id"}),
        parts=(
            Part(
                {"policy": Field(codec=_DOCUMENT)},
                Call("PutKeyPolicy", {"KeyId": "$id", "PolicyName": "default"}),
                Call("GetKeyPolicy", {"KeyId": "$id", "PolicyName": "default"}),
            ),
            Part(
                {"enableKeyRotation": Field(BY_HOOK, FLAG, read="KeyRotationEnabled", default=False)},
                _rotate_key,
                Call("GetKeyRotationStatus", {"KeyId": "$id"}),
            ),
        ),
        outputs={"arn": "Arn", "keyId": "KeyId"},
        tags=Tags(
            Pairs("TagKey", "TagValue"),
            Call("TagResource", {"KeyId": "$id", "Tags": "$tags"}),
            Call("UntagResource", {"KeyId": "$id", "TagKeys": "$keys"}),
            Call("ListResourceTags", {"KeyId": "$id"}),
        ),
        local={"deletionWindowInDays": NUMBER},
    ),
    Row(
        "aws:kms/alias:Alias",
        "kms",
        Call("CreateAlias"),
        "$name",
        Call("ListAliases", {}, "Aliases[?AliasName=='$id']|[0]"),
        Call("DeleteAlias", {"AliasName": "$id"}),
        {"name": Field("AliasName", replace=True), "targetKeyId": Field(required=True)},
        update=Call("UpdateAlias", {"AliasName": "$id"}),
        outputs={"arn": "AliasArn"},
        name="name",
    ),
    Row(
        "aws:secretsmanager/secret:Secret",
        "secretsmanager",
        Call("CreateSecret"),
        "ARN",
        Call("DescribeSecret", {"SecretId": "$id"}, "[@][?!DeletedDate]|[0]"),
        _delete_secret,
        {"name": Field(replace=True), "description": Field(), "kmsKeyId": Field()},
        update=Call("UpdateSecret", {"SecretId": "$id"}),
        outputs={"arn": "ARN"},
        tags=Tags(
            Pairs("Key"),
            Call("TagResource", {"SecretId": "$id", "Tags": "$tags"}),
            Call("UntagResource", {"SecretId": "$id", "TagKeys": "$keys"}),
        ),
        name="name",
        local={"recoveryWindowInDays": NUMBER},
    ),
    Row(
        "aws:ssm/parameter:Parameter",
        "ssm",
        Call("PutParameter"),
        "$name",
        Call("GetParameter", {"Name": "$id"}, "Parameter"),
        Call("DeleteParameter", {"Name": "$id"}),
        {"name": Field(replace=True), "type": Field(required=True), "insecureValue": Field("Value")},
        update=Call("PutParameter", {"Name": "$id", "Overwrite": True}, whole=True),
        outputs={"arn": "ARN"},
        tags=Tags(
            Pairs("Key"),
            Call("AddTagsToResource", {"ResourceType": "Parameter", "ResourceId": "$id", "Tags": "$tags"}),
            Call("RemoveTagsFromResource", {"ResourceType": "Parameter", "ResourceId": "$id", "TagKeys": "$keys"}),
            Call("ListTagsForResource", {"ResourceType": "Parameter", "ResourceId": "$id"}),
            at="TagList",
        ),
        name="name",
    ),
    Row(
        "aws:secretsmanager/secretVersion:SecretVersion",
        "secretsmanager",
        Call("PutSecretValue"),
        "join('|', [ARN, VersionId])",
        Call("GetSecretValue", {"SecretId": "$secretId", "VersionId": "$versionId"}),
        None,
        {
            "secretId": Field(required=True, replace=True, read="ARN"),
            "secretString": Field(replace=True),
        },
        outputs={"arn": "ARN"},
        made={"versionId": "VersionId"},
    ),
)
