"""What the service and one client's socket say to each other, as values. Pure.

    sockets.py ── JoinRequest, UpdateRequest, ResumeRequest ─▶ service.py
    sockets.py ◀─ Joined | Resumed, then Changed …, then one Farewell ── service.py

Names and meanings follow signaling.md 2; who turns them into frames adds `type`, `version` and `session`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from appliance.media_engine import PeerConnectionState, ReceivingProfile, Subscription, TrackKind, TrackPriority
from appliance.rooms.publishing import Track, TrackWish
from appliance.rooms.room import Participant, ParticipantStatus
from appliance.rooms.subscribe_rules import INCLUDE_ALL, SubscribeRule
from appliance.sids import ParticipantSid, RoomSid, TrackSid

# --- from the client ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """`connect` (signaling.md 2.3).

    `room`: name or SID as asked for, None where the application gave none. `revision` and `tracks` are those of
    `participant`. `peer_connections` holds the first offer. Rules as in `subscribe.rules`. `channels`: the names of the
    media-signaling channels that it wants; `profile`: how its connection is to be shared, None where nothing is said.
    """

    token: str
    room: str | None
    revision: int = 1
    tracks: tuple[TrackWish, ...] = ()
    peer_connections: tuple[PeerConnectionState, ...] = ()
    rules: tuple[SubscribeRule, ...] = INCLUDE_ALL
    channels: frozenset[str] = frozenset()
    profile: ReceivingProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRequest:
    """`update` from the client (2.5). `tracks` is its full list; ignored unless `revision` is greater than the last.

    `profile` replaces the one before; None: it stays.
    """

    revision: int
    tracks: tuple[TrackWish, ...]
    peer_connections: tuple[PeerConnectionState, ...] = ()
    profile: ReceivingProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequest:
    """`sync` (2.9): the same session on a new socket. `peer_connections`: the client's latest descriptions."""

    token: str
    session: str
    revision: int
    tracks: tuple[TrackWish, ...]
    peer_connections: tuple[PeerConnectionState, ...] = ()


# --- to the client --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackState:
    """One entry of `participants[].tracks`."""

    sid: TrackSid
    name: str
    kind: TrackKind
    enabled: bool
    priority: TrackPriority


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantState:
    """One entry of `participants[]` (2.6). `tracks` is complete; of one who left, the last ones he had."""

    sid: ParticipantSid
    identity: str
    state: ParticipantStatus
    revision: int
    tracks: tuple[TrackState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTrackState:
    """One entry of `published.tracks` (2.7): with a SID it is `ready`, with an error it is `failed`."""

    id: str
    sid: TrackSid | None = None
    error_code: int | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """`published`: the full list. `revision` is greater than any told on this session before."""

    revision: int
    tracks: tuple[PublishedTrackState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """`subscribed`: full state; an absent SID is unsubscribed. `revision` as in Published."""

    revision: int
    tracks: tuple[Subscription, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """`connected` (2.4). `participants` are all the others; `peer_connections` holds the answer.

    `media_signaling`: the labels of the channels that are granted, by their names (5.1).
    """

    session: str
    room_sid: RoomSid
    room_name: str
    participant: ParticipantState
    participants: tuple[ParticipantState, ...]
    published: Published
    subscribed: Subscribed
    peer_connections: tuple[PeerConnectionState, ...]
    session_timeout_s: float
    media_region: str
    media_signaling: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """`synced` (2.9). `peer_connections` lists every one that lives; what is not listed, the client closes."""

    session: str
    room_sid: RoomSid
    room_name: str
    participant: ParticipantState
    participants: tuple[ParticipantState, ...]
    published: Published
    subscribed: Subscribed
    peer_connections: tuple[PeerConnectionState, ...]
    media_signaling: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """`update` to the client (2.5), all in one message: empty or None where nothing changed.

    `media_signaling` holds channels that are open under a new label.
    """

    participants: tuple[ParticipantState, ...] = ()
    published: Published | None = None
    subscribed: Subscribed | None = None
    peer_connections: tuple[PeerConnectionState, ...] = ()
    media_signaling: Mapping[str, str] = field(default_factory=dict)


# --- farewells: the last thing a socket is told; nothing follows ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RoomEnded:
    """Send `disconnected` with `status: "completed"`; the client ends with 53118."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Send `disconnected` without status: the client ends without an error. A kick."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Send `error` with this code: 53205 for the older of two with one identity, 53405, 53216 …"""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """The session has moved to a newer socket: send nothing, close this one with a code other than 1000."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The service stops: send nothing, close with 1012."""


Farewell = RoomEnded | Removed | Failed | Superseded | Stopping
ToClient = Joined | Resumed | Changed | Farewell
Tell = Callable[[ToClient], None]
"""What a socket hands in to be told. Called on the event loop, in order; must return at once and not raise."""


def participant_state(participant: Participant) -> ParticipantState:
    return ParticipantState(
        sid=participant.sid,
        identity=participant.identity,
        state=participant.status,
        revision=participant.revision,
        tracks=tuple(_track_state(track) for track in participant.tracks),
    )


def _track_state(track: Track) -> TrackState:
    return TrackState(sid=track.sid, name=track.name, kind=track.kind, enabled=track.enabled, priority=track.priority)
