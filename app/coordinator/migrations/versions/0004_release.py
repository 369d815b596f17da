"""Which of two colours serves, where two versions run side by side."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table: it has one row at most."""
    op.create_table(
        "release",
        sa.Column("id", sa.BigInteger, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("colour", sa.Text, nullable=False),
    )
