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
from appliance.media_engine import TrackKind

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


class RemoteTrack(Emitter):
    """What the three kinds share. `is_enabled` follows the publisher's mute."""

    kind: ClassVar[TrackKind]
    EVENTS = frozenset({TrackEvent.ENABLED, TrackEvent.DISABLED, TrackEvent.STARTED})

    def __init__(self, sid: str, name: str) -> None:
        super().__init__()
        self.sid = sid
        self.name = name
        self.is_enabled = True
        self.is_started = False

    def switch(self, enabled: bool) -> None:
        """The publisher muted or unmuted it."""
        if enabled != self.is_enabled:
            self.is_enabled = enabled
            self.emit(TrackEvent.ENABLED if enabled else TrackEvent.DISABLED, self)

    def end(self) -> None:
        """Unsubscribed: nothing arrives any more."""

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
        """Take what arrives on a section; another one after the peer connection was replaced, None without any."""
        if self._incoming is not None:
            self._incoming.deliver = None
        self._incoming = incoming
        if incoming is not None:
            incoming.deliver = self._take

    def end(self) -> None:
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
    """Someone's picture: decoded straight into a slot, or to iterators."""

    kind = TrackKind.VIDEO
    EVENTS = RemoteMediaTrack.EVENTS | {TrackEvent.DIMENSIONS_CHANGED}

    def __init__(self, sid: str, name: str) -> None:
        super().__init__(sid, name)
        self.dimensions: tuple[int, int] | None = None
        self._slot: FrameSlot | None = None
        self._readers: list[_Newest[av.VideoFrame]] = []
        self._decoding: VideoDecoding | None = None
        self._loop = asyncio.get_running_loop()

    def set_frame_slot(self, slot: FrameSlot | None) -> None:
        """Hand every picture to `slot` on the decoding thread; None: to nobody, and nothing is decoded."""
        self._slot = slot
        self._decode_if_wanted()

    async def frames(self) -> AsyncIterator[av.VideoFrame]:
        """Yield pictures, yuv420p, `pts` in 1/90000 s, until the track is unsubscribed."""
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
        if self._slot is None and not self._readers:
            self._stop_decoding()
        elif self._decoding is None:
            self._decoding = VideoDecoding(f"video {self.sid[:10]}", self._show, self._ask_for_keyframe)
            self._ask_for_keyframe()

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
