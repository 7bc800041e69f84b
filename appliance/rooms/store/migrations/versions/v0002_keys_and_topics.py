"""API keys and auth tokens, the rules of those who are in a room, and the retained topics that are ours."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("participant", sa.Column("rules", sa.JSON))
    op.create_table(
        "api_key",
        sa.Column("sid", sa.String(34), primary_key=True),
        sa.Column("account_sid", sa.String(34), nullable=False),
        sa.Column("friendly_name", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("sealed_secret", sa.Text, nullable=False),
        sa.Column("created", sa.String(27), nullable=False),
        sa.Column("last_used_at", sa.String(27)),
        sa.Column("revoked_at", sa.String(27)),
        sa.Column("disconnects", sa.Boolean, nullable=False),
    )
    op.create_table(
        "auth_token",
        sa.Column("account_sid", sa.String(34), primary_key=True),
        sa.Column("slot", sa.String(16), primary_key=True),
        sa.Column("sealed_token", sa.Text, nullable=False),
        sa.Column("created", sa.String(27), nullable=False),
    )
    op.create_table(
        "retained_topic",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("room_sid", sa.String(34), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
    )
    op.create_index("delivery_by_state", "delivery", ["state", "sink"])
