"""The seam between the rooms service, which decides, and whatever moves the media, which does.

Only values cross it, no packet, and no SDP is read on the deciding side. Everything that is asked for is wanted
state: the engine brings it about when it can, and says so by a happening. An engine may answer slowly, makes
offers of its own at any time, and keeps the revisions of every peer connection (signaling.md 4.3, 4.4) to itself.

    deciding side                           engine
      engine.join(…, first offer)      ─▶
                                       ◀─   Negotiate(answer, subscriptions)
      peer.publish(tracks)             ─▶
      peer.receive(track sids)         ─▶
                                       ◀─   Negotiate(offer, subscriptions)      one update to the client
      peer.describe(answer)            ─▶
                                       ◀─   Connected, TrackFlowing, Lost …
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from appliance.sids import ParticipantSid, RoomSid, TrackSid


class TrackKind(StrEnum):
    AUDIO = "audio"
    VIDEO = "video"
    DATA = "data"


class DescriptionType(StrEnum):
    OFFER = "offer"
    ANSWER = "answer"
    CREATE_OFFER = "create-offer"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A session description with its place in the exchange (signaling.md 4.3)."""

    type: DescriptionType
    revision: int
    sdp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IceCandidate:
    """RTCIceCandidate JSON, as browsers give it."""

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None
    username_fragment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IceState:
    """The candidates of one generation so far: cumulative, in order (signaling.md 4.6)."""

    revision: int
    ufrag: str
    candidates: tuple[IceCandidate, ...] = ()
    complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConnectionState:
    """One entry of `peer_connections[]` in either direction (signaling.md 2.8)."""

    id: str
    description: Description | None = None
    ice: IceState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomMediaPolicy:
    """What the engine has to know of a room.

    `video_codecs` in order of preference, `"VP8"` and `"H264"`.
    """

    video_codecs: tuple[str, ...] = ("VP8", "H264")
    audio_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTrack:
    """A track that a participant publishes.

    `client_id` is the id in `a=msid` of the client's description, or the label of its data channel (signaling.md 3.1).
    """

    sid: TrackSid
    client_id: str
    kind: TrackKind
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A track that a participant receives, or failed to.

    `id` is the token in `a=msid`, or the data channel's label, by which the client finds it (signaling.md 3.2);
    None with `error_code` set where the track cannot be given, e.g. 53404.
    """

    track_sid: TrackSid
    id: str | None
    error_code: int | None = None
    error_message: str | None = None


# --- happenings: what an engine reports, always on the event loop ---------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiate:
    """To be sent to the client now, in one message, in the order of the happenings.

    `subscriptions` is the full state where it changed, else None.
    """

    peer_connections: tuple[PeerConnectionState, ...] = ()
    subscriptions: tuple[Subscription, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """Media flows or could flow: ICE and DTLS are up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Nothing authentic from the participant for 30 s, or its transport failed for good."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFlowing:
    """The first packet or message of a published track has arrived."""

    track_sid: TrackSid


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFailed:
    """A published track cannot be taken in; `code` and `message` as in signaling.md 6, column P."""

    track_sid: TrackSid
    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFailed:
    """The participant cannot stay: its description cannot be used (53403), DTLS failed (53407) …"""

    code: int
    message: str


Happening = Negotiate | Connected | Lost | TrackFlowing | TrackFailed | PeerFailed
Listener = Callable[[Happening], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFigures:
    """Counters of one published track since it began."""

    packets: int = 0
    bytes: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFigures:
    """Counters of one participant; `rtt_s` is None until measured."""

    connected: bool = False
    address: str | None = None
    rtt_s: float | None = None
    published: Mapping[TrackSid, TrackFigures] = field(default_factory=dict)
    packets_forwarded: int = 0


class MediaPeer(Protocol):
    """One participant's media. Every call returns at once; results come as happenings."""

    def publish(self, tracks: Sequence[PublishedTrack]) -> None:
        """Tell the complete set of tracks the participant publishes now, muted ones included."""

    def receive(self, tracks: frozenset[TrackSid]) -> None:
        """Want the participant to receive exactly these tracks of the others in its room.

        Tracks that do not exist yet are kept in mind and given as soon as they do.
        """

    def describe(self, states: Sequence[PeerConnectionState]) -> None:
        """Hand in what the client said of its peer connections, descriptions and candidates."""

    def resync(self, states: Sequence[PeerConnectionState]) -> tuple[PeerConnectionState, ...]:
        """Take the client's last descriptions after a lost socket; return the entries for `synced` (signaling.md 2.9).

        Every living connection is listed; an offer that was never answered is repeated with its revision. What takes
        longer follows as Negotiate. A peer that never had a connection, as after a restart of the service, lists a
        new one to be made, by `create-offer`; those that the client names are of a time that it knows nothing of.
        """

    def figures(self) -> PeerFigures: ...

    async def close(self) -> None:
        """End the participant's media and free everything. Closing twice is fine."""


class MediaEngine(Protocol):
    """Moves the media of all rooms of one service."""

    def join(
        self,
        room_sid: RoomSid,
        participant_sid: ParticipantSid,
        policy: RoomMediaPolicy,
        listener: Listener,
        *,
        tracks: Sequence[PublishedTrack],
        receive: frozenset[TrackSid],
        peer_connections: Sequence[PeerConnectionState],
    ) -> MediaPeer:
        """Take a participant in, with its first offer; without one, `resync` asks the client for it.

        The first Negotiate carries the answer, and the subscriptions that it already serves; a later one the rest.
        A description that cannot be used comes as PeerFailed.

        Raises:
            RoomError: 53305 where the engine has no room left.
        """

    async def close(self) -> None:
        """End all participants and give the port back."""
