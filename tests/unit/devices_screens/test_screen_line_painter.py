"""How the line of light is painted: which colour lies where, for each thing it can say."""

from dataclasses import replace

import pytest

from appliance.devices.screens.base import LineOfLight, Pill, RightHalf
from appliance.devices.screens.items import Cap, Fill, Glow, Panel
from appliance.devices.screens.line import Pose, paint, pill_width, still_pose
from appliance.devices.screens.look import WALL
from appliance.devices.screens.textures import Scale

SCALE = Scale(WALL, 1080)
MUTED = Pill("mic-off", "mic.muted", "muted", "Muted")
LIVE = LineOfLight(left_lit=True, right=RightHalf("connected"))


def stretches(light: LineOfLight, pose: Pose | None = None) -> list[tuple[float, float, str]]:
    """Return from where to where which colour lies on the Line, caps included, back to front."""
    found = []
    for item in paint(light, pose or still_pose(light), SCALE, 240):
        if isinstance(item, Fill | Cap) and item.place.y == 121:
            assert item.place.h == 1
            found.append((round(item.place.x, 2), round(item.place.x + item.place.w, 2), item.colour))
    return found


def colour_at(light: LineOfLight, x: float, pose: Pose | None = None) -> str | None:
    """Return the colour that lies on top at x, None for the ground."""
    return next((colour for x0, x1, colour in reversed(stretches(light, pose)) if x0 <= x < x1), None)


def test_at_rest_the_whole_line_is_quiet() -> None:
    assert {colour_at(LineOfLight(), x) for x in range(240)} == {"rest"}
    assert not [item for item in paint(LineOfLight(), Pose(), SCALE, 240) if isinstance(item, Glow)]


def test_live_and_connected_meet_in_the_middle_and_shine() -> None:
    assert [colour_at(LIVE, x) for x in (0, 119.9, 120, 239)] == ["live", "live", "paper", "paper"]
    glows = [item for item in paint(LIVE, still_pose(LIVE), SCALE, 240) if isinstance(item, Glow)]
    assert [(glow.colour, glow.fade, glow.up) for glow in glows] == [
        ("live", "right", True), ("live", "right", False), ("paper", "left", True), ("paper", "left", False),
    ]  # fmt: skip
    assert [(glow.place.y, glow.place.h) for glow in glows[:2]] == [(114, 7), (122, 3)]


def test_a_cut_leaves_four_units_of_ground_on_both_sides_of_its_pill() -> None:
    light = replace(LIVE, cut=MUTED)
    half = pill_width(MUTED, SCALE) / 2
    for side in (-1, 1):
        assert colour_at(light, 120 + side * (half + 2)) is None
    assert colour_at(light, 120 - half - 4.1) == "live"
    assert colour_at(light, 120 + half + 4.1) == "paper"
    (pill,) = [item for item in paint(light, still_pose(light), SCALE, 240) if isinstance(item, Panel)]
    assert (pill.place.y, pill.place.h, pill.r, pill.colour) == (117, 9, 4.5, "muted")
    assert pill.place.x + pill.place.w / 2 == pytest.approx(120)


@pytest.mark.parametrize("part", [0.2, 0.72])
def test_a_part_grows_from_the_right_edge_over_rest(part: float) -> None:
    light = LineOfLight(right=RightHalf("part", part))
    head = 240 - part * 120
    assert [colour_at(light, x) for x in (0, 121, head - 0.2, head + 0.2, 239)] == [
        "rest", "rest", "rest", "paper", "paper",
    ]  # fmt: skip
    assert any(isinstance(item, Cap) for item in paint(light, still_pose(light), SCALE, 240))


def test_the_left_half_never_shows_progress() -> None:
    for kind in ("part", "dashes", "marks", "long_short", "connected"):
        light = LineOfLight(right=RightHalf(kind, 1.0))  # type: ignore[arg-type]
        assert {colour_at(light, x) for x in range(120)} == {"rest"}


def test_dashes_are_four_on_four_off_from_the_right_edge_on_bare_ground() -> None:
    light = LineOfLight(left_lit=True, right=RightHalf("dashes"))
    assert [colour_at(light, x) for x in (238, 234, 230, 226)] == ["attention", None, "attention", None]
    moved = Pose(dash=4)
    assert [colour_at(light, x, moved) for x in (238, 234, 230)] == [None, "attention", None]
    assert all(x1 <= 240 and x0 >= 0 for x0, x1, _ in stretches(light, Pose(dash=2)))


def test_three_marks_stand_over_rest() -> None:
    light = LineOfLight(right=RightHalf("marks"))
    marks = [(x0, x1) for x0, x1, colour in stretches(light) if colour == "error"]
    assert marks == [(220, 232), (202, 214), (184, 196)]
    assert colour_at(light, 200) == "rest"


def test_long_and_short_repeat() -> None:
    light = LineOfLight(right=RightHalf("long_short"))
    assert [colour_at(light, x) for x in (235, 228.5, 225, 222.5, 215)] == ["paper", None, "paper", None, "paper"]


def test_a_camera_off_pill_is_an_outline_on_the_left_and_a_weak_link_stands_on_the_right() -> None:
    light = replace(
        LIVE,
        left_pill=Pill("camera-off", "camera.off", "outline", "Camera off"),
        right_pill=Pill("signal", "link.weak", "attention", "Weak link"),
    )
    left, outline, right = [item for item in paint(light, still_pose(light), SCALE, 240) if isinstance(item, Panel)]
    assert (left.place.x, left.colour, outline.stroke) == (8, "ink", 0.5)
    assert right.place.x + right.place.w == pytest.approx(232)
    assert right.colour == "attention"


def test_while_a_cut_opens_its_pill_is_narrower_and_without_words() -> None:
    light = replace(LIVE, cut=MUTED)
    items = paint(light, Pose(cut=0.5, part=1), SCALE, 240)
    (pill,) = [item for item in items if isinstance(item, Panel)]
    assert pill.place.w == pytest.approx(pill_width(MUTED, SCALE) / 2)
    assert not [item for item in items if type(item).__name__ in ("Words", "Icon")]


def test_what_is_lit_settles_and_what_rests_does_not() -> None:
    dimmed = {item.colour: item.alpha for item in paint(LIVE, Pose(part=1, brightness=0.7), SCALE, 240)
              if isinstance(item, Fill)}  # fmt: skip
    assert dimmed["live"] == dimmed["paper"] == 0.7
