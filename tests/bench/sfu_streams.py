"""What the synthetic participants send and how they listen: RTP as a browser sends it, with times and losses."""

import asyncio
import functools
import secrets
import struct
import time
from array import array
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from aiortc.codecs.vpx import Vp8Encoder

from appliance.sfu import rtcp
from tests.bench.sfu_batch import SLOT_SIZE
from tests.bench.sfu_descriptions import (
    AUDIO_LEVEL_ID,
    MID_ID,
    OPUS,
    RTX,
    SEND_TIME_ID,
    TRANSPORT_CC_ID,
    VP8,
    media_lines,
    session_lines,
)
from tests.bench.sfu_line import BATCH, Line, lines_of

AUDIO_EVERY_S, FRAME_EVERY_S = 1 / 50, 1 / 30
WITHHELD_EVERY = 200
"""One video packet in so many is sent only when it is asked for: so resending works both ways under measurement."""
SAMPLED_EVERY = 8
"""One packet in so many is decrypted to learn when it was sent. A power of two."""
ESTIMATE_BPS = 100_000_000
SILENCE = b"\xf8\xff\xfe"
"""20 ms of nothing in Opus."""
_WITH_MID = 100  # packets; a browser names the mid until the first report comes
_MARK = struct.Struct("!III")
_HEADER = struct.Struct("!BBHIIHHBBHBH")
"""RTP's header and the two elements of its extension that every packet has, of 4 and 3 bytes (RFC 8285, 4.2)."""
_ARRIVED = struct.Struct("!xBH4xI")
"""Type, sequence number and SSRC of a packet."""
_CATCH_UP_S = 0.2
"""Who is later than this leaves out what was due, as a camera does."""
_MARK_AT = 16  # in the payload: behind descriptor and key frame header
_NTP_EPOCH = 2_208_988_800


@dataclass(frozen=True)
class VideoLayer:
    """One simulcast layer: `packets` a frame of `size` bytes each, 30 frames/s."""

    width: int
    height: int
    packets: int
    size: int


PLAIN = (VideoLayer(1280, 720, 6, 1050),)
SIMULCAST = (VideoLayer(320, 180, 1, 620), VideoLayer(640, 360, 2, 1050), VideoLayer(1280, 720, 6, 1050))


class SentTimes:
    """When each packet of each stream was sent, in ns on CLOCK_REALTIME; one for a whole load."""

    def __init__(self) -> None:
        self.streams: list[array[int]] = []
        self.magic = secrets.randbits(32)  # in each mark, since others may be in the rooms too

    def add(self) -> int:
        self.streams.append(array("q"))
        return len(self.streams) - 1


class _Stream:
    def __init__(self, times: SentTimes, ssrc: int, rtx_ssrc: int = 0) -> None:
        self.ssrc, self.rtx_ssrc = ssrc, rtx_ssrc
        self._magic, self._number = times.magic, times.add()
        self.times = times.streams[self._number]
        self.rtx_sequence = 0
        self.octets = 0
        self.withheld: dict[int, tuple[bytes, int, int, int]] = {}

    def mark(self) -> bytes:
        """Return what tells a receiver which packet this is: the next one."""
        return _MARK.pack(self._magic, self._number, len(self.times))


class Sending:
    """One participant's audio and video on its line, until stopped.

    `recorded`: frames to send over and over in place of zeros, for rooms in which somebody decodes.
    """

    def __init__(
        self,
        line: Line,
        times: SentTimes,
        number: int,
        layers: Sequence[VideoLayer] = PLAIN,
        recorded: Sequence[Sequence[bytes]] = (),
    ) -> None:
        self.line = line
        self.layers = layers
        self._recorded = recorded
        self._number = number
        base = 10_000 * (number + 1)
        self.audio = _Stream(times, base)
        self.video = [_Stream(times, base + 10 + 2 * i, base + 11 + 2 * i) for i in range(len(layers))]
        self._transport_number = 0
        self._keyframe_wanted = True
        self._tasks: list[asyncio.Task[None]] = []
        self._flows = asyncio.Event()
        self.sent = 0
        self.late_ns: array[int] | None = None
        """How late each beat of sound was, while there is a list to put it in."""
        self.heard = {"nack": 0, "keyframe request": 0, "transport-cc": 0, "remb": 0}

    def track_id(self, kind: str) -> str:
        return f"{kind}-{self._number}"

    def offer(self) -> str:
        """Return the first description: one audio and one video section, as a browser with camera and microphone."""
        return "\r\n".join([*session_lines("0 1"), *self.section("0", "audio"), *self.section("1", "video")]) + "\r\n"

    def section(self, mid: str, kind: str) -> list[str]:
        return [*media_lines(self.line, mid, kind, "sendonly", "actpass"), *self.own_lines(kind)]

    def own_lines(self, kind: str) -> list[str]:
        """Return what a section says of the streams in it."""
        lines = [f"a=msid:- {self.track_id(kind)}"]
        streams = [self.audio] if kind == "audio" else self.video
        if len(streams) > 1:
            lines.append("a=ssrc-group:SIM " + " ".join(str(stream.ssrc) for stream in streams))
        lines += [f"a=ssrc-group:FID {s.ssrc} {s.rtx_ssrc}" for s in streams if s.rtx_ssrc]
        ssrcs = [ssrc for s in streams for ssrc in (s.ssrc, s.rtx_ssrc) if ssrc]
        return lines + [f"a=ssrc:{ssrc} cname:person{self._number}" for ssrc in ssrcs]

    # --- sending

    def start(self) -> None:
        """Be ready to send; `flow` begins."""
        self._tasks = [asyncio.create_task(run()) for run in (self._send_audio, self._send_video, self._report)]

    def flow(self) -> None:
        self._flows.set()

    def pause(self) -> None:
        """Send no more media until `flow`."""
        self._flows.clear()
        for stream in self.video:  # nobody misses a packet that nothing follows, so that nobody would ask for it
            kept = stream.withheld.pop(len(stream.times) - 1 & 0xFFFF, None)
            if kept is not None:
                payload, timestamp, marker, number = kept
                stream.times[number] = self._send("1", VP8 | marker, number, timestamp, stream.ssrc, payload)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def control(self, data: bytes) -> None:
        """Take RTCP of the engine."""
        if data[1] == rtcp.TRANSPORT_FEEDBACK and data[0] & 31 == 15:
            self.heard["transport-cc"] += 1
            return
        for report in rtcp.read_compound(data):
            if isinstance(report, rtcp.KeyframeRequest):
                self.heard["keyframe request"] += 1
                self._keyframe_wanted = True
            elif isinstance(report, rtcp.BitrateEstimate):
                self.heard["remb"] += 1
            elif isinstance(report, rtcp.Nack):
                self.heard["nack"] += 1
                for stream in self.video:
                    if stream.ssrc == report.ssrc:
                        self._answer(stream, report.sequences)

    def _answer(self, stream: _Stream, sequences: Sequence[int]) -> None:
        for sequence in sequences:
            kept = stream.withheld.pop(sequence, None)
            if kept is not None:
                payload, timestamp, marker, number = kept
                payload = sequence.to_bytes(2) + payload
                stream.times[number] = self._send(
                    "1", RTX | marker, stream.rtx_sequence, timestamp, stream.rtx_ssrc, payload
                )
                stream.rtx_sequence += 1

    async def _beats(self, every_s: float, phase: float) -> AsyncIterator[float]:
        """Yield how late it is, at a steady rate; not all participants at the same moment."""
        loop = asyncio.get_running_loop()
        while True:
            await self._flows.wait()
            due = loop.time() + phase % 1 * every_s
            while True:
                await asyncio.sleep(due - loop.time())
                if not self._flows.is_set():
                    break
                late = loop.time() - due
                if late > _CATCH_UP_S:
                    due += late
                yield late
                due += every_s

    async def _send_audio(self) -> None:
        stream = self.audio
        level = 48 + self._number % 16
        sequence = 0
        async for late in self._beats(AUDIO_EVERY_S, self._number * 0.37):
            if self.late_ns is not None:
                self.late_ns.append(int(late * 1e9))
            payload = SILENCE if self._recorded else bytes(_MARK_AT) + stream.mark() + bytes(52)
            stream.times.append(self._send("0", OPUS, sequence, sequence * 960, stream.ssrc, payload, level))
            stream.octets += len(payload)
            self.sent += 1
            sequence += 1

    async def _send_video(self) -> None:
        frame = shown = 0
        async for _ in self._beats(FRAME_EVERY_S, self._number * 0.61):
            key, self._keyframe_wanted = self._keyframe_wanted, False
            if self._recorded:
                shown = 0 if key else (shown + 1) % len(self._recorded)
                self._send_packets(self.video[0], self._recorded[shown], frame * 3000)
            else:
                for layer, stream in zip(self.layers, self.video, strict=True):
                    self._send_frame(layer, stream, frame, key=key)
            frame += 1

    def _send_frame(self, layer: VideoLayer, stream: _Stream, frame: int, *, key: bool) -> None:
        for place in range(layer.packets):
            payload = vp8_payload(layer, frame, first=place == 0, key=key, mark=stream.mark())
            self._send_packet(stream, payload, frame * 3000, last=place == layer.packets - 1)

    def _send_packets(self, stream: _Stream, payloads: Sequence[bytes], timestamp: int) -> None:
        for place, payload in enumerate(payloads):
            self._send_packet(stream, payload, timestamp, last=place == len(payloads) - 1)

    def _send_packet(self, stream: _Stream, payload: bytes, timestamp: int, *, last: bool) -> None:
        number = len(stream.times)
        marker = 0x80 if last else 0
        sequence = number & 0xFFFF
        stream.times.append(time.time_ns())
        if number % WITHHELD_EVERY == WITHHELD_EVERY - 1:
            stream.withheld[sequence] = (payload, timestamp, marker, number)
        else:
            stream.times[number] = self._send("1", VP8 | marker, sequence, timestamp, stream.ssrc, payload)
        stream.octets += len(payload)
        self.sent += 1

    def _send(
        self, mid: str, kind: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, level: int | None = None
    ) -> int:
        """Send one packet with the header extensions of a browser; return the moment before the send call."""
        send_time = (time.time_ns() * 262144 // 1_000_000_000) & 0xFFFFFF
        tail = _last_elements(mid if self._transport_number < _WITH_MID else "", level)
        start = _HEADER.size + len(tail)
        size = start + len(payload)
        out = self.line.out
        _HEADER.pack_into(
            out,
            0,
            0x90,
            kind,
            sequence & 0xFFFF,
            timestamp & 0xFFFFFFFF,
            ssrc,
            0xBEDE,
            (start - 16) // 4,
            SEND_TIME_ID << 4 | 2,
            send_time >> 16,
            send_time & 0xFFFF,
            TRANSPORT_CC_ID << 4 | 1,
            self._transport_number & 0xFFFF,
        )
        out[_HEADER.size : start] = tail
        out[start:size] = payload
        self._transport_number += 1
        encrypted = self.line.encrypt(size)
        now = time.time_ns()
        self.line.send_raw(encrypted)
        return now

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(1)
            now = time.time()
            ntp = int((now + _NTP_EPOCH) * (1 << 32))
            for stream in (self.audio, *self.video):
                count = len(stream.times)
                report = rtcp.SenderReport(stream.ssrc, ntp, int(now * 90000), count, stream.octets)
                self.line.send_control(rtcp.write_sender_report(report, "person"))


@functools.cache
def _last_elements(mid: str, level: int | None) -> bytes:
    """Return what follows in the header extension, padded: of the sound its level, the mid where it is named."""
    elements = b"" if level is None else bytes([AUDIO_LEVEL_ID << 4, level])
    elements += bytes([MID_ID << 4]) + mid.encode() if mid else b""
    return elements + bytes(-(_HEADER.size + len(elements)) % 4)


def vp8_payload(layer: VideoLayer, frame: int, *, first: bool, key: bool, mark: bytes) -> bytes:
    """Return one packet of a frame: descriptor with picture id (RFC 7741, 4.2), header (RFC 6386, 9.1), zeros."""
    descriptor = struct.pack("!BBH", 0x90 if first else 0x80, 0x80, 0x8000 | frame & 0x7FFF)
    head = b""
    if first:
        head = b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", layer.width, layer.height) if key else b"\x11\0\0"
    start = descriptor + head
    return start + bytes(_MARK_AT - len(start)) + mark + bytes(layer.size - 12 - 16 - _MARK_AT - len(mark))


def recorded_video(width: int = 320, height: int = 180, frames: int = 60) -> list[list[bytes]]:
    """Return frames that a decoder can show, as VP8 payloads; the first is a key frame."""
    encoder = Vp8Encoder()
    plane = np.full((height * 3 // 2, width), 128, np.uint8)
    recorded = []
    for number in range(frames):
        plane[:height] = 16 + 2 * number
        frame = av.VideoFrame.from_ndarray(plane, format="yuv420p")
        frame.pts, frame.time_base = number * 3000, Fraction(1, 90_000)
        recorded.append(encoder.encode(frame, force_keyframe=number == 0)[0])
    return recorded


class _Heard:
    """What came of one SSRC."""

    __slots__ = ("count", "highest", "is_audio")

    def __init__(self, *, is_audio: bool) -> None:
        self.count = self.highest = 0
        self.is_audio = is_audio


@dataclass
class Receiving:
    """What arrives on a line: counted by SSRC, one in eight decrypted for its time under way."""

    line: Line
    times: SentTimes
    estimate_bps: int = ESTIMATE_BPS
    measuring: bool = False
    resent: int = 0
    latencies_ns: "array[int]" = field(default_factory=lambda: array("q"))
    by_ssrc: dict[int, _Heard] = field(default_factory=dict)
    resending: frozenset[int] = frozenset({RTX})
    _task: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        return sum(heard.count for heard in self.by_ssrc.values())

    @property
    def audio(self) -> int:
        return sum(heard.count for heard in self.by_ssrc.values() if heard.is_audio)

    def start(self) -> None:
        self.line.on_media = self._arrived
        self._task = asyncio.create_task(self._feed_back())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def learn(self, sdp: str) -> None:
        """Read which payload types are retransmissions."""
        found = {int(value.split()[0]) for value in lines_of(sdp, "rtpmap") if value.split()[1].startswith("rtx/")}
        self.resending |= found

    def _arrived(self, slot: int, size: int) -> None:
        kind, sequence, ssrc = _ARRIVED.unpack_from(BATCH.view, slot * SLOT_SIZE)
        heard = self.by_ssrc.get(ssrc)
        if heard is None:
            if kind & 0x7F in self.resending:
                self.resent += 1
                return
            heard = self.by_ssrc[ssrc] = _Heard(is_audio=kind & 0x7F == OPUS)
        heard.count += 1
        heard.highest = sequence
        if not sequence % SAMPLED_EVERY and self.measuring:
            self._sample(slot, size)

    def _sample(self, slot: int, size: int) -> None:
        view, at = BATCH.view, slot * SLOT_SIZE
        size = self.line.decrypt(slot, size)
        start = 12
        if view[at] & 0x10:
            start += 4 + 4 * (view[at + 14] << 8 | view[at + 15])
        if size >= start + _MARK_AT + _MARK.size:
            magic, stream, number = _MARK.unpack_from(view, at + start + _MARK_AT)
            if magic == self.times.magic:
                self.latencies_ns.append(BATCH.arrived_ns(slot) - self.times.streams[stream][number])

    async def _feed_back(self) -> None:
        """Report, estimate, and ask for one packet again, as receivers do."""
        turn = 0
        while True:
            await asyncio.sleep(1 / 3)
            ssrcs = dict(self.by_ssrc)
            if not ssrcs:
                continue
            data = rtcp.write_remb(1, self.estimate_bps, list(ssrcs)[:8])
            turn += 1
            if turn % 3 == 0:
                reports = [rtcp.ReceptionReport(ssrc, 0, 0, heard.highest, 20, 0, 0) for ssrc, heard in ssrcs.items()]
                data = rtcp.write_receiver_report(1, reports) + data
                ssrc, heard = max(ssrcs.items(), key=lambda item: item[1].count)  # a video
                self.line.send_control(rtcp.write_nack(1, ssrc, [heard.highest]))
            self.line.send_control(data)
