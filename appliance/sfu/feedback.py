"""What a publisher has to hear of its packets: losses, arrivals, a bitrate. Pure; times are seconds of one clock."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from appliance.sfu.rtcp import TRANSPORT_FEEDBACK, ReceptionReport, SenderReport

NACK_REPEAT_S = 0.05
_NEAREST_TICK_S = 0.025
"""It is looked at every 50 ms: to wait for the first look after the time is up would take up to twice that time."""
NACK_TRIES = 8
NACK_GIVE_UP_S = 1.0
LARGEST_GAP = 200
"""A longer gap is a break, not a loss: asking for hundreds of packets would only add to the trouble."""

TRANSPORT_CC_INTERVAL_S = 0.1
_MOST_AT_ONCE = 1000


@dataclass(slots=True)
class Missing:
    """The packets of one stream that should have come, by index.

    The packet path pops from `wanted` what arrives late. `noted` counts all that were missing at first, ever,
    `given_up` those that were asked for in vain.
    """

    wanted: dict[int, list[float]] = field(default_factory=dict)  # index → [first missed, last asked for, tries]
    noted: int = 0
    given_up: int = 0

    def gap(self, first: int, last: int, now: float) -> bool:
        """Note that the indices first … last were jumped over; False where the gap is too long to be asked for."""
        if last - first >= LARGEST_GAP:
            self.wanted.clear()
            return False
        self.noted += last - first + 1
        for index in range(first, last + 1):
            self.wanted[index] = [now, float("-inf"), 0]
        return True

    def due(self, now: float) -> list[int]:
        """Return the indices to ask for now, oldest first; forget those that were asked for often or long enough."""
        for index in [i for i, (since, _, tries) in self.wanted.items() if self._hopeless(since, tries, now)]:
            del self.wanted[index]
            self.given_up += 1
        soonest = NACK_REPEAT_S - _NEAREST_TICK_S
        asked = sorted(index for index, entry in self.wanted.items() if now - entry[1] >= soonest)
        for index in asked:
            self.wanted[index][1] = now
            self.wanted[index][2] += 1
        return asked

    @staticmethod
    def _hopeless(since: float, tries: float, now: float) -> bool:
        return tries >= NACK_TRIES or now - since > NACK_GIVE_UP_S

    def forget_old(self, now: float) -> None:
        """For streams that nobody resends: a packet later than this is of no use, and the table must not grow."""
        for index in [i for i, entry in self.wanted.items() if now - entry[0] > NACK_GIVE_UP_S]:
            del self.wanted[index]


@dataclass(slots=True)
class ReceptionRecord:
    """What was reported of one incoming stream, to report the difference next time (RFC 3550, A.3)."""

    expected_before: int = 0
    received_before: int = 0
    last_report: SenderReport | None = None
    last_report_at: float = 0.0

    def heard(self, report: SenderReport, now: float) -> None:
        """Take the publisher's own report, to be named in ours."""
        self.last_report = report
        self.last_report_at = now

    def report(
        self, ssrc: int, expected: int, received: int, highest_index: int, jitter: float, now: float
    ) -> ReceptionReport:
        """Return the block for the next receiver report; counts are totals since the stream began."""
        new = expected - self.expected_before
        lost = new - (received - self.received_before)
        self.expected_before, self.received_before = expected, received
        last_sr, delay = 0, 0
        if self.last_report is not None:
            last_sr = self.last_report.ntp >> 16 & 0xFFFFFFFF
            delay = round((now - self.last_report_at) * 65536)
        return ReceptionReport(
            ssrc=ssrc,
            fraction_lost=min(255, lost * 256 // new) if new > 0 and lost > 0 else 0,
            lost=expected - received,
            highest_sequence=highest_index & 0xFFFFFFFF,
            jitter=int(jitter),
            last_sr=last_sr,
            delay_since_sr=delay,
        )


@dataclass(slots=True)
class LossBasedRate:
    """A bitrate for publishers that take no transport-cc: grow while packets arrive, shrink when they are lost.

    The loss half of Google congestion control (draft-ietf-rmcat-gcc-02, 6); in bit/s.
    """

    bitrate_bps: int = 2_500_000
    smallest_bps: int = 150_000
    largest_bps: int = 4_000_000

    def update(self, fraction_lost: float) -> int:
        """Take the share of packets lost in the last second, 0 … 1, and return the rate to allow now."""
        if fraction_lost > 0.1:
            wanted = self.bitrate_bps * (1 - 0.5 * fraction_lost)
        elif fraction_lost < 0.02:
            wanted = self.bitrate_bps * 1.08 + 1000
        else:
            return self.bitrate_bps
        self.bitrate_bps = int(max(self.smallest_bps, min(wanted, self.largest_bps)))
        return self.bitrate_bps


@dataclass(slots=True)
class TransportArrivals:
    """Arrivals by transport-wide sequence number, turned into feedback (draft-holmer-rmcat-transport-wide-cc-01).

    The packet path appends (16-bit number, arrival) to `fresh`.
    """

    fresh: list[tuple[int, float]] = field(default_factory=list)
    next_number: int | None = None  # unwrapped; what was reported before it is not reported again
    feedback_count: int = 0

    def take_feedback(self, sender: int, media: int) -> list[bytes]:
        """Return the RTCP packets that report what came since the last call: one, as a rule."""
        if (simple := self._simple_packet(sender, media)) is not None:
            self.fresh.clear()
            return [simple]
        arrivals = self._unwrapped()
        self.fresh.clear()
        packets: list[bytes] = []
        while arrivals:
            packet, arrivals = self._packet(arrivals, sender, media)
            packets.append(packet)
        return packets

    def _simple_packet(self, sender: int, media: int) -> bytes | None:
        """Return what `_packet` would, in a fifth of the time, where all came in order and without pauses of 64 ms."""
        base, count = self.next_number, len(self.fresh)
        if base is None or not 0 < count <= _MOST_AT_ONCE:
            return None
        first = base & 0xFFFF
        if [number for number, _ in self.fresh] != list(range(first, first + count)):
            return None
        ticks = [int(arrival * 4000) for _, arrival in self.fresh]
        reference = int(self.fresh[0][1] / 0.064)
        deltas = [after - before for before, after in pairwise([reference * 256, *ticks])]
        if min(deltas) < 0 or max(deltas) > 255:
            return None
        chunk = struct.pack("!H", 1 << 13 | count)
        return self._written(sender, media, base, count, reference, chunk + bytes(deltas))

    def _unwrapped(self) -> list[tuple[int, float]]:
        found: dict[int, float] = {}
        reference = self.next_number
        for number, arrival in self.fresh:
            if reference is None:
                reference = number
            unwrapped = reference + ((number - reference + 0x8000) & 0xFFFF) - 0x8000
            if self.next_number is None or unwrapped >= self.next_number:
                found.setdefault(unwrapped, arrival)
            reference = max(reference, unwrapped)
        return sorted(found.items())

    def _packet(
        self, arrivals: list[tuple[int, float]], sender: int, media: int
    ) -> tuple[bytes, list[tuple[int, float]]]:
        base = arrivals[0][0] if self.next_number is None else self.next_number
        if arrivals[0][0] - base > LARGEST_GAP:
            base = arrivals[0][0]
        reference = int(arrivals[0][1] / 0.064)  # so the first delta always fits, and every packet reports something
        symbols: list[int] = []
        deltas = bytearray()
        clock = reference * 256  # in 250 µs
        taken = 0
        for number, arrival in arrivals:
            ticks = int(arrival * 4000)
            delta = ticks - clock
            gap = number - base - len(symbols)
            if not -0x8000 <= delta <= 0x7FFF or gap > LARGEST_GAP or len(symbols) > _MOST_AT_ONCE:
                break
            symbols += [0] * gap
            small = 0 <= delta <= 255
            symbols.append(1 if small else 2)
            deltas += struct.pack("!B" if small else "!h", delta)
            clock = ticks
            taken += 1
        body = write_status_chunks(symbols) + bytes(deltas)
        return self._written(sender, media, base, len(symbols), reference, body), arrivals[taken:]

    def _written(self, sender: int, media: int, base: int, count: int, reference: int, body: bytes) -> bytes:
        self.next_number = base + count
        last = (reference & 0xFFFFFF) << 8 | self.feedback_count & 0xFF
        self.feedback_count += 1
        return _with_padding(struct.pack("!IIHHI", sender, media, base & 0xFFFF, count, last) + body)


def write_status_chunks(symbols: Sequence[int]) -> bytes:
    """Encode 0 (not received), 1 (small delta), 2 (large delta) as packet status chunks (section 3.1.1 … 3.1.4)."""
    chunks = bytearray()
    position = 0
    while position < len(symbols):
        run = _run_length(symbols, position)
        if run >= 14 or run == len(symbols) - position:
            chunks += struct.pack("!H", symbols[position] << 13 | run)
            position += run
            continue
        window = symbols[position : position + 14]
        if max(window) < 2:
            bits = sum(symbol << (13 - place) for place, symbol in enumerate(window))
            chunks += struct.pack("!H", 0x8000 | bits)
            position += 14
        else:
            bits = sum(symbol << (12 - 2 * place) for place, symbol in enumerate(window[:7]))
            chunks += struct.pack("!H", 0xC000 | bits)
            position += 7
    return bytes(chunks)


def _run_length(symbols: Sequence[int], position: int) -> int:
    end = position
    while end < len(symbols) and symbols[end] == symbols[position] and end - position < 0x1FFF:
        end += 1
    return end - position


def _with_padding(body: bytes) -> bytes:
    short = -len(body) % 4
    if short:
        body += bytes(short - 1) + bytes([short])
    first = 0x80 | (0x20 if short else 0) | 15
    return struct.pack("!BBH", first, TRANSPORT_FEEDBACK, len(body) // 4) + body
