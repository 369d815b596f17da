"""The published interface: all that a deployment may know of the coordinator.

The image runs one command, `coordinator`, whose first word picks the role. Whoever deploys it names
its settings, its port and its paths from here; a test holds both sides to it.
"""

from pathlib import Path
from typing import Final

PORT: Final = 4000
LIVE_PATH: Final = "/healthz"
READY_PATH: Final = "/readyz"
METRICS_PATH: Final = "/metrics"

SERVE: Final = ("coordinator", "serve")
MIGRATE: Final = ("coordinator", "migrate")
EXAMPLE_WORK: Final = "--example-work"
"""Makes `MIGRATE` put a few work items into an empty store."""
WAIT: Final = "--wait-seconds=60"
"""Makes `MIGRATE` wait for PostgreSQL, which may be starting beside it."""
RESTORED: Final = "--restored"
"""Makes `MIGRATE` settle a store that was restored from a backup."""
REGISTER: Final = ("coordinator", "admin", "create-token", "--register")
"""Makes a token known that was made elsewhere; `<id>:<digest>`, a name, `--role` and for an agent `--agent` follow.
The id is 32 hexadecimal digits, the digest SHA-256 of the secret; the token is `TOKEN_PREFIX<id>.<secret>`."""
REVOKE: Final = ("coordinator", "admin", "revoke-token")
"""Ends the token of the id that follows."""
TOKEN_PREFIX: Final = "cbt_"  # noqa: S105 - what tokens begin with
SWITCH: Final = ("coordinator", "admin", "switch")
"""Lets the `COLOUR` that follows serve, and the other stand by; within seconds, in which both serve."""
ADMIT_WATCHER: Final = ("coordinator", "admin", "admit-watcher")
"""Makes PostgreSQL's role `watcher`, which may measure and read no table, with the password in the file that follows:
for a server that is not started by images/postgresql."""
AUTOSCALE: Final = ("coordinator", "autoscale")
"""Moves the replicas of a service; `--service`, `--prometheus`, `--engine` (an `ENGINE_PROXY`), `--ready-per-replica`
and `--p95-ms` follow."""
ENGINE_PROXY: Final = ("coordinator", "engine-proxy")
"""Stands before the engine whose socket is at `ENGINE_SOCKET`, and lets `AUTOSCALE` scale what is labelled for it."""
ENGINE_EXPORTER: Final = ("coordinator", "engine-exporter")
"""Tells Prometheus what the engine whose socket is at `ENGINE_SOCKET` runs, and what those of its containers use that
have the `--label` that follows."""
ENGINE_SOCKET: Final = "/var/run/docker.sock"
MINIMUM_LABEL: Final = "beamops.autoscale.minimum"
MAXIMUM_LABEL: Final = "beamops.autoscale.maximum"
"""Labels of a service that may be scaled: never fewer replicas, never more."""
SPARE_LABEL: Final = "beamops.spare"
"""Label of a service one of whose replicas is being moved: so many there are to be when the move is over, unless
another number is asked for meanwhile."""
PROBE: Final = ("python3", "-m", "coordinator.probe")
"""Exits 0 when what is beside it is alive, a `SERVE` when it has also been ready once: a version that never gets ready
stays unhealthy, and one whose store goes away later is not restarted for it."""

DATABASE_URL: Final = "COORDINATOR_DATABASE_URL"
DATABASE_PASSWORD_FILE: Final = "COORDINATOR_DATABASE_PASSWORD_FILE"  # noqa: S105 - the name of a setting
HOST: Final = "COORDINATOR_HOST"
DRAIN_SECONDS: Final = "COORDINATOR_DRAIN_SECONDS"
COLOUR: Final = "COORDINATOR_COLOUR"
"""`blue` or `green`, where two versions run on one store."""
REPLICAS: Final = "COORDINATOR_REPLICAS"
TRUST_NETWORK: Final = "COORDINATOR_TRUST_NETWORK"
AUTHENTICATE: Final = "COORDINATOR_AUTHENTICATE"
TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""OpenTelemetry's own: where `SERVE` sends its spans; without it, it makes none."""

MIGRATIONS: Final = Path(__file__).parent / "migrations"
"""Where the migrations live: their content says when a deployment has to run `MIGRATE` again."""
