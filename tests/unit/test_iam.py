"""Every IAM document that staging and prod write, by a linter that knows AWS's actions; and what a preview may do."""

import json
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data
from parliament import analyze_policy_string
from policy_sentry.analysis.analyze import analyze_by_access_level
from policy_sentry.querying.actions import get_action_data

from components.aws.pipeline import keep_secrets_closed
from tests.unit.test_aws import PROD, STAGING, Seen, run

CHANGES = ("Write", "Tagging", "Permissions management")
READING = ("Get", "List", "Describe")
RESOURCE_STAR = "RESOURCE_STAR"
"""A finding that is right of actions that AWS binds to no resource before there is one."""


def is_newer(finding: Any) -> bool:
    """Whether the linter's list of actions is only older than the other one."""
    if finding.issue == "RESOURCE_MISMATCH":
        return all(takes_repository(one["action"]) for one in finding.detail)
    return finding.issue == "UNKNOWN_ACTION" and bool(get_action_data(*finding.detail.split()[-1].split(":")))


def takes_repository(action: str) -> bool:
    found: Any = get_action_data(*action.split(":"))
    return any("repository" in one["resource_arn_format"] for kind in found.values() for one in kind)


def documents(seen: Seen) -> Iterator[tuple[str, str]]:
    for resource in seen:
        if resource.typ == "aws:iam/rolePolicy:RolePolicy":
            yield resource.name, resource.inputs["policy"]


@pytest.mark.parametrize(("stack", "config"), [("staging", STAGING), ("prod", PROD)])
def test_the_linter_finds_nothing_in_any_policy(stack: str, config: dict[str, str]) -> None:
    found = dict(documents(run(stack, config)))
    assert set(found) == {"flows", "manager-swarm", "worker-swarm", "preview-secrets", "deploy"}
    faults = {
        name: [
            (finding.issue, finding.detail)
            for finding in analyze_policy_string(text).findings
            if finding.issue != RESOURCE_STAR and not is_newer(finding)
        ]
        for name, text in found.items()
    }
    assert not any(faults.values()), faults


def actions(document: dict[str, Any]) -> set[str]:
    statement = document["Statement"]
    return {action.lower() for one in statement for action in one["Action"]}


def test_the_preview_role_can_change_nothing() -> None:
    """What AWS's own ReadOnlyAccess allows, without what is denied beside it, by the access level of each action."""
    allowed = json.loads(aws_managed_policies_data)["ReadOnlyAccess"]["Document"]
    denied = actions(keep_secrets_closed())
    changing = {
        action
        for level in CHANGES
        for action in analyze_by_access_level(allowed, level)
        if not any(fnmatch(action.lower(), pattern) for pattern in denied)
    }
    # Reading who may do something is filed under managing permissions.
    assert {action for action in changing if not action.split(":")[1].startswith(READING)} == set()
    assert "s3express:createsession" in denied
