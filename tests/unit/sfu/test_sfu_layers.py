"""Layers: what is known of them, which are of use, when to change."""

from random import Random

import pytest

from appliance.media_engine import Dimensions
from appliance.sfu.history import MASK, SIZE, Entry
from appliance.sfu.layers import (
    LayerFacts,
    LayerMeter,
    Patience,
    Step,
    WantedLayers,
    highest_of_use,
    place_of,
    steps_of,
    typical_bps,
)
from tests.support.vp8_packets import vp8_packet


def size(width: int, height: int) -> Dimensions:
    return Dimensions(width=width, height=height)


THREE = (
    LayerFacts(size=size(320, 180), bitrate_bps=150_000, is_alive=True, temporal_shares=(0.35, 0.55, 1.0)),
    LayerFacts(size=size(640, 360), bitrate_bps=400_000, is_alive=True, temporal_shares=(0.35, 0.55, 1.0)),
    LayerFacts(size=size(1280, 720), bitrate_bps=1_200_000, is_alive=True, temporal_shares=(0.35, 0.55, 1.0)),
)


@pytest.mark.parametrize(
    ("target", "highest"),
    [
        (None, 2),
        (size(160, 90), 0),
        (size(320, 180), 0),
        (size(400, 225), 0),  # enlarged by a quarter
        (size(480, 270), 1),
        (size(200, 900), 0),  # its width decides, the picture is shown whole
        (size(1280, 720), 2),
        (size(3840, 2160), 2),
    ],
)
def test_the_smallest_layer_that_is_large_enough_is_of_use(target: Dimensions | None, highest: int) -> None:
    assert highest_of_use(THREE, target) == highest


def test_of_layers_of_one_size_the_first_that_is_not_poor_is_enough() -> None:
    same = [LayerFacts(size=size(640, 360), bitrate_bps=rate, is_alive=True) for rate in (60_000, 300_000, 900_000)]
    assert highest_of_use(same, size(640, 360)) == 1
    assert highest_of_use(same, size(160, 90)) == 0


def test_a_layer_that_never_came_is_guessed_to_be_twice_as_large() -> None:
    layers = (THREE[0], LayerFacts(), LayerFacts())
    assert highest_of_use(layers, size(640, 360)) == 1
    assert highest_of_use((LayerFacts(), LayerFacts()), size(640, 360)) == 1


def test_steps_cost_more_and_more_and_thin_pictures_lie_between_the_layers() -> None:
    steps = steps_of(THREE, None)
    assert [(step.layer, step.temporal) for step in steps] == [
        (0, 0), (0, 1), (0, None), (1, 1), (1, None), (2, 1), (2, None),
    ]  # fmt: skip
    assert [step.bitrate_bps for step in steps] == sorted(step.bitrate_bps for step in steps)


def test_a_thin_large_picture_is_no_step_where_it_costs_no_more_than_a_whole_smaller_one() -> None:
    close = (
        THREE[0],
        LayerFacts(size=size(640, 360), bitrate_bps=200_000, is_alive=True, temporal_shares=(0.3, 0.5, 1.0)),
    )
    assert [(step.layer, step.temporal) for step in steps_of(close, None)] == [(0, 0), (0, 1), (0, None), (1, None)]


def test_layers_that_have_stopped_are_no_steps() -> None:
    stopped = (THREE[0], LayerFacts(size=size(640, 360), bitrate_bps=400_000), LayerFacts())
    assert {step.layer for step in steps_of(stopped, None)} == {0}
    only_large = (LayerFacts(size=size(320, 180)), LayerFacts(size=size(640, 360), bitrate_bps=9.0, is_alive=True))
    assert [step.layer for step in steps_of(only_large, size(160, 90))] == [1]


def test_what_is_not_measured_yet_is_thought_to_cost_what_its_size_takes() -> None:
    begun = (THREE[0], LayerFacts(size=size(640, 360), is_alive=True), LayerFacts(is_alive=True))
    assert [step.bitrate_bps for step in steps_of(begun, None)][-2:] == [500_000, 2_000_000]


def test_what_has_not_begun_is_one_step_that_costs_nothing() -> None:
    assert steps_of((LayerFacts(), LayerFacts()), None) == (Step(0, None, 0.0),)
    assert steps_of((), None) == (Step(0, None, 0.0),)


def test_a_step_that_is_gone_becomes_the_next_below() -> None:
    assert place_of(steps_of(THREE, None), Step(1, 1, 7.0)) == 3
    assert place_of(steps_of(THREE[:1], None), Step(2, None, 7.0)) == 2
    assert place_of((Step(1, None, 1.0),), Step(0, None, 1.0)) == 0


# --- measuring


def test_the_meter_reads_sizes_rates_and_temporal_shares() -> None:
    meter = LayerMeter()
    entries: list[Entry | None] = [None] * SIZE
    total = 0
    for number in range(160):  # 8 s at 20 pictures a second
        temporal = (0, 2, 1, 2)[number % 4]
        payload = vp8_packet(number, temporal, sync=False, key=number == 0) + bytes(100)
        index = 0x10000 + number
        entries[index & MASK] = (index, 0, 4500 * number, payload)
        total += len(payload)
        if number % 10 == 9:
            meter.look(entries, index, "VP8")
            meter.count(total, number / 20)

    assert meter.size == size(320, 180)
    assert meter.bitrate_bps == pytest.approx(20 * 8 * (total / 160), rel=0.05)
    assert meter.temporal_shares == pytest.approx((0.25, 0.5, 1.0), abs=0.05)


def test_the_last_rate_stays_known_when_a_layer_stops() -> None:
    meter = LayerMeter()
    for second, octets in enumerate((0, 1000, 2000, 2000, 2000)):
        meter.count(octets, float(second))
    assert meter.bitrate_bps == 8000


def test_typical_rates_grow_with_the_size() -> None:
    sizes = [size(16 * n, 9 * n) for n in range(4, 160, 4)]
    rates = [typical_bps(s) for s in sizes]
    assert rates == sorted(rates)
    assert typical_bps(size(640, 360)) == 500_000


# --- patience


def test_up_only_after_a_while_down_at_once() -> None:
    patience: Patience[str] = Patience(up_after_s=1.0)
    assert patience.settle({"a": 0}, {"a": 2}, {"a": 2}, 10.0) == {"a": 0}
    assert patience.settle({"a": 0}, {"a": 2}, {"a": 2}, 10.9) == {"a": 0}
    assert patience.settle({"a": 0}, {"a": 2}, {"a": 2}, 11.0) == {"a": 2}
    assert patience.settle({"a": 2}, {"a": 0}, {"a": 0}, 11.1) == {"a": 0}


def test_a_chance_that_passes_begins_the_waiting_anew() -> None:
    patience: Patience[str] = Patience(up_after_s=1.0)
    patience.settle({"a": 0}, {"a": 1}, {"a": 1}, 10.0)
    patience.settle({"a": 0}, {"a": 1}, {"a": 0}, 10.5)
    assert patience.settle({"a": 0}, {"a": 1}, {"a": 1}, 11.2) == {"a": 0}


def test_within_the_margin_nothing_changes() -> None:
    patience: Patience[str] = Patience(up_after_s=0.0)
    assert patience.settle({"a": 1}, {"a": 2}, {"a": 1}, 10.0) == {"a": 1}
    assert patience.settle({"a": 2}, {"a": 2}, {"a": 1}, 10.0) == {"a": 2}


def test_who_is_new_begins_with_what_is_safe() -> None:
    assert Patience[str]().settle({}, {"a": 2, "b": -1}, {"a": 1, "b": 0}, 10.0) == {"a": 1, "b": -1}


def test_noise_of_a_tenth_around_a_border_makes_no_flapping() -> None:
    """The budget trembles around what the larger step takes: it is taken at most once, and kept or not taken."""
    random, patience, place, changes = Random(1), Patience[str](up_after_s=1.0), 0, 0
    larger = 500_000
    for tick in range(4 * 600):
        budget = larger * 1.08 * random.uniform(0.95, 1.05)
        most, safe = int(budget >= larger), int(budget / 1.15 >= larger)
        after = patience.settle({"a": place}, {"a": most}, {"a": safe}, tick / 4)["a"]
        changes += after != place
        place = after
    assert changes <= 1


# --- hints to publishers


def test_a_layer_is_turned_off_after_nobody_wanted_it_for_a_while_and_on_at_once() -> None:
    wanted = WantedLayers(off_after_s=5.0)
    assert wanted.update(3, 0, 10.0) is None
    assert wanted.update(3, 0, 14.9) is None
    assert wanted.update(3, 0, 15.0) == (True, False, False)
    assert wanted.update(3, 0, 16.0) is None
    assert wanted.update(3, 1, 17.0) == (True, True, False)
    assert wanted.update(3, 2, 17.5) == (True, True, True)


def test_the_lowest_layer_stays_on_for_whoever_comes() -> None:
    wanted = WantedLayers(off_after_s=0.0)
    assert wanted.update(2, -1, 1.0) == (True, False)


def test_a_layer_that_comes_later_is_told_of_then() -> None:
    wanted = WantedLayers(off_after_s=5.0)
    wanted.update(2, 0, 1.0)
    assert wanted.update(2, 0, 6.0) == (True, False)
    assert wanted.update(3, 0, 7.0) is None
    assert wanted.update(3, 0, 12.0) == (True, False, False)


def test_another_connection_is_told_anew() -> None:
    wanted = WantedLayers(off_after_s=1.0)
    wanted.update(2, 0, 1.0)
    assert wanted.update(2, 0, 2.0) == (True, False)
    assert wanted.update(0, -1, 3.0) is None
    assert wanted.update(2, 0, 4.0) is None
    assert wanted.update(2, 0, 5.0) == (True, False)


def test_a_single_layer_is_never_hinted() -> None:
    assert WantedLayers(off_after_s=0.0).update(1, -1, 1.0) is None
