"""RSP v2: the room messages of both directions (signaling.md 2). Pure.

What a message is made of stands in `states.py` and `wishes.py`. `from_wire` takes the JSON object and raises
RemoteProtocolError, naming the key, where one is missing or malformed; unknown keys pass by. `to_wire` writes exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from appliance.errors import RemoteProtocolError
from appliance.media_engine import PeerConnectionState
from appliance.signaling.fields import (
    Json,
    as_object,
    choice,
    flag,
    integer,
    optional_number,
    optional_part,
    optional_parts,
    optional_text,
    part,
    parts,
    required_parts,
    text,
    within,
    without_none,
)
from appliance.signaling.states import (
    IceServer,
    LocalParticipantState,
    OwnParticipantState,
    PublishedState,
    RecordingState,
    RemoteParticipantState,
    SubscribedState,
    granted_channels,
    granted_channels_to_wire,
    peer_connection_from_wire,
    peer_connections_to_wire,
    requested_channels,
    requested_channels_to_wire,
)
from appliance.signaling.wishes import BandwidthProfile, IceServerSource, Publisher, SubscribeState, bandwidth_profile

VERSION = 2
ICE_VERSION = 1

DEFAULT_SESSION_TIMEOUT_S = 30.0
"""What an SDK takes where a service says nothing (signaling.md 2.4)."""


# --- client to service -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IceMessage:
    """Asks for ICE servers, and whether the token is any good (signaling.md 2.2)."""

    type: ClassVar[str] = "ice"
    token: str
    edge: str = "roaming"
    preflight: bool = False

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            token=text(data, "token"),
            edge=optional_text(data, "edge") or "roaming",
            preflight=flag(data, "preflight", default=False),
        )

    def to_wire(self) -> dict[str, Any]:
        wire = {"type": self.type, "version": ICE_VERSION, "edge": self.edge, "token": self.token}
        return {**wire, "preflight": True} if self.preflight else wire


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectMessage:
    """Wants to join (signaling.md 2.3). `name`: a room's name or SID, None to leave it to the token."""

    type: ClassVar[str] = "connect"
    name: str | None
    token: str
    participant: LocalParticipantState
    peer_connections: tuple[PeerConnectionState, ...]
    ice_servers: IceServerSource = IceServerSource.ACQUIRE
    publisher: Publisher = field(default_factory=Publisher)
    media_signaling: frozenset[str] = frozenset()
    subscribe: SubscribeState = field(default_factory=SubscribeState)
    bandwidth_profile: BandwidthProfile | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            name=optional_text(data, "name"),
            token=text(data, "token"),
            participant=part(data, "participant", LocalParticipantState.from_wire),
            peer_connections=required_parts(data, "peer_connections", peer_connection_from_wire),
            ice_servers=choice(data, "ice_servers", IceServerSource, default=IceServerSource.ACQUIRE),
            publisher=optional_part(data, "publisher", Publisher.from_wire) or Publisher(),
            media_signaling=requested_channels(data, "media_signaling"),
            subscribe=optional_part(data, "subscribe", SubscribeState.from_wire) or SubscribeState(),
            bandwidth_profile=bandwidth_profile(data, "bandwidth_profile"),
        )

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {
            "type": self.type,
            "version": VERSION,
            "name": self.name,
            "token": self.token,
            "format": "unified",
            "ice_servers": self.ice_servers.value,
            "publisher": self.publisher.to_wire(),
            "participant": self.participant.to_wire(),
            "peer_connections": peer_connections_to_wire(self.peer_connections),
            "media_signaling": requested_channels_to_wire(self.media_signaling),
            "subscribe": self.subscribe.to_wire(),
        }
        if self.bandwidth_profile:
            wire["bandwidth_profile"] = self.bandwidth_profile.to_wire()
        return wire


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientUpdate:
    """`update` of a client: its whole local state, and what changed on its peer connections (signaling.md 2.5)."""

    type: ClassVar[str] = "update"
    session: str | None
    participant: LocalParticipantState
    peer_connections: tuple[PeerConnectionState, ...] = ()
    bandwidth_profile: BandwidthProfile | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            session=optional_text(data, "session"),
            participant=part(data, "participant", LocalParticipantState.from_wire),
            peer_connections=parts(data, "peer_connections", peer_connection_from_wire),
            bandwidth_profile=bandwidth_profile(data, "bandwidth_profile"),
        )

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {
            "type": self.type,
            "version": VERSION,
            "session": self.session,
            "participant": self.participant.to_wire(),
        }
        if self.peer_connections:
            wire["peer_connections"] = peer_connections_to_wire(self.peer_connections)
        if self.bandwidth_profile:
            wire["bandwidth_profile"] = self.bandwidth_profile.to_wire()
        return wire


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncMessage:
    """Resumes a session over a new socket; last local description of each peer connection (signaling.md 2.9)."""

    type: ClassVar[str] = "sync"
    session: str
    token: str
    participant: LocalParticipantState
    name: str | None = None
    peer_connections: tuple[PeerConnectionState, ...] = ()

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            session=text(data, "session"),
            token=text(data, "token"),
            participant=part(data, "participant", LocalParticipantState.from_wire),
            name=optional_text(data, "name"),
            peer_connections=parts(data, "peer_connections", peer_connection_from_wire),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "version": VERSION,
            "session": self.session,
            "token": self.token,
            "name": self.name,
            "participant": self.participant.to_wire(),
            "peer_connections": peer_connections_to_wire(self.peer_connections),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectMessage:
    """Leaves for good. `session` is None before `connected`."""

    type: ClassVar[str] = "disconnect"
    session: str | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(session=optional_text(data, "session"))

    def to_wire(self) -> dict[str, Any]:
        return {"type": self.type, "version": VERSION, "session": self.session}


# --- service to client -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IcedMessage:
    type: ClassVar[str] = "iced"
    ice_servers: tuple[IceServer, ...] = ()

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(ice_servers=parts(data, "ice_servers", IceServer.from_wire))

    def to_wire(self) -> dict[str, Any]:
        servers = [server.to_wire() for server in self.ice_servers]
        return {"type": self.type, "version": ICE_VERSION, "ice_servers": servers}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """`options` of `connected`. Without `session_timeout_s` an SDK hardly resumes (signaling.md 2.4)."""

    session_timeout_s: float
    signaling_region: str | None = None
    media_region: str | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            session_timeout_s=_session_timeout_s(data),
            signaling_region=optional_text(data, "signaling_region"),
            media_region=optional_text(data, "media_region"),
        )

    def to_wire(self) -> dict[str, Any]:
        return without_none(
            {
                "session_timeout": self.session_timeout_s,
                "signaling_region": self.signaling_region,
                "media_region": self.media_region,
            }
        )


def _session_timeout_s(options: Json) -> float:
    timeout_s = optional_number(options, "session_timeout")
    return DEFAULT_SESSION_TIMEOUT_S if timeout_s is None else max(0.0, timeout_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomStateParts:
    """What connected, update and synced have in common. None: no change, or nothing said."""

    participants: tuple[RemoteParticipantState, ...] | None = None
    published: PublishedState | None = None
    subscribed: SubscribedState | None = None
    peer_connections: tuple[PeerConnectionState, ...] | None = None
    media_signaling: Mapping[str, str] | None = None
    recording: RecordingState | None = None

    @classmethod
    def parts_from_wire(cls, data: Json) -> dict[str, Any]:
        return {
            "participants": optional_parts(data, "participants", RemoteParticipantState.from_wire),
            "published": optional_part(data, "published", PublishedState.from_wire),
            "subscribed": optional_part(data, "subscribed", SubscribedState.from_wire),
            "peer_connections": optional_parts(data, "peer_connections", peer_connection_from_wire),
            "media_signaling": granted_channels(data, "media_signaling"),
            "recording": optional_part(data, "recording", RecordingState.from_wire),
        }

    def parts_to_wire(self) -> dict[str, Any]:
        states = self.peer_connections
        channels = self.media_signaling
        return without_none(
            {
                "participants": _each_to_wire(self.participants),
                "published": self.published.to_wire() if self.published else None,
                "subscribed": self.subscribed.to_wire() if self.subscribed else None,
                "peer_connections": peer_connections_to_wire(states) if states is not None else None,
                "media_signaling": granted_channels_to_wire(channels) if channels is not None else None,
                "recording": self.recording.to_wire() if self.recording else None,
            }
        )


def _each_to_wire(states: Sequence[RemoteParticipantState] | None) -> list[dict[str, Any]] | None:
    return None if states is None else [state.to_wire() for state in states]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedMessage(RoomStateParts):
    """The client is in the room (signaling.md 2.4)."""

    type: ClassVar[str] = "connected"
    session: str
    sid: str
    name: str
    participant: OwnParticipantState
    options: ConnectionOptions

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            session=text(data, "session"),
            sid=text(data, "sid"),
            name=text(data, "name"),
            participant=part(data, "participant", OwnParticipantState.from_wire),
            options=part(data, "options", ConnectionOptions.from_wire),
            **cls.parts_from_wire(data),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "version": VERSION,
            "session": self.session,
            "sid": self.sid,
            "name": self.name,
            "participant": self.participant.to_wire(),
            "options": self.options.to_wire(),
            **self.parts_to_wire(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUpdate(RoomStateParts):
    """`update` of the service: any subset of the state; an absent part has not changed (signaling.md 2.5)."""

    type: ClassVar[str] = "update"
    participant: OwnParticipantState | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        own = optional_part(data, "participant", OwnParticipantState.from_wire)
        return cls(participant=own, **cls.parts_from_wire(data))

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {"type": self.type, "version": VERSION, **self.parts_to_wire()}
        return {**wire, "participant": self.participant.to_wire()} if self.participant else wire


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedMessage(RoomStateParts):
    """The session goes on; `participants` is complete (signaling.md 2.9)."""

    type: ClassVar[str] = "synced"
    session: str | None = None
    participant: OwnParticipantState | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            session=optional_text(data, "session"),
            participant=optional_part(data, "participant", OwnParticipantState.from_wire),
            **cls.parts_from_wire(data),
        )

    def to_wire(self) -> dict[str, Any]:
        own = self.participant.to_wire() if self.participant else None
        wire = {"type": self.type, "version": VERSION, "session": self.session, "participant": own}
        return {**without_none(wire), **self.parts_to_wire()}


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectedMessage:
    """The service ends the stay; `completed`: because the room has ended (53118), else the client was put out."""

    type: ClassVar[str] = "disconnected"
    completed: bool = False

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(completed=data.get("status") == "completed")

    def to_wire(self) -> dict[str, Any]:
        return {"type": self.type, "status": "completed"} if self.completed else {"type": self.type}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMessage:
    """Fatal for the join or the stay; numbers in signaling.md 6, column E."""

    type: ClassVar[str] = "error"
    code: int
    message: str

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(code=integer(data, "code"), message=optional_text(data, "message") or "")

    def to_wire(self) -> dict[str, Any]:
        return {"type": self.type, "code": self.code, "message": self.message}


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningMessage:
    """What is amiss with the client's own tracks: track SID → subject → `NO_MEDIA` or `OK` (signaling.md 2.10)."""

    type: ClassVar[str] = "warning"
    revision: int
    tracks: Mapping[str, Mapping[str, str]]

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return part(data, "states", cls._states_from_wire)

    @classmethod
    def _states_from_wire(cls, states: Json) -> Self:
        tracks = part(states, "tracks", _subjects_of_tracks)
        return cls(revision=integer(states, "revision"), tracks=tracks)

    def to_wire(self) -> dict[str, Any]:
        tracks = {sid: dict(subjects) for sid, subjects in self.tracks.items()}
        return {"type": self.type, "states": {"revision": self.revision, "tracks": tracks}}


def _subjects_of_tracks(tracks: Json) -> Mapping[str, Mapping[str, str]]:
    return {sid: _subjects(ascii(sid), tracks[sid]) for sid in tracks}


def _subjects(path: str, value: object) -> Mapping[str, str]:
    subjects = as_object(path, value)
    return within(path, lambda: {key: text(subjects, key) for key in subjects})


ClientMessage = IceMessage | ConnectMessage | ClientUpdate | SyncMessage | DisconnectMessage
ServerMessage = (
    IcedMessage | ConnectedMessage | ServerUpdate | SyncedMessage | DisconnectedMessage | ErrorMessage | WarningMessage
)

_FROM_CLIENT: Mapping[str, type[ClientMessage]] = {
    kind.type: kind for kind in (IceMessage, ConnectMessage, ClientUpdate, SyncMessage, DisconnectMessage)
}
_FROM_SERVER: Mapping[str, type[ServerMessage]] = {
    kind.type: kind
    for kind in (
        IcedMessage,
        ConnectedMessage,
        ServerUpdate,
        SyncedMessage,
        DisconnectedMessage,
        ErrorMessage,
        WarningMessage,
    )
}


def client_message(body: Json) -> ClientMessage:
    """Return what a client said. Raise RemoteProtocolError for unknown types as well."""
    name = text(body, "type")
    if name not in _FROM_CLIENT:
        raise RemoteProtocolError(f"type: {name[:40]!a} is no message of a client")
    return _FROM_CLIENT[name].from_wire(body)


def server_message(body: Json) -> ServerMessage | None:
    """Return what the service said; None for a type that we do not know, which is ignored (signaling.md 2.1)."""
    name = text(body, "type")
    return _FROM_SERVER[name].from_wire(body) if name in _FROM_SERVER else None
