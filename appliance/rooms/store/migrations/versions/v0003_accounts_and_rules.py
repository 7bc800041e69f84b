"""Accounts that may be suspended, recording rules of rooms, and who among the participants is a guest."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("sid", sa.String(34), primary_key=True),
        sa.Column("suspended_at", sa.String(27)),
    )
    op.add_column("room", sa.Column("recording_rules", sa.JSON))
    op.add_column("participant", sa.Column("guest", sa.Boolean))
