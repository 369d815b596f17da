"""docs/policies.md, made from the rules themselves."""

from typing import Final

from policies.pack import RULES
from policies.rule import Rule

CONTROLS: Final[dict[str, str]] = {
    "world-reaches-web-ports-alone": "EC2.18, EC2.19 · CKV_AWS_260, CKV_AWS_277",
    "world-reaches-load-balancer-alone": "EC2.18",
    "no-ssh": "EC2.13 · CKV_AWS_24",
    "rules-have-descriptions": "CKV_AWS_23",
    "default-group-closed": "EC2.2 · CKV2_AWS_12",
    "no-public-addresses": "EC2.15 · CKV_AWS_130",
    "modern-tls-alone": "ELB.1, ELB.17 · CKV_AWS_2, CKV_AWS_103",
    "load-balancer-hardened": "ELB.4, ELB.5 · CKV_AWS_131, CKV_AWS_91",
    "flows-logged": "EC2.6 · CKV2_AWS_11",
    "no-orphan-security-group": "EC2.22 · CKV2_AWS_5",
    "imdsv2": "EC2.8, EC2.170, AutoScaling.3 · CKV_AWS_79, CKV_AWS_341",
    "node-disks-encrypted": "EC2.7 · CKV_AWS_8",
    "nodes-without-public-address": "EC2.9, EC2.25, AutoScaling.5 · CKV_AWS_88",
    "database-encrypted-and-private": "RDS.2, RDS.3 · CKV_AWS_16, CKV_AWS_17",
    "database-backed-up": "RDS.11 · CKV_AWS_133",
    "prod-database-survives": "RDS.5, RDS.8 · CKV_AWS_157, CKV_AWS_293",
    "database-over-tls": "RDS.38 · CKV2_AWS_69",
    "public-access-blocked": "S3.2, S3.3, S3.8 · CKV_AWS_53 to 56",
    "buckets-closed": "S3.5, S3.8 · CKV_AWS_19, CKV2_AWS_6",
    "table-encrypted-and-recoverable": "DynamoDB.2 · CKV_AWS_28, CKV_AWS_119",
    "queues-encrypted": "SQS.1, SNS.1 · CKV_AWS_27, CKV_AWS_26",
    "log-retention-set": "CloudWatch.16 · CKV_AWS_66",
    "keys-rotate": "KMS.4 · CKV_AWS_7",
    "images-immutable-and-scanned": "ECR.1, ECR.2 · CKV_AWS_163, CKV_AWS_51",
    "no-wildcard-on-everything": "IAM.1, IAM.21 · CKV_AWS_62, CKV_AWS_63",
    "no-user-keys": "IAM.3, IAM.4 · CKV_AWS_273",
    "trust-bound": "CKV_AWS_60, CKV_AWS_61, CKV_AWS_358",
    "no-administrators": "IAM.1 · CKV_AWS_274",
    "no-secret-in-user-data": "CKV_AWS_46",
    "everything-is-tagged": "EC2.33 to 49 (tagging)",
}
"""What AWS's Foundational Security Best Practices and checkov call the same thing."""
_NOT_COVERED: Final = {
    "SecretsManager.1 (rotation by Secrets Manager itself)": "the password is rotated by version through the stack, so "
    "that the swarm's copy changes with it; `make doctor` says when it is old",
    "ELB.6, CKV_AWS_150 (deletion protection of the load balancer)": "set in prod by the chapter; no rule asks for it",
    "ELB.16, CKV2_AWS_28 (a web application firewall)": "not built: agents are the only clients",
    "S3.7, S3.9, S3.11, S3.15, CKV_AWS_18, CKV_AWS_143, CKV_AWS_144 (replication, access logs, events and locks of "
    "buckets)": "the one bucket holds access logs, which expire",
    "CKV_AWS_70, CKV_AWS_93 (policies of buckets)": "the one policy lets load balancers write and refuses what is not "
    "TLS; `buckets-closed` asks for the second",
    "ECR.3, RDS.9, RDS.13, RDS.17, AutoScaling.9, ELB.13, CKV_AWS_129, CKV_AWS_136, CKV_AWS_149, CKV_AWS_226, "
    "CKV_AWS_261, CKV_AWS_315, CKV_AWS_354 (life of images; logs, small upgrades and tags of the database; launch "
    "templates; zones and checks of the load balancer; own keys of images, secrets and insights)": "set by the "
    "chapters; no rule asks",
    "ELB.12, CKV_AWS_328 (requests that servers read in two ways), CKV_AWS_211 (RDS's authority), CKV_AWS_227 (a key "
    "that is on)": "AWS's defaults are what is asked for",
    "KMS.1, KMS.2, CKV_AWS_33 (who may decrypt)": "roles name the stack's key; `no-wildcard-on-everything` refuses all "
    "keys at once, and no rule looks at the key's own policy",
    "CKV_AWS_337 (own key of SSM parameters)": "the swarm's tokens have the stack's key; the others are "
    "names of images, in the clear",
    "AutoScaling.6 (several machine types), EC2.28, DynamoDB.1, DynamoDB.4 (AWS Backup, varying capacity)": "nodes "
    "keep no data; the table holds one lease",
    "RDS.19 to 22 (event subscriptions), RDS.23 (another port than 5432)": "not built; a port that nobody else reaches "
    "needs no hiding",
    "CKV_AWS_145 (buckets encrypted with one's own key)": "load balancers write with keys of S3's own alone",
    "CKV_AWS_158 (log groups encrypted with one's own key)": "flow logs hold addresses and ports, no content",
    "RDS.6, CKV_AWS_118 (enhanced monitoring), CKV_AWS_353 (performance insights)": "set by the chapter; no rule asks",
    "RDS.10, CKV_AWS_161 (IAM authentication of the database)": "the coordinators log in with a swarm secret",
    "EC2.10 (an interface endpoint for EC2)": "nodes tag themselves through NAT; the other endpoints are there",
}

_HEAD: Final = """\
# Policies

<!-- Made by `make docs` from policies/; do not edit. -->

The engine runs these rules on every `make preview` and `make up`: those of a resource before it is made, those of a
stack once all of it is known. They are mandatory, but for some that only advise in dev. A value that is known only
after the update is judged then.

A rule that need not hold of a resource is listed in the stack file, with a reason and a last day; after that day every
preview fails, and so does one with an exemption from a rule that there is not:

```yaml
config:
  beamops:policies:
    exemptions:
      - rule: log-retention-set
        resource: flows
        reason: the auditors want all of this year's
        expires: "2026-12-31"
```

What keeps data is never deleted or replaced in passing: `make preview FORMAT=markdown` ends with an error, and in prod
the engine refuses. `make up ALLOW_DELETE=<name>` allows it once.

| rule | severity | what holds | why | what to do | the same elsewhere |
|---|---|---|---|---|---|
"""
_TAIL: Final = """
## What others ask for, and these do not

AWS Foundational Security Best Practices and checkov for the resource types of these stacks; neither was run on an
account. checkov's numbers were held against the rules of its release 3.3.30 on 2026-11-26, those of AWS against a list
of Security Hub's controls of 2023; ELB.16, ELB.17, EC2.170 and RDS.38 are younger, and written from memory.

| control | why not |
|---|---|
"""


def render_page() -> str:
    """The page."""
    lines = _HEAD.splitlines()
    for rule in RULES:
        kind = "" if isinstance(rule, Rule) else " (of a stack)"
        kind += " (advice in dev)" if rule.advisory_in_dev else ""
        cells = [rule.severity, rule.says, rule.why, rule.remedy.replace("|", "\\|"), CONTROLS.get(rule.name, "")]
        lines.append(f"| `{rule.name}`{kind} | {' | '.join(cells)} |")
    lines += _TAIL.splitlines()
    lines += [f"| {control} | {why} |" for control, why in _NOT_COVERED.items()]
    return "\n".join(lines) + "\n"
