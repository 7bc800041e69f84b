"""Lateness: what the grid of wake-ups shows."""

import pytest

from appliance.devices.lateness import Lateness


def test_an_even_card_and_quick_work_are_as_late_as_the_work() -> None:
    lateness = Lateness()
    for turn in range(100):
        lateness.woke(turn * 0.02)
        lateness.ready(turn * 0.02 + 0.003)
    assert lateness.percentile_ms(0.99) == pytest.approx(3.0)


def test_a_late_wake_up_counts_though_the_work_was_quick() -> None:
    lateness = Lateness()
    for turn in range(100):
        delay = 0.015 if turn == 50 else 0.0
        lateness.woke(turn * 0.02 + delay)
        lateness.ready(turn * 0.02 + delay + 0.001)
    assert lateness.worst_s == pytest.approx(0.016, abs=1e-4)
    assert lateness.percentile_ms(0.5) == pytest.approx(1.0, abs=0.1)


def test_a_card_with_a_slow_clock_does_not_look_ever_later() -> None:
    lateness = Lateness()
    for turn in range(30_000):  # ten minutes at 100 ppm
        lateness.woke(turn * 0.020002)
        lateness.ready(turn * 0.020002)
    assert lateness.percentile_ms(0.99) < 5


def test_after_a_gap_the_grid_starts_again() -> None:
    lateness = Lateness()
    lateness.woke(0.0)
    lateness.gap()
    lateness.woke(5.0)
    lateness.ready(5.001)
    assert lateness.worst_s == pytest.approx(0.001)


def test_a_card_that_stood_still_is_not_late_for_ever_after() -> None:
    lateness = Lateness()
    for turn in range(1000):
        stood_still = 0.7 if turn >= 100 else 0.0
        lateness.woke(turn * 0.02 + stood_still)
        lateness.ready(turn * 0.02 + stood_still + 0.001)
    assert lateness.worst_s == pytest.approx(0.001)
    assert lateness.percentile_ms(0.99) == pytest.approx(1.0)
    assert lateness.percentile_ms(0.0) == pytest.approx(1.0)


def test_a_delay_of_ours_counts_and_so_do_the_periods_that_waited() -> None:
    lateness = Lateness()
    for turn in range(1000):
        woken = max(turn * 0.02, 100 * 0.02 + 0.06 if turn >= 100 else 0.0)
        lateness.woke(woken)
        lateness.ready(woken)
    assert lateness.worst_s == pytest.approx(0.06)
    assert lateness.percentile_ms(0.998) == pytest.approx(40.0)
    assert lateness.percentile_ms(0.996) == pytest.approx(0.0, abs=0.001)


def test_the_worst_counts_at_once() -> None:
    lateness = Lateness()
    assert lateness.worst_s == 0.0
    lateness.woke(0.0)
    lateness.ready(0.004)
    assert lateness.worst_s == pytest.approx(0.004)
