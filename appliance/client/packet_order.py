"""RTP packets into order and into frames, in place of aiortc's jitter buffers. Pure; told the time.

aiortc's own buffers serve a decoder that sits right behind them: the one for audio holds four packets and, after a
single lost one, sixteen; the one for video waits for the packet after a frame before it hands the frame over, and
for 512 packets after a loss. Here a voice packet passes at once and a gap costs 60 ms; a frame leaves with its
last packet, and after `GIVE_UP_S` a gap is left behind for the next key frame.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

VOICE_WAIT_PACKETS = 3
"""So many later packets of 20 ms may wait for a missing one; the ring behind us hides the rest."""

RESTART_DISTANCE = 100
"""A sequence number further behind than this begins a new stream rather than being late (aiortc: MAX_MISORDER)."""

GIVE_UP_S = 0.4
"""Long enough for two retransmissions over a slow link, short enough not to look like a frozen picture."""

ASK_AGAIN_S = 0.06
"""A lost retransmission is asked for again; the service asks its publishers every 50 ms (media-engine.md 4.7)."""

VIDEO_CAPACITY = 1024

MOST_ASKED = 128
"""So many packets at once are asked for again; who misses more is helped by a key frame alone (aiortc: 128 as well)."""


def _distance(newer: int, older: int) -> int:
    """Return how far `newer` is ahead, -32768 to 32767 (RFC 3550, appendix A.1)."""
    return ((newer - older + 0x8000) & 0xFFFF) - 0x8000


class VoiceOrder:
    """Hands voice packets over in order, each once.

    Args:
        deliver: called with payload and 32-bit RTP timestamp (48 kHz).
    """

    def __init__(self, deliver: Callable[[bytes, int], None]) -> None:
        self._deliver = deliver
        self._next: int | None = None
        self._waiting: dict[int, tuple[bytes, int]] = {}

    def add(self, sequence: int, timestamp: int, payload: bytes) -> None:
        if self._next is None or _distance(sequence, self._next) < -RESTART_DISTANCE:
            self._next = sequence
            self._waiting.clear()
        if _distance(sequence, self._next) < 0:
            return  # late or twice: its moment has passed
        self._waiting[sequence] = (payload, timestamp)
        if len(self._waiting) > VOICE_WAIT_PACKETS and self._next not in self._waiting:
            self._next = min(self._waiting, key=lambda number: _distance(number, sequence))
        while (packet := self._waiting.pop(self._next, None)) is not None:
            self._next = (self._next + 1) & 0xFFFF
            if packet[0]:  # empty: padding only
                self._deliver(*packet)


@dataclass(frozen=True, slots=True)
class VideoPacket:
    """One packet with its payload descriptor already removed."""

    sequence: int
    timestamp: int
    marker: bool
    data: bytes


class FrameOrder:
    """Puts packets of one video stream together to frames.

    Args:
        deliver: called with the frame's bytes, its 32-bit RTP timestamp (90 kHz), and whether frames before it were
            given up, so that only a key frame can follow.
    """

    def __init__(self, deliver: Callable[[bytes, int, bool], None]) -> None:
        self._deliver = deliver
        self._next: int | None = None
        self._packets: dict[int, VideoPacket] = {}
        self._newest = 0
        self._blocked_since: float | None = None
        self._asked_at = 0.0
        self._gave_up = False
        self._lost_timestamp: int | None = None

    def add(self, packet: VideoPacket, now: float) -> None:
        if self._next is None or _distance(packet.sequence, self._next) < -RESTART_DISTANCE:
            self._next = packet.sequence
            self._packets.clear()
            self._newest = packet.sequence
        if _distance(packet.sequence, self._next) < 0:
            return
        self._packets[packet.sequence] = packet
        if _distance(packet.sequence, self._newest) > 0:
            self._newest = packet.sequence
        self._hand_over()
        self._watch_gap(now)

    def missing(self, now: float) -> list[int]:
        """Return the sequence numbers to ask for once more now; mostly none."""
        if self._blocked_since is None or self._next is None or now - self._asked_at < ASK_AGAIN_S:
            return []
        self._asked_at = now
        span = _distance(self._newest, self._next)
        numbers = ((self._next + offset) & 0xFFFF for offset in range(span))
        return list(islice((number for number in numbers if number not in self._packets), MOST_ASKED))

    def _hand_over(self) -> None:
        while (end := self._end_of_frame()) is not None:
            assert self._next is not None
            count = _distance(end, self._next) + 1
            packets = [self._packets.pop((self._next + offset) & 0xFFFF) for offset in range(count)]
            self._next = (end + 1) & 0xFFFF
            data = b"".join(packet.data for packet in packets)
            if data and packets[0].timestamp != self._lost_timestamp:
                gave_up, self._gave_up = self._gave_up, False
                self._deliver(data, packets[0].timestamp, gave_up)

    def _end_of_frame(self) -> int | None:
        """Return the last sequence number of the frame that begins at `_next`, None while it is incomplete."""
        assert self._next is not None
        number = self._next
        first = self._packets.get(number)
        while (packet := self._packets.get(number)) is not None:
            if first is not None and packet.timestamp != first.timestamp:
                return (number - 1) & 0xFFFF  # a sender that sets no marker
            if packet.marker or (not packet.data and number == self._next):
                return number
            number = (number + 1) & 0xFFFF
        return None

    def _watch_gap(self, now: float) -> None:
        if not self._has_gap():
            self._blocked_since = None
            return
        if self._blocked_since is None:
            self._blocked_since = self._asked_at = now  # aiortc has just asked for the first time
        elif now - self._blocked_since > GIVE_UP_S or self._span() > VIDEO_CAPACITY:
            self._leave_gap_behind()
            self._blocked_since = None

    def _has_gap(self) -> bool:
        return len(self._packets) <= self._span()

    def _span(self) -> int:
        assert self._next is not None
        return _distance(self._newest, self._next)

    def _leave_gap_behind(self) -> None:
        """Go on at the newest frame that is known to be whole at its beginning; what lies before it is lost."""
        number = self._newest
        while (before := self._packets.get((number - 1) & 0xFFFF)) is not None:
            if before.timestamp != self._packets[number].timestamp:
                break
            number = (number - 1) & 0xFFFF
        else:
            # Its first packets are missing as well: not even the rest of this frame is of use.
            self._lost_timestamp = self._packets[self._newest].timestamp
        kept = ((number + offset) & 0xFFFF for offset in range(_distance(self._newest, number) + 1))
        self._packets = {n: self._packets[n] for n in kept}
        self._next = number
        self._gave_up = True
        self._hand_over()
