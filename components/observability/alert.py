"""What an alert is: an expression, how long it has to hold, and what to tell whoever is woken by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["critical", "warning", "none"]
"""critical: somebody is woken; warning: somebody looks at it in the day; none: is never told to people."""

RUNBOOKS: Final = "docs/runbooks"
Value = float | None
"""Of a gauge, or what a counter grows by in a minute; None where there is no such series."""


@dataclass(frozen=True)
class Example:
    """A story that the alert is tested with: series that are well, then not, then well again."""

    well: Mapping[str, Value]
    """Values by series, `name{label="value"}`."""
    ill: Mapping[str, Value]
    """Those that differ while something is wrong."""
    minutes: int = 15
    """How long it is wrong: longer than the alert's patience and its longest window."""


@dataclass(frozen=True)
class Alert:
    """A rule that tells somebody."""

    name: str
    expression: str
    minutes: int
    """How long it has to hold."""
    severity: Severity
    summary: str
    impact: str
    """What it means for agents and their work."""
    example: Example
    others: tuple[Example, ...] = ()
    """What it has to see as well."""

    @property
    def runbook(self) -> str:
        """The page that says what to do, below the checkout."""
        words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in self.name)
        return f"{RUNBOOKS}/{words.removeprefix('-')}.md"


@dataclass(frozen=True)
class Recording:
    """An expression that is worked out once and used by its name."""

    name: str
    expression: str


@dataclass(frozen=True)
class Subject:
    """The rules of one subject: a group of Prometheus."""

    name: str
    alerts: tuple[Alert, ...]
    recordings: tuple[Recording, ...] = ()


@dataclass(frozen=True)
class Expected:
    """What the rules need to know of the stack."""

    replicas: int
    """Coordinators that should serve."""
    scaled: bool = False
    """Whether something moves the number of coordinators."""
    collected: bool = False
    """Whether log lines and traces are collected."""
    engine: bool = True
    """Whether the engine can be asked what it runs."""
