"""A review as a comment on a pull request: Markdown that GitHub takes, the same for the same preview."""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from cli.review import ACTIONS, SECRET, Change, Difference, Review
from policies.prices import DATED

MARK: Final = "<!-- beamops previews -->"
"""The hidden line by which the comment of a pull request is found again."""
UNCHANGED: Final = "no changes"
LIMIT: Final = 65_536 // 3 - 100
"""Characters for a stack: GitHub takes 65,536 in a comment, and one comment tells of three stacks."""
_LONG: Final = 120
_MANY: Final = 10
"""Changes that a reviewer takes in at once: more are folded."""
_LEGEND: Final = "`+` created · `~` changed in place · `±` deleted and created again; a property in bold forces that"
_SIGNS: Final = {"delete": "-", "replace": "±", "create": "+", "update": "~"}
_KINDS: Final = {"delete": "deleted", "replace": "replaced", "create": "created", "update": "updated"}


def render_markdown(review: Review) -> str:
    """A stack's part of the comment; details are left out, a kind at a time, where it would be longer than `LIMIT`."""
    for detail in ("all", "names", "counts"):
        text = "\n".join(_lines(review, detail)).rstrip() + "\n"
        if len(text) <= LIMIT:
            return text
    return text[: LIMIT - 1] + "\n"


def _lines(review: Review, detail: str) -> Iterator[str]:
    yield f"## {review.stack}: {_verdict(review)}"
    yield ""
    yield _summary(review)
    yield ""
    if review.blocked:
        yield "**Not to be deployed as it is:**"
        yield ""
        yield from (f"- {_plain(line)}" for line in review.blocked)
        yield ""
    advice = [one for one in review.violations if one.level != "mandatory"]
    if advice:
        yield "Advice:"
        yield ""
        yield from (f"- {one.rule}: {_plain(one.message)}" for one in advice)
        yield ""
    for action in ("delete", "replace"):
        yield from _dangerous([change for change in review.changes if change.action == action], action)
    if detail != "counts":
        yield from _chapters(review, detail)
    if review.exemptions:
        yield "<details><summary>Exemptions from rules</summary>"
        yield ""
        yield from (
            f"- `{one.rule}` of `{one.resource}` until {one.expires}: {_plain(one.reason)}" for one in review.exemptions
        )
        yield ""
        yield "</details>"
        yield ""
    if review.changes:
        yield f"<sub>{_LEGEND}</sub>"
        yield ""
    yield f"<sub>Rules: docs/policies.md. Costs: list prices of {DATED}, without traffic (policies/prices.py).</sub>"


def _verdict(review: Review) -> str:
    if review.blocked:
        return "⛔ blocked"
    return UNCHANGED if not review.changes else "✅ no rule is broken, no data is lost"


def _summary(review: Review) -> str:
    parts = [f"**{review.count(action)} to be {_KINDS[action]}**" for action in ACTIONS if review.count(action)]
    parts.append(f"{review.same} unchanged")
    before, after = round(review.cost_before), round(review.cost_after)
    if after or before:
        change = f"{after - before:+d}" if after != before else "±0"
        parts.append(f"about {after} USD a month ({change})")
    return " · ".join(parts)


def _dangerous(changes: list[Change], action: str) -> Iterator[str]:
    if not changes:
        return
    yield f"**{_KINDS[action].capitalize()}:**"
    yield ""
    # Of many, those that take data along are seen at once.
    first = changes if len(changes) <= _MANY else [change for change in changes if change.keeps_data]
    yield from (_danger(change) for change in first)
    rest = [change for change in changes if change not in first]
    if rest:
        yield ""
        yield f"<details><summary>{len(rest)} more {_KINDS[action]}</summary>"
        yield ""
        yield from (_danger(change) for change in rest)
        yield ""
        yield "</details>"
    yield ""


def _danger(change: Change) -> str:
    forced = [f"`{difference.path}`" for difference in change.differences if difference.forces]
    why = f", forced by {', '.join(forced)}" if forced else ""
    data = " — **its data would be lost**" if change.keeps_data else ""
    return f"- **{change.name}** ({change.kind}){why}{data}"


def _chapters(review: Review, detail: str) -> Iterator[str]:
    for chapter, grouped in groupby(review.changes, key=lambda change: change.chapter):
        changes = list(grouped)
        counted = ", ".join(
            f"{sum(change.action == action for change in changes)} {_KINDS[action]}"
            for action in ACTIONS
            if any(change.action == action for change in changes)
        )
        folded = "<details>" if len(review.changes) > _MANY else "<details open>"
        yield f"{folded}<summary>Chapter {chapter}: {counted}</summary>"
        yield ""
        for change in changes:
            yield f"- `{_SIGNS[change.action]}` {change.name} ({change.kind})"
            if detail == "all" and change.action != "create":
                yield from (f"  - {_difference(one)}" for one in change.differences)
        yield ""
        yield "</details>"
        yield ""


def _difference(one: Difference) -> str:
    path = f"**`{one.path}`**" if one.forces else f"`{one.path}`"
    new = "another secret" if one.old == one.new == SECRET else _value(one.new)
    return f"{path}: {_value(one.old)} → {new}"


def _value(text: str) -> str:
    if not text:
        return "(nothing)"
    if len(text) <= _LONG:
        return _code(text)
    return f"<details><summary>{len(text)} characters</summary>{_escape(text)}</details>"


def _code(text: str) -> str:
    """In backticks, more of them than the text itself has in a row."""
    fence = "`"
    while fence in text:
        fence += "`"
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{' '.join(text.split())}{pad}{fence}"


def _plain(text: str) -> str:
    """Text that is to be read as it is: no markup of its own, and nobody is called by it."""
    return _escape(" ".join(text.split())).replace("@", "@<!-- -->").replace("*", "\\*")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
