"""Sources with something to recognise in them: numbered pictures, tones. And how to recognise it."""

import asyncio
import math
import threading
import time
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import av

from appliance.client.local_tracks import EncodedAudioSource, EncodedFrame

WIDTH, HEIGHT = 320, 240
BITS = 16
BLOCK = 20
FRAME_RATE = 25


def numbered_picture(number: int) -> av.VideoFrame:
    """Return a yuv420p picture whose top row holds `number` as 16 blocks, black for 0 and white for 1."""
    luma = bytearray([128]) * (WIDTH * HEIGHT)
    bits = [number >> shift & 1 for shift in range(BITS)]
    row = b"".join(bytes([235 if bit else 16]) * BLOCK for bit in bits)
    for line in range(BLOCK):
        luma[line * WIDTH : line * WIDTH + len(row)] = row
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, content in zip(frame.planes, (bytes(luma), None, None), strict=True):
        size, stride = plane.height * plane.line_size, plane.line_size
        if content is None:
            plane.update(bytes([128]) * plane.buffer_size)
        else:
            lines = (content[y * WIDTH : (y + 1) * WIDTH].ljust(stride, b"\x80") for y in range(plane.height))
            plane.update(b"".join(lines).ljust(plane.buffer_size, b"\x80")[: max(size, plane.buffer_size)])
    return frame


def picture_number(frame: av.VideoFrame) -> int:
    """Return the number in the picture's top row."""
    plane = frame.planes[0]
    data = bytes(plane)
    middle = (BLOCK // 2) * plane.line_size
    return sum((data[middle + bit * BLOCK + BLOCK // 2] > 128) << bit for bit in range(BITS))


def is_black(frame: av.VideoFrame) -> bool:
    return max(bytes(frame.planes[0])[: frame.width]) < 40


class NumberedPictures:
    """A VideoSource."""

    def __init__(self) -> None:
        self.number = 0
        self.reads_waiting = 0

    async def read(self) -> av.VideoFrame:
        self.reads_waiting += 1
        try:
            await asyncio.sleep(1 / FRAME_RATE)
        finally:
            self.reads_waiting -= 1
        self.number += 1
        frame = numbered_picture(self.number)
        frame.pts = self.number * 90_000 // FRAME_RATE
        frame.time_base = Fraction(1, 90_000)
        return frame


class NumberedH264:
    """An EncodedVideoSource: what a camera with an encoder gives."""

    def __init__(self) -> None:
        self.number = 0
        self.keyframes_asked = 0
        self.bitrates_bps: list[int] = []
        self._wanted = True
        self._encoder = av.CodecContext.create("libx264", "w")
        self._encoder.width, self._encoder.height = WIDTH, HEIGHT
        self._encoder.pix_fmt = "yuv420p"
        self._encoder.time_base = Fraction(1, FRAME_RATE)
        self._encoder.framerate = Fraction(FRAME_RATE, 1)
        self._encoder.bit_rate = 400_000
        self._encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=1000:scenecut=0"}
        self._encoder.profile = "Baseline"

    async def read(self) -> EncodedFrame:
        while True:
            await asyncio.sleep(1 / FRAME_RATE)
            self.number += 1
            picture = numbered_picture(self.number)
            picture.pts = self.number
            picture.time_base = Fraction(1, FRAME_RATE)
            if self._wanted:
                picture.pict_type = av.video.frame.PictureType.I
            packets = self._encoder.encode(picture)
            if packets:
                keyframe = any(packet.is_keyframe for packet in packets)
                self._wanted = self._wanted and not keyframe
                data = b"".join(bytes(packet) for packet in packets)
                return EncodedFrame(data, self.number * 90_000 // FRAME_RATE, keyframe)

    def request_keyframe(self) -> None:
        self.keyframes_asked += 1
        self._wanted = True

    def set_bitrate(self, bitrate_bps: int) -> None:
        self.bitrates_bps.append(bitrate_bps)


def tone_samples(frequency_hz: float, first: int, count: int = 960) -> bytes:
    """Return s16 mono samples at 48 kHz, half of full scale."""
    return array(
        "h", (int(16_000 * math.sin(2 * math.pi * frequency_hz * n / 48_000)) for n in range(first, first + count))
    ).tobytes()


class Tone:
    """An AudioSource of raw samples."""

    def __init__(self, frequency_hz: float) -> None:
        self._frequency_hz = frequency_hz
        self._samples = 0
        self._began: float | None = None

    async def read(self) -> av.AudioFrame:
        now = time.monotonic()
        self._began = self._began or now
        await asyncio.sleep(max(0.0, self._began + self._samples / 48_000 - now))
        frame = av.AudioFrame("s16", "mono", 960)
        frame.planes[0].update(tone_samples(self._frequency_hz, self._samples))
        frame.pts, frame.sample_rate, frame.time_base = self._samples, 48_000, Fraction(1, 48_000)
        self._samples += 960
        return frame


@dataclass(frozen=True)
class Packet:
    data: bytes
    timestamp: int
    level: int | None = None


def opus_tone(frequency_hz: float, packets: int) -> list[Packet]:
    """Return so many packets of 20 ms of a tone."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.format, encoder.layout, encoder.sample_rate = "s16", "mono", 48_000
    encoder.options = {"application": "voip"}
    encoded = []
    for number in range(packets):
        frame = av.AudioFrame("s16", "mono", 960)
        frame.planes[0].update(tone_samples(frequency_hz, number * 960))
        frame.pts, frame.sample_rate, frame.time_base = number * 960, 48_000, Fraction(1, 48_000)
        encoded += [bytes(packet) for packet in encoder.encode(frame)]
    return [Packet(data, number * 960) for number, data in enumerate(encoded)]


class SoundThread:
    """Leaves the packets of a tone in an EncodedAudioSource, from a thread of its own, until it is stopped."""

    def __init__(self, source: EncodedAudioSource, frequency_hz: float, level: int | None = None) -> None:
        self._source, self._level = source, level
        self._packets = opus_tone(frequency_hz, 100)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sound of a test", daemon=True)

    def __enter__(self) -> "SoundThread":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(0.02):
            packet = self._packets[number % len(self._packets)]
            self._source.put(Packet(packet.data, number * 960, self._level))
            number += 1


def strength(frames: Iterable[av.AudioFrame], frequency_hz: float) -> float:
    """Return how much of the sound's energy lies at `frequency_hz`, 0 to about 1 (Goertzel over all samples)."""
    samples = array("h")
    for frame in frames:
        step = len(frame.layout.channels)
        samples.extend(array("h", bytes(frame.planes[0])[: frame.samples * 2 * step])[::step])
    energy = sum(sample * sample for sample in samples)
    if not energy:
        return 0.0
    turn = 2 * math.pi * frequency_hz / 48_000
    real = sum(sample * math.cos(turn * n) for n, sample in enumerate(samples))
    imaginary = sum(sample * math.sin(turn * n) for n, sample in enumerate(samples))
    return 2 * (real * real + imaginary * imaginary) / (len(samples) * energy)


def loudness(frames: Iterable[av.AudioFrame]) -> float:
    """Return the root mean square of all samples, 0 to 32767."""
    samples = array("h")
    for frame in frames:
        samples.extend(array("h", bytes(frame.planes[0])[: frame.samples * 2 * len(frame.layout.channels)]))
    return math.sqrt(sum(sample * sample for sample in samples) / max(1, len(samples)))
