"""Rooms, participants, tracks, events and their deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "room",
        sa.Column("sid", sa.String(34), primary_key=True),
        sa.Column("account_sid", sa.String(34), nullable=False),
        sa.Column("unique_name", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("ad_hoc", sa.Boolean, nullable=False),
        sa.Column("used", sa.Boolean, nullable=False),
        sa.Column("created", sa.String(27), nullable=False),
        sa.Column("updated", sa.String(27), nullable=False),
        sa.Column("ended", sa.String(27)),
        sa.Column("emptied", sa.String(27)),
        sa.Column("next_seq", sa.Integer, nullable=False),
        sa.Column("last_event_at", sa.String(27), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("max_participants", sa.Integer, nullable=False),
        sa.Column("max_participant_duration_s", sa.Integer, nullable=False),
        sa.Column("max_published_tracks", sa.Integer, nullable=False),
        sa.Column("video_codecs", sa.JSON, nullable=False),
        sa.Column("media_region", sa.Text, nullable=False),
        sa.Column("audio_only", sa.Boolean, nullable=False),
        sa.Column("empty_timeout_min", sa.Integer, nullable=False),
        sa.Column("unused_timeout_min", sa.Integer, nullable=False),
        sa.Column("large_room", sa.Boolean, nullable=False),
        sa.Column("status_callback", sa.Text),
        sa.Column("status_callback_method", sa.String(4), nullable=False),
    )
    # Of any number of concurrent creates with one name exactly one wins (rest.md 6.2).
    in_progress = sa.text("status = 'in-progress'")
    op.create_index(
        "room_name_in_progress",
        "room",
        ["account_sid", "unique_name"],
        unique=True,
        sqlite_where=in_progress,
        postgresql_where=in_progress,
    )
    op.create_index("room_by_creation", "room", ["account_sid", "status", "created", "sid"])
    op.create_table(
        "participant",
        sa.Column("sid", sa.String(34), primary_key=True),
        sa.Column("room_sid", sa.String(34), sa.ForeignKey("room.sid", ondelete="CASCADE"), nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("key_sid", sa.String(34), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("started", sa.String(27), nullable=False),
        sa.Column("updated", sa.String(27), nullable=False),
        sa.Column("ended", sa.String(27)),
    )
    op.create_index("participant_by_start", "participant", ["room_sid", "started", "sid"])
    op.create_table(
        "track",
        sa.Column("sid", sa.String(34), primary_key=True),
        sa.Column(
            "participant_sid", sa.String(34), sa.ForeignKey("participant.sid", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("priority", sa.String(8), nullable=False),
        sa.Column("created", sa.String(27), nullable=False),
        sa.Column("updated", sa.String(27)),
    )
    op.create_index("track_by_participant", "track", ["participant_sid"])
    op.create_table(
        "event",
        sa.Column("event_id", sa.String(34), primary_key=True),
        sa.Column("account_sid", sa.String(34), nullable=False),
        sa.Column("room_sid", sa.String(34), sa.ForeignKey("room.sid", ondelete="CASCADE"), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("occurred_at", sa.String(27), nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("reason", sa.String(32)),
        sa.UniqueConstraint("room_sid", "seq"),
    )
    op.create_table(
        "delivery",
        sa.Column("event_id", sa.String(34), sa.ForeignKey("event.event_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("sink", sa.String(8), primary_key=True),
        sa.Column("room_sid", sa.String(34), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.String(27)),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("finished_at", sa.String(27)),
    )
    op.create_index("delivery_queue", "delivery", ["sink", "state", "room_sid", "seq"])
