"""The jitter ring: what it plays, hides, trims, and how long it makes people wait."""

import numpy as np
import pytest

from appliance.devices.voices import (
    CONCEALED_AT_MOST,
    MOST_PACKETS,
    TARGET_PACKETS,
    WINDOW_PERIODS,
    Do,
    JitterRing,
    crossfaded,
    made_up,
    opus_samples,
    timestamp_distance,
)

TWENTY_MS = b"\xf8"  # CELT, full band, 20 ms, mono, one frame (RFC 6716, table 2)


def packet(number: int) -> bytes:
    return TWENTY_MS + number.to_bytes(4, "big")


def number_of(payload: bytes) -> int:
    return int.from_bytes(payload[1:], "big")


def filled(count: int, first: int = 0) -> JitterRing:
    ring = JitterRing()
    for number in range(first, first + count):
        ring.put(packet(number), number * 960)
    return ring


@pytest.mark.parametrize(
    ("payload", "samples"),
    [
        (b"\xf8\x00", 960),  # CELT 20 ms
        (b"\xe0\x00", 120),  # CELT 2.5 ms
        (b"\x18\x00", 2880),  # SILK 60 ms
        (b"\x78\x00", 960),  # hybrid 20 ms
        (b"\xf9\x00", 1920),  # two frames of equal size
        (b"\xfb\x03", 2880),  # three frames, counted in the second byte
        (b"\x1b\x3f", 0),  # 63 frames of 60 ms: longer than a packet may be
        (b"\xfb", 0),
        (b"", 0),
    ],
)
def test_a_packet_tells_its_length_in_its_first_byte(payload: bytes, samples: int) -> None:
    assert opus_samples(payload) == samples


def test_timestamps_are_compared_the_short_way_round() -> None:
    assert timestamp_distance(5, 0xFFFF_FFFB) == 10
    assert timestamp_distance(0xFFFF_FFFB, 5) == -10


def test_a_voice_is_silent_until_two_packets_wait() -> None:
    ring = filled(TARGET_PACKETS - 1)
    assert ring.take().do is Do.SILENCE
    ring.put(packet(1), 960)
    assert number_of(ring.take().payload) == 0


def test_packets_are_played_in_order_without_a_gap() -> None:
    ring = filled(2)
    played = []
    for number in range(2, 200):
        played.append(ring.take())
        ring.put(packet(number), number * 960)
    assert [number_of(step.payload) for step in played] == list(range(198))


def test_one_lost_packet_is_concealed_and_the_next_is_in_its_place() -> None:
    ring = JitterRing()
    for number in (0, 1, 3, 4):
        ring.put(packet(number), number * 960)
    steps = [ring.take() for _ in range(5)]
    assert [step.do for step in steps] == [Do.PLAY, Do.PLAY, Do.CONCEAL, Do.PLAY, Do.PLAY]
    assert ring.lost == 1


def test_a_long_gap_is_not_made_up() -> None:
    ring = JitterRing()
    for number in (0, 1, 30, 31):
        ring.put(packet(number), number * 960)
    assert [ring.take().do for _ in range(4)] == [Do.PLAY] * 4


def test_a_packet_that_comes_again_or_too_late_is_dropped() -> None:
    ring = filled(3)
    ring.take()
    ring.take()
    ring.put(packet(0), 0)
    ring.put(packet(3), 3 * 960)
    ring.take()
    assert number_of(ring.take().payload) == 3
    assert ring.late == 1


def test_a_voice_that_runs_dry_fades_and_then_collects_two_packets_again() -> None:
    ring = filled(2)
    ring.take()
    ring.take()
    assert [ring.take().do for _ in range(CONCEALED_AT_MOST + 1)] == [Do.CONCEAL] * CONCEALED_AT_MOST + [Do.SILENCE]
    ring.put(packet(2), 2 * 960)
    assert ring.take().do is Do.SILENCE
    ring.put(packet(3), 3 * 960)
    assert ring.take().do is Do.PLAY


def test_a_packet_that_was_only_late_is_still_heard() -> None:
    ring = filled(2)
    ring.take()
    ring.take()
    assert ring.take().do is Do.CONCEAL
    ring.put(packet(2), 2 * 960)
    assert number_of(ring.take().payload) == 2


def test_a_burst_is_cut_to_eight_packets() -> None:
    ring = filled(2)
    ring.take()
    for number in range(2, 40):
        ring.put(packet(number), number * 960)
    ring.take()
    assert ring.waiting < MOST_PACKETS


def test_delay_returns_to_the_target_after_a_burst() -> None:
    ring = filled(MOST_PACKETS)
    number, merged = MOST_PACKETS, 0
    for _ in range(WINDOW_PERIODS * (MOST_PACKETS + 2)):
        merged += ring.take().do is Do.MERGE
        ring.put(packet(number), number * 960)
        number += 1
    assert ring.waiting <= TARGET_PACKETS + 1
    assert merged == MOST_PACKETS - TARGET_PACKETS


def test_jitter_alone_is_never_trimmed() -> None:
    """Packets come three at a time: the ring swings between one and three, and that is no delay to spare."""
    ring = filled(3)
    number, concealed = 3, 0
    for period in range(600):
        step = ring.take()
        assert step.do is not Do.MERGE
        concealed += step.do is Do.CONCEAL
        if period % 3 == 2:
            for _ in range(3):
                ring.put(packet(number), number * 960)
                number += 1
    assert concealed == 0


def test_a_track_published_anew_starts_on_its_own_timeline() -> None:
    ring = filled(2, first=100_000)
    ring.take()
    ring.take()
    ring.put(packet(7), 7 * 960)
    assert number_of(ring.take().payload) == 7


def test_a_crossfade_begins_with_the_first_sound_and_ends_with_the_second() -> None:
    joined = crossfaded(np.full(960, 1000, np.int16), np.full(960, -1000, np.int16))
    assert joined[0] == 1000
    assert joined[240] == -1000
    assert np.all(np.diff(joined[:240]) <= 0)


def test_made_up_sound_goes_on_where_the_last_ended_and_dies_away() -> None:
    last = (np.sin(np.arange(960) * 0.1) * 8000).astype(np.int16)
    periods, before = [], last
    for already in range(4):
        periods.append(made_up(last, already))
        assert abs(int(periods[-1][0]) - int(before[-1])) < 900  # no more than the sine itself moves in a sample
        before = periods[-1]
    loudness = [int(np.abs(period).max()) for period in periods]
    assert loudness == sorted(loudness, reverse=True)
    assert loudness[-1] == 0
