"""What a peer connection sends: sections for audio and video, channels for data, as the wanted tracks come and go."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiortc import InvalidStateError, RTCDataChannel, RTCPeerConnection, RTCRtpSender, RTCRtpTransceiver

from appliance.client import encoded_media
from appliance.client.descriptions import sections
from appliance.client.feeds import Feed
from appliance.client.local_tracks import LocalDataTrack, LocalMediaTrack, LocalTrack
from appliance.media_engine import TrackKind


@dataclass(slots=True)
class _Sending:
    """A section of ours with its feed; without a track it is idle and may be used again."""

    transceiver: RTCRtpTransceiver
    feed: Feed
    track: LocalMediaTrack | None
    prefers_h264: bool

    def could_carry(self, track: LocalMediaTrack) -> bool:
        return self.track is None and self.feed.kind == track.kind and self.prefers_h264 == _is_h264(track)


@dataclass(slots=True)
class _Channel:
    """A data channel of ours and the function by which its track sends."""

    track: LocalDataTrack
    stack: RTCDataChannel
    send: Callable[[str | bytes], None]

    def let_go(self) -> None:
        self.track.closed(self.send)


class Outgoing:
    """See the module. `stack` is the peer connection's; `video_codecs` are preferred for pictures that it encodes."""

    def __init__(self, stack: RTCPeerConnection, video_codecs: Sequence[str] = ()) -> None:
        self._stack = stack
        self._video_codecs = tuple(codec.upper() for codec in video_codecs)
        self._tracks: tuple[LocalTrack, ...] = ()
        self._sending: list[_Sending] = []
        self._channels: dict[str, _Channel] = {}

    def want(self, tracks: Sequence[LocalTrack]) -> bool:
        """Send exactly these tracks; what is not among them stops at once. Returns whether it takes an offer."""
        self._tracks = tuple(tracks)
        dropped = [sending for sending in self._sending if sending.track not in (None, *tracks)]
        for sending in dropped:
            _empty(sending)
        wanted = {track.id for track in tracks}
        for label in [label for label in self._channels if label not in wanted]:
            channel = self._channels.pop(label)
            channel.let_go()
            channel.stack.close()
        if self._has_data_section:
            self.open_channels()
        return bool(dropped or self._media_without_section() or self._data_without_channel())

    def prepare_sections(self) -> None:
        """Make sections for all that is wanted, just before an offer."""
        for track in self._media_without_section():
            self._carry(track)
        for sending in self._sending:
            # Open for the other direction too, as the SDK's are: the service may send on any section of the kind.
            sending.transceiver.direction = "recvonly" if sending.track is None else "sendrecv"

    def release(self) -> None:
        """Let go of all tracks at once, so that another peer connection can take them."""
        self._tracks = ()
        for sending in self._sending:
            _empty(sending)
        for channel in self._channels.values():
            channel.let_go()

    def stop(self) -> None:
        """Let go, and end the feeds: the stack is about to close."""
        self.release()
        for sending in self._sending:
            sending.feed.stop()

    def tracks_without_codec(self, offer_sdp: str, answer_sdp: str) -> list[LocalTrack]:
        """Return the pre-encoded tracks whose codec the service does not take: nothing could convert them."""
        taken = {section.mid: section.codecs for section in sections(answer_sdp)}
        mids = {section.track_id: section.mid for section in sections(offer_sdp)}
        encoded = [sending.track for sending in self._sending if sending.track is not None and sending.prefers_h264]
        return [track for track in encoded if "H264" not in taken.get(mids.get(track.id, ""), ("H264",))]

    @property
    def available_bps(self) -> float | None:
        """What the path carries for our pictures, as the service estimates; None until it did."""
        estimates = [sending.feed.available_bps for sending in self._sending]
        return min((bps for bps in estimates if bps is not None), default=None)

    @property
    def _has_data_section(self) -> bool:
        return self._stack.sctp is not None and self._stack.sctp.mid is not None

    def _media_without_section(self) -> list[LocalMediaTrack]:
        carried = [sending.track for sending in self._sending]
        return [track for track in self._tracks if isinstance(track, LocalMediaTrack) and track not in carried]

    def _data_without_channel(self) -> list[LocalDataTrack]:
        return [t for t in self._tracks if isinstance(t, LocalDataTrack) and t.id not in self._channels]

    def _carry(self, track: LocalMediaTrack) -> None:
        sending = next((sending for sending in self._sending if sending.could_carry(track)), None)
        if sending is None:
            sending = self._add_section(track)
        sending.track = track
        encoded_media.name_sender(sending.transceiver.sender, track.id)
        sending.feed.attach(track)

    def _add_section(self, track: LocalMediaTrack) -> _Sending:
        feed = Feed(track.kind)
        transceiver = self._stack.addTransceiver(feed, direction="sendrecv")
        if _is_h264(track):
            transceiver.setCodecPreferences(_preferring(("H264",)))
        elif track.kind is TrackKind.VIDEO and self._video_codecs:
            transceiver.setCodecPreferences(_preferring(self._video_codecs))
        encoded_media.adopt_sender(transceiver.sender, feed)
        sending = _Sending(transceiver, feed, None, _is_h264(track))
        self._sending.append(sending)
        return sending

    def open_channels(self) -> None:
        """Open a channel for each data track. There must be a section for media already: aiortc would give the data
        section a transport of its own, bundle the others with it, and then close it as superfluous.
        """
        for track in self._data_without_channel():
            channel = self._stack.createDataChannel(
                track.id,
                ordered=track.ordered,
                maxPacketLifeTime=track.max_packet_life_time,
                maxRetransmits=track.max_retransmits,
            )
            self._channels[track.id] = _connect(track, channel)


def _empty(sending: _Sending) -> None:
    sending.track = None
    sending.feed.attach(None)


def _connect(track: LocalDataTrack, channel: RTCDataChannel) -> _Channel:
    def send(data: str | bytes) -> None:
        with contextlib.suppress(InvalidStateError):  # closing just now: as in browsers, the message is lost
            channel.send(data)

    channel.on("open", lambda: track.opened(send))
    channel.on("close", lambda: track.closed(send))
    return _Channel(track, channel, send)


def _is_h264(track: LocalMediaTrack) -> bool:
    return track.kind is TrackKind.VIDEO and track.is_encoded


def _preferring(names: Sequence[str]) -> list[Any]:
    """Return the stack's video codecs, these first; of H.264 constrained baseline comes first (media-engine.md 7).

    The others stay, since a section without any common codec would cost aiortc the whole negotiation.
    """
    codecs = RTCRtpSender.getCapabilities("video").codecs

    def rank(codec: Any) -> tuple[int, bool]:
        name = codec.mimeType.rpartition("/")[2].upper()
        place = names.index(name) if name in names else len(names) + (name == "RTX")
        return place, not str(codec.parameters.get("profile-level-id", "42e0")).startswith("42e0")

    return sorted(codecs, key=rank)
