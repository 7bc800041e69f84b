"""Tracks that we send, and the sources they draw from.

A local track has an `id` and no SID; its publication gets the SID (the object model's rule). Muting never
renegotiates: the stream goes on with silence or black, and `enabled` is signaled (signaling.md 3.1).

    source ──▶ Local*Track.next_media() ──▶ feeds.py ──▶ aiortc's sender
"""

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import av

from appliance.client.events import Emitter, TrackEvent
from appliance.media_engine import TrackKind

AvPacket: TypeAlias = "av.Packet[Any]"
"""Generic for the type checker only."""

logger = logging.getLogger(__name__)

OPUS_CLOCK = 48_000
VIDEO_CLOCK = 90_000
OPUS_SILENCE = b"\xf8\xff\xfe"
"""20 ms of silence: TOC of a 20 ms full-band CELT frame, mono, and two bytes that code nothing (RFC 6716, 3.1)."""

SILENT_LEVEL = 127
"""The audio level of silence, in -dBov (RFC 6464, 3)."""

SILENCE_INTERVAL_S = 0.4
"""While muted and nobody feeds us, a packet so often keeps the stream alive, as Opus DTX does (RFC 7587, 3.1.3)."""

DRY_SOURCE_S = 1.0
"""A source that should be heard and gives nothing, as a card that was unplugged, is silence to the others."""

BLACK_INTERVAL_S = 1.0
OPUS_PACKETS_WAITING = 10
DATA_MESSAGES_WAITING = 100


# --- what a source is ------------------------------------------------------------------------------------------------


class VideoSource(Protocol):
    """Gives raw pictures at its own pace. `read` may be cancelled between two pictures."""

    async def read(self) -> av.VideoFrame:
        """Wait for the newest frame: yuv420p, `pts` in 1/90000 s, strictly growing."""


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One H.264 access unit: Annex B, constrained baseline, SPS and PPS before every IDR (media-engine.md 7)."""

    data: bytes
    pts_90k: int
    keyframe: bool


class EncodedFrameLike(Protocol):
    """What an encoded source gives: EncodedFrame, or a device's own class with these three values."""

    @property
    def data(self) -> bytes: ...
    @property
    def pts_90k(self) -> int: ...
    @property
    def keyframe(self) -> bool: ...


@runtime_checkable
class EncodedVideoSource(Protocol):
    """A camera that encodes by itself; its frames are sent as they are, no codec is created."""

    async def read(self) -> EncodedFrameLike: ...

    def request_keyframe(self) -> None:
        """Someone needs a key frame soon (PLI, FIR)."""

    def set_bitrate(self, bitrate_bps: int) -> None:
        """The path carries so much (REMB); changes under 10 % are not told."""


class AudioSource(Protocol):
    """Gives raw samples at its own pace: s16 frames with `pts` in 1/sample_rate."""

    async def read(self) -> av.AudioFrame: ...


class OpusPacket(Protocol):
    """20 ms of Opus. `timestamp` counts 1/48000 s on the sender's clock.

    `level` is the loudness of what was encoded, as -dBov: 0 the loudest, 127 silence (RFC 6464, 3); None unknown.
    """

    @property
    def data(self) -> bytes: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def level(self) -> int | None: ...


class EncodedAudioSource:
    """Where a sound thread leaves its Opus packets; the event loop takes them.

    Neither side waits for the other: at most ten packets wait, the oldest goes (kiosk-processes.md 4, Rings).
    """

    def __init__(self) -> None:
        self._packets: deque[OpusPacket] = deque(maxlen=OPUS_PACKETS_WAITING)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived: asyncio.Event | None = None

    def put(self, packet: OpusPacket) -> None:
        """Hand over a packet, from any thread. Without a reader the newest ten are kept."""
        self._packets.append(packet)
        loop, arrived = self._loop, self._arrived
        if loop is None or arrived is None:
            return
        try:
            loop.call_soon_threadsafe(arrived.set)
        except RuntimeError:
            logger.debug("the event loop has closed before the sound thread")

    def drop_waiting(self) -> None:
        self._packets.clear()

    async def take(self) -> OpusPacket:
        """Wait for the next packet."""
        if self._arrived is None or self._loop is not asyncio.get_running_loop():
            self._loop, self._arrived = asyncio.get_running_loop(), asyncio.Event()
        while not self._packets:
            self._arrived.clear()
            if not self._packets:  # one may have come in between, from its own thread
                await self._arrived.wait()
        return self._packets.popleft()


# --- tracks ----------------------------------------------------------------------------------------------------------


class LocalTrack(Emitter):
    """What the three kinds share. `name` defaults to the id, as in the SDK."""

    kind: ClassVar[TrackKind]

    def __init__(self, name: str | None) -> None:
        super().__init__()
        self.id = str(uuid.uuid4())
        self.name = name or self.id


def _nobody_draws() -> None:
    return


class LocalMediaTrack(LocalTrack):
    """An audio or video track: can be switched off and on without renegotiation, and stopped for good."""

    is_encoded: bool
    """Whether the source's frames go out as they are."""

    EVENTS = frozenset({TrackEvent.ENABLED, TrackEvent.DISABLED, TrackEvent.STOPPED, TrackEvent.STARTED})

    def __init__(self, name: str | None) -> None:
        super().__init__(name)
        self.is_enabled = True
        self.is_stopped = False
        self.is_started = False
        self.on_switched: Callable[[], None] = _nobody_draws
        """Set by whoever draws from the track: `next_media` is to be cancelled and called again."""

    def enable(self, enabled: bool = True) -> None:
        """Send what the source gives. `enable(False)` is `disable()`."""
        if enabled == self.is_enabled:
            return
        self.is_enabled = enabled
        self._switched()
        self.emit(TrackEvent.ENABLED if enabled else TrackEvent.DISABLED, self)

    def disable(self) -> None:
        """Send nothing of the source from now on; what waits to be sent is dropped."""
        self.enable(False)

    def stop(self) -> None:
        """Never draw from the source again. The publication stays until it is unpublished."""
        if not self.is_stopped:
            self.is_stopped = True
            self._switched()
            self.emit(TrackEvent.STOPPED, self)

    async def next_media(self) -> Any:
        """Wait for what is to be sent next: av.Packet, av.VideoFrame or av.AudioFrame. One caller at a time."""
        raise NotImplementedError

    def resumed(self) -> None:
        """A sender begins to draw from this track."""

    def request_keyframe(self) -> None:
        """The receiving side cannot go on without one."""

    def set_bitrate(self, bitrate_bps: int) -> None:
        """The path carries so much."""

    def _switched(self) -> None:
        """Enabled, disabled, stopped or given another source just now."""
        self.on_switched()

    def _note_started(self) -> None:
        if not self.is_started:
            self.is_started = True
            self.emit(TrackEvent.STARTED, self)


class LocalAudioTrack(LocalMediaTrack):
    """Sound from an EncodedAudioSource (Opus as it comes) or an AudioSource (encoded by aiortc)."""

    kind = TrackKind.AUDIO

    def __init__(self, source: EncodedAudioSource | AudioSource, name: str | None = None) -> None:
        super().__init__(name)
        self.is_encoded = isinstance(source, EncodedAudioSource)
        self.source = source
        self.level: int | None = None
        """Of the packet that `next_media` gave last, in -dBov; None where the stack measures or nobody has."""
        self._last_timestamp: int | None = None
        self._last_at = 0.0

    async def next_media(self) -> "AvPacket | av.AudioFrame":
        source = self.source
        media: AvPacket | av.AudioFrame
        if isinstance(source, EncodedAudioSource):
            media = await self._next_packet(source)
        else:
            media = await self._next_frame(source)
        self._note_started()
        return media

    async def _next_packet(self, source: EncodedAudioSource) -> AvPacket:
        try:
            async with asyncio.timeout(DRY_SOURCE_S if self._is_heard else SILENCE_INTERVAL_S):
                taken = await source.take()
        except TimeoutError:
            self.level = SILENT_LEVEL
            return self._opus(OPUS_SILENCE, self._estimated_timestamp())
        self._last_timestamp, self._last_at = taken.timestamp, time.monotonic()
        self.level = taken.level if self._is_heard else SILENT_LEVEL
        return self._opus(taken.data if self._is_heard else OPUS_SILENCE, taken.timestamp)

    async def _next_frame(self, source: AudioSource) -> av.AudioFrame:
        frame = await source.read()
        if not self._is_heard:
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
        return frame

    @property
    def _is_heard(self) -> bool:
        return self.is_enabled and not self.is_stopped

    def _estimated_timestamp(self) -> int:
        elapsed = time.monotonic() - self._last_at if self._last_timestamp is not None else 0.0
        return (self._last_timestamp or 0) + int(elapsed * OPUS_CLOCK)

    def _opus(self, payload: bytes, timestamp: int) -> AvPacket:
        packet = av.Packet(payload)
        packet.pts = timestamp
        packet.time_base = Fraction(1, OPUS_CLOCK)
        return packet

    def _switched(self) -> None:
        if isinstance(self.source, EncodedAudioSource):
            self.source.drop_waiting()
        super()._switched()


class LocalVideoTrack(LocalMediaTrack):
    """Pictures from a VideoSource (encoded by aiortc) or an EncodedVideoSource (H.264 as it comes).

    Disabled, the source is not read. A raw track sends a black picture each second instead; an encoded one sends
    nothing, and begins again with a key frame.
    """

    kind = TrackKind.VIDEO

    def __init__(self, source: VideoSource | EncodedVideoSource, name: str | None = None) -> None:
        super().__init__(name)
        self.is_encoded = isinstance(source, EncodedVideoSource)
        self._source = source
        self._size = (640, 360)
        self._last_pts = 0
        self._last_at: float | None = None
        self._needs_keyframe = True
        self._is_held = False

    def hold(self, held: bool) -> None:
        """Send nothing as long as nobody receives it; the source is not read meanwhile."""
        if held != self._is_held:
            self._is_held = held
            self._switched()

    @property
    def source(self) -> VideoSource | EncodedVideoSource:
        return self._source

    def restart(self, source: VideoSource | EncodedVideoSource) -> None:
        """Go on with another source of the same sort, as after a camera came back; nothing is renegotiated.

        Raises:
            ValueError: one source is encoded and the other is not.
        """
        if isinstance(source, EncodedVideoSource) != self.is_encoded:
            raise ValueError("a running track cannot change between raw and encoded pictures; publish a new one")
        self._source = source
        self.is_stopped = False
        self._switched()

    async def next_media(self) -> "AvPacket | av.VideoFrame":
        if self._is_held:
            await _until_switched()
        if not self.is_enabled or self.is_stopped:
            return await self._next_while_dark()
        while True:
            frame = await self._source.read()
            media = self._picture(frame) if isinstance(frame, av.VideoFrame) else self._packet(frame)
            if media is not None:
                self._note_started()
                return media

    def resumed(self) -> None:
        self._needs_keyframe = True
        self.request_keyframe()

    def request_keyframe(self) -> None:
        if isinstance(self._source, EncodedVideoSource):
            self._source.request_keyframe()

    def set_bitrate(self, bitrate_bps: int) -> None:
        if isinstance(self._source, EncodedVideoSource):
            self._source.set_bitrate(bitrate_bps)

    def _switched(self) -> None:
        super()._switched()
        if self.is_enabled and not self.is_stopped:
            self.resumed()

    def _packet(self, frame: EncodedFrameLike) -> "AvPacket | None":
        if self._needs_keyframe and not frame.keyframe:
            return None
        self._needs_keyframe = False
        packet = av.Packet(frame.data)
        packet.pts = frame.pts_90k
        packet.time_base = Fraction(1, VIDEO_CLOCK)
        return packet

    def _picture(self, frame: av.VideoFrame) -> av.VideoFrame:
        self._size = (frame.width, frame.height)
        if frame.time_base is None:
            frame.time_base = Fraction(1, VIDEO_CLOCK)
        self._last_pts, self._last_at = int((frame.pts or 0) * frame.time_base * VIDEO_CLOCK), time.monotonic()
        return frame

    async def _next_while_dark(self) -> av.VideoFrame:
        if self.is_encoded:
            await _until_switched()
        if self._last_at is not None:
            await asyncio.sleep(BLACK_INTERVAL_S)
        now = time.monotonic()
        self._last_pts += int((now - (self._last_at or now)) * VIDEO_CLOCK)
        self._last_at = now
        return _black_picture(self._size, self._last_pts)


async def _until_switched() -> None:
    await asyncio.Event().wait()  # for ever: whoever draws is told of the switch and cancels


def _black_picture(size: tuple[int, int], pts: int) -> av.VideoFrame:
    frame = av.VideoFrame(*size, "yuv420p")
    for plane, value in zip(frame.planes, (16, 128, 128), strict=True):  # black in video range (BT.601)
        plane.update(bytes([value]) * plane.buffer_size)
    frame.pts = pts
    frame.time_base = Fraction(1, VIDEO_CLOCK)
    return frame


class LocalDataTrack(LocalTrack):
    """Messages to everyone who subscribes. Always enabled.

    Args:
        max_packet_life_time: milliseconds, or None. At most one of the two limits may be given.
        max_retransmits: or None. With neither, messages are delivered reliably.
    """

    kind = TrackKind.DATA

    def __init__(
        self,
        name: str | None = None,
        *,
        ordered: bool = True,
        max_packet_life_time: int | None = None,
        max_retransmits: int | None = None,
    ) -> None:
        super().__init__(name)
        if max_packet_life_time is not None and max_retransmits is not None:
            raise ValueError("give max_packet_life_time or max_retransmits, not both (RFC 8832, 5.1)")
        self.ordered = ordered
        self.max_packet_life_time = max_packet_life_time
        self.max_retransmits = max_retransmits
        self._outlet: Callable[[str | bytes], None] | None = None
        self._waiting: deque[str | bytes] = deque(maxlen=DATA_MESSAGES_WAITING)

    @property
    def is_enabled(self) -> bool:
        return True

    @property
    def reliable(self) -> bool:
        return self.max_packet_life_time is None and self.max_retransmits is None

    def send(self, data: str | bytes) -> None:
        """Send a message. While no channel is open the newest hundred wait for it."""
        if not isinstance(data, str | bytes):
            raise TypeError(f"a message is str or bytes, not {type(data).__name__}")
        if self._outlet is None:
            self._waiting.append(data)
        else:
            self._outlet(data)

    def opened(self, outlet: Callable[[str | bytes], None]) -> None:
        """The peer connection has a channel now; what waited leaves at once."""
        self._outlet = outlet
        while self._waiting:
            outlet(self._waiting.popleft())

    def closed(self, outlet: Callable[[str | bytes], None]) -> None:
        """That channel is gone; a newer one may already be open."""
        if self._outlet is outlet:
            self._outlet = None
