"""A subscriber's bandwidth, shared between its videos."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.media_engine import Dimensions, TrackPriority, VideoMode
from appliance.sfu.allocation import OFF, Sharing, Video, allocate, cost_of, higher_priority, next_cost
from appliance.sfu.layers import Step
from appliance.sids import TrackSid

LOW, STANDARD, HIGH = TrackPriority.LOW, TrackPriority.STANDARD, TrackPriority.HIGH
STEPS = (Step(0, None, 150_000), Step(1, None, 500_000), Step(2, None, 1_500_000))


def video(name: str, priority: TrackPriority = STANDARD, **more: object) -> Video:
    return replace(Video(sid=TrackSid(name), priority=priority, steps=STEPS), **more)  # type: ignore[arg-type]


def steps_of(*videos: Video, budget: float, **sharing: object) -> list[int]:
    given = allocate(videos, budget, replace(Sharing(), **sharing))  # type: ignore[arg-type]
    return [given[v.sid] for v in videos]


def test_each_is_as_good_as_it_can_be_where_there_is_enough() -> None:
    assert steps_of(video("a"), video("b"), budget=3_000_000) == [2, 2]


def test_a_grid_improves_all_alike_whatever_their_priority() -> None:
    assert steps_of(video("a", LOW), video("b", HIGH), budget=1_000_000, mode=VideoMode.GRID) == [1, 1]


def test_a_grid_switches_the_lower_priority_off_first() -> None:
    assert steps_of(video("a", LOW), video("b"), video("c", HIGH), budget=310_000) == [OFF, 0, 0]


def test_a_presentation_gives_the_higher_priority_all_it_can_take() -> None:
    videos = (video("a", HIGH), video("b"), video("c", LOW))
    assert steps_of(*videos, budget=1_700_000, mode=VideoMode.PRESENTATION) == [2, 0, OFF]
    assert steps_of(*videos, budget=600_000, mode=VideoMode.PRESENTATION) == [1, OFF, OFF]


def test_a_collaboration_keeps_the_others_on_before_it_improves_the_higher_priority() -> None:
    videos = (video("a", HIGH), video("b"), video("c", LOW))
    assert steps_of(*videos, budget=600_000, mode=VideoMode.COLLABORATION) == [0, 0, 0]
    assert steps_of(*videos, budget=900_000, mode=VideoMode.COLLABORATION) == [1, 0, 0]


def test_a_collaboration_gives_more_to_what_is_shown_larger() -> None:
    large, small = Dimensions(width=1280, height=720), Dimensions(width=160, height=90)
    videos = (video("a", size=small), video("b", size=large))
    assert steps_of(*videos, budget=1_700_000, mode=VideoMode.COLLABORATION) == [0, 2]
    assert steps_of(*videos, budget=1_700_000, mode=VideoMode.GRID) == [1, 1]


def test_no_more_tracks_than_wished_are_on() -> None:
    videos = (video("a", LOW), video("b", HIGH), video("c"), video("d"))
    assert steps_of(*videos, budget=1e9, max_tracks=2) == [OFF, 2, 2, OFF]


def test_of_equals_the_one_that_is_on_stays_on() -> None:
    assert steps_of(video("a", was_on=False), video("b"), budget=200_000) == [OFF, 0]


def test_what_is_not_looked_at_is_off_and_makes_room() -> None:
    assert steps_of(video("a", HIGH, is_visible=False), video("b"), budget=1e9, max_tracks=1) == [OFF, 2]


def test_where_nothing_may_be_switched_off_everything_is_at_its_least() -> None:
    videos = (video("a", HIGH), video("b"), video("c", is_visible=False))
    assert steps_of(*videos, budget=0, may_switch_off=False) == [0, 0, OFF]


def test_the_speaker_counts_as_the_higher_of_two_priorities() -> None:
    assert higher_priority(LOW, HIGH) is HIGH
    assert higher_priority(HIGH, STANDARD) is HIGH
    assert higher_priority(LOW, None) is LOW


def test_the_cheapest_improvement_is_told() -> None:
    videos = (video("a"), video("b"))
    assert next_cost(videos, {videos[0].sid: 0, videos[1].sid: OFF}) == 300_000
    assert next_cost(videos, {videos[0].sid: 2, videos[1].sid: 2}) is None


costs = st.lists(st.integers(1, 2_000_000), min_size=1, max_size=4).map(sorted)
many = st.lists(
    st.tuples(costs, st.sampled_from(TrackPriority), st.booleans(), st.booleans()), min_size=1, max_size=8
).map(
    lambda rows: [
        Video(
            sid=TrackSid(f"MT{number}"),
            priority=priority,
            steps=tuple(Step(place, None, cost) for place, cost in enumerate(row)),
            is_visible=is_visible,
            was_on=was_on,
        )
        for number, (row, priority, is_visible, was_on) in enumerate(rows)
    ]
)


@given(many, st.integers(0, 5_000_000), st.sampled_from(VideoMode), st.none() | st.integers(0, 8))
def test_the_budget_is_never_exceeded(videos: list[Video], budget: int, mode: VideoMode, most: int | None) -> None:
    found = allocate(videos, budget, Sharing(mode=mode, max_tracks=most))
    assert cost_of(videos, found) <= budget
    assert all(OFF <= found[v.sid] < len(v.steps) for v in videos)
    assert all(found[v.sid] == OFF for v in videos if not v.is_visible)
    assert most is None or sum(place != OFF for place in found.values()) <= most


@given(many, st.integers(0, 5_000_000), st.sampled_from(VideoMode))
def test_a_lower_priority_never_has_more_of_the_same(videos: list[Video], budget: int, mode: VideoMode) -> None:
    same = [replace(v, steps=STEPS, is_visible=True, was_on=True) for v in videos]
    found = allocate(same, budget, Sharing(mode=mode))
    rank = {LOW: 0, STANDARD: 1, HIGH: 2}
    for one in same:
        for other in same:
            if rank[one.priority] > rank[other.priority]:
                assert found[one.sid] >= found[other.sid]


@pytest.mark.parametrize("mode", VideoMode)
def test_more_bandwidth_never_makes_equal_videos_worse(mode: VideoMode) -> None:
    videos = [video(name) for name in "abcd"]
    before = 0.0
    for budget in range(0, 7_000_000, 50_000):
        now = cost_of(videos, allocate(videos, budget, Sharing(mode=mode)))
        assert now >= before
        before = now


@given(many, st.integers(0, 9_000_000), st.integers(0, 9_000_000), st.booleans(), st.sampled_from(VideoMode))
def test_what_fits_whole_is_shared_the_same_way_however_much_more_is_allowed(
    videos: list[Video], budget: int, more: int, may_switch_off: bool, mode: VideoMode
) -> None:
    sharing = Sharing(mode=mode, may_switch_off=may_switch_off)
    plenty = allocate(videos, budget + more, sharing)
    if cost_of(videos, plenty) <= budget:
        assert allocate(videos, budget, sharing) == plenty
