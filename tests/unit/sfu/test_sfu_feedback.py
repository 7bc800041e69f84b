"""What a publisher hears of its packets."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.sfu.feedback import LossBasedRate, Missing, ReceptionRecord, TransportArrivals, write_status_chunks
from appliance.sfu.rtcp import SenderReport


def read_feedback(packet: bytes) -> tuple[int, list[float | None]]:
    """Decode a transport-cc packet as a sender does: its base number, and each arrival in ms or None."""
    first, kind, words = struct.unpack_from("!BBH", packet)
    assert (first >> 6, first & 31, kind, len(packet)) == (2, 15, 205, 4 * words + 4)
    end = len(packet) - (packet[-1] if first & 0x20 else 0)
    base, count = struct.unpack_from("!HH", packet, 12)
    reference = int.from_bytes(packet[16:19], "big")
    position, symbols = 20, list[int]()
    while len(symbols) < count:
        (chunk,) = struct.unpack_from("!H", packet, position)
        position += 2
        if not chunk & 0x8000:
            symbols += [chunk >> 13] * (chunk & 0x1FFF)
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    clock, arrivals = reference * 64.0, list[float | None]()
    for symbol in symbols[:count]:
        if symbol == 0:
            arrivals.append(None)
            continue
        delta = packet[position] if symbol == 1 else struct.unpack_from("!h", packet, position)[0]
        position += symbol
        clock += delta / 4
        arrivals.append(clock)
    assert position == end
    return base, arrivals


def test_the_bytes_of_a_small_feedback_packet() -> None:
    arrivals = TransportArrivals()
    arrivals.fresh += [(7, 0.064), (8, 0.065), (10, 0.070)]

    [packet] = arrivals.take_feedback(0x11111111, 0x22222222)

    assert packet == bytes.fromhex(
        "afcd 0006"  # padded, format 15; 7 words
        "11111111 22222222"
        "0007 0004"  # from number 7, 4 numbers
        "000001 00"  # 1 x 64 ms, first feedback
        "b400"  # one bit each: received, received, lost, received
        "00 04 14"  # deltas in 250 us
        "000003"  # padding
    )


def test_numbers_between_two_feedbacks_are_reported_lost_and_late_ones_not_again() -> None:
    arrivals = TransportArrivals()
    arrivals.fresh += [(65534, 1.0), (65535, 1.001)]
    arrivals.take_feedback(1, 2)
    arrivals.fresh += [(2, 1.1), (65535, 1.101), (1, 1.102)]

    [packet] = arrivals.take_feedback(1, 2)

    base, reported = read_feedback(packet)
    assert base == 0
    assert [arrival is not None for arrival in reported] == [False, True, True]
    assert packet[19] == 1


def test_nothing_new_gives_no_packet() -> None:
    arrivals = TransportArrivals()

    assert arrivals.take_feedback(1, 2) == []


@settings(deadline=None)
@given(
    start=st.integers(0, 65535),
    steps=st.lists(st.tuples(st.integers(1, 40), st.floats(0, 0.5, allow_nan=False)), min_size=1, max_size=120),
)
def test_a_sender_reads_back_what_arrived_when(start: int, steps: list[tuple[int, float]]) -> None:
    arrivals = TransportArrivals()
    number, now, expected = start, 100.0, dict[int, float]()
    for step, pause in steps:
        number, now = number + step, now + pause
        arrivals.fresh.append((number & 0xFFFF, now))
        expected[number] = now

    found = dict[int, float]()
    for packet in arrivals.take_feedback(1, 2):
        base, reported = read_feedback(packet)
        unwrapped = start + ((base - start) & 0xFFFF)
        found |= {unwrapped + place: ms for place, ms in enumerate(reported) if ms is not None}

    assert found.keys() == expected.keys()
    assert all(abs(found[n] / 1000 - expected[n]) < 0.0003 for n in expected)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=300))
def test_chunks_hold_every_symbol(symbols: list[int]) -> None:
    chunks = write_status_chunks(symbols)

    read = list[int]()
    for (chunk,) in struct.iter_unpack("!H", chunks):
        if not chunk & 0x8000:
            read += [chunk >> 13 & 3] * (chunk & 0x1FFF)
        elif chunk & 0x4000:
            read += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            read += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    assert read[: len(symbols)] == symbols
    assert not any(read[len(symbols) :])


def test_missing_packets_are_asked_for_at_once_again_and_then_given_up() -> None:
    missing = Missing()
    assert missing.gap(10, 11, now=0.0)

    assert missing.due(0.0) == [10, 11]
    assert missing.due(0.02) == []
    missing.wanted.pop(10)
    assert missing.due(0.05) == [11]
    tries = 2
    now = 0.05
    while missing.wanted:
        now += 0.05
        tries += len(missing.due(now))
    assert tries == 8
    assert missing.due(9.0) == []


@pytest.mark.parametrize("first_tick", [0.001, 0.024, 0.026, 0.049])
def test_a_lost_answer_is_asked_for_again_at_the_tick_that_is_nearest_to_the_time(first_tick: float) -> None:
    missing = Missing()
    missing.gap(10, 10, now=0.0)
    missing.due(0.0)

    again = next(tick for tick in (first_tick, first_tick + 0.05) if missing.due(tick))

    assert 0.025 <= again < 0.075


def test_a_long_gap_is_a_break_and_not_asked_for() -> None:
    missing = Missing()
    missing.gap(1, 3, now=0.0)

    assert not missing.gap(10, 300, now=0.0)
    assert not missing.wanted


def test_a_report_tells_the_loss_since_the_last_one_and_the_delay_since_the_publishers() -> None:
    record = ReceptionRecord()
    record.report(7, expected=100, received=100, highest_index=100, jitter=0, now=1.0)
    record.heard(SenderReport(7, 0x0123_4567_89AB_CDEF, 0, 0, 0), now=1.5)

    report = record.report(7, expected=200, received=175, highest_index=0x10005, jitter=3.7, now=2.0)

    assert (report.fraction_lost, report.lost, report.highest_sequence, report.jitter) == (64, 25, 0x10005, 3)
    assert (report.last_sr, report.delay_since_sr) == (0x4567_89AB, 32768)


def test_packets_that_come_twice_do_not_make_a_negative_loss() -> None:
    record = ReceptionRecord()

    assert record.report(7, expected=10, received=12, highest_index=10, jitter=0, now=1.0).fraction_lost == 0


def test_the_rate_shrinks_with_losses_and_grows_without_within_its_limits() -> None:
    rate = LossBasedRate(bitrate_bps=1_000_000)

    assert rate.update(0.5) == 750_000
    assert rate.update(0.05) == 750_000
    assert rate.update(0.0) > 800_000
    for _ in range(100):
        rate.update(0.0)
    assert rate.bitrate_bps == rate.largest_bps
    for _ in range(100):
        rate.update(1.0)
    assert rate.bitrate_bps == rate.smallest_bps


class AlwaysTheLongWay(TransportArrivals):
    def _simple_packet(self, sender: int, media: int) -> bytes | None:
        return None


@given(
    start=st.integers(0, 1 << 20),
    steps=st.lists(
        st.tuples(st.sampled_from([1, 1, 1, 1, 2, 0]), st.floats(-0.01, 0.09, allow_nan=False)), min_size=1, max_size=40
    ),
)
def test_the_short_way_writes_what_the_long_way_writes(start: int, steps: list[tuple[int, float]]) -> None:
    now, number, fresh = 100.0, start, list[tuple[int, float]]()
    for step, pause in steps:
        number, now = number + step, now + pause
        fresh.append((number & 0xFFFF, now))
    short = TransportArrivals(fresh=list(fresh), next_number=start)
    long = AlwaysTheLongWay(fresh=list(fresh), next_number=start)

    assert short.take_feedback(1, 2) == long.take_feedback(1, 2)
    assert short.next_number == long.next_number
