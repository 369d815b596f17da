"""Who may do what in the account."""

import json
from collections.abc import Iterator
from typing import Any, Final

from policies.rule import Resource, Rule, Unknown, at

_NEARLY_ALL: Final = ("/AdministratorAccess", "/PowerUserAccess", "/IAMFullAccess")
_ROLE: Final = "aws:iam/role:Role"


def _statements(document: Any) -> list[dict[str, Any]]:
    if not isinstance(document, str):
        return []
    statements = json.loads(document)["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _check_wildcards(policy: Resource) -> Iterator[str]:
    for statement in _statements(at(policy.props, "policy")):
        actions = [action for action in _listed(statement.get("Action", [])) if str(action).endswith("*")]
        open_ = "*" in _listed(statement.get("Resource", []))
        if statement["Effect"] == "Allow" and actions and open_ and not statement.get("Condition"):
            yield f"allows {', '.join(actions)} on everything"


def _check_users(user: Resource) -> Iterator[str]:
    yield f"{user.kind.rpartition(':')[2]} makes a key that lasts"


def _check_trust(role: Resource) -> Iterator[str]:
    for statement in _statements(at(role.props, "assumeRolePolicy")):
        principal = statement.get("Principal", {})
        if principal == "*" or "*" in _listed(principal.get("AWS", [])):
            yield "anybody may take it on"
        if "Federated" in principal:
            yield from _check_subjects(statement.get("Condition", {}))


def _check_subjects(condition: dict[str, Any]) -> Iterator[str]:
    subjects = [
        subject
        for operator in condition.values()
        for key, value in operator.items()
        if key.endswith(":sub")
        for subject in _listed(value)
    ]
    if not subjects:
        yield "any repository may take it on: no subject is named"
    for subject in subjects:
        if "*" in subject:
            yield f"its subject {subject} matches what nobody thought of"


def _check_inline_admin(attachment: Resource) -> Iterator[str]:
    arn = at(attachment.props, "policyArn")
    if not isinstance(arn, Unknown) and str(arn).endswith(
        ("/AdministratorAccess", "/PowerUserAccess", "/IAMFullAccess")
    ):
        yield f"gives {str(arn).rpartition('/')[2]}"


RULES: Final = (
    Rule(
        "no-wildcard-on-everything",
        "No policy allows a wildcard of actions on a wildcard of resources, unbound",
        "It allows what nobody has thought of yet",
        "name the actions, name the resources, or bind the statement by a condition",
        "high",
        ("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy"),
        _check_wildcards,
    ),
    Rule(
        "no-user-keys",
        "There are no IAM users and no access keys",
        "A key that lasts is found in a log, an image or a laptop one day",
        "use a role, and OpenID Connect from GitHub",
        "critical",
        ("aws:iam/user:User", "aws:iam/accessKey:AccessKey", "aws:iam/userPolicy:UserPolicy"),
        _check_users,
    ),
    Rule(
        "trust-bound",
        "Roles are taken on by who is named, and by nobody else",
        "A trust policy is the door; all others are rooms behind it",
        "name the service, or the repository with branch or environment",
        "critical",
        (_ROLE,),
        _check_trust,
    ),
    Rule(
        "no-administrators",
        "No role has one of AWS's policies that allow nearly everything",
        "Least privilege starts with not giving all",
        "write a policy of what is needed",
        "critical",
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment",),
        _check_inline_admin,
    ),
)
