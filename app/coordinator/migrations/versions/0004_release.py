"""Which of two colours serves, and when each was last seen, where two versions run side by side."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table: a row a colour."""
    op.create_table(
        "colour",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("seen_at", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("chosen", sa.BigInteger, nullable=False, server_default="0"),
    )
