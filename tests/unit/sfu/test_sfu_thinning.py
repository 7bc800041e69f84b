"""Temporal layers left out: what goes out is whole, counted without gaps, and can be asked for again."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.media_engine import Dimensions
from appliance.sfu.thinning import ALL_LAYERS, Thinner
from appliance.sfu.vp8 import Numbers, keyframe_size, read_packet, temporal_layer, with_numbers
from tests.support.vp8_packets import vp8_packet

PATTERN = ((0, True), (2, True), (1, True), (2, False), (0, False), (2, False), (1, False), (2, False))
"""(temporal layer, needs the base layer alone) of the pictures, as Chromium 156 sends them."""


class Sender:
    """Pictures of one to three packets in Chromium's pattern; `sent` is (index, timestamp, payload, layer)."""

    def __init__(self, pictures: int, *, first_index: int = 0x10000, first_picture: int = 0, seed: int = 1) -> None:
        self.sent: list[tuple[int, int, bytes, int]] = []
        random, index = Random(seed), first_index
        for number in range(pictures):
            temporal, sync = PATTERN[number % 8]
            for part in range(random.randint(1, 3)):
                payload = vp8_packet(
                    first_picture + number,
                    temporal,
                    sync=sync,
                    first=part == 0,
                    key=number == 0 and part == 0,
                    body=index,
                )
                self.sent.append((index, 3000 * number, payload, temporal))
                index += 1


def picture_id(payload: bytes) -> int:
    return int.from_bytes(payload[2:4], "big") & 0x7FFF


def begin(sender: Sender, limit: int, offset: int = 500) -> Thinner:
    index, timestamp, _, _ = sender.sent[0]
    return Thinner(offset, index - 1, timestamp - 1, limit)


@pytest.mark.parametrize("limit", [0, 1, 2])
@pytest.mark.parametrize("first_picture", [0, 0x7FF0])
def test_what_is_left_counts_on_without_gaps(limit: int, first_picture: int) -> None:
    sender = Sender(100, first_picture=first_picture)
    thinner = begin(sender, limit)

    out = [(thinner.take(index, timestamp, payload), layer) for index, timestamp, payload, layer in sender.sent]

    kept = [sent for sent, _ in out if sent is not None]
    assert all((sent is None) == (layer > limit) for sent, layer in out)
    assert [index for index, _ in kept] == list(range(kept[0][0], kept[0][0] + len(kept)))
    ids = [picture_id(payload) for _, payload in kept]
    steps = [(after - before) & 0x7FFF for before, after in pairwise(ids)]
    assert set(steps) <= {0, 1}
    assert sum(steps) == len({t for _, t, _, layer in sender.sent if layer <= limit}) - 1


@given(seed=st.integers(0, 10_000), limit=st.integers(0, 2), loss=st.floats(0, 0.3), wrap=st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_number_that_went_out_is_found_again_with_the_same_bytes(
    seed: int, limit: int, loss: float, wrap: bool
) -> None:
    random = Random(seed)
    sender = Sender(120, first_index=0x1FF80 if wrap else 0x10000, seed=seed)
    thinner = begin(sender, limit, offset=random.randrange(-0x8000, 0x8000))
    delayed = [packet for packet in sender.sent[1:] if random.random() < loss]
    history = {index: (timestamp, payload) for index, timestamp, payload, _ in sender.sent}
    out: dict[int, bytes] = {}

    late: list[tuple[int, int, bytes, int]] = []
    for packet in sender.sent:
        if packet in delayed:
            late.append(packet)
        else:
            take(thinner, packet, out)
        if len(late) > 5:
            take(thinner, late.pop(random.randrange(len(late))), out)
    for packet in late:
        take(thinner, packet, out)

    for index, payload in list(out.items())[-200:]:
        found = thinner.find(index & 0xFFFF)
        assert found is not None
        assert thinner.again(found, *history[found]) == payload
    highest = max(out)
    first = min(out)
    assert set(range(first, highest + 1)) <= set(out), "a number that never goes out would be asked for without end"
    assert thinner.highest_out >= highest


def take(thinner: Thinner, packet: tuple[int, int, bytes, int], out: dict[int, bytes]) -> None:
    index, timestamp, payload, _ = packet
    sent = thinner.take(index, timestamp, payload)
    if sent is not None:
        assert sent[0] not in out, "a number is used once"
        out[sent[0]] = sent[1]


def test_a_picture_that_has_begun_to_pass_passes_whole() -> None:
    thinner = Thinner(0, 100, 9000, 0)
    rest = vp8_packet(7, 2, sync=False, first=False)
    assert thinner.take(101, 9000, rest) == (101, rest)
    assert thinner.take(102, 12000, vp8_packet(8, 2, sync=False)) is None


def test_a_layer_comes_back_with_a_picture_that_needs_the_base_alone() -> None:
    sender = Sender(33)
    thinner = begin(sender, 0)
    passed: list[tuple[int, bool]] = []
    for index, timestamp, payload, _ in sender.sent:
        if timestamp == 3000 * 11:
            thinner.wanted = ALL_LAYERS
        passed.append((timestamp // 3000, thinner.take(index, timestamp, payload) is not None))

    whole = {number for number, is_there in passed if is_there}
    # 18 is the next picture of layer 1 that needs the base alone, 25 the one of layer 2 after it.
    assert whole == {0, 4, 8, 12, 16, 18, 20, 22, 24, 25, 26, 27, 28, 29, 30, 31, 32}


def test_a_key_frame_brings_every_layer_back() -> None:
    sender = Sender(8)
    thinner = begin(sender, 0)
    for index, timestamp, payload, _ in sender.sent:
        thinner.take(index, timestamp, payload)
    thinner.wanted = ALL_LAYERS
    index, timestamp = sender.sent[-1][0] + 1, 24000
    assert thinner.take(index, timestamp, vp8_packet(8, 0, sync=True, key=True)) is not None
    assert thinner.take(index + 1, timestamp + 3000, vp8_packet(9, 2, sync=False)) is not None


def test_a_late_part_of_a_picture_that_was_left_out_becomes_an_empty_packet() -> None:
    thinner = Thinner(0, 100, 0, 0)
    assert thinner.take(101, 3000, vp8_packet(1, 0, sync=True)) is not None
    assert thinner.take(103, 6000, vp8_packet(2, 2, sync=True, first=False)) is None
    assert thinner.take(102, 6000, vp8_packet(2, 2, sync=True)) == (102, b"")
    assert thinner.take(102, 6000, vp8_packet(2, 2, sync=True)) == (102, b"")
    following = thinner.take(104, 9000, vp8_packet(3, 0, sync=True))
    assert following is not None
    assert following[0] == 103
    assert picture_id(following[1]) == 2


def test_seven_bits_of_picture_id_wrap_within_seven() -> None:
    payload = b"\x90\x80\x01\x01body"
    packet = read_packet(payload)
    assert packet is not None
    assert with_numbers(payload, packet, Numbers(3, 0)) == b"\x90\x80\x7e\x01body"


def test_the_head_of_a_key_frame_tells_its_size() -> None:
    assert keyframe_size(vp8_packet(1, 0, sync=True, key=True)) == Dimensions(width=320, height=180)
    assert keyframe_size(vp8_packet(1, 0, sync=True)) is None
    assert keyframe_size(vp8_packet(1, 0, sync=True, key=True)[:12]) is None


@given(st.binary(max_size=24))
def test_no_payload_breaks_it(payload: bytes) -> None:
    keyframe_size(payload)
    thinner = Thinner(0, 10, 0, 1)
    thinner.take(11, 3000, payload)
    thinner.take(12, 6000, payload)


@given(st.binary(min_size=1, max_size=12))
def test_the_quick_look_at_a_temporal_layer_says_what_the_whole_reading_says(payload: bytes) -> None:
    packet = read_packet(payload)
    if packet is not None:
        assert temporal_layer(payload) == packet.temporal
    else:
        assert 0 <= temporal_layer(payload) <= 3
