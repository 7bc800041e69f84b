"""One outgoing stream stays continuous whatever feeds it."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.sfu.rewriter import Rewriter

CLOCK = 90_000


def test_a_fresh_stream_begins_in_the_lower_half() -> None:
    for seed in range(50):
        rewriter = Rewriter.fresh(CLOCK, Random(seed))
        assert 0 < rewriter.next_index < 0x8000
        assert 0 <= rewriter.next_timestamp < 2**32


def test_a_switch_goes_on_by_one_and_by_the_time_that_passed() -> None:
    rewriter = Rewriter(CLOCK, next_index=100, next_timestamp=5000)
    rewriter.switch((70_000, 1_000_000), None, 0.0)
    assert rewriter.outgoing((70_000, 1_000_000)) == (100, 5000)
    assert rewriter.outgoing((70_002, 1_006_000)) == (102, 11_000)

    rewriter.switch((3, 17), last_sent=(102, 11_000), elapsed_s=0.5)

    assert rewriter.outgoing((3, 17)) == (103, 11_000 + 45_000)
    assert rewriter.outgoing((2, 17)) is None


@settings(deadline=None)
@given(
    start=st.integers(0x10000, 2**40),
    timestamp=st.integers(0, 2**32 - 1),
    steps=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2**31 - 1)), min_size=1, max_size=30),
    switches=st.lists(st.tuples(st.integers(0x10000, 2**40), st.integers(0, 2**32 - 1)), max_size=5),
)
def test_numbers_only_grow_over_wraps_and_switches(
    start: int, timestamp: int, steps: list[tuple[int, int]], switches: list[tuple[int, int]]
) -> None:
    rewriter = Rewriter.fresh(CLOCK, Random(1))
    last: tuple[int, int] | None = None
    for index, stamp in [(start, timestamp), *switches]:
        rewriter.switch((index, stamp), last, 0.02)
        for step, forward in [(0, 0), *steps]:
            index, stamp = index + step, (stamp + forward) % 2**32
            ours = rewriter.outgoing((index, stamp))
            assert ours is not None
            if last is not None:
                assert ours[0] > last[0] or (step == 0 and ours[0] >= last[0])
                assert (ours[1] - last[1]) % 2**32 < 2**31
            last = ours
