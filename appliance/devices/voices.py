"""The jitter ring of one remote voice: evens out arrival, hides loss, and returns to a short delay. Pure.

Any thread puts packets in (one append, no lock); the sound thread alone takes them out.

    late or doubled ▶ dropped     lost ▶ concealed     too many wait ▶ two packets become one
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from appliance.devices.samples import PERIOD_SAMPLES, Samples

TARGET_PACKETS = 2
MOST_PACKETS = 8
"""kiosk-processes.md 4, Rings."""

ROOM_PACKETS = 64
"""Beyond what is ever played: bounds memory should the sound thread stand still."""

CONCEALED_AT_MOST = 3
"""Periods that are made up; after 60 ms silence is less disturbing."""

WINDOW_PERIODS = 25
"""Delay is judged by the emptiest moment of half a second: less would take jitter for delay."""

JUMP_SAMPLES = 48_000
"""A timestamp further away than a second belongs to another timeline, a track published anew."""

_CROSSFADE = 240
_RAMP = np.linspace(0.0, 1.0, _CROSSFADE, dtype=np.float32)
_CONCEAL_GAINS = (1.0, 0.6, 0.3, 0.0)

_SILK_MS, _HYBRID_MS, _CELT_MS = (10, 20, 40, 60), (10, 20), (2.5, 5, 10, 20)


def opus_samples(payload: bytes) -> int:
    """Return how many samples at 48 kHz an Opus packet holds (RFC 6716, 3.1 and 3.2); 0 for what is no packet."""
    if not payload:
        return 0
    configuration, code = payload[0] >> 3, payload[0] & 3
    if configuration < 12:
        frame_ms = float(_SILK_MS[configuration & 3])
    elif configuration < 16:
        frame_ms = float(_HYBRID_MS[configuration & 1])
    else:
        frame_ms = float(_CELT_MS[configuration & 3])
    counted = payload[1] & 0x3F if len(payload) > 1 else 0
    frames = (1, 2, 2, counted)[code]
    samples = int(frame_ms * 48) * frames
    return samples if samples <= 5760 else 0  # 120 ms at most (RFC 6716, 3.4, R5)


def timestamp_distance(later: int, earlier: int) -> int:
    """Return later - earlier of 32-bit RTP timestamps, the short way round (RFC 3550, 5.1)."""
    return ((later - earlier + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


class Do(Enum):
    """What the sound thread does for the next stretch of this voice."""

    PLAY = "decode and play the packet"
    MERGE = "decode both packets, cross-fade from the first to the second"
    CONCEAL = "make up one period"
    SILENCE = "nothing to hear"


@dataclass(frozen=True, slots=True)
class Step:
    do: Do
    payload: bytes = b""
    merged_into: bytes = b""


_SILENCE, _CONCEAL = Step(Do.SILENCE), Step(Do.CONCEAL)


class JitterRing:
    """Packets of one voice on their way from the network's clock to the card's."""

    def __init__(self) -> None:
        self._packets: deque[tuple[bytes, int]] = deque(maxlen=ROOM_PACKETS)
        self._filling = True
        self._expected: int | None = None
        self._dry = 0
        self._concealed = 0
        self._emptiest = ROOM_PACKETS
        self._judged = 0
        self.lost = 0
        self.late = 0

    def put(self, payload: bytes, timestamp: int) -> None:
        """Add a packet in sequence order, from any thread."""
        self._packets.append((payload, timestamp))

    @property
    def waiting(self) -> int:
        """Packets that wait to be played."""
        return len(self._packets)

    def take(self) -> Step:
        """Decide what comes next. To be called once for every stretch of sound that is needed."""
        packets = self._packets
        if self._filling:
            if len(packets) < TARGET_PACKETS:
                return _SILENCE
            self._filling, self._dry, self._emptiest, self._judged = False, 0, ROOM_PACKETS, 0
        while len(packets) > MOST_PACKETS:
            packets.popleft()
            self._expected = None
        long_enough = self._judge()
        while packets:
            step = self._next(long_enough)
            if step is not None:
                self._dry = 0
                return step
        return self._run_dry()

    def _judge(self) -> bool:
        """Return whether a packet can be spared: more than the target waited all through the window."""
        self._emptiest = min(self._emptiest, len(self._packets))
        self._judged += 1
        if self._judged < WINDOW_PERIODS:
            return False
        spare = self._emptiest > TARGET_PACKETS
        self._emptiest, self._judged = ROOM_PACKETS, 0
        return spare

    def _next(self, spare: bool) -> Step | None:
        """Return what to do with the oldest packet, None when it came too late to be heard."""
        payload, timestamp = self._packets[0]
        gap = 0 if self._expected is None else timestamp_distance(timestamp, self._expected)
        if -JUMP_SAMPLES < gap < 0:
            self._packets.popleft()
            self.late += 1
            return None
        missing = gap // PERIOD_SAMPLES
        if 0 < missing <= CONCEALED_AT_MOST and self._concealed < CONCEALED_AT_MOST and not spare:
            self._expected = (timestamp - (missing - 1) * PERIOD_SAMPLES) & 0xFFFF_FFFF
            self._concealed += 1
            self.lost += 1
            return _CONCEAL
        self._packets.popleft()
        self._concealed = 0
        self._expected = (timestamp + opus_samples(payload)) & 0xFFFF_FFFF
        if not spare or not self._packets:
            return Step(Do.PLAY, payload)
        following, timestamp = self._packets.popleft()
        self._expected = (timestamp + opus_samples(following)) & 0xFFFF_FFFF
        return Step(Do.MERGE, payload, following)

    def _run_dry(self) -> Step:
        """Nothing has come in time. What comes later is still played: the delay grows by what was made up here."""
        self._dry += 1
        if self._dry <= CONCEALED_AT_MOST:
            return _CONCEAL
        self._filling = True
        return _SILENCE


def crossfaded(first: Samples, second: Samples) -> Samples:
    """Return `second` with its first 5 ms faded in over those of `first`: a period taken out without a click."""
    length = min(_CROSSFADE, len(first), len(second))
    if length == 0:
        return second
    ramp = _RAMP[:: max(1, _CROSSFADE // length)][:length]
    joined = second.copy()
    joined[:length] = (first[:length] * (1 - ramp) + second[:length] * ramp).astype(np.int16)
    return joined


def made_up(last: Samples, already: int) -> Samples:
    """Return a period that goes on from the last one heard.

    The last period backwards, then forwards: each begins where the one before ended, so nothing clicks, and
    every repetition is softer.
    Args:
        already: how many periods were made up before this one.
    """
    start = _CONCEAL_GAINS[min(already, len(_CONCEAL_GAINS) - 1)]
    end = _CONCEAL_GAINS[min(already + 1, len(_CONCEAL_GAINS) - 1)]
    turned = last[::-1] if already % 2 == 0 else last
    return (turned * np.linspace(start, end, len(last), dtype=np.float32)).astype(np.int16)
