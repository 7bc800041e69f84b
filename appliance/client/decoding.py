"""Encoded frames to pictures and samples, on a thread of their own; no frame crosses the event loop.

One thread per track that someone looks at, one frame at a time. A queue that grows is cut at the next key frame
(kiosk-processes.md 4): late pictures help nobody.
"""

import logging
import queue
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av

logger = logging.getLogger(__name__)

LONGEST_QUEUE_FRAMES = 10
ASK_AGAIN_S = 1.0

VIDEO_TIME_BASE = Fraction(1, 90_000)
AUDIO_TIME_BASE = Fraction(1, 48_000)

_H264_IDR = 5

EncodedVideo = tuple[str, bytes, int]
"""Codec as in SDP (`"H264"`, `"VP8"`), one access unit or VP8 frame, 32-bit RTP timestamp."""


def is_keyframe(codec: str, data: bytes) -> bool:
    """Tell whether decoding can begin with this frame (VP8: RFC 6386, 9.1; H.264: an IDR slice, Annex B)."""
    match codec:
        case "VP8":
            return bool(data) and not data[0] & 1
        case "H264":
            return _H264_IDR in nal_unit_types(data)
        case _:
            return True


def nal_unit_types(data: bytes) -> list[int]:
    """Return the types of the NAL units of an Annex B access unit, in order (H.264, table 7-1)."""
    types = []
    position = data.find(b"\x00\x00\x01")
    while 0 <= position < len(data) - 3:
        types.append(data[position + 3] & 0x1F)
        position = data.find(b"\x00\x00\x01", position + 3)
    return types


class TimestampUnwrapper:
    """Continues 32-bit RTP timestamps beyond 2^32; the first one becomes 0. Pure."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._value = 0

    def unwrap(self, timestamp: int) -> int:
        if self._last is not None:
            self._value += ((timestamp - self._last + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
        self._last = timestamp
        return self._value


class VideoDecoding:
    """Decodes one track's video as long as it is running.

    Args:
        name: of the thread.
        show: called on the decoding thread with every picture; `pts` in 1/90000 s from the first frame.
        ask_for_keyframe: called within `put` where one is needed, at most once a second.
    """

    def __init__(self, name: str, show: Callable[[av.VideoFrame], None], ask_for_keyframe: Callable[[], None]) -> None:
        self._show = show
        self._ask_for_keyframe = ask_for_keyframe
        self._frames: queue.SimpleQueue[EncodedVideo | None] = queue.SimpleQueue()
        self._needs_keyframe = True
        self._asked_at = float("-inf")
        self._decode_failed = threading.Event()
        self._timestamps = TimestampUnwrapper()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, codec: str, data: bytes, timestamp: int, now: float, *, after_gap: bool = False) -> None:
        """Take a frame; `after_gap` where frames before it are missing. `now`: seconds on a monotonic clock."""
        if self._stopped:
            return
        if after_gap or self._decode_failed.is_set() or self._frames.qsize() > LONGEST_QUEUE_FRAMES:
            self._decode_failed.clear()
            self._needs_keyframe = True
        if self._needs_keyframe:
            if not is_keyframe(codec, data):
                self._ask(now)
                return
            self._needs_keyframe = False
            self._drop_waiting()
        self._frames.put((codec, data, timestamp))

    def stop(self) -> None:
        """End after the frame in work; nothing is shown afterwards. Stopping twice is fine."""
        self._stopped = True
        self._show = _show_nothing
        self._frames.put(None)

    def _ask(self, now: float) -> None:
        if now - self._asked_at >= ASK_AGAIN_S:
            self._asked_at = now
            self._ask_for_keyframe()

    def _drop_waiting(self) -> None:
        while not self._frames.empty():
            try:
                self._frames.get_nowait()
            except queue.Empty:  # the thread was quicker
                return

    def _run(self) -> None:
        decoder: Any = None
        decoder_codec = ""
        while (frame := self._frames.get()) is not None:
            codec, data, timestamp = frame
            if codec != decoder_codec:
                decoder, decoder_codec = av.CodecContext.create(codec.lower(), "r"), codec
                decoder.thread_count = 1  # frame threads would add a frame of delay each
            packet = av.Packet(data)
            packet.pts = self._timestamps.unwrap(timestamp)
            packet.time_base = VIDEO_TIME_BASE
            try:
                pictures = decoder.decode(packet)
            except av.FFmpegError as error:
                logger.warning("%s: cannot decode a frame: %s", self._thread.name, error)
                self._decode_failed.set()
                continue
            for picture in pictures:
                self._show(picture)


def _show_nothing(_: av.VideoFrame) -> None:
    return


class VoiceDecoder:
    """Decodes Opus packets of one track, for those who want samples instead of packets."""

    def __init__(self) -> None:
        self._codec: Any = av.CodecContext.create("libopus", "r")
        self._codec.format = "s16"
        self._codec.layout = "stereo"
        self._codec.sample_rate = 48_000
        self._timestamps = TimestampUnwrapper()

    def decode(self, payload: bytes, timestamp: int) -> list[av.AudioFrame]:
        """Return s16 stereo frames at 48 kHz, none where the packet is damaged."""
        packet = av.Packet(payload)
        packet.pts = self._timestamps.unwrap(timestamp)
        packet.time_base = AUDIO_TIME_BASE
        try:
            return list(self._codec.decode(packet))
        except av.FFmpegError as error:
            logger.warning("cannot decode a voice packet: %s", error)
            return []
