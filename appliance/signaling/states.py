"""The parts of which room messages are made: tracks, participants, peer connections … (signaling.md 2.6-2.8, 3). Pure.

Named as on the wire. Read tolerantly, written exactly. `from_wire` raises RemoteProtocolError, naming the key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from appliance.media_engine import (
    Description,
    DescriptionType,
    IceCandidate,
    IceState,
    PeerConnectionState,
    TrackKind,
    TrackPriority,
)
from appliance.signaling.fields import (
    Json,
    as_object,
    choice,
    flag,
    integer,
    optional_integer,
    optional_part,
    optional_text,
    part,
    parts,
    required_parts,
    text,
    texts,
    within,
    without_none,
)


class ParticipantState(StrEnum):
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"


class PublicationState(StrEnum):
    """How far a client's own track has come: `ready` gives it a SID, `failed` an error."""

    CREATED = "created"
    READY = "ready"
    FAILED = "failed"


# --- what a client says of itself ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTrackState:
    """One entry of `participant.tracks` in connect, sync and update messages (signaling.md 3.1)."""

    id: str
    kind: TrackKind
    name: str
    enabled: bool = True
    priority: TrackPriority = TrackPriority.STANDARD

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            id=text(data, "id"),
            kind=choice(data, "kind", TrackKind),
            name=text(data, "name"),
            enabled=flag(data, "enabled", default=True),
            priority=choice(data, "priority", TrackPriority, default=TrackPriority.STANDARD),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind.value,
            "name": self.name,
            "enabled": self.enabled,
            "priority": self.priority.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalParticipantState:
    """`participant` in what a client sends: always its whole state."""

    revision: int
    tracks: tuple[LocalTrackState, ...] = ()

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(revision=integer(data, "revision"), tracks=required_parts(data, "tracks", LocalTrackState.from_wire))

    def to_wire(self) -> dict[str, Any]:
        return {"revision": self.revision, "tracks": [track.to_wire() for track in self.tracks]}


# --- what the service says of others ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTrackState:
    """One publication of a participant, as everybody in the room sees it."""

    sid: str
    kind: TrackKind
    name: str
    enabled: bool = True
    priority: TrackPriority = TrackPriority.STANDARD

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            sid=text(data, "sid"),
            kind=choice(data, "kind", TrackKind),
            name=text(data, "name"),
            enabled=flag(data, "enabled", default=True),
            priority=choice(data, "priority", TrackPriority, default=TrackPriority.STANDARD),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "sid": self.sid,
            "name": self.name,
            "kind": self.kind.value,
            "enabled": self.enabled,
            "priority": self.priority.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteParticipantState:
    """One entry of `participants`; `tracks` is complete, also in a last, disconnected state (signaling.md 2.6)."""

    sid: str
    identity: str
    state: ParticipantState
    revision: int
    tracks: tuple[RemoteTrackState, ...] = ()

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            sid=text(data, "sid"),
            identity=text(data, "identity"),
            state=choice(data, "state", ParticipantState),
            revision=integer(data, "revision"),
            tracks=parts(data, "tracks", RemoteTrackState.from_wire),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "sid": self.sid,
            "identity": self.identity,
            "state": self.state.value,
            "revision": self.revision,
            "tracks": [track.to_wire() for track in self.tracks],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnParticipantState:
    """`participant` in what the service sends: who the client is."""

    sid: str
    identity: str
    state: ParticipantState | None = None
    revision: int | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            sid=text(data, "sid"),
            identity=text(data, "identity"),
            revision=optional_integer(data, "revision"),
            state=choice(data, "state", ParticipantState) if data.get("state") is not None else None,
        )

    def to_wire(self) -> dict[str, Any]:
        state = self.state.value if self.state else None
        return without_none({"sid": self.sid, "identity": self.identity, "state": state, "revision": self.revision})


# --- published and subscribed ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackError:
    """Why a track could not be published or subscribed; numbers in signaling.md 6, columns P and S."""

    code: int
    message: str

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(code=integer(data, "code"), message=optional_text(data, "message") or "")

    def to_wire(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTrackState:
    """How one of the client's own tracks, known by its `id`, fares."""

    id: str
    state: PublicationState
    sid: str | None = None
    error: TrackError | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        state = choice(data, "state", PublicationState)
        return cls(
            id=text(data, "id"),
            state=state,
            sid=text(data, "sid") if state is PublicationState.READY else optional_text(data, "sid"),
            error=optional_part(data, "error", TrackError.from_wire),
        )

    def to_wire(self) -> dict[str, Any]:
        error = self.error.to_wire() if self.error else None
        return without_none({"id": self.id, "sid": self.sid, "state": self.state.value, "error": error})


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedState:
    """`published`: all of the client's own tracks."""

    revision: int
    tracks: tuple[PublishedTrackState, ...] = ()

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(revision=integer(data, "revision"), tracks=parts(data, "tracks", PublishedTrackState.from_wire))

    def to_wire(self) -> dict[str, Any]:
        return {"revision": self.revision, "tracks": [track.to_wire() for track in self.tracks]}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribedTrackState:
    """One track the client receives, to be found by `id` in `a=msid` or as a channel's label; or an `error`."""

    sid: str
    id: str | None = None
    error: TrackError | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        error = optional_part(data, "error", TrackError.from_wire)
        return cls(
            sid=text(data, "sid"), id=text(data, "id") if error is None else optional_text(data, "id"), error=error
        )

    def to_wire(self) -> dict[str, Any]:
        return without_none({"sid": self.sid, "id": self.id, "error": self.error.to_wire() if self.error else None})


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribedState:
    """`subscribed`: full state, a SID that is absent is unsubscribed."""

    revision: int
    tracks: tuple[SubscribedTrackState, ...] = ()

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(revision=integer(data, "revision"), tracks=parts(data, "tracks", SubscribedTrackState.from_wire))

    def to_wire(self) -> dict[str, Any]:
        return {"revision": self.revision, "tracks": [track.to_wire() for track in self.tracks]}


# --- peer connections: the seam's values, to and from the wire --------------------------------------------------------


def description_from_wire(data: Json) -> Description:
    """Return a description; an offer and an answer must have an `sdp`, the other types have none."""
    kind = choice(data, "type", DescriptionType)
    has_sdp = kind in (DescriptionType.OFFER, DescriptionType.ANSWER)
    return Description(type=kind, revision=integer(data, "revision"), sdp=text(data, "sdp") if has_sdp else None)


def description_to_wire(description: Description) -> dict[str, Any]:
    return without_none({"type": description.type.value, "revision": description.revision, "sdp": description.sdp})


def candidate_from_wire(data: Json) -> IceCandidate:
    return IceCandidate(
        candidate=text(data, "candidate"),
        sdp_mid=optional_text(data, "sdpMid"),
        sdp_m_line_index=optional_integer(data, "sdpMLineIndex"),
        username_fragment=optional_text(data, "usernameFragment"),
    )


def candidate_to_wire(candidate: IceCandidate) -> dict[str, Any]:
    return without_none(
        {
            "candidate": candidate.candidate,
            "sdpMid": candidate.sdp_mid,
            "sdpMLineIndex": candidate.sdp_m_line_index,
            "usernameFragment": candidate.username_fragment,
        }
    )


def ice_from_wire(data: Json) -> IceState:
    return IceState(
        revision=integer(data, "revision"),
        ufrag=text(data, "ufrag"),
        candidates=parts(data, "candidates", candidate_from_wire),
        complete=flag(data, "complete", default=False),
    )


def ice_to_wire(ice: IceState) -> dict[str, Any]:
    wire: dict[str, Any] = {"revision": ice.revision, "ufrag": ice.ufrag}
    if ice.complete:
        wire["complete"] = True  # present only in the last message of a generation
    wire["candidates"] = [candidate_to_wire(candidate) for candidate in ice.candidates]
    return wire


def peer_connection_from_wire(data: Json) -> PeerConnectionState:
    return PeerConnectionState(
        id=text(data, "id"),
        description=optional_part(data, "description", description_from_wire),
        ice=optional_part(data, "ice", ice_from_wire),
    )


def peer_connection_to_wire(state: PeerConnectionState) -> dict[str, Any]:
    return without_none(
        {
            "id": state.id,
            "description": description_to_wire(state.description) if state.description else None,
            "ice": ice_to_wire(state.ice) if state.ice else None,
        }
    )


def peer_connections_to_wire(states: Sequence[PeerConnectionState]) -> list[dict[str, Any]]:
    return [peer_connection_to_wire(state) for state in states]


# --- the rest --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServer:
    """A STUN or TURN server, in the form of RTCPeerConnection's configuration."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        urls = (text(data, "urls"),) if isinstance(data.get("urls"), str) else texts(data, "urls")
        return cls(urls=urls, username=optional_text(data, "username"), credential=optional_text(data, "credential"))

    def to_wire(self) -> dict[str, Any]:
        return without_none({"urls": list(self.urls), "username": self.username, "credential": self.credential})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingState:
    is_recording: bool
    revision: int

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(is_recording=flag(data, "is_recording"), revision=integer(data, "revision"))

    def to_wire(self) -> dict[str, Any]:
        return {"is_recording": self.is_recording, "revision": self.revision}


def requested_channels(data: Json, key: str) -> frozenset[str]:
    """Return the names of the media-signaling channels a client can take as data channels (signaling.md 5.1)."""
    requests = data.get(key)
    if requests is None:
        return frozenset()
    wanted = as_object(key, requests)
    return frozenset(
        name for name in wanted if _is_channel(name) and _takes_data_channel(f"{key}.{name}", wanted[name])
    )


def _is_channel(name: str) -> bool:
    return len(name) <= 64 and name.isascii() and name.isidentifier()


def _takes_data_channel(path: str, request: object) -> bool:
    entry = as_object(path, request)
    kinds = within(path, lambda: parts(entry, "transports", lambda transport: text(transport, "type")))
    return "data-channel" in kinds


def requested_channels_to_wire(channels: frozenset[str]) -> dict[str, Any]:
    return {name: {"transports": [{"type": "data-channel"}]} for name in sorted(channels)}


def granted_channels(data: Json, key: str) -> Mapping[str, str] | None:
    """Return channel name → data channel label, None where the key is absent or null."""
    if data.get(key) is None:
        return None
    granted = as_object(key, data[key])
    found = {name: _granted_label(f"{key}.{name}", granted[name]) for name in granted if _is_channel(name)}
    return {name: label for name, label in found.items() if label is not None}


def _granted_label(path: str, grant: object) -> str | None:
    entry = as_object(path, grant)
    return within(path, lambda: part(entry, "transport", lambda transport: optional_text(transport, "label")))


def granted_channels_to_wire(channels: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"transport": {"type": "data-channel", "label": label}} for name, label in channels.items()}
