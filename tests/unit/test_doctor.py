"""What `make doctor` makes of what it reads."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from cli.console import StopError
from cli.doctor import Finding, count_joined, judge_backups, judge_certificate, report
from components.aws.account import explain

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "User x may\n not"}}, "DescribeBudget")


@pytest.mark.parametrize(
    ("status", "days", "healthy"),
    [("ISSUED", 200, True), ("ISSUED", 20, False), ("PENDING_VALIDATION", 200, False), ("EXPIRED", -1, False)],
)
def test_a_certificate_is_healthy_while_it_is_in_force(status: str, days: int, healthy: bool) -> None:
    certificate = {"DomainName": "x.example.com", "Status": status, "NotAfter": NOW + timedelta(days=days)}
    assert judge_certificate(certificate, NOW).healthy is healthy


@pytest.mark.parametrize(
    ("given", "healthy"),
    [
        ({"BackupRetentionPeriod": 7, "LatestRestorableTime": NOW - timedelta(minutes=5)}, True),
        ({"BackupRetentionPeriod": 7, "LatestRestorableTime": NOW - timedelta(hours=9)}, False),
        ({"BackupRetentionPeriod": 0, "LatestRestorableTime": NOW}, False),
        ({"BackupRetentionPeriod": 7}, None),
    ],
)
def test_backups_are_healthy_while_they_are_recent(given: dict[str, Any], healthy: bool | None) -> None:
    assert judge_backups(given, NOW).healthy is healthy


def test_a_node_has_joined_when_it_says_so() -> None:
    instances = [{"Tags": [{"Key": "beamops:swarm", "Value": "ready"}]}, {"Tags": []}, {}]
    assert count_joined({"Reservations": [{"Instances": instances}]}) == 1


def test_nobody_signed_in_is_one_line_with_what_to_do() -> None:
    assert explain(NoCredentialsError()).startswith("no AWS credentials are found; sign in with")
    assert explain(refused("ExpiredToken")) == (
        "the AWS session has ended (ExpiredToken); sign in again with `aws sso login`"
    )
    assert explain(refused("AccessDenied")) == "not allowed to look: User x may not"


def test_what_is_not_healthy_ends_in_an_error_that_names_it() -> None:
    report([Finding("budget", healthy=True, detail="x"), Finding("nodes", healthy=None, detail="x")], emulated=True)
    with pytest.raises(StopError, match=r"^not healthy: targets$"):
        report([Finding("targets", healthy=False, detail="x")], emulated=False)
