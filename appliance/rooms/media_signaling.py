"""What the service says and hears on the side channels of everybody in its rooms (signaling.md 5).

    media engine ── ChannelOpened, ChannelMessage, LoudestSpeaker, SwitchedOff, LayersWanted … ─▶ here
    media engine ◀─ DataPeer.open_channels, send; MediaPeer.allot, layers_reset ── here

What one participant has and was told is kept, and decided, in `side_channels.py`.
"""

import logging
from collections.abc import Iterable

from appliance.clock import Clock
from appliance.media_engine import (
    ChannelClosed,
    ChannelMessage,
    ChannelOpened,
    LayersWanted,
    LoudestSpeaker,
    MediaPeer,
    SwitchedOff,
)
from appliance.rooms.conversation import Changed
from appliance.rooms.network_quality import Quality, assess, told
from appliance.rooms.registry import Registry, RoomEntry, Stay
from appliance.sids import TrackSid
from appliance.signaling.quality import ParticipantQuality, QualityReply, QualityReport
from appliance.signaling.side_channels import (
    ActiveSpeaker,
    Channel,
    ClientReset,
    HintResult,
    PublisherHintResults,
    PublisherHints,
    Ready,
    RenderHintResults,
    RenderHints,
    ServiceChannelMessage,
    TrackPriorityWish,
    TrackSwitchOff,
    text_of,
)

log = logging.getLogger(__name__)

ASSESS_EVERY_S = 0.8
"""Figures cover about a second; clients report a second after each answer."""

FORGET_QUALITY_AFTER_S = 10.0

SideHappening = ChannelOpened | ChannelMessage | ChannelClosed | LoudestSpeaker | SwitchedOff | LayersWanted


class MediaSignaling:
    """Speaks on side channels, for all rooms of the service."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def happened(self, stay: Stay, happening: SideHappening) -> None:
        """Take a happening of the engine. Also those of one who is still on the way in."""
        entry = self._registry.entry_of(stay)
        if not entry or not stay.peer:
            return
        match happening:
            case ChannelOpened(label=label):
                self._opened(stay, label)
            case ChannelClosed(label=label):
                self._closed(stay, stay.peer, label)
            case ChannelMessage(label=label, text=text):
                self._heard(entry, stay, stay.peer, label, text)
            case LoudestSpeaker(participant_sid=sid):
                entry.speaker = sid
                self._say(stay, stay.channels.speaker(sid))
            case SwitchedOff(off=off, on=on):
                self._say(stay, stay.channels.switched(off, on))
            case LayersWanted(track_sid=track, layers=layers):
                self._say(stay, stay.channels.layers_wanted(track, layers))

    def receives(self, stay: Stay) -> None:
        """Bring what a participant said of tracks in line with those that it receives now."""
        said, changed = stay.channels.receives(stay.receiving)
        self._say(stay, said)
        if changed and stay.peer:
            stay.peer.allot(stay.channels.wishes)

    # --- channels ---

    def _opened(self, stay: Stay, label: str) -> None:
        news = stay.channels.opened(label)
        if news:
            stay.tell(Changed(media_signaling=news))

    def _closed(self, stay: Stay, peer: MediaPeer, label: str) -> None:
        stay.channels.closed(label)
        if label in stay.channels.wanted:
            peer.data.open_channels(stay.channels.wanted - {label})  # only so can it be used again
        peer.data.open_channels(stay.channels.wanted)

    def _say(self, stay: Stay, messages: Iterable[ServiceChannelMessage]) -> None:
        for message in messages:
            label = stay.channels.label_of(_CHANNEL_OF[type(message)])
            if label and stay.peer:
                stay.peer.data.send(label, text_of(message))

    # --- what a client says ---

    def _heard(self, entry: RoomEntry, stay: Stay, peer: MediaPeer, label: str, text: str) -> None:
        match stay.channels.read(label, text, self._clock.monotonic()):
            case Ready():
                self._greet(entry, stay, label)
            case QualityReport() as report:
                self._say(stay, [self._quality_reply(entry, stay, report)])
            case TrackPriorityWish() as wish:
                if stay.channels.prefer(wish, stay.receiving):
                    peer.allot(stay.channels.wishes)
            case RenderHints() as hints:
                self._show(entry, stay, peer, hints)
            case ClientReset(track=track):
                self._reset(entry, stay, peer, TrackSid(track))
            case PublisherHintResults(hints=results):
                for each in results:
                    if each.result not in (HintResult.OK, HintResult.REQUEST_SKIPPED):
                        log.info("%s: layers of %.40s: %s", stay.participant_sid, each.track, each.result)

    def _greet(self, entry: RoomEntry, stay: Stay, label: str) -> None:
        """Tell what there is to know on a channel, to a client that may just have begun to listen."""
        said = stay.channels.greet(label)
        if stay.channels.channel_of(label) is Channel.ACTIVE_SPEAKER:
            here = entry.speaker and (entry.speaker in entry.stays)
            said = stay.channels.speaker(entry.speaker if here else None, repeat=True)
        self._say(stay, said)

    def _show(self, entry: RoomEntry, stay: Stay, peer: MediaPeer, hints: RenderHints) -> None:
        kinds = {track.sid: track.kind for other in entry.room.participants for track in other.tracks}
        answer, changed = stay.channels.show(hints, stay.receiving, kinds)
        if changed:
            peer.allot(stay.channels.wishes)
        self._say(stay, [answer])

    def _reset(self, entry: RoomEntry, stay: Stay, peer: MediaPeer, track: TrackSid) -> None:
        participant = entry.room.participant(stay.participant_sid)
        if participant and any(own.sid == track for own in participant.tracks):
            stay.channels.reset(track)
            peer.layers_reset(track)

    # --- network quality ---

    def _quality_reply(self, entry: RoomEntry, stay: Stay, report: QualityReport) -> QualityReply:
        stay.channels.report = report
        local = self._quality_told(stay, report.report_level) or told(Quality(), 1)
        if report.remote_report_level < 1:
            return QualityReply(local=local)
        others = {
            str(other.participant_sid): self._quality_told(other, report.remote_report_level)
            for other in entry.stays.values()
            if other is not stay
        }
        return QualityReply(local=local, remotes={sid: quality for sid, quality in others.items() if quality})

    def _quality_told(self, stay: Stay, verbosity: int) -> ParticipantQuality | None:
        """Return what is said of a participant's connection: the same to everybody until it is measured again."""
        quality, said = self._quality(stay), stay.channels.quality_told
        if quality and verbosity not in said:
            said[verbosity] = told(quality, verbosity)
        return said.get(verbosity)

    def _quality(self, stay: Stay) -> Quality | None:
        """Return how good a participant's connection is, measured anew where that is due.

        None before it was connected for the first time: to be on the way is not to be broken.
        """
        now, channels = self._clock.monotonic(), stay.channels
        age_s = now - channels.quality_at
        if stay.peer and age_s >= ASSESS_EVERY_S:
            figures = stay.peer.figures()
            if figures.connected or channels.quality:
                before = channels.quality if channels.quality and age_s < FORGET_QUALITY_AFTER_S else Quality()
                channels.quality, channels.quality_at = assess(before, figures, channels.report), now
                channels.quality_told.clear()
        return channels.quality


_CHANNEL_OF: dict[type[ServiceChannelMessage], Channel] = {
    ActiveSpeaker: Channel.ACTIVE_SPEAKER,
    QualityReply: Channel.NETWORK_QUALITY,
    RenderHintResults: Channel.RENDER_HINTS,
    TrackSwitchOff: Channel.TRACK_SWITCH_OFF,
    PublisherHints: Channel.PUBLISHER_HINTS,
}
