"""What a reviewer needs of a preview, read from the engine's own events: changes by chapter, verdict, costs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from pulumi.runtime.rpc import UNKNOWN

from components.settings import ExemptionSettings
from policies.data import KEEPERS
from policies.prices import plan_month
from policies.rule import Resource

ACTIONS: Final = ("delete", "replace", "create", "update")
"""In the order in which a reviewer must see them."""
_STEPS: Final = {"create": "create", "update": "update", "delete": "delete", "replace": "replace", "import": "create"}
"""The engine's steps that are told; of the three steps of a replacement the one that names it."""
_BEFORE: Final = {"same", "update", "replace", "delete"}
_AFTER: Final = {"same", "update", "replace", "create", "import"}
"""Steps whose resources there are before and after."""
_AFTERMATH: Final = ("preview failed", "an unhandled error occurred: program exited")
"""What the engine says once something else has been said to be wrong."""
_SECRET_MARK: Final = "4dabf18193072939515e22adb298388d"  # noqa: S105 - the sdk's mark of a secret, not one
SECRET: Final = "[secret]"  # noqa: S105
_LATER: Final = "(known after the update)"


@dataclass(frozen=True)
class Difference:
    """One property as it is shown, before and after."""

    path: str
    old: str
    new: str
    forces: bool
    """Whether it makes a new resource."""


@dataclass(frozen=True)
class Change:
    """What happens to one resource."""

    action: str
    chapter: str
    kind: str
    name: str
    keeps_data: bool = False
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Violation:
    """One rule that does not hold of a resource."""

    rule: str
    level: str
    message: str


@dataclass(frozen=True)
class Review:
    """A preview."""

    stack: str
    same: int
    changes: tuple[Change, ...]
    violations: tuple[Violation, ...] = ()
    exemptions: tuple[ExemptionSettings, ...] = ()
    faults: tuple[str, ...] = ()
    cost_before: float = 0
    cost_after: float = 0
    allowed: frozenset[str] = field(default_factory=frozenset)

    def count(self, action: str) -> int:
        """How many resources it happens to."""
        return sum(change.action == action for change in self.changes)

    @property
    def lost(self) -> list[Change]:
        """What keeps data, would be deleted or replaced, and is not allowed to be."""
        return [
            change
            for change in self.changes
            if change.keeps_data and change.action in {"delete", "replace"} and change.name not in self.allowed
        ]

    @property
    def blocked(self) -> list[str]:
        """Why this may not be deployed, in a line each."""
        mandatory = [f"{one.rule}: {one.message}" for one in self.violations if one.level == "mandatory"]
        lost = []
        for name, changes in groupby(sorted(self.lost, key=lambda change: change.name), key=lambda change: change.name):
            kinds = [f"{change.kind.rpartition(':')[2]} (to be {change.action}d)" for change in changes]
            them = "it" if len(kinds) == 1 else "all of them"
            lost.append(
                f"data would be lost: {name}: {', '.join(kinds)}; if that is meant, make a backup, and give "
                f"ALLOW_DELETE={name} to `make preview` and `make up`, which allows {them} once"
            )
        return [*mandatory, *lost, *self.faults]


def read_events(
    stack: str, lines: Iterable[str], exemptions: tuple[ExemptionSettings, ...], allowed: frozenset[str]
) -> Review:
    """A review of what `pulumi preview --json` streams.

    Args:
        stack: the environment.
        lines: an event of the engine each, as JSON.
        exemptions: those of the stack file.
        allowed: names of what may be deleted or replaced this once.
    """
    events = [json.loads(line) for line in lines if line.startswith("{")]
    steps = [event["resourcePreEvent"]["metadata"] for event in events if "resourcePreEvent" in event]
    changes = [change for change in map(_read_step, steps) if change is not None]
    order = {action: number for number, action in enumerate(ACTIONS)}
    return Review(
        stack,
        sum(step["op"] == "same" for step in steps),
        tuple(sorted(changes, key=lambda one: (one.chapter, order[one.action], one.kind, one.name))),
        tuple(sorted(set(_read_violations(events)), key=lambda one: (one.level != "mandatory", one.rule, one.message))),
        exemptions,
        tuple(_read_faults(events)),
        plan_month(_resources(steps, "old", _BEFORE)),
        plan_month(_resources(steps, "new", _AFTER)),
        allowed,
    )


def render_json(review: Review) -> str:
    """The review for programs."""
    told = {
        "stack": review.stack,
        "counts": {action: review.count(action) for action in ACTIONS} | {"same": review.same},
        "changes": [
            {
                "action": change.action,
                "chapter": change.chapter,
                "type": change.kind,
                "name": change.name,
                "keeps_data": change.keeps_data,
                "properties": [vars(difference) for difference in change.differences],
            }
            for change in review.changes
        ],
        "violations": [vars(violation) for violation in review.violations],
        "exemptions": [exemption.model_dump() for exemption in review.exemptions],
        "cost": {"before": round(review.cost_before), "after": round(review.cost_after), "currency": "USD a month"},
        "blocked": review.blocked,
    }
    return json.dumps(told, indent=2)


def _read_step(step: Mapping[str, Any]) -> Change | None:
    kind: str = step["type"]
    action = _STEPS.get(step["op"])
    if action is None or kind.startswith(("pulumi:", "beamops:")):
        return None
    parents = step["urn"].split("::")[2].split("$")[:-1]
    chapter = next((one.rpartition(":")[2] for one in reversed(parents) if one.startswith("beamops:")), "(none)")
    return Change(
        action,
        chapter,
        kind,
        step["urn"].rpartition("::")[2],
        keeps_data=kind in KEEPERS,
        differences=tuple(_read_differences(step)),
    )


def _read_differences(step: Mapping[str, Any]) -> Iterator[Difference]:
    old, new = ((step.get(side) or {}).get("inputs") or {} for side in ("old", "new"))
    for path, how in sorted((step.get("detailedDiff") or {}).items()):
        before, after = _show(_find(old, path)), _show(_find(new, path))
        # Providers also name what they have a default for, and what is the same to whoever reads it.
        if before != after or SECRET in before:
            yield Difference(path, before, after, how["diffKind"].endswith("-replace"))


def _find(value: Any, path: str) -> Any:
    """What is at a path as the engine writes them: `a.b[0]["c.d"]`; a secret hides all that is in it."""
    for part in _split(path):
        if isinstance(value, dict) and _SECRET_MARK in value:
            return value
        if isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def _split(path: str) -> Iterator[str]:
    rest = path
    while rest:
        if rest.startswith('["'):
            part, _, rest = rest[2:].partition('"]')
        elif rest.startswith("["):
            part, _, rest = rest[1:].partition("]")
        else:
            end = min((place for place in (rest.find("."), rest.find("[")) if place >= 0), default=len(rest))
            part, rest = rest[:end], rest[end:]
        rest = rest.removeprefix(".")
        yield part


def _show(value: Any) -> str:
    if value is None:
        return ""
    shown = _hide(value)
    return shown if isinstance(shown, str) else json.dumps(shown, sort_keys=True)


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return SECRET if _SECRET_MARK in value else {key: _hide(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_hide(one) for one in value]
    return _LATER if value == UNKNOWN else value


def _read_violations(events: list[dict[str, Any]]) -> Iterator[Violation]:
    for event in events:
        if (told := event.get("policyEvent")) is not None:
            # The first line is the rule's description, which docs/policies.md has.
            message = told["message"].strip().partition("\n")[2] or told["message"].strip()
            yield Violation(told["policyName"], told["enforcementLevel"], message)


def _read_faults(events: list[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        told = event.get("diagnosticEvent")
        if told is None or told["severity"] != "error":
            continue
        if not any(said in told["message"] for said in _AFTERMATH):
            yield " ".join(told["message"].split())


def _resources(steps: Iterable[Mapping[str, Any]], side: str, operations: set[str]) -> list[Resource]:
    """What the price table needs of resources; a group's machine is that of the template that is called like it."""
    found = {}
    for step in steps:
        state = step.get(side)
        if state is not None and step["op"] in operations:
            name = step["urn"].rpartition("::")[2]
            uses = {"launchTemplate": frozenset({name.removesuffix("s")})}
            props = state.get("inputs") or {}
            found[step["urn"]] = Resource(step["urn"], step["type"], name, props, protected=False, parent="", uses=uses)
    return list(found.values())
