"""What a dashboard is: rows of panels, each with its queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["short", "percentunit", "s", "bytes", "Bps", "reqps", "ops", "currencyUSD"]
"""Grafana's names of units; shares are 0 to 1."""

Shape = Literal["lines", "number", "alerts"]
"""Lines over time; the last value, large; or the alerts that fire or are about to, as Grafana lists them itself."""


@dataclass(frozen=True)
class Panel:
    """One picture."""

    title: str
    unit: Unit
    queries: Mapping[str, str]
    """Expressions of Prometheus by what their lines are called; `{{label}}` takes a label's value."""
    says: str = ""
    """What to look for, where the title does not say it."""
    shape: Shape = "lines"


@dataclass(frozen=True)
class Dashboard:
    """The panels of one subject."""

    name: str
    title: str
    panels: tuple[Panel, ...]
