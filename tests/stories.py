"""An alert's example as a test of promtool's: well, a short blink, then wrong for long, then well again."""

from typing import Any, Final

from components.observability.alert import Alert, Example, Value

STEP_SECONDS: Final = 30
WELL_MINUTES: Final = 30
_COUNTERS: Final = ("_total", "_seconds_count", "_bucket", "_log_records", "_records_generated")
_A_MINUTE: Final = 60 // STEP_SECONDS


def tell_story(alert: Alert, example: Example, rules: str) -> dict[str, Any]:
    """A test file: when it must fire, and when it must not.

    The blink lasts one look of Prometheus, less than any alert's patience.
    """
    ill = example.minutes
    blink, wrong = WELL_MINUTES, 2 * WELL_MINUTES
    phases = (
        (False, WELL_MINUTES * _A_MINUTE),
        (True, 1),
        (False, WELL_MINUTES * _A_MINUTE - 1),
        (True, ill * _A_MINUTE),
        (False, 2 * WELL_MINUTES * _A_MINUTE),
    )
    series = [
        {"series": name, "values": _write(name, value, example.ill.get(name, value), phases)}
        for name, value in {**dict.fromkeys(example.ill), **example.well}.items()
    ]
    quiet = [blink - 1, *(blink + minute for minute in range(1, WELL_MINUTES, 2)), wrong + ill + 2 * WELL_MINUTES - 1]
    firing = f'count(ALERTS{{alertname="{alert.name}",alertstate="firing",severity="{alert.severity}"}})'
    checks: list[dict[str, Any]] = [{"expr": firing, "eval_time": f"{minute}m", "exp_samples": []} for minute in quiet]
    found = [{"labels": "{}", "value": 1}]
    checks.append({"expr": firing, "eval_time": f"{wrong + ill - 1}m", "exp_samples": found})
    test = {"name": alert.name, "interval": f"{STEP_SECONDS}s", "input_series": series, "promql_expr_test": checks}
    return {"rule_files": [rules], "evaluation_interval": f"{STEP_SECONDS}s", "tests": [test]}


def _write(name: str, well: Value, ill: Value, phases: tuple[tuple[bool, int], ...]) -> str:
    """Values in promtool's notation, `a+bxn`: n + 1 values."""
    parts, counted = [], 0.0
    counts = name.partition("{")[0].endswith(_COUNTERS)
    for wrong, steps in phases:
        value = ill if wrong else well
        if value is None:
            parts.append("stale" + (f" _x{steps - 1}" if steps > 1 else ""))
        elif counts:
            # A series of a counter begins with what is counted first: nobody sees it at nothing.
            grows = value / _A_MINUTE
            parts.append(f"{counted + grows:g}+{grows:g}x{steps - 1}")
            counted += grows * steps
        else:
            parts.append(f"{value:f}+0x{steps - 1}")
    return " ".join(parts)
