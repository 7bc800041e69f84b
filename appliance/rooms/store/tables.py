"""The tables as the code sees them now, and how values become rows and back. How they came about: `migrations`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from appliance.media_engine import TrackKind, TrackPriority
from appliance.rooms.events import RoomEvent
from appliance.rooms.publishing import Track
from appliance.rooms.recording_rules import NOTHING_RECORDED
from appliance.rooms.room import Participant, ParticipantStatus, Room, RoomSettings, RoomStatus, RoomType
from appliance.rooms.store.columns import Json, Moment, moment_of, moment_text, read_row
from appliance.rooms.subscribe_rules import INCLUDE_ALL, SubscribeRule, rule_of
from appliance.sids import AccountSid, KeySid, ParticipantSid, RoomSid, TrackSid

metadata = sa.MetaData()

rooms = sa.Table(
    "room",
    metadata,
    sa.Column("sid", sa.String(34), primary_key=True),
    sa.Column("account_sid", sa.String(34)),
    sa.Column("unique_name", sa.Text),
    sa.Column("status", sa.String(16)),
    sa.Column("ad_hoc", sa.Boolean),
    sa.Column("used", sa.Boolean),
    sa.Column("created", Moment),
    sa.Column("updated", Moment),
    sa.Column("ended", Moment),
    sa.Column("emptied", Moment),
    sa.Column("next_seq", sa.Integer),
    sa.Column("last_event_at", Moment),
    sa.Column("type", sa.String(16)),
    sa.Column("max_participants", sa.Integer),
    sa.Column("max_participant_duration_s", sa.Integer),
    sa.Column("max_published_tracks", sa.Integer),
    sa.Column("video_codecs", Json),
    sa.Column("media_region", sa.Text),
    sa.Column("audio_only", sa.Boolean),
    sa.Column("empty_timeout_min", sa.Integer),
    sa.Column("unused_timeout_min", sa.Integer),
    sa.Column("large_room", sa.Boolean),
    sa.Column("status_callback", sa.Text),
    sa.Column("status_callback_method", sa.String(4)),
    sa.Column("recording_rules", Json),
)

participants = sa.Table(
    "participant",
    metadata,
    sa.Column("sid", sa.String(34), primary_key=True),
    sa.Column("room_sid", sa.String(34)),
    sa.Column("identity", sa.Text),
    sa.Column("key_sid", sa.String(34)),
    sa.Column("status", sa.String(16)),
    sa.Column("revision", sa.Integer),
    sa.Column("started", Moment),
    sa.Column("updated", Moment),
    sa.Column("ended", Moment),
    sa.Column("rules", Json),
    sa.Column("guest", sa.Boolean),
)

tracks = sa.Table(
    "track",
    metadata,
    sa.Column("sid", sa.String(34), primary_key=True),
    sa.Column("participant_sid", sa.String(34)),
    sa.Column("position", sa.Integer),
    sa.Column("client_id", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("kind", sa.String(8)),
    sa.Column("enabled", sa.Boolean),
    sa.Column("priority", sa.String(8)),
    sa.Column("created", Moment),
    sa.Column("updated", Moment),
)

events = sa.Table(
    "event",
    metadata,
    sa.Column("event_id", sa.String(34), primary_key=True),
    sa.Column("account_sid", sa.String(34)),
    sa.Column("room_sid", sa.String(34)),
    sa.Column("seq", sa.Integer),
    sa.Column("name", sa.String(32)),
    sa.Column("occurred_at", Moment),
    sa.Column("params", Json),
    sa.Column("reason", sa.String(32)),
)

deliveries = sa.Table(
    "delivery",
    metadata,
    sa.Column("event_id", sa.String(34), primary_key=True),
    sa.Column("sink", sa.String(8), primary_key=True),
    sa.Column("room_sid", sa.String(34)),
    sa.Column("seq", sa.Integer),
    sa.Column("state", sa.String(16)),
    sa.Column("attempts", sa.Integer),
    sa.Column("next_at", Moment),
    sa.Column("last_status", sa.Integer),
    sa.Column("last_error", sa.Text),
    sa.Column("finished_at", Moment),
)

accounts = sa.Table(
    "account",
    metadata,
    sa.Column("sid", sa.String(34), primary_key=True),
    sa.Column("suspended_at", Moment),
)

api_keys = sa.Table(
    "api_key",
    metadata,
    sa.Column("sid", sa.String(34), primary_key=True),
    sa.Column("account_sid", sa.String(34)),
    sa.Column("friendly_name", sa.Text),
    sa.Column("kind", sa.String(16)),
    sa.Column("sealed_secret", sa.Text),
    sa.Column("created", Moment),
    sa.Column("last_used_at", Moment),
    sa.Column("revoked_at", Moment),
    sa.Column("disconnects", sa.Boolean),
)

auth_tokens = sa.Table(
    "auth_token",
    metadata,
    sa.Column("account_sid", sa.String(34), primary_key=True),
    sa.Column("slot", sa.String(16), primary_key=True),
    sa.Column("sealed_token", sa.Text),
    sa.Column("created", Moment),
)

retained_topics = sa.Table(
    "retained_topic",
    metadata,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("room_sid", sa.String(34)),
    sa.Column("seq", sa.Integer),
)

_SETTINGS = (
    "max_participants",
    "max_participant_duration_s",
    "max_published_tracks",
    "media_region",
    "audio_only",
    "empty_timeout_min",
    "unused_timeout_min",
    "large_room",
    "status_callback",
    "status_callback_method",
)
_IDS_OF_ROOM = ("sid", "account_sid")
_OF_ROOM = ("ad_hoc", "used", "created", "updated", "ended", "emptied", "next_seq", "last_event_at")


def room_row(room: Room) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(room, name) for name in (*_IDS_OF_ROOM, *_OF_ROOM)}
    row |= {name: getattr(room.settings, name) for name in _SETTINGS}
    return row | {
        "unique_name": room.name,
        "status": room.status.value,
        "type": room.settings.type.value,
        "video_codecs": list(room.settings.video_codecs),
        "recording_rules": _rules_row(room.settings.recording_rules, room.recording_created, room.recording_updated),
    }


def room_of(row: Row[Any], present: tuple[Participant, ...] = ()) -> Room:
    """Return the room of a row of `rooms`, with these participants.

    Raises:
        DamagedRow: it holds no room.
    """
    return read_row(rooms, row, lambda values: _room_of(values, present))


def _room_of(values: Mapping[str, Any], present: tuple[Participant, ...]) -> Room:
    stored = values["recording_rules"] or {}  # rows of before these were kept have none
    settings = RoomSettings(
        type=RoomType(values["type"]),
        video_codecs=tuple(values["video_codecs"]),
        recording_rules=tuple(rule_of(rule) for rule in stored.get("rules", ())) or NOTHING_RECORDED,
        **{name: values[name] for name in _SETTINGS},
    )
    return Room(
        sid=RoomSid(values["sid"]),
        account_sid=AccountSid(values["account_sid"]),
        name=values["unique_name"],
        status=RoomStatus(values["status"]),
        settings=settings,
        participants=present,
        recording_created=_moment(stored.get("created")),
        recording_updated=_moment(stored.get("updated")),
        **{name: values[name] for name in _OF_ROOM},
    )


def participant_row(participant: Participant, room_sid: RoomSid) -> dict[str, Any]:
    return {
        "sid": participant.sid,
        "room_sid": room_sid,
        "identity": participant.identity,
        "key_sid": participant.key_sid,
        "status": participant.status.value,
        "revision": participant.revision,
        "started": participant.started,
        "updated": participant.updated,
        "ended": participant.ended,
        "rules": _rules_row(participant.rules, participant.rules_created, participant.rules_updated),
        "guest": participant.guest,
    }


def _rules_row(rules: Sequence[SubscribeRule], created: datetime | None, updated: datetime | None) -> dict[str, Any]:
    return {
        "rules": [rule.to_json() for rule in rules],
        "created": created and moment_text(created),
        "updated": updated and moment_text(updated),
    }


def participant_of(row: Row[Any], published: tuple[Track, ...] = ()) -> Participant:
    """Return the participant of a row of `participants`, with these tracks.

    Raises:
        DamagedRow: it holds none.
    """
    return read_row(participants, row, lambda values: _participant_of(values, published))


def _participant_of(values: Mapping[str, Any], published: tuple[Track, ...]) -> Participant:
    stored = values["rules"] or {}  # rows of before there were rules have none
    return Participant(
        sid=ParticipantSid(values["sid"]),
        identity=values["identity"],
        key_sid=KeySid(values["key_sid"]),
        status=ParticipantStatus(values["status"]),
        revision=values["revision"],
        started=values["started"],
        updated=values["updated"],
        guest=bool(values["guest"]),
        ended=values["ended"],
        tracks=published,
        rules=tuple(rule_of(rule) for rule in stored.get("rules", ())) or INCLUDE_ALL,
        rules_created=_moment(stored.get("created")),
        rules_updated=_moment(stored.get("updated")),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else moment_of(text)


def track_row(track: Track, participant_sid: ParticipantSid, position: int) -> dict[str, Any]:
    return {
        "sid": track.sid,
        "participant_sid": participant_sid,
        "position": position,
        "client_id": track.client_id,
        "name": track.name,
        "kind": track.kind.value,
        "enabled": track.enabled,
        "priority": track.priority.value,
        "created": track.created,
        "updated": track.updated,
    }


def track_of(row: Row[Any]) -> Track:
    """Return the track of a row of `tracks`. Raise DamagedRow where it holds none."""
    return read_row(tracks, row, _track_of)


def _track_of(values: Mapping[str, Any]) -> Track:
    return Track(
        sid=TrackSid(values["sid"]),
        client_id=values["client_id"],
        name=values["name"],
        kind=TrackKind(values["kind"]),
        enabled=values["enabled"],
        priority=TrackPriority(values["priority"]),
        created=values["created"],
        updated=values["updated"],
    )


def event_row(event: RoomEvent, event_id: str, room: Room) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "account_sid": room.account_sid,
        "room_sid": room.sid,
        "seq": event.seq,
        "name": event.name.value,
        "occurred_at": event.occurred_at,
        "params": dict(event.params),
        "reason": event.reason,
    }


def delivery_row(event: RoomEvent, event_id: str, room: Room, sink: str) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "sink": sink,
        "room_sid": room.sid,
        "seq": event.seq,
        "state": "pending",
        "attempts": 0,
    }
