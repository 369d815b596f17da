"""What each replica measured of its own requests."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "measurement",
        sa.Column("at", sa.BigInteger, primary_key=True),
        sa.Column("replica", sa.Text, primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("errors", sa.BigInteger, nullable=False),
        sa.Column("p95_ms", sa.Float, nullable=False),
        sa.Column("oldest_ready_ms", sa.BigInteger, nullable=False),
    )
