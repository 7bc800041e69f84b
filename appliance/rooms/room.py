"""A room as a value: participants, their tracks, and what follows from every change. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.media_engine import TrackKind
from appliance.sids import ParticipantSid, TrackSid


class ParticipantStatus(StrEnum):
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"


class TrackPriority(StrEnum):
    LOW = "low"
    STANDARD = "standard"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackWish:
    """A track that a client asks to publish: an entry of `participant.tracks[]` (signaling.md 3.1)."""

    id: str
    kind: TrackKind
    name: str
    enabled: bool = True
    priority: TrackPriority = TrackPriority.STANDARD


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A track that is published now. `updated` is None until it was first enabled or disabled (rest.md 9)."""

    sid: TrackSid
    client_id: str
    kind: TrackKind
    name: str
    enabled: bool
    priority: TrackPriority
    created: datetime
    updated: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One stay in the room, from connecting to disconnecting."""

    sid: ParticipantSid
    identity: str
    status: ParticipantStatus
    tracks: tuple[Track, ...] = ()
