"""What a dashboard is: rows of panels, each with its queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["short", "percentunit", "s", "bytes", "Bps", "reqps", "ops", "currencyUSD"]
"""Grafana's names of units; shares are 0 to 1."""


@dataclass(frozen=True)
class Panel:
    """One picture."""

    title: str
    unit: Unit
    queries: Mapping[str, str]
    """Expressions of Prometheus by what their lines are called; `{{label}}` takes a label's value."""
    says: str = ""
    """What to look for, where the title does not say it."""
    number: bool = False
    """The last value, large, and not a line over time."""


@dataclass(frozen=True)
class Dashboard:
    """The panels of one subject."""

    name: str
    title: str
    panels: tuple[Panel, ...]
