"""What follows from an attempt to deliver."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from appliance.rooms.delivery import Breaker, NextStep, Outcome, OutcomeClass, delay_s, next_step

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def step(
    kind: OutcomeClass,
    attempts: int = 1,
    age: timedelta = timedelta(),
    name: str = "track-added",
    retry_after_s: float = 0,
) -> NextStep:
    return next_step(
        Outcome(kind=kind, retry_after_s=retry_after_s),
        name=name,
        attempts=attempts,
        occurred_at=NOW - age,
        now=NOW,
        random=Random(7),
    )


def test_success_is_the_end() -> None:
    assert step(OutcomeClass.DELIVERED) == NextStep(delivered=True)


def test_a_failure_is_tried_again_later() -> None:
    next_at = step(OutcomeClass.RETRY).next_at

    assert next_at
    assert timedelta(seconds=0.1) <= next_at - NOW <= timedelta(seconds=1)


def test_a_refusal_is_tried_four_times_in_all() -> None:
    assert step(OutcomeClass.REFUSED, attempts=3).next_at
    assert step(OutcomeClass.REFUSED, attempts=4) == NextStep()


def test_a_receiver_that_is_gone_takes_the_whole_queue_along() -> None:
    assert step(OutcomeClass.GONE) == NextStep(whole_queue=True)


def test_an_event_that_will_never_be_taken_dies_alone() -> None:
    assert step(OutcomeClass.REJECTED) == NextStep()


def test_after_a_day_it_is_given_up_and_the_end_of_a_room_after_three() -> None:
    day = timedelta(hours=24)

    assert step(OutcomeClass.RETRY, 5, day) == NextStep()
    assert step(OutcomeClass.RETRY, 5, day - timedelta(seconds=1)).next_at
    assert step(OutcomeClass.RETRY, 5, day, "room-ended").next_at
    assert step(OutcomeClass.RETRY, 5, 3 * day, "room-ended") == NextStep()


def test_three_hundred_attempts_are_enough() -> None:
    assert step(OutcomeClass.RETRY, 300) == NextStep()


@pytest.mark.parametrize(("asked_s", "waits_s"), [(30.0, 30.0), (86_400.0, 3600.0)])
def test_the_receiver_may_ask_for_time_up_to_an_hour(asked_s: float, waits_s: float) -> None:
    assert step(OutcomeClass.RETRY, 1, retry_after_s=asked_s).next_at == NOW + timedelta(seconds=waits_s)


def test_delays_grow_to_five_minutes_and_never_below_a_tenth_of_a_second() -> None:
    random = Random(3)
    bounds = {attempts: [delay_s(attempts, random) for _ in range(200)] for attempts in (1, 4, 50)}

    assert max(bounds[1]) <= 1
    assert 4 < max(bounds[4]) <= 8
    assert 200 < max(bounds[50]) <= 300
    assert min(bounds[1]) >= 0.1


def test_the_breaker_lets_one_probe_through_every_thirty_seconds() -> None:
    breaker = Breaker()
    for _ in range(10):
        assert breaker.wait_s(0) == 0
        breaker.note(success=False, now=0)

    assert breaker.wait_s(10) == 20
    assert breaker.wait_s(30) == 0
    assert breaker.wait_s(31) == 29
    breaker.note(success=True, now=31)
    assert breaker.wait_s(31) == 0


def test_a_success_starts_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(9):
        breaker.note(success=False, now=0)
    breaker.note(success=True, now=0)
    breaker.note(success=False, now=0)

    assert not breaker.is_open


def test_quick_retries_come_at_once_and_take_none_of_the_others_away() -> None:
    outcome = Outcome(kind=OutcomeClass.REFUSED, quick_retries=5)
    delays = []
    for attempts in range(1, 7):
        next_at = next_step(
            outcome, name="track-added", attempts=attempts, occurred_at=NOW, now=NOW, random=Random(7)
        ).next_at
        delays.append(next_at and (next_at - NOW).total_seconds())

    assert delays == [0.1, 0.1, 0.1, 0.1, 0.1, None]
