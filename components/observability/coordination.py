"""Rules about the work itself: agents, claims, failures, queues, advice."""

from components.observability.alert import Alert, Example, Subject

_READY = 'beamops_work_items{team="",status="ready",job="coordinator"}'
_CLAIMED = 'beamops_work_items{team="",status="claimed",job="coordinator"}'
_EFFICIENCY = 'beamops_coordination_efficiency_ratio{job="coordinator"}'
_HEALTH = 'beamops_health_score{part="all",job="coordinator"}'
_OLDEST = 'beamops_work_oldest_ready_seconds{job="coordinator"}'
_DONE = 'beamops_agent_work_completed_total{work_type="review",team="",priority="high",job="coordinator"}'
_GIVEN = 'beamops_agent_work_claimed_total{work_type="review",team="",priority="high",job="coordinator"}'
_FAILED = 'beamops_agent_work_failed_total{work_type="review",team="",priority="high",job="coordinator"}'
_CONFLICTS = 'beamops_agent_conflicts_total{code="lease_lost",job="coordinator"}'
_REQUESTS = (
    'coordinator_request_duration_seconds_count{method="POST",route="/v1/claims",status="200",job="coordinator"}'
)
_REFUSED = _REQUESTS.replace('"200"', '"401"')
_ASKED = 'beamops_insights_total{source="anthropic",outcome="answered",job="coordinator"}'
_LEFT = 'beamops_insight_rate_limit_remaining_ratio{job="coordinator"}'

# Thresholds are those of the system that came before (prior-art.md), or stricter.
COORDINATION = Subject(
    "coordination",
    (
        Alert(
            "NoActiveAgents",
            'sum(beamops_work_items{status="ready"}) > 0 and on() sum(beamops_work_items{status="claimed"}) == 0'
            " unless on() sum(increase("
            'coordinator_request_duration_seconds_count{route="/v1/claims",status="200"}[1m])) > 0'
            " unless on() sum(beamops_agent_waiting_claims) > 0",
            1,
            "warning",
            "Work is ready, nobody holds any, and nobody asks for it",
            "Nothing is worked on; what is ready waits",
            # Who is refused asks for nothing.
            Example({_CLAIMED: 3, _READY: 5, _REQUESTS: 10, _REFUSED: 10}, {_CLAIMED: 0, _REQUESTS: 0}),
        ),
        Alert(
            "EfficiencyLow",
            "max(beamops_coordination_efficiency_ratio) < 0.7"
            " and on() sum(increase(beamops_agent_work_claimed_total[10m])) >= 10",
            5,
            "warning",
            "Of the claims that ended, {{ $value | humanizePercentage }} were completed",
            "Agents spend their time on work that they do not finish",
            Example({_EFFICIENCY: 0.95, _GIVEN: 60}, {_EFFICIENCY: 0.5}),
        ),
        Alert(
            "HealthLow",
            'max(beamops_health_score{part="all"}) < 80',
            3,
            "warning",
            "The health score is {{ $value }} of 100",
            "At least one part of the coordinator is not as it should be",
            Example({_HEALTH: 99}, {_HEALTH: 60}),
        ),
        Alert(
            "FailuresHigh",
            "sum(rate(beamops_agent_work_failed_total[10m])) /"
            " ((sum(rate(beamops_agent_work_completed_total[10m])) or vector(0))"
            " + sum(rate(beamops_agent_work_failed_total[10m]))) > 0.1"
            " and on() sum(increase(beamops_agent_work_failed_total[10m])) >= 5",
            5,
            "warning",
            "{{ $value | humanizePercentage }} of the work that ended in ten minutes failed",
            "Attempts are used up; items end as failed",
            Example({_DONE: 100, _FAILED: None}, {_FAILED: 60}, minutes=20),
            # A release with which nothing is completed has no such series.
            (Example({_DONE: 100, _FAILED: None}, {_DONE: None, _FAILED: 60}, minutes=30),),
        ),
        Alert(
            "ConflictsHigh",
            'sum(rate(beamops_agent_conflicts_total{code=~"not_claimable|not_possible|lease_lost"}[5m])) / sum(rate('
            'coordinator_request_duration_seconds_count{method="POST",route=~"/v1/claims|/v1/(work|locks)/[{].+"}[5m]))'
            " > 0.01",
            5,
            "warning",
            "{{ $value | humanizePercentage }} of claims and of what is done with them were refused: another was first",
            "Agents hold leases that have expired, or ask for the same items by id",
            Example({_REQUESTS: 1000, _CONFLICTS: None}, {_CONFLICTS: 40}),
        ),
        Alert(
            "WorkWaits",
            "max(beamops_work_oldest_ready_seconds) > 3600",
            10,
            "warning",
            "The oldest ready work has waited {{ $value | humanizeDuration }}",
            "There are fewer agents, or fewer with the skills, than the work needs",
            Example({_OLDEST: 30}, {_OLDEST: 7200}, minutes=20),
        ),
        Alert(
            "InsightLimitNear",
            "min(beamops_insight_rate_limit_remaining_ratio) < 0.1"
            ' and on() sum(increase(beamops_insights_total{source="anthropic"}[10m])) > 0',
            5,
            "warning",
            "{{ $value | humanizePercentage }} of the model's rate limit is left",
            "Insights will be computed without the model; claims are not touched",
            Example({_LEFT: 0.9, _ASKED: 2}, {_LEFT: 0.05}),
        ),
    ),
)
