"""So much a second, and so much at once."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.sfu.allowance import Allowance


def test_what_may_come_at_once_comes_at_once_and_then_so_much_a_second() -> None:
    allowance = Allowance(10, 3)

    at_once = [allowance.take(5.0) for _ in range(5)]
    a_little_later = [allowance.take(5.15) for _ in range(3)]

    assert at_once == [True, True, True, False, False]
    assert a_little_later == [True, False, False]


def test_of_what_is_wanted_the_part_that_is_left_is_taken() -> None:
    allowance = Allowance(1, 10)

    assert [allowance.take_up_to(0.0, wanted) for wanted in (4, 4, 4, 4)] == [4, 4, 2, 0]


def test_what_is_too_much_takes_nothing() -> None:
    allowance = Allowance(1, 10)

    assert not allowance.take(0.0, 11)
    assert allowance.take(0.0, 10)


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 20)), max_size=40))
def test_never_more_than_the_rate_and_once_the_bucket(asked: list[tuple[float, float]]) -> None:
    allowance, now, taken = Allowance(5, 10), 0.0, 0.0
    for passed, amount in asked:
        now += passed
        taken += amount if allowance.take(now, amount) else 0.0

    assert taken <= 10 + 5 * now + 1e-6


def test_a_clock_that_steps_back_gives_nothing() -> None:
    allowance = Allowance(100, 1)

    assert [allowance.take(10.0), allowance.take(9.0), allowance.take(9.5)] == [True, False, False]


def test_what_was_spent_beyond_the_bucket_has_to_fill_up_again_first() -> None:
    allowance = Allowance(1, 2)
    allowance.spend(0.0, 5)

    assert [allowance.take(now, 0.5) for now in (0.0, 3.0, 3.4, 3.6)] == [False, False, False, True]
