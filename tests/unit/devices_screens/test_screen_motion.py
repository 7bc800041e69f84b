"""What moves on the wall: how far it has come at a given time, and when it stands still."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.devices.screens.base import LineOfLight, Pill, Rect, RightHalf
from appliance.devices.screens.items import Group
from appliance.devices.screens.motion import GroupMotion, LineMotion, eased

MUTED = Pill("mic-off", "mic.muted", "muted", "Muted")
CONNECTED = LineOfLight(left_lit=True, right=RightHalf("connected"))
CUT = replace(CONNECTED, cut=MUTED)
HALF_WAY = replace(CONNECTED, right=RightHalf("part", 0.5))


def shown(*steps: tuple[LineOfLight, float], reduced: bool = False) -> LineMotion:
    motion = LineMotion(reduced=reduced)
    for light, now in steps:
        motion.show(light, now)
    return motion


@given(st.floats(-2, 3), st.floats(-2, 3))
def test_easing_goes_one_way_from_nothing_to_all(a: float, b: float) -> None:
    assert 0 <= eased(min(a, b)) <= eased(max(a, b)) <= 1
    assert (eased(0), eased(1)) == (0, 1)


def test_the_halves_meet_in_320_ms() -> None:
    motion = shown((HALF_WAY, 0), (CONNECTED, 10))
    parts = [motion.pose(10 + t).part for t in (0, 0.1, 0.2, 0.32)]
    assert parts[0] == 0.5
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert motion.wants_frame_at(10.1) == 10.1


def test_a_cut_opens_in_120_ms_and_closes_with_the_pill_that_was_in_it() -> None:
    motion = shown((CONNECTED, 0), (CUT, 10))
    assert 0 < motion.pose(10.05).cut < 1
    assert motion.pose(10.12).cut == 1
    motion.show(CONNECTED, 20)
    assert motion.light(20.05).cut == MUTED
    assert motion.light(20.2).cut is None
    assert motion.pose(20.2).cut == 0


def test_a_cut_that_turns_back_half_way_begins_where_it_is() -> None:
    motion = shown((CONNECTED, 0), (CUT, 10))
    before = motion.pose(10.05).cut
    motion.show(CONNECTED, 10.05)
    assert motion.pose(10.05).cut == pytest.approx(before)


def test_a_lit_line_settles_after_thirty_seconds_and_wakes_with_a_change() -> None:
    motion = shown((CONNECTED, 0))
    assert motion.pose(30).brightness == 1
    assert motion.wants_frame_at(5) == 30
    assert 0.7 < motion.pose(30.3).brightness < 1
    assert motion.pose(31).brightness == pytest.approx(0.7)
    assert motion.wants_frame_at(40) == math.inf
    motion.show(CUT, 50)
    assert motion.pose(50.1).brightness == 1


def test_the_same_line_shown_again_moves_nothing() -> None:
    motion = shown((CONNECTED, 0), (CONNECTED, 29))
    assert motion.wants_frame_at(29.5) == 30


def test_dashes_move_one_pattern_in_800_ms_without_end() -> None:
    motion = shown((replace(CONNECTED, right=RightHalf("dashes")), 0))
    assert motion.pose(0.4).dash == pytest.approx(4)
    assert motion.pose(1.2).dash == pytest.approx(4)
    assert motion.wants_frame_at(1000) == 1000


@given(st.floats(0, 100), st.sampled_from([CONNECTED, CUT, HALF_WAY, LineOfLight(right=RightHalf("dashes"))]))
def test_reduced_motion_is_at_its_end_at_once(after: float, light: LineOfLight) -> None:
    motion = shown((LineOfLight(), 0), (light, 10), reduced=True)
    assert motion.pose(10 + after).cut == (1.0 if light.cut else 0.0)
    assert motion.pose(10 + after).dash == 0


def group(key: str, x: float) -> Group:
    return Group(key, Rect(x, 0, 10, 10), ())


def test_tiles_change_places_in_320_ms_and_new_ones_fade_in_in_120() -> None:
    motion = GroupMotion(reduced=False)
    motion.show("CallScene", [group("a", 0)], 0)
    motion.show("CallScene", [group("a", 100), group("b", 0)], 10)
    a, b = motion.stands(10.1)
    assert 0 < a.place.x < 100
    assert a.alpha == 1
    assert 0 < b.alpha < 1
    a, b = motion.stands(10.4)
    assert (a.place.x, a.alpha, b.alpha) == (100, 1, 1)
    assert motion.moving(10.2)
    assert not motion.moving(10.4)


def test_a_tile_that_is_on_its_way_goes_on_from_where_it_is() -> None:
    motion = GroupMotion(reduced=False)
    motion.show("CallScene", [group("a", 0)], 0)
    motion.show("CallScene", [group("a", 100)], 10)
    (half,) = motion.stands(10.1)
    motion.show("CallScene", [group("a", 0)], 10.1)
    (turned,) = motion.stands(10.1)
    assert turned.place.x == pytest.approx(half.place.x)


def test_another_kind_of_scene_cross_fades() -> None:
    motion = GroupMotion(reduced=False)
    motion.show("IdleScene", [group("scene", 0)], 0)
    motion.show("JoiningScene", [group("scene", 0)], 10)
    before, after = motion.stands(10.1)
    assert before.alpha + after.alpha == pytest.approx(1)
    assert [stand.alpha for stand in motion.stands(10.33)] == [1]


def test_the_first_scene_is_simply_there() -> None:
    motion = GroupMotion(reduced=False)
    motion.show("IdleScene", [group("scene", 0)], 10)
    assert [stand.alpha for stand in motion.stands(10)] == [1]


def test_with_reduced_motion_nothing_is_ever_on_its_way() -> None:
    motion = GroupMotion(reduced=True)
    motion.show("CallScene", [group("a", 0)], 0)
    motion.show("CallScene", [group("a", 100)], 10)
    assert [stand.place.x for stand in motion.stands(10)] == [100]
    assert not motion.moving(10)
