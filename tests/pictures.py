"""Pictures of dashboards with the data of a real Prometheus: as Grafana lays them out, where Grafana cannot be had."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.observability.dashboards.panel import Dashboard, Panel
from components.observability.dashboards.rendering import place_panels

Ask = Callable[[str], list[dict[str, Any]]]
"""The series of an expression over the time that is drawn, as Prometheus' `query_range` gives them."""
_INCH_A_COLUMN: Final = 0.55
_INCH_A_ROW: Final = 0.36
_LINES_MAX: Final = 8


def draw_dashboard(dashboard: Dashboard, ask: Ask, file: Path) -> None:
    """Draw every panel at its place, each line named as Grafana would name it."""
    mpl.rcParams |= {"font.size": 7, "axes.titlesize": 8, "axes.titleweight": "bold", "svg.hashsalt": "beamops"}
    places = list(place_panels(dashboard.panels))
    rows = max(place.y + place.h for place in places)
    figure = Figure((24 * _INCH_A_COLUMN, rows * _INCH_A_ROW + 0.4))
    figure.suptitle(f"BEAMOps: {dashboard.title}", x=0.01, ha="left", fontsize=11, weight="bold")
    height = rows + 0.4 / _INCH_A_ROW
    for panel, place in zip(dashboard.panels, places, strict=True):
        left, bottom = place.x / 24, (rows - place.y - place.h) / height
        axes = figure.add_axes((left + 0.045, bottom + 0.6 / height, place.w / 24 - 0.055, (place.h - 1.7) / height))
        axes.set_title(panel.title, loc="left")
        _SHAPES[panel.shape](axes, panel, ask)
    figure.savefig(file, dpi=80, metadata={"Software": None})


def _draw_lines(axes: Axes, panel: Panel, ask: Ask) -> None:
    highest = lowest = 0.0
    for legend, expression in panel.queries.items():
        for series in ask(expression)[:_LINES_MAX]:
            moments = [float(at) for at, _ in series["values"]]
            told = [float(value) for _, value in series["values"]]
            highest, lowest = max(highest, *told), min(lowest, *told)
            axes.plot(moments, told, linewidth=1, label=_name(legend, series["metric"]), marker=".", markersize=2)
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: write_value(value, panel.unit)))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda at, _: f"{datetime.fromtimestamp(at, UTC):%H:%M}"))
    axes.xaxis.set_major_locator(ticker.MultipleLocator(60))
    axes.set_ylim(lowest, 1.2 * highest or 1)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=6, frameon=False)


def _write_number(axes: Axes, panel: Panel, ask: Ask) -> None:
    axes.axis("off")
    values = [float(series["values"][-1][1]) for expression in panel.queries.values() for series in ask(expression)]
    text = " · ".join(write_value(value, panel.unit) for value in values[:_LINES_MAX])
    axes.text(0.5, 0.45, text, ha="center", va="center", fontsize=18, weight="bold")


def _list_alerts(axes: Axes, panel: Panel, ask: Ask) -> None:
    axes.axis("off")
    (named,) = panel.queries.items()
    alerts = sorted(_name(named[0], series["metric"]) for series in ask(named[1]))
    axes.text(0, 1, "\n".join(f"● {alert}" for alert in alerts[: 2 * _LINES_MAX]), ha="left", va="top", linespacing=1.8)


_SHAPES: Final = {"lines": _draw_lines, "number": _write_number, "alerts": _list_alerts}


def _name(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)


def write_value(value: float, unit: str) -> str:
    """A value as its unit is read."""
    if unit == "percentunit":
        return f"{value:.3%}" if value > 0.99 and value != 1 else f"{value:.0%}" if value in {0, 1} else f"{value:.1%}"
    if unit == "bytes":
        return next(
            (f"{value / size:.3g} {name}" for name, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
             if abs(value) >= size), f"{value:.0f} B",
        )  # fmt: skip
    if unit == "Bps":
        return f"{value / 1000:.3g} kB/s"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if 0 < abs(value) < 1 else f"{value:.3g} s"
    if unit == "currencyUSD":
        return f"${value:.2f}"
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}") + {"reqps": " req/s", "ops": " /s"}.get(unit, "")
