"""PostgreSQL, where it is a service of the swarm."""

from components.observability.dashboards.panel import Dashboard, Panel

_OURS = 'datname="coordinator"'
_HIT, _READ = (f"sum(rate(pg_stat_database_blks_{kind}{{{_OURS}}}[5m]))" for kind in ("hit", "read"))

POSTGRESQL = Dashboard(
    "postgresql",
    "PostgreSQL",
    (
        Panel("Answers", "short", {"up": "max(pg_up)"}, "1, or DatabaseDown.", shape="number"),
        Panel(
            "Transactions",
            "ops",
            {
                "committed": f"sum(rate(pg_stat_database_xact_commit{{{_OURS}}}[1m]))",
                "rolled back": f"sum(rate(pg_stat_database_xact_rollback{{{_OURS}}}[1m]))",
            },
        ),
        Panel(
            "Connections",
            "short",
            {
                "{{state}}": f"sum by (state) (pg_stat_activity_count{{{_OURS}}})",
                "allowed": "max(pg_settings_max_connections)",
            },
        ),
        Panel(
            "Found in memory",
            "percentunit",
            {
                "share": f"{_HIT} / ({_HIT} + {_READ})",
            },
            "Below 0.99 for long: give it more memory.",
        ),
        Panel("Size", "bytes", {"{{datname}}": "pg_database_size_bytes"}),
        Panel("Locks", "short", {"{{mode}}": f"sum by (mode) (pg_locks_count{{{_OURS}}})"}),
        Panel("Deadlocks", "ops", {"deadlocks": f"sum(rate(pg_stat_database_deadlocks{{{_OURS}}}[5m]))"}),
    ),
)
