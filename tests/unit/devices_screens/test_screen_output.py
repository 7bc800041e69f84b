"""Which display to use, by what the kernel says of its connectors; how frames are cropped to their places."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.devices.screens.textures import Box

pytest.importorskip("sdl2", reason="the SDL2 library is not installed")

from appliance.devices.screens.stacking import crop, strips
from appliance.devices.screens.video_output import Connector, card_to_use, connectors


def plug(root: Path, name: str, status: str) -> None:
    (root / name).mkdir()
    (root / name / "status").write_text(status + "\n")


def test_connectors_are_read_with_their_cards(tmp_path: Path) -> None:
    plug(tmp_path, "card0-Writeback-1", "unknown")
    plug(tmp_path, "card1-HDMI-A-1", "disconnected")
    plug(tmp_path, "card1-HDMI-A-2", "connected")
    (tmp_path / "card1").mkdir()
    (tmp_path / "renderD128").mkdir()
    assert connectors(tmp_path) == [Connector(1, "HDMI-A-1", False), Connector(1, "HDMI-A-2", True)]


def test_the_first_card_with_a_display_is_used_whatever_its_number() -> None:
    found = [Connector(0, "HDMI-A-1", False), Connector(2, "DSI-1", True), Connector(3, "HDMI-A-1", True)]
    assert card_to_use(found) == 2
    assert card_to_use(found[:1]) is None
    assert card_to_use([]) is None


def test_a_machine_without_such_a_driver_has_no_connectors(tmp_path: Path) -> None:
    assert connectors(tmp_path / "missing") == []


def test_a_wide_frame_loses_both_sides_and_a_high_one_more_below_than_above() -> None:
    assert crop((1600, 900), (400, 400), 0.3) == Box(350, 0, 900, 900)
    assert crop((900, 1600), (1600, 900), 0.3) == Box(0, round((1600 - 506) * 0.3), 900, 506)
    assert crop((1280, 720), (640, 360), 0.5) == Box(0, 0, 1280, 720)


sizes = st.tuples(st.integers(2, 4000), st.integers(2, 4000))


@given(sizes, sizes, st.floats(0, 1))
def test_a_crop_lies_inside_the_frame_and_has_the_shape_of_its_place(
    size: tuple[int, int], onto: tuple[int, int], bias: float
) -> None:
    part = crop(size, onto, bias)
    assert part.x >= 0
    assert part.y >= 0
    assert part.x + part.w <= size[0]
    assert part.y + part.h <= size[1]
    assert part.w == size[0] or part.h == size[1], "the largest part"
    assert abs(part.w * onto[1] - part.h * onto[0]) <= max(onto), "the same shape, to a pixel"


def test_strips_leave_out_the_corners_and_nothing_else() -> None:
    pieces = strips(Box(0, 0, 440, 240), Box(100, 50, 220, 120), 5)
    assert [piece for _, piece in pieces] == [Box(105, 50, 210, 5), Box(100, 55, 220, 110), Box(105, 165, 210, 5)]
    assert [part for part, _ in pieces] == [Box(10, 0, 420, 10), Box(0, 10, 440, 220), Box(10, 230, 420, 10)]
