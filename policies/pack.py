"""Rules as the engine's SDK takes them: by level, and with the exemptions of the stack file."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from policies import data, identity, machines, network, secrecy, services, whole
from policies.rule import Resource, Rule, StackRule, describe, plain

RULES: Final[tuple[Rule | StackRule, ...]] = (
    *network.RULES,
    *machines.RULES,
    *data.RULES,
    *identity.RULES,
    *services.RULES,
    *secrecy.RULES,
    *whole.RULES,
)
EXEMPTIONS: Final = "exemptions-in-force"


@dataclass(frozen=True)
class Exemption:
    """One rule that does not hold of one resource, for a reason and until a day."""

    rule: str
    resource: str
    reason: str
    expires: date


@dataclass(frozen=True)
class Exemptions:
    """Those of the stack, as of today."""

    given: tuple[Exemption, ...]
    today: date

    @classmethod
    def read(cls, today: date) -> "Exemptions":
        """What the stack file lists under `beamops:policies`; the settings' model has checked its form."""
        config = json.loads(os.environ.get("PULUMI_CONFIG", "{}"))
        listed = json.loads(config.get("beamops:policies", "{}")).get("exemptions", [])
        given = [
            Exemption(one["rule"], one["resource"], one["reason"], date.fromisoformat(one["expires"][:10]))
            for one in listed
        ]
        return cls(tuple(given), today)

    def cover(self, rule: str, resource: str) -> bool:
        """Whether the rule need not hold of the resource today."""
        return any(one.rule == rule and one.resource == resource and one.expires >= self.today for one in self.given)

    def faults(self) -> Iterator[str]:
        """Exemptions that have ended, or are of no rule."""
        known = {rule.name for rule in RULES}
        for one in self.given:
            if one.rule not in known:
                yield f"there is no rule {one.rule}; docs/policies.md has them all"
            elif one.expires < self.today:
                yield f"the exemption of {one.resource} from {one.rule} ended on {one.expires}: mend it, or extend it"


def make_policies(environment: str, exemptions: Exemptions) -> list[Policy]:
    """Every rule at its level in the environment: mandatory, but advisory in dev where it would only annoy there."""
    policies: list[Policy] = [_as_policy(rule, _level(rule, environment), exemptions) for rule in RULES]

    def check_exemptions(_: StackValidationArgs, report: ReportViolation) -> None:
        for fault in exemptions.faults():
            report(fault, None)

    policies.append(
        StackValidationPolicy(
            EXEMPTIONS,
            "Exemptions are of a rule that there is, and have not ended",
            check_exemptions,
            EnforcementLevel.MANDATORY,
            severity=Severity.HIGH,
        )
    )
    return policies


def _level(rule: Rule | StackRule, environment: str) -> EnforcementLevel:
    advisory = environment == "dev" and rule.advisory_in_dev
    return EnforcementLevel.ADVISORY if advisory else EnforcementLevel.MANDATORY


def _as_policy(rule: Rule | StackRule, level: EnforcementLevel, exemptions: Exemptions) -> Policy:
    description = f"{rule.says}. {rule.why}."
    severity = Severity(rule.severity)
    if isinstance(rule, Rule):
        return ResourceValidationPolicy(
            rule.name,
            description,
            _validate_resource(rule, exemptions),
            level,
            severity=severity,
            remediation_steps=rule.remedy,
        )
    return StackValidationPolicy(
        rule.name,
        description,
        _validate_stack(rule, exemptions),
        level,
        severity=severity,
        remediation_steps=rule.remedy,
    )


def _validate_resource(rule: Rule, exemptions: Exemptions) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type not in rule.kinds:
            return
        protected = bool(args.opts.protect)
        resource = Resource(args.urn, args.resource_type, args.name, plain(args.props), protected, parent="")
        if not exemptions.cover(rule.name, resource.name):
            for fault in rule.check(resource):
                report(f"{resource.name}: {fault}. To do: {rule.remedy}.", args.urn)

    return validate


def _validate_stack(rule: StackRule, exemptions: Exemptions) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for fault, resource in rule.check([describe(one) for one in args.resources]):
            if resource is None:
                report(f"{fault}. To do: {rule.remedy}.", None)
            elif not exemptions.cover(rule.name, resource.name):
                report(f"{resource.name}: {fault}. To do: {rule.remedy}.", resource.urn)

    return validate
