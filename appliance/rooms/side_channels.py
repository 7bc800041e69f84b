"""One stay's channels of media signaling: which it has, and what was said on them (signaling.md 5). Pure.

A channel lives on a peer connection and dies with it. What its other end forgets with it is told again on the next one,
once that end says that it is ready: before, nobody may be listening there.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from secrets import token_hex

from appliance.errors import RemoteProtocolError
from appliance.media_engine import (
    Dimensions,
    ReceivingHint,
    ReceivingProfile,
    ReceivingWishes,
    TrackKind,
    TrackPriority,
)
from appliance.rooms.network_quality import Quality
from appliance.rooms.room import RoomSettings, RoomType
from appliance.sids import ParticipantSid, TrackSid
from appliance.signaling.quality import ParticipantQuality, QualityReport
from appliance.signaling.side_channels import (
    ActiveSpeaker,
    Channel,
    ClientChannelMessage,
    EncodingHint,
    HintResult,
    PublisherHint,
    PublisherHints,
    RenderHint,
    RenderHintResults,
    RenderHints,
    ServiceChannelMessage,
    TrackPriorityWish,
    TrackResult,
    TrackSwitchOff,
    message_of_client,
)

LONGEST_TEXT = 1 << 15
"""Characters. Hints for all of the 170 tracks that a room may hold take two thirds of it."""

MESSAGES_PER_S = 20.0
MOST_MESSAGES_AT_ONCE = 250
"""The SDK says one thing a second, and on every new channel once what it has said of every track before."""

REPORTS_PER_S = 2.0
MOST_REPORTS_AT_ONCE = 10
"""Of network quality, whose answer names everybody in the room; the SDK sends one a second."""

MOST_REMEMBERED = 500
"""Videos that were off once, and may be shown as such by a client that missed that they are on again."""

MOST_OPENINGS = 200
"""Of one channel in one stay. Peer connections are replaced every few hours at most; a client may close for ever."""


def granted(asked: frozenset[str], room: RoomSettings) -> frozenset[Channel]:
    """Return the channels that a client gets of those that it asks for (signaling.md 5.1).

    Dominant speakers are for group rooms (7.6). Layers of its own a client turns on and off in VP8 only (4.10).
    Transcriptions, which nothing produces, are not promised.
    """
    channels = {channel for channel in Channel if channel.value in asked} - {Channel.TRANSCRIPTIONS}
    if room.type not in (RoomType.GROUP, RoomType.GROUP_SMALL):
        channels -= {Channel.ACTIVE_SPEAKER}
    if room.audio_only or "VP8" not in room.video_codecs:
        channels -= {Channel.PUBLISHER_HINTS}
    return frozenset(channels)


def new_label(channel: Channel) -> str:
    """Return a label that no other channel or subscription has."""
    return f"{channel.value}-{token_hex(8)}"


@dataclass(slots=True)
class Allowance:
    """A bucket of messages that refills with `per_s`, up to `most`."""

    per_s: float
    most: float
    left: float = field(init=False)
    at: float = float("-inf")

    def __post_init__(self) -> None:
        self.left = self.most

    def take(self, now: float) -> bool:
        """Take one; False where none is left."""
        self.left = min(self.most, self.left + (now - self.at) * self.per_s)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(slots=True)
class _Line:
    """A channel's present label; `opened`: the client took it; `ready`: it listens."""

    label: str
    openings: int = 1
    opened: bool = False
    ready: bool = False


@dataclass(frozen=True, slots=True)
class _Shown:
    """How a client shows a video, as far as its hints went."""

    visible: bool = True
    dimensions: Dimensions | None = None


class SideChannels:
    """What one stay has of media signaling, whether channels are open or not.

    `openings` above 1: the client had channels before, in an earlier life of the service.
    """

    def __init__(
        self,
        channels: Iterable[Channel] = (),
        profile: ReceivingProfile | None = None,
        label_for: Callable[[Channel], str] = new_label,
        *,
        openings: int = 1,
    ) -> None:
        self.profile = profile
        self.quality: Quality | None = None
        self.quality_told: dict[int, ParticipantQuality] = {}
        self.quality_at = float("-inf")
        self.report: QualityReport | None = None
        self._label_for = label_for
        self._lines = {channel: _Line(label_for(channel), openings) for channel in sorted(frozenset(channels))}
        self._allowance = Allowance(MESSAGES_PER_S, MOST_MESSAGES_AT_ONCE)
        self._reports_allowed = Allowance(REPORTS_PER_S, MOST_REPORTS_AT_ONCE)
        self._priorities: dict[TrackSid, TrackPriority] = {}
        self._shown: dict[TrackSid, _Shown] = {}
        self._speaker_told: ParticipantSid | None = None
        self._off: frozenset[TrackSid] = frozenset()
        self._off_told: frozenset[TrackSid] = frozenset()
        self._ever_off: dict[TrackSid, None] = {}  # in the order in which they were told, oldest first
        self._layers: dict[TrackSid, tuple[bool, ...] | None] = {}
        self._hints_told = 0

    # --- which channels there are ---

    @property
    def labels(self) -> Mapping[str, str]:
        """What is said of them in room messages: label by name."""
        return {channel.value: line.label for channel, line in self._lines.items()}

    @property
    def wanted(self) -> frozenset[str]:
        """The labels that are to be open."""
        return frozenset(line.label for line in self._lines.values())

    @property
    def hints_layers(self) -> bool:
        """Whether the client turns simulcast layers on and off as it is told."""
        return Channel.PUBLISHER_HINTS in self._lines

    def channel_of(self, label: str) -> Channel | None:
        return next((channel for channel, line in self._lines.items() if line.label == label), None)

    def label_of(self, channel: Channel) -> str | None:
        """Return the label of a channel on which the client listens, None where it does not."""
        line = self._lines.get(channel)
        return line.label if line and line.ready else None

    def opened(self, label: str) -> Mapping[str, str]:
        """Note that a channel is open; return what the client has to be told of labels now.

        Only now: while an older channel of that name is not closed at the client's end as well, it heeds no new label.
        """
        channel = self.channel_of(label)
        if channel is None:
            return {}
        line = self._lines[channel]
        line.opened = True
        return {channel.value: label} if line.openings > 1 else {}

    def closed(self, label: str) -> None:
        """Note that a channel is gone: another label takes its place, which is to be opened."""
        channel = self.channel_of(label)
        if channel is None:
            return
        line = self._lines[channel]
        if channel is Channel.NETWORK_QUALITY:
            self.report = None
        if line.openings >= MOST_OPENINGS:
            del self._lines[channel]
            return
        # A client that never saw it open still waits for this very label, and heeds no other one.
        fresh = self._label_for(channel) if line.opened else label
        self._lines[channel] = _Line(fresh, openings=line.openings + 1)

    # --- what the client says ---

    def read(self, label: str, text: str, now: float) -> ClientChannelMessage | None:
        """Return what a client said, None where nothing can be made of it, or it says too much."""
        channel = self.channel_of(label)
        if channel is None or len(text) > LONGEST_TEXT or not self._allowance.take(now):
            return None
        try:
            message = message_of_client(channel, text)
        except RemoteProtocolError:
            return None
        too_often = isinstance(message, QualityReport) and not self._reports_allowed.take(now)
        return None if too_often else message

    def greet(self, label: str) -> list[ServiceChannelMessage]:
        """Note that the client listens on a channel; return what it has to know there."""
        channel = self.channel_of(label)
        if channel is None:
            return []
        self._lines[channel].ready = True
        match channel:
            case Channel.TRACK_SWITCH_OFF:
                return self._switch_offs(repeat=True)
            case Channel.PUBLISHER_HINTS:
                return self._hints(self._layers)
            case _:
                return []

    def prefer(self, wish: TrackPriorityWish, receiving: frozenset[TrackSid]) -> bool:
        """Note how much a client cares for a track that it receives; tell whether that is news."""
        track = TrackSid(wish.track)
        before = self._priorities.get(track)
        if wish.subscribe is None:
            self._priorities.pop(track, None)
        elif track in receiving:
            self._priorities[track] = wish.subscribe
        return self._priorities.get(track) is not before

    def show(
        self, hints: RenderHints, receiving: frozenset[TrackSid], kinds: Mapping[TrackSid, TrackKind]
    ) -> tuple[RenderHintResults, bool]:
        """Note how a client shows what it receives.

        Returns:
            the answer, and whether anything changed.
        """
        before = dict(self._shown)
        results = tuple(
            TrackResult(track=hint.track, result=self._show(hint, receiving, kinds)) for hint in hints.hints
        )
        return RenderHintResults(id=hints.id, hints=results), self._shown != before

    def _show(
        self, hint: RenderHint, receiving: frozenset[TrackSid], kinds: Mapping[TrackSid, TrackKind]
    ) -> HintResult:
        track = TrackSid(hint.track)
        if track not in receiving or track not in kinds:
            return HintResult.UNKNOWN_TRACK
        if hint.is_empty or kinds[track] is not TrackKind.VIDEO:
            return HintResult.INVALID_HINT
        shown = self._shown.get(track, _Shown())
        self._shown[track] = _Shown(
            visible=shown.visible if hint.enabled is None else hint.enabled,
            dimensions=hint.render_dimensions or shown.dimensions,
        )
        return HintResult.OK

    @property
    def wishes(self) -> ReceivingWishes:
        """All that the client says of what it receives."""
        hints = {}
        for track in sorted(self._priorities.keys() | self._shown.keys()):
            shown = self._shown.get(track, _Shown())
            hints[track] = ReceivingHint(
                priority=self._priorities.get(track), visible=shown.visible, dimensions=shown.dimensions
            )
        return ReceivingWishes(profile=self.profile, hints=hints)

    def receives(self, tracks: frozenset[TrackSid]) -> tuple[list[ServiceChannelMessage], bool]:
        """Keep nothing of tracks that it does not receive any more: the client forgets what it said of them, too.

        Returns:
            what it has to be told, and whether its wishes changed.
        """
        before = self._priorities.keys() | self._shown.keys()
        self._priorities = {track: self._priorities[track] for track in self._priorities if track in tracks}
        self._shown = {track: self._shown[track] for track in self._shown if track in tracks}
        self._off &= tracks  # one that it will receive again begins switched on
        return self._switch_offs(), before != self._priorities.keys() | self._shown.keys()

    def reset(self, track: TrackSid) -> None:
        """Forget which layers of a track were wanted: the client did."""
        self._layers.pop(track, None)

    # --- what the client is told ---

    def speaker(self, sid: ParticipantSid | None, *, repeat: bool = False) -> list[ServiceChannelMessage]:
        """Return what is to be said of who speaks now; `repeat` for a client that may have missed it."""
        if self.label_of(Channel.ACTIVE_SPEAKER) is None or (sid == self._speaker_told and not repeat):
            return []
        self._speaker_told = sid
        return [ActiveSpeaker(participant=sid)]

    def switched(self, off: frozenset[TrackSid], on: frozenset[TrackSid]) -> list[ServiceChannelMessage]:
        """Note that videos were switched off, or on again; return what is to be said."""
        self._off = (self._off | off) - on
        return self._switch_offs()

    def _switch_offs(self, *, repeat: bool = False) -> list[ServiceChannelMessage]:
        """Return what is to be said of videos that are off, or on again.

        On a new connection that is everything: what was said last on the old one may have been lost with it.
        """
        if self.label_of(Channel.TRACK_SWITCH_OFF) is None:
            return []
        off = self._off if repeat else self._off - self._off_told
        on = (self._ever_off.keys() if repeat else self._off_told) - self._off
        self._off_told = self._off
        for track in off:
            self._ever_off.pop(track, None)
            self._ever_off[track] = None
        while len(self._ever_off) > MOST_REMEMBERED:
            del self._ever_off[next(iter(self._ever_off))]
        return [TrackSwitchOff(off=tuple(sorted(off)), on=tuple(sorted(on)))] if off or on else []

    def layers_wanted(self, track: TrackSid, layers: tuple[bool, ...] | None) -> list[ServiceChannelMessage]:
        """Note which layers of a track of the client's are of use; return what is to be said."""
        self._layers[track] = layers
        return self._hints({track: layers}) if self.label_of(Channel.PUBLISHER_HINTS) else []

    def publishes(self, tracks: Iterable[TrackSid]) -> None:
        """Keep nothing of tracks that the client does not publish any more."""
        kept = frozenset(tracks)
        self._layers = {track: self._layers[track] for track in self._layers if track in kept}

    def _hints(self, layers: Mapping[TrackSid, tuple[bool, ...] | None]) -> list[ServiceChannelMessage]:
        if not layers:
            return []
        self._hints_told += 1
        hints = tuple(PublisherHint(track=track, encodings=_encodings(wanted)) for track, wanted in layers.items())
        return [PublisherHints(id=self._hints_told, hints=hints)]


def _encodings(layers: tuple[bool, ...] | None) -> tuple[EncodingHint, ...] | None:
    if layers is None:
        return None
    return tuple(EncodingHint(layer_index=index, enabled=wanted) for index, wanted in enumerate(layers))
