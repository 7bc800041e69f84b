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
      peer.allot(wishes)               ─▶
                                       ◀─   SwitchedOff, LayersWanted, LoudestSpeaker …
      peer.data.open_channels(labels)  ─▶
                                       ◀─   ChannelOpened, ChannelMessage, ChannelClosed
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


class TrackPriority(StrEnum):
    LOW = "low"
    STANDARD = "standard"
    HIGH = "high"


class VideoMode(StrEnum):
    """How the videos that a participant receives share its connection (signaling.md 2.11)."""

    GRID = "grid"
    COLLABORATION = "collaboration"
    PRESENTATION = "presentation"


class SwitchOffMode(StrEnum):
    """When a video may be switched off for want of bandwidth: never, once that shows, or before it shows."""

    DISABLED = "disabled"
    DETECTED = "detected"
    PREDICTED = "predicted"


class Direction(StrEnum):
    """Of media, as the participant sees it."""

    SEND = "send"
    RECEIVE = "recv"


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
    priority: TrackPriority = TrackPriority.STANDARD


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """Of a picture, in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivingProfile:
    """How a participant wants its connection to be shared by the videos it receives (signaling.md 2.11).

    `active_speaker_priority`: what the loudest speaker's videos count as, None for no difference. `max_bitrate_bps`:
    for all videos together; `max_tracks`: so many videos at most; None for no limit. `render_dimensions`: the largest
    size that is of use, by priority, for tracks that no hint gives a size for.
    """

    mode: VideoMode = VideoMode.GRID
    active_speaker_priority: TrackPriority | None = None
    max_bitrate_bps: int | None = None
    max_tracks: int | None = None
    switch_off: SwitchOffMode = SwitchOffMode.PREDICTED
    render_dimensions: Mapping[TrackPriority, Dimensions] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivingHint:
    """What a participant says of one video it receives (signaling.md 5.4, 5.5).

    `priority` overrides the publisher's; `visible` False: it is not looked at and need not come; `dimensions`: the size
    at which it is shown. None: nothing said.
    """

    priority: TrackPriority | None = None
    visible: bool = True
    dimensions: Dimensions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivingWishes:
    """All that a participant says of what it receives. Without a profile every video comes as large as it can."""

    profile: ReceivingProfile | None = None
    hints: Mapping[TrackSid, ReceivingHint] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LoudestSpeaker:
    """Who speaks in the room now, this participant included; None when nobody does. Told to each one in the room."""

    participant_sid: ParticipantSid | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchedOff:
    """Videos that this participant receives were switched off, or on again. A track begins switched on."""

    off: frozenset[TrackSid] = frozenset()
    on: frozenset[TrackSid] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersWanted:
    """Which simulcast layers of a track this participant publishes are of use, lowest first; None: all as it likes.

    Told only to those who joined with `layer_hints`.
    """

    track_sid: TrackSid
    layers: tuple[bool, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOpened:
    """A channel that was asked for by DataPeer.open_channels can be written to."""

    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMessage:
    """The client wrote a text on such a channel."""

    label: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelClosed:
    """Such a channel is gone, with its peer connection or by the client; its label cannot be used again."""

    label: str


Happening = (
    Negotiate
    | Connected
    | Lost
    | TrackFlowing
    | TrackFailed
    | PeerFailed
    | LoudestSpeaker
    | SwitchedOff
    | LayersWanted
    | ChannelOpened
    | ChannelMessage
    | ChannelClosed
)
Listener = Callable[[Happening], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFigures:
    """Counters of one published track since it began."""

    packets: int = 0
    bytes: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFigures:
    """How media of one kind fared in one direction, over about the last second.

    `fraction_lost` from 0 to 1; `rtt_s` and `available_bps`, what the path could carry, are None until known.
    """

    bitrate_bps: float = 0.0
    fraction_lost: float = 0.0
    jitter_s: float = 0.0
    rtt_s: float | None = None
    available_bps: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFigures:
    """Counters of one participant; `rtt_s` is None until measured. `links` has an entry where media flows."""

    connected: bool = False
    address: str | None = None
    rtt_s: float | None = None
    published: Mapping[TrackSid, TrackFigures] = field(default_factory=dict)
    packets_forwarded: int = 0
    links: Mapping[tuple[Direction, TrackKind], LinkFigures] = field(default_factory=dict)


class DataPeer(Protocol):
    """The service's own data channels to one participant: media signaling (signaling.md 5.1).

    A protocol of its own, since not every engine can carry them on the connection that carries the media. Opened by us,
    reliable and ordered, texts only; what happens on them is told to the participant's listener.
    """

    def open_channels(self, labels: frozenset[str]) -> None:
        """Want exactly these channels. One that is not wanted any more is closed, without ChannelClosed.

        They die with the peer connection that carries them, each with its ChannelClosed.
        """

    def send(self, label: str, text: str) -> None:
        """Write a text; it is dropped where the channel is not open."""


class MediaPeer(Protocol):
    """One participant's media. Every call returns at once; results come as happenings."""

    def publish(self, tracks: Sequence[PublishedTrack]) -> None:
        """Tell the complete set of tracks the participant publishes now, muted ones included."""

    def receive(self, tracks: frozenset[TrackSid]) -> None:
        """Want the participant to receive exactly these tracks of the others in its room.

        Tracks that do not exist yet are kept in mind and given as soon as they do.
        """

    def allot(self, wishes: ReceivingWishes) -> None:
        """Tell how the videos received are to share the connection; complete, in place of what was said before."""

    def layers_reset(self, track: TrackSid) -> None:
        """The client forgot which layers of a track of its are wanted (signaling.md 5.7): tell it LayersWanted anew."""

    def describe(self, states: Sequence[PeerConnectionState]) -> None:
        """Hand in what the client said of its peer connections, descriptions and candidates."""

    def went_away(self) -> None:
        """Learn that the client's signaling is lost: nothing that it is told arrives, until `resync`.

        How long it may stay away is not the engine's to decide: no Lost comes meanwhile.
        """

    def resync(self, states: Sequence[PeerConnectionState]) -> tuple[PeerConnectionState, ...]:
        """Take the client's last descriptions after a lost socket; return the entries for `synced` (signaling.md 2.9).

        Every living connection is listed; an offer that was never answered is repeated with its revision. What takes
        longer follows as Negotiate. A peer that never had a connection, as after a restart of the service, lists a
        new one to be made, by `create-offer`; those that the client names are of a time that it knows nothing of.
        """

    def figures(self) -> PeerFigures: ...

    @property
    def unusable(self) -> frozenset[TrackKind]:
        """The kinds of which the client's descriptions named no codec that we take; none before there are any."""

    @property
    def data(self) -> DataPeer: ...

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
        wishes: ReceivingWishes = ReceivingWishes(),  # a value
        channels: frozenset[str] = frozenset(),
        layer_hints: bool = False,
    ) -> MediaPeer:
        """Take a participant in, with its first offer; without one, `resync` asks the client for it.

        `wishes` and `channels` as `allot` and `DataPeer.open_channels` take them. `layer_hints`: the client turns
        layers of its own on and off as LayersWanted says.

        The first Negotiate carries the answer, and the subscriptions that it already serves; a later one the rest.
        A description that cannot be used comes as PeerFailed.

        Raises:
            RoomError: 53305 where the engine has no room left.
        """

    async def close(self) -> None:
        """End all participants and give the port back."""
