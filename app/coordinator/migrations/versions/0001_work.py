"""Work items, agents, events, idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables, and on PostgreSQL the functions that SQLite gets from Python."""
    op.create_table(
        "work_item",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("rank", sa.BigInteger, nullable=False),
        sa.Column("team", sa.Text),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("skills", sa.Text, nullable=False),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempt", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("max_attempts", sa.BigInteger, nullable=False),
        sa.Column("progress", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("token", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("agent", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("result", sa.Text, nullable=False, server_default="null"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("ready_at", sa.BigInteger, nullable=False),
        sa.Column("claimed_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("lease_expires_at", sa.BigInteger),
        sa.CheckConstraint("status IN ('ready', 'claimed', 'completed', 'failed')", name="work_item_status"),
        sa.CheckConstraint("(status = 'claimed') = (lease_expires_at IS NOT NULL)", name="work_item_lease"),
    )
    for name, column, where in (
        ("work_item_ready", "rank", "status = 'ready'"),
        ("work_item_lease_expiry", "lease_expires_at", "status = 'claimed'"),
        ("work_item_holder", "agent", "status = 'claimed'"),
    ):
        op.create_index(name, "work_item", [column], postgresql_where=sa.text(where), sqlite_where=sa.text(where))
    op.create_table(
        "event",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("item", sa.Text, sa.ForeignKey("work_item.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("agent", sa.Text),
        sa.Column("token", sa.BigInteger, nullable=False),
    )
    op.create_index("event_item", "event", ["item", "seq"])
    op.create_table(
        "agent",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("team", sa.Text),
        sa.Column("skills", sa.Text, nullable=False),
        sa.Column("capacity", sa.BigInteger, nullable=False),
        sa.Column("registered_at", sa.BigInteger, nullable=False),
        sa.Column("last_seen_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "idempotency",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE"
            " AS $$ SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint $$"
        )
        op.execute(
            "CREATE FUNCTION has_skills(required text, offered text) RETURNS boolean"
            " LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT required = '[]' OR required::jsonb <@ offered::jsonb $$"
        )
