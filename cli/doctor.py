"""`make doctor`: whether what a stack has on AWS is healthy, read from the account itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Table

from cli.console import StopError, console
from components.aws.account import EXPIRED, REFUSED, explain
from components.naming import Names

_CERTIFICATE_DAYS: Final = 21
"""ACM renews 60 days before the end; when three weeks are left it has failed to."""
_SECRET_DAYS: Final = 90
_BACKUP_AGE: Final = timedelta(hours=2)
"""RDS keeps its log every five minutes: a restore to a point in time loses no more than that when all is well."""
_SAID: Final = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[yellow]?[/]"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `healthy` is None when it could not be seen."""

    what: str
    healthy: bool | None
    detail: str


class Account:
    """Reads what a stack has; each look gives findings."""

    def __init__(self, names: Names, region: str, endpoint: str | None) -> None:
        emulated = {"aws_access_key_id": "emulated", "aws_secret_access_key": "emulated"} if endpoint else {}
        self._names = names
        self._session = boto3.Session(region_name=region, **emulated)
        self._endpoint = endpoint
        self._now = datetime.now(UTC)

    def examine(self) -> list[Finding]:
        """Everything, in the order of the chapters.

        Raises:
            StopError: nobody is signed in, or whoever is may not look.
        """
        looks = [self._budget, self._nodes, self._targets, self._certificate, self._backups, self._secrets]
        return [finding for look in looks for finding in self._look(look)]

    def _look(self, look: Callable[[], list[Finding]]) -> list[Finding]:
        try:
            return look()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in EXPIRED:
                raise StopError(explain(error)) from error
            return [Finding(look.__name__.lstrip("_"), None if code in REFUSED else False, explain(error))]
        except BotoCoreError as error:
            raise StopError(explain(error)) from error

    def _client(self, service: str) -> Any:
        config = Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 2})
        return self._session.client(service, endpoint_url=self._endpoint, config=config)

    def _budget(self) -> list[Finding]:
        account = self._client("sts").get_caller_identity()["Account"]
        given = {"AccountId": account, "BudgetName": self._names.stack}
        budget = self._client("budgets").describe_budget(**given)["Budget"]
        limit = float(budget["BudgetLimit"]["Amount"])
        spent = float(budget.get("CalculatedSpend", {}).get("ActualSpend", {}).get("Amount", 0))
        return [Finding("budget", spent <= limit, f"{spent:.0f} of {limit:.0f} USD are spent this month")]

    def _nodes(self) -> list[Finding]:
        findings = []
        ec2, scaling = self._client("ec2"), self._client("autoscaling")
        for role in ("managers", "workers"):
            groups = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self._names.of(role)])
            if not groups["AutoScalingGroups"]:
                findings.append(Finding(role, healthy=False, detail="there is no such group; deploy the stack"))
                continue
            group = groups["AutoScalingGroups"][0]
            ids = [one["InstanceId"] for one in group["Instances"] if one["LifecycleState"] == "InService"]
            joined = count_joined(ec2.describe_instances(InstanceIds=ids)) if ids else 0
            wanted = group["DesiredCapacity"]
            # An emulated machine runs nothing that could join.
            healthy = None if self._endpoint else joined >= wanted
            findings.append(Finding(role, healthy, f"{joined} of {wanted} have joined the swarm"))
        return findings

    def _targets(self) -> list[Finding]:
        balancing = self._client("elbv2")
        (group,) = balancing.describe_target_groups(Names=[self._names.of("proxy")])["TargetGroups"]
        told = balancing.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
        healthy = sum(one["TargetHealth"]["State"] == "healthy" for one in told)
        return [Finding("targets", 0 < healthy == len(told), f"{healthy} of {len(told)} answer the load balancer")]

    def _certificate(self) -> list[Finding]:
        balancing = self._client("elbv2")
        (balancer,) = balancing.describe_load_balancers(Names=[self._names.stack])["LoadBalancers"]
        listeners = balancing.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        arns = [one["CertificateArn"] for listener in listeners for one in listener.get("Certificates", [])]
        found = [self._client("acm").describe_certificate(CertificateArn=arn)["Certificate"] for arn in arns]
        return [judge_certificate(one, self._now) for one in found]

    def _backups(self) -> list[Finding]:
        (database,) = self._client("rds").describe_db_instances(DBInstanceIdentifier=self._names.stack)["DBInstances"]
        return [judge_backups(database, self._now)]

    def _secrets(self) -> list[Finding]:
        secret = self._client("secretsmanager").describe_secret(SecretId=f"{self._names.stack}/database")
        age = (self._now - secret["LastChangedDate"]).days
        advice = "" if age <= _SECRET_DAYS else "; raise beamops:secrets.database_password_version"
        return [Finding("password", age <= _SECRET_DAYS, f"of the database: {age} days old{advice}")]


def count_joined(instances: dict[str, Any]) -> int:
    """How many nodes say by their tag that the swarm has them (components/aws/node.sh)."""
    tags = [
        {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
        for reservation in instances["Reservations"]
        for instance in reservation["Instances"]
    ]
    return sum(one.get("beamops:swarm") == "ready" for one in tags)


def judge_certificate(certificate: dict[str, Any], now: datetime) -> Finding:
    """Whether a certificate is in force, and for how long."""
    what, domain = "certificate", certificate["DomainName"]
    if certificate["Status"] != "ISSUED" or "NotAfter" not in certificate:
        return Finding(what, healthy=False, detail=f"{domain}: {certificate['Status']}; see its record")
    days = (certificate["NotAfter"] - now).days
    return Finding(what, days >= _CERTIFICATE_DAYS, f"{domain}: {days} days left")


def judge_backups(database: dict[str, Any], now: datetime) -> Finding:
    """Whether the database could be had back as it was a little while ago."""
    if not database.get("BackupRetentionPeriod"):
        return Finding("backups", healthy=False, detail="they are turned off")
    latest = database.get("LatestRestorableTime")
    if latest is None:
        return Finding("backups", healthy=None, detail="no time to restore to is told yet")
    age = now - latest
    minutes = max(0, int(age.total_seconds() // 60))
    kept = database["BackupRetentionPeriod"]
    return Finding("backups", age <= _BACKUP_AGE, f"up to {minutes} min ago; kept for {kept} days")


def report(findings: list[Finding], *, emulated: bool) -> None:
    """Print the table.

    Raises:
        StopError: something is not healthy.
    """
    table = Table("", "what", "how it is", box=None)
    for finding in findings:
        table.add_row(_SAID[finding.healthy], finding.what, finding.detail)
    console.print(table)
    if emulated:
        console.print("[dim]The emulator starts no machines: no node joins, and no backup is made.[/]")
    sick = [finding.what for finding in findings if finding.healthy is False]
    if sick:
        raise StopError(f"not healthy: {', '.join(sick)}")
