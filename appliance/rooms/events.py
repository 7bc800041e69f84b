"""The eight status callback events and what each of them says (callbacks.md 2, 3). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.clock import rfc3339


class EventName(StrEnum):
    ROOM_CREATED = "room-created"
    ROOM_ENDED = "room-ended"
    PARTICIPANT_CONNECTED = "participant-connected"
    PARTICIPANT_DISCONNECTED = "participant-disconnected"
    TRACK_ADDED = "track-added"
    TRACK_REMOVED = "track-removed"
    TRACK_ENABLED = "track-enabled"
    TRACK_DISABLED = "track-disabled"


class LeaveReason(StrEnum):
    """Why a participant disconnected (callbacks.md 16)."""

    LEFT = "left"
    KICKED = "kicked"
    DUPLICATE_IDENTITY = "duplicate-identity"
    ROOM_ENDED = "room-ended"
    MAX_DURATION = "max-duration"
    CONNECTION_LOST = "connection-lost"
    TOKEN_EXPIRED = "token-expired"
    KEY_REVOKED = "key-revoked"


class EndReason(StrEnum):
    """Why a room ended (callbacks.md 16)."""

    API = "api"
    UNUSED_TIMEOUT = "unused-timeout"
    EMPTY_TIMEOUT = "empty-timeout"
    AD_HOC_EMPTY = "ad-hoc-empty"
    MAX_AGE = "max-age"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomEvent:
    """One event of one room.

    `seq` starts at 0 in every room and has no gaps; `occurred_at` never decreases within a room. `params` are those
    of callbacks.md 3 in their order, frozen at event time; `reason` goes to MQTT only.
    """

    seq: int
    name: EventName
    occurred_at: datetime
    params: Mapping[str, str | int]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomFacts:
    """What every event says of its room."""

    account_sid: str
    sid: str
    name: str
    status: str
    type: str
    duration_s: int | None = None

    def params(self) -> dict[str, str | int]:
        return {
            "AccountSid": self.account_sid,
            "RoomName": self.name,
            "RoomSid": self.sid,
            "RoomStatus": self.status,
            "RoomType": self.type,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantFacts:
    """What participant and track events say of the participant: `connected` also while reconnecting."""

    sid: str
    identity: str
    connected: bool
    duration_s: int | None = None

    def params(self) -> dict[str, str | int]:
        status = "connected" if self.connected else "disconnected"
        return {"ParticipantSid": self.sid, "ParticipantStatus": status, "ParticipantIdentity": self.identity}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFacts:
    sid: str
    kind: str
    name: str

    def params(self) -> dict[str, str | int]:
        return {"TrackSid": self.sid, "TrackKind": self.kind, "TrackName": self.name}


def room_event(
    name: EventName,
    seq: int,
    occurred_at: datetime,
    room: RoomFacts,
    participant: ParticipantFacts | None = None,
    track: TrackFacts | None = None,
    reason: str | None = None,
) -> RoomEvent:
    """Return the event with exactly the parameters that apply to it."""
    params = room.params() | {
        "StatusCallbackEvent": name.value,
        "Timestamp": rfc3339(occurred_at),
        "SequenceNumber": seq,
    }
    if name is EventName.ROOM_ENDED:
        params["RoomDuration"] = room.duration_s or 0
    if participant:
        params |= participant.params()
        if name is EventName.PARTICIPANT_DISCONNECTED:
            params["ParticipantDuration"] = participant.duration_s or 0
    if track:
        params |= track.params()
    return RoomEvent(seq=seq, name=name, occurred_at=occurred_at, params=params, reason=reason)
