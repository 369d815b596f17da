"""Rules about the promise to agents: 99.9 % of requests answered, claims within 100 ms (p99)."""

from typing import Final

from components.observability.alert import Alert, Example, Recording, Subject

AVAILABILITY: Final = 0.999
BUDGET: Final = round(1 - AVAILABILITY, 6)
SLOW_BUDGET: Final = 0.01
"""Of claims, those that may take longer than `CLAIM_SECONDS`."""
CLAIM_SECONDS: Final = 0.1
_ANSWERS: Final = "haproxy_backend_http_responses_total"
_FOR_AGENTS: Final = 'proxy=~"once|repeatable"'
_GOOD: Final = f'{_ANSWERS}{{job="proxy",proxy="once",code="2xx"}}'
_BAD: Final = f'{_ANSWERS}{{job="proxy",proxy="once",code="5xx"}}'
_LATENCY: Final = 'beamops_agent_coordination_latency_seconds_bucket{{operation="claim",le="{}",job="coordinator"}}'
CLAIMS_P99: Final = (
    "histogram_quantile(0.99, sum by (le) "
    '(rate(beamops_agent_coordination_latency_seconds_bucket{operation="claim"}[5m])))'
)
_CLAIMS: Final = {_LATENCY.format(seconds): 1000 for seconds in (CLAIM_SECONDS, 0.25, "+Inf")}
WINDOWS: Final = ("5m", "30m", "1h", "6h")
ERRORS: Final = "beamops:request_errors:ratio_rate"
SLOW_CLAIMS: Final = "beamops:slow_claims:ratio_rate"


def _errors(window: str) -> Recording:
    """Of what proxies answered for coordinators, and in their place where none was there."""
    failed, all_ = (
        f"sum(rate({_ANSWERS}{{{which}}}[{window}]))" for which in (f'{_FOR_AGENTS},code="5xx"', _FOR_AGENTS)
    )
    return Recording(f"{ERRORS}{window}", f"{failed} / {all_}")


def _slow(window: str) -> Recording:
    """Of claims, without the time that one chose to wait."""
    fast, all_ = (f"sum(rate({_LATENCY.format(seconds)}[{window}]))" for seconds in (CLAIM_SECONDS, "+Inf"))
    return Recording(f"{SLOW_CLAIMS}{window}", f"1 - {fast} / {all_}")


def _burns(ratio: str, budget: float, long: str, short: str, factor: float) -> str:
    """Both windows: the long one says that it matters, the short one that it still goes on.

    Factors and windows are those of Google's SRE workbook, "Alerting on SLOs", table 5-8.
    """
    return " and ".join(f"{ratio}{window} > {round(factor * budget, 6)}" for window in (long, short))


SERVICE_LEVEL = Subject(
    "service-level",
    (
        Alert(
            "ErrorBudgetBurnsFast",
            _burns(ERRORS, BUDGET, "1h", "5m", 14.4),
            2,
            "critical",
            "{{ $value | humanizePercentage }} of an hour's requests failed: a month's budget lasts two days so",
            "Agents see errors and repeat their requests",
            Example({_GOOD: 1000, _BAD: 0}, {_GOOD: 0, _BAD: 100}, minutes=30),
        ),
        Alert(
            "ErrorBudgetBurnsSlowly",
            _burns(ERRORS, BUDGET, "6h", "30m", 6),
            15,
            "warning",
            "{{ $value | humanizePercentage }} of six hours' requests failed: a month's budget lasts five days so",
            "Agents see errors now and then and repeat their requests",
            Example({_GOOD: 1000, _BAD: 0}, {_BAD: 10}, minutes=420),
        ),
        # Slow claims wake nobody: agents wait, and nothing fails.
        Alert(
            "LatencyBudgetBurnsFast",
            _burns(SLOW_CLAIMS, SLOW_BUDGET, "1h", "5m", 14.4),
            2,
            "warning",
            "{{ $value | humanizePercentage }} of an hour's claims were slow: a month's budget lasts two days so",
            "Agents wait for their work",
            Example(_CLAIMS, {_LATENCY.format(CLAIM_SECONDS): 0}, minutes=30),
        ),
        Alert(
            "LatencyBudgetBurnsSlowly",
            _burns(SLOW_CLAIMS, SLOW_BUDGET, "6h", "30m", 6),
            15,
            "warning",
            "{{ $value | humanizePercentage }} of six hours' claims were slow: a month's budget lasts five days so",
            "Agents wait for their work now and then",
            Example(_CLAIMS, {_LATENCY.format(CLAIM_SECONDS): 900}, minutes=420),
        ),
        Alert(
            "ClaimsSlow",
            f"{CLAIMS_P99} > {CLAIM_SECONDS}",
            5,
            "warning",
            "Of 100 claims one takes longer than {{ $value | humanizeDuration }}",
            "Agents wait for their work",
            Example(_CLAIMS, {_LATENCY.format(CLAIM_SECONDS): 950}),
        ),
    ),
    tuple(ratio(window) for ratio in (_errors, _slow) for window in WINDOWS),
)
