"""Tracks that we receive, while we are subscribed to them, and the sinks that take what arrives.

A remote track has a SID and a name, the same ones as on the publishing side. What nobody takes is dropped where it
arrives: an unwatched track decodes nothing and queues nothing.

    aiortc's receiver ──▶ encoded_media.IncomingMedia ──▶ Remote*Track ──▶ packet sink, or decoder ──▶ frame slot
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import ClassVar, Generic, Protocol, TypeVar

import av

from appliance.client.decoding import VideoDecoding, VoiceDecoder
from appliance.client.events import Emitter, TrackEvent
from appliance.errors import LocalProtocolError
from appliance.media_engine import Dimensions, TrackKind, TrackPriority

PacketSink = Callable[[bytes, int], None]
"""Takes an Opus payload and its 32-bit RTP timestamp (48 kHz); called on the event loop, in order, must not block."""

FrameSlot = Callable[[av.VideoFrame], None]
"""Takes a picture; called on the track's decoding thread, must not block. One deep is enough: the newest counts."""

FrameT = TypeVar("FrameT")

FRAMES_WAITING = 8


class Incoming(Protocol):
    """Where a track's encoded media comes from; see encoded_media.IncomingMedia."""

    deliver: Callable[[str, bytes, int, bool], None] | None

    def request_keyframe(self) -> None: ...


class Steering(Protocol):
    """Tells the service how we want to receive a track, by its SID; see media_signaling.MediaSignaling."""

    def set_priority(self, track: str, priority: TrackPriority | None) -> None: ...
    def hint(self, track: str, *, enabled: bool | None = None, dimensions: Dimensions | None = None) -> None: ...


class RemoteTrack(Emitter):
    """What the three kinds share.

    Attributes:
        is_enabled: follows the publisher's mute.
        is_switched_off: the service does not send it now, for want of bandwidth or because we do not look at it.
        priority: ours, in place of the publisher's; None: the publisher's counts.
    """

    kind: ClassVar[TrackKind]
    EVENTS = frozenset(
        {TrackEvent.ENABLED, TrackEvent.DISABLED, TrackEvent.STARTED, TrackEvent.SWITCHED_OFF, TrackEvent.SWITCHED_ON}
    )

    def __init__(self, sid: str, name: str) -> None:
        super().__init__()
        self.sid = sid
        self.name = name
        self.is_enabled = True
        self.is_started = False
        self.is_switched_off = False
        self.priority: TrackPriority | None = None
        self._steering: Steering | None = None
        self._ended = False

    def set_priority(self, priority: TrackPriority | None) -> None:
        """Care so much for this track, in place of what its publisher says; None: as much as that.

        It counts where the room was joined with a bandwidth profile.
        """
        self.priority = None if priority is None else TrackPriority(priority)
        if self._steering is not None:
            self._steering.set_priority(self.sid, self.priority)

    def steer_by(self, steering: Steering | None) -> None:
        """Tell wishes to `steering` from now on."""
        self._steering = steering

    def switch_off_or_on(self, off: bool) -> None:
        """The service sends it no longer, or again."""
        if off != self.is_switched_off:
            self.is_switched_off = off
            self.emit(TrackEvent.SWITCHED_OFF if off else TrackEvent.SWITCHED_ON, self)

    def switch(self, enabled: bool) -> None:
        """The publisher muted or unmuted it."""
        if enabled != self.is_enabled:
            self.is_enabled = enabled
            self.emit(TrackEvent.ENABLED if enabled else TrackEvent.DISABLED, self)

    def end(self) -> None:
        """Unsubscribed: nothing arrives any more, and nobody who looks later begins anything."""
        self._ended = True
        self._steering = None

    def _note_started(self) -> None:
        if not self.is_started:
            self.is_started = True
            self.emit(TrackEvent.STARTED, self)


class _Newest(Generic[FrameT]):
    """Frames from a decoder to one reader on the loop; the oldest goes when it reads too slowly."""

    def __init__(self) -> None:
        self._frames: deque[FrameT] = deque(maxlen=FRAMES_WAITING)
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, frame: FrameT) -> None:
        """From any thread."""
        self._frames.append(frame)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def read(self) -> AsyncIterator[FrameT]:
        while not self._ended or self._frames:
            if not self._frames:
                self._changed.clear()
                if not self._frames and not self._ended:
                    await self._changed.wait()
                continue
            yield self._frames.popleft()


class RemoteMediaTrack(RemoteTrack):
    """An audio or video track."""

    def __init__(self, sid: str, name: str) -> None:
        super().__init__(sid, name)
        self._incoming: Incoming | None = None

    def receive_from(self, incoming: Incoming | None) -> None:
        """Take what arrives on a section; another one after the peer connection was replaced, None without any.

        A track that has ended takes none.
        """
        if self._incoming is not None:
            self._incoming.deliver = None
        if self._ended:
            incoming = None
        self._incoming = incoming
        if incoming is not None:
            incoming.deliver = self._take

    def end(self) -> None:
        super().end()
        self.receive_from(None)

    def _take(self, codec: str, data: bytes, timestamp: int, after_gap: bool) -> None:
        raise NotImplementedError


class RemoteAudioTrack(RemoteMediaTrack):
    """Someone's sound: Opus packets to sinks, or decoded frames to iterators."""

    kind = TrackKind.AUDIO

    def __init__(self, sid: str, name: str) -> None:
        super().__init__(sid, name)
        self._sinks: list[PacketSink] = []
        self._readers: list[_Newest[av.AudioFrame]] = []
        self._decoder: VoiceDecoder | None = None

    def add_packet_sink(self, put: PacketSink) -> None:
        """Hand every Opus packet to `put`, before any decoder."""
        self._sinks.append(put)

    def remove_packet_sink(self, put: PacketSink) -> None:
        """Stop handing packets to `put`; one that was never added is ignored."""
        if put in self._sinks:
            self._sinks.remove(put)

    async def frames(self) -> AsyncIterator[av.AudioFrame]:
        """Yield decoded sound, s16 stereo at 48 kHz, until the track is unsubscribed."""
        if self._ended:
            return
        reader: _Newest[av.AudioFrame] = _Newest()
        self._readers.append(reader)
        try:
            async for frame in reader.read():
                yield frame
        finally:
            self._readers.remove(reader)

    def end(self) -> None:
        super().end()
        self._sinks.clear()
        for reader in self._readers:
            reader.end()

    def _take(self, codec: str, data: bytes, timestamp: int, after_gap: bool) -> None:
        self._note_started()
        if codec.lower() != "opus":
            return  # the room's policy is Opus (media-engine.md 4.3)
        for put in self._sinks:
            put(data, timestamp)
        if not self._readers:
            self._decoder = None
            return
        self._decoder = self._decoder or VoiceDecoder()
        for frame in self._decoder.decode(data, timestamp):
            for reader in self._readers:
                reader.put(frame)


class RemoteVideoTrack(RemoteMediaTrack):
    """Someone's picture: decoded straight into a slot, or to iterators.

    Where the room was joined with a bandwidth profile, the service need not send what nobody looks at. It is told by
    itself whether anybody takes pictures of the track, or, with `client_track_switch_off_control` "manual", by
    `switch_off` and `switch_on` alone.
    """

    kind = TrackKind.VIDEO
    EVENTS = RemoteMediaTrack.EVENTS | {TrackEvent.DIMENSIONS_CHANGED}

    def __init__(self, sid: str, name: str) -> None:
        super().__init__(sid, name)
        self.dimensions: tuple[int, int] | None = None
        self._slot: FrameSlot | None = None
        self._readers: list[_Newest[av.VideoFrame]] = []
        self._decoding: VideoDecoding | None = None
        self._loop = asyncio.get_running_loop()
        self._is_manual = False

    def steer_by(self, steering: Steering | None, *, manually: bool = False) -> None:
        """As of every track. `manually`: what is looked at is told by `switch_off` and `switch_on` alone."""
        super().steer_by(steering)
        self._is_manual = manually
        self._tell_whether_watched()

    def switch_off(self) -> None:
        """Let the service not send this video: we do not show it. `is_switched_off` follows when it does not.

        Raises:
            LocalProtocolError: the room was not joined with `client_track_switch_off_control` "manual".
        """
        self._switch_by_hand(False)

    def switch_on(self) -> None:
        """Let the service send it (again); raises as `switch_off`."""
        self._switch_by_hand(True)

    def set_content_preferences(self, *, render_dimensions: Dimensions) -> None:
        """Tell how large the video is shown, so that it comes no larger than is of use.

        Raises:
            LocalProtocolError: the room was not joined with a bandwidth profile.
        """
        if self._steering is None:
            raise LocalProtocolError("content preferences need a room that was joined with a bandwidth profile")
        self._steering.hint(self.sid, dimensions=render_dimensions)

    def set_frame_slot(self, slot: FrameSlot | None) -> None:
        """Hand every picture to `slot` on the decoding thread; None: to nobody, and nothing is decoded."""
        self._slot = None if self._ended else slot
        self._decode_if_wanted()

    async def frames(self) -> AsyncIterator[av.VideoFrame]:
        """Yield pictures, yuv420p, `pts` in 1/90000 s, until the track is unsubscribed."""
        if self._ended:
            return
        reader: _Newest[av.VideoFrame] = _Newest()
        self._readers.append(reader)
        self._decode_if_wanted()
        try:
            async for frame in reader.read():
                yield frame
        finally:
            self._readers.remove(reader)
            self._decode_if_wanted()

    def receive_from(self, incoming: Incoming | None) -> None:
        super().receive_from(incoming)
        if incoming is not None and self._decoding is not None:
            incoming.request_keyframe()

    def end(self) -> None:
        super().end()
        self._slot = None
        for reader in self._readers:
            reader.end()
        self._stop_decoding()

    def _take(self, codec: str, data: bytes, timestamp: int, after_gap: bool) -> None:
        if self._decoding is not None:
            self._decoding.put(codec.upper(), data, timestamp, time.monotonic(), after_gap=after_gap)

    def _decode_if_wanted(self) -> None:
        self._tell_whether_watched()
        if not self._is_watched:
            self._stop_decoding()
        elif self._decoding is None:
            self._decoding = VideoDecoding(f"video {self.sid[:10]}", self._show, self._ask_for_keyframe)
            self._ask_for_keyframe()

    @property
    def _is_watched(self) -> bool:
        return not self._ended and (self._slot is not None or bool(self._readers))

    def _tell_whether_watched(self) -> None:
        if self._steering is not None and not self._is_manual:
            self._steering.hint(self.sid, enabled=self._is_watched)

    def _switch_by_hand(self, on: bool) -> None:
        if self._steering is None or not self._is_manual:
            raise LocalProtocolError('switching by hand needs client_track_switch_off_control="manual"')
        self._steering.hint(self.sid, enabled=on)

    def _stop_decoding(self) -> None:
        if self._decoding is not None:
            self._decoding.stop()
            self._decoding = None

    def _ask_for_keyframe(self) -> None:
        if self._incoming is not None:
            self._incoming.request_keyframe()

    def _show(self, picture: av.VideoFrame) -> None:
        """On the decoding thread."""
        slot = self._slot
        if slot is not None:
            slot(picture)
        for reader in tuple(self._readers):
            reader.put(picture)
        size = (picture.width, picture.height)
        if size != self.dimensions and not self._loop.is_closed():
            self.dimensions = size
            self._loop.call_soon_threadsafe(self._tell_dimensions)

    def _tell_dimensions(self) -> None:
        self._note_started()
        self.emit(TrackEvent.DIMENSIONS_CHANGED, self)


class RemoteDataTrack(RemoteTrack):
    """Someone's messages: `message(data, track)` with str or bytes."""

    kind = TrackKind.DATA
    EVENTS = RemoteTrack.EVENTS | {TrackEvent.MESSAGE}

    def __init__(
        self,
        sid: str,
        name: str,
        *,
        ordered: bool = True,
        max_packet_life_time: int | None = None,
        max_retransmits: int | None = None,
    ) -> None:
        super().__init__(sid, name)
        self.ordered = ordered
        self.max_packet_life_time = max_packet_life_time
        self.max_retransmits = max_retransmits

    @property
    def reliable(self) -> bool:
        return self.max_packet_life_time is None and self.max_retransmits is None

    def receive(self, data: str | bytes) -> None:
        """A message arrived on the track's channel."""
        self._note_started()
        self.emit(TrackEvent.MESSAGE, data, self)
