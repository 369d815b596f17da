"""Work items and what they wait for, agents, events, locks, tokens, idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _counter() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables, and on PostgreSQL the functions that SQLite has or gets from Python."""
    _create_work()
    _create_events()
    _create_agents_and_locks()
    _create_access()
    if _on_postgresql():
        _create_functions()


def _create_work() -> None:
    op.create_table(
        "work_item",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("rank", sa.BigInteger, nullable=False),
        sa.Column("team", sa.Text),
        sa.Column("parent", sa.Text, sa.ForeignKey("work_item.id", ondelete="SET NULL")),
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
        sa.Column("trace_id", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("ready_at", sa.BigInteger, nullable=False),
        sa.Column("claimed_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("lease_expires_at", sa.BigInteger),
        sa.CheckConstraint(
            "status IN ('blocked', 'ready', 'claimed', 'completed', 'failed', 'cancelled')", name="work_item_status"
        ),
        sa.CheckConstraint("(status = 'claimed') = (lease_expires_at IS NOT NULL)", name="work_item_lease"),
    )
    for name, column, where in (
        ("work_item_ready", "rank", "status = 'ready'"),
        ("work_item_lease_expiry", "lease_expires_at", "status = 'claimed'"),
        ("work_item_holder", "agent", "status = 'claimed'"),
        ("work_item_finished", "finished_at", "finished_at IS NOT NULL"),
        ("work_item_parent", "parent", "parent IS NOT NULL"),
    ):
        op.create_index(name, "work_item", [column], postgresql_where=sa.text(where), sqlite_where=sa.text(where))
    op.create_table(
        "dependency",
        sa.Column("item", sa.Text, sa.ForeignKey("work_item.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("needs", sa.Text, sa.ForeignKey("work_item.id", ondelete="CASCADE"), primary_key=True),
    )
    op.create_index("dependency_needs", "dependency", ["needs"])


def _create_events() -> None:
    # Numbers are given before transactions end, in another order than they end in. A reader that goes by
    # transaction first, and no further than the oldest that is still open, never passes an event by.
    transaction = sa.text("pg_current_xact_id()::text::bigint" if _on_postgresql() else "0")
    op.create_table(
        "event",
        sa.Column("seq", _counter(), primary_key=True, autoincrement=True),
        sa.Column("tx", sa.BigInteger, nullable=False, server_default=transaction),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("item", sa.Text, sa.ForeignKey("work_item.id", ondelete="CASCADE")),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("agent", sa.Text),
        sa.Column("team", sa.Text),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_autoincrement=True,  # a number is never used twice, whatever was deleted
    )
    op.create_index("event_order", "event", ["tx", "seq"])
    op.create_index("event_item", "event", ["item", "seq"])
    op.create_index("event_at", "event", ["at"])


def _create_agents_and_locks() -> None:
    op.create_table(
        "agent",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("team", sa.Text),
        sa.Column("skills", sa.Text, nullable=False),
        sa.Column("capacity", sa.BigInteger),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("ttl_ms", sa.BigInteger),
        sa.Column("registered_at", sa.BigInteger, nullable=False),
        sa.Column("last_seen_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("status IN ('active', 'draining', 'offline')", name="agent_status"),
    )
    op.create_table(
        "named_lock",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("agent", sa.Text),
        sa.Column("lease_expires_at", sa.BigInteger),
    )


def _create_access() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("agent", sa.Text),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.CheckConstraint("role IN ('viewer', 'agent', 'operator')", name="api_token_role"),
    )
    op.create_table(
        "idempotency",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("idempotency_created", "idempotency", ["created_at"])


def _create_functions() -> None:
    op.execute(
        "CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE"
        " AS $$ SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint $$"
    )
    op.execute(
        "CREATE FUNCTION has_skills(required text, offered text) RETURNS boolean"
        " LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT required = '[]' OR required::jsonb <@ offered::jsonb $$"
    )
    op.execute(
        "CREATE FUNCTION json_each(list text) RETURNS TABLE (value text)"
        " LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT jsonb_array_elements_text(list::jsonb) $$"
    )
    op.execute(
        "CREATE FUNCTION hold_graph() RETURNS bigint LANGUAGE sql VOLATILE"
        " AS $$ SELECT 1::bigint FROM pg_advisory_xact_lock(4207102) $$"
    )
    op.execute(
        "CREATE FUNCTION settled_before() RETURNS bigint LANGUAGE sql STABLE"
        " AS $$ SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint $$"
    )


def _on_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"
