"""Where people stand on the wall: the numbers of the geometry, and the names on the tiles."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.devices.screens.base import Rect, Wall
from appliance.kiosk.state import Person
from appliance.kiosk.tiles import columns, first_name, initials, layout, sizes
from appliance.media_engine import Dimensions

WALL = Wall()


def people(count: int) -> list[Person]:
    return [Person(sid=f"PA{i}", name=f"Person Number{i}", microphone="on", video=f"MT{i}") for i in range(count)]


def rounded(place: Rect) -> tuple[float, ...]:
    return tuple(round(n, 1) for n in place)


def test_one_other_fills_the_screen_and_we_stand_in_the_corner() -> None:
    placed = layout(people(1), WALL, own_camera=True)
    assert [tile.place for tile in placed.tiles] == [Rect(0, 0, 240, 121)]
    assert placed.self_view is not None
    assert placed.self_view.place == Rect(8, 90.25, 44, 24.75)
    assert placed.self_view.framed


def test_four_others_stand_in_two_columns_on_the_stand() -> None:
    placed = layout(people(4), WALL, own_camera=True)
    assert [rounded(tile.place) for tile in placed.tiles] == [
        (42, 7.2, 94, 52.9),
        (138, 7.2, 94, 52.9),
        (42, 62.1, 94, 52.9),
        (138, 62.1, 94, 52.9),
    ]
    assert placed.self_view is not None
    assert rounded(placed.self_view.place) == (8, 98.1, 30, 16.9)
    assert not placed.self_view.framed


def test_nine_others_stand_in_three_columns() -> None:
    tiles = layout(people(9), WALL, own_camera=True).tiles
    assert [rounded(tile.place)[1:] for tile in tiles[::3]] == [(6.4, 62, 34.9), (43.2, 62, 34.9), (80.1, 62, 34.9)]
    assert [round(tile.place.x) for tile in tiles[:3]] == [42, 106, 170]


def test_eight_of_nine_leave_the_last_place_empty_so_that_nobody_jumps() -> None:
    eight, nine = (layout(people(n), WALL, own_camera=True).tiles for n in (8, 9))
    assert [tile.place for tile in eight] == [tile.place for tile in nine[:8]]


def test_sixteen_fit_and_the_seventeenth_is_counted() -> None:
    tiles = layout(people(17), WALL, own_camera=True).tiles
    assert len(tiles) == 16
    assert (tiles[-1].look, tiles[-1].initials, tiles[-1].slot) == ("rest", "+2", None)


def test_who_speaks_is_large_and_six_more_stand_in_a_strip_the_last_counting_the_rest() -> None:
    others = people(9)
    others[4] = replace(others[4], speaking=True)
    placed = layout(others, WALL, own_camera=True, spotlight="PA4")
    main, *strip = placed.tiles
    assert (main.key, main.place, main.look) == ("PA4", Rect(8, 6.6, 192.8, 108.4), "main")
    assert [tile.key for tile in strip] == ["PA0", "PA1", "PA2", "PA3", "PA5", "rest"]
    assert [rounded(tile.place) for tile in strip[::5]] == [(202.8, 6.6, 29.2, 16.4), (202.8, 98.6, 29.2, 16.4)]
    assert strip[-1].initials == "+3"
    assert strip[0].name == "Person", "the first name only"
    assert placed.self_view is not None
    assert placed.self_view.place == Rect(10, 92.75, 36, 20.25)


def test_the_spotlight_of_somebody_who_left_or_of_the_only_other_changes_nothing() -> None:
    assert layout(people(3), WALL, own_camera=True, spotlight="PA9") == layout(people(3), WALL, own_camera=True)
    assert layout(people(1), WALL, own_camera=True, spotlight="PA0") == layout(people(1), WALL, own_camera=True)
    touch = Wall(100, touch=True)
    assert layout(people(3), touch, own_camera=True, spotlight="PA0") == layout(people(3), touch, own_camera=True)


@pytest.mark.parametrize(
    ("count", "spotlight", "shown"),
    [
        (1, None, {"PA0": (1920, 968)}),
        (2, None, {"PA0": (752, 423), "PA1": (752, 423)}),
        (3, "PA2", {"PA0": (234, 132), "PA1": (234, 132), "PA2": (1543, 868)}),
    ],
)
def test_how_large_everybody_is_shown_in_pixels(
    count: int, spotlight: str | None, shown: dict[str, tuple[int, int]]
) -> None:
    placed = layout(people(count), WALL, own_camera=True, spotlight=spotlight)

    assert {sid: (size.width, size.height) for sid, size in sizes(placed, WALL, 1080).items()} == shown


def test_who_is_only_counted_has_no_size() -> None:
    placed = layout(people(20), WALL, own_camera=True, spotlight="PA19")

    assert sorted(sizes(placed, WALL, 720)) == ["PA0", "PA1", "PA19", "PA2", "PA3", "PA4"]


def test_on_a_touch_panel_u_are_larger() -> None:
    wall = Wall(100, touch=True)

    assert sizes(layout(people(1), wall, own_camera=True), wall, 480)["PA0"] == Dimensions(width=800, height=328)


def test_without_a_self_view_the_gallery_stands_in_the_middle() -> None:
    placed = layout(people(4), WALL, own_camera=True, self_view=False)
    left = min(tile.place.x for tile in placed.tiles)
    right = max(tile.place.x + tile.place.w for tile in placed.tiles)
    assert placed.self_view is None
    assert left == pytest.approx(240 - right)


def test_an_own_camera_that_is_off_keeps_its_place_without_a_picture() -> None:
    placed = layout(people(4), WALL, own_camera=False)
    assert placed.self_view is not None
    assert placed.self_view.slot is None


def test_alone_we_see_ourselves_large() -> None:
    placed = layout([], WALL, own_camera=True)
    assert placed.tiles == ()
    assert placed.self_view is not None
    assert placed.self_view.place == Rect(8, 56.5, 104, 58.5)


@given(st.integers(2, 40), st.floats(160, 520), st.booleans())
def test_tiles_keep_their_shape_apart_from_each_other_and_inside_the_screen(
    count: int, width: float, self_view: bool
) -> None:
    placed = layout(people(count), Wall(width), own_camera=True, self_view=self_view)
    places = [tile.place for tile in placed.tiles] + ([placed.self_view.place] if placed.self_view else [])
    for place in places:
        assert place.x >= 7.99
        assert place.x + place.w <= width - 7.99
        assert place.y >= 5
        assert place.y + place.h <= 115.01
        assert place.w / place.h == pytest.approx(16 / 9, rel=0.01)
    for i, a in enumerate(places):
        for b in places[i + 1 :]:
            beside = a.x + a.w <= b.x + 0.01 or b.x + b.w <= a.x + 0.01
            assert beside or a.y + a.h <= b.y + 0.01 or b.y + b.h <= a.y + 0.01


@given(st.integers(0, 30))
def test_on_a_touch_panel_everybody_stands_above_the_line(count: int) -> None:
    placed = layout(people(count), Wall(100, touch=True), own_camera=True)
    for tile in placed.tiles:
        assert tile.place.y + tile.place.h <= (41 if count == 1 else 37.51)
        assert tile.place.x + tile.place.w <= 100


def test_columns_follow_the_count() -> None:
    assert [columns(n) for n in (1, 2, 4, 5, 9, 10, 16)] == [2, 2, 2, 3, 3, 4, 4]


def test_who_speaks_who_is_muted_and_who_has_no_picture_is_on_the_tile() -> None:
    somebody = Person(sid="PA1", name="Jonas Weber", microphone="off", speaking=True)
    other = Person(sid="PA2", name="Ana", microphone="none", video="MT2")
    first, second = layout([somebody, other], WALL, own_camera=True).tiles
    assert (first.speaking, first.microphone_off, first.slot, first.initials) == (True, True, None, "JW")
    assert (second.speaking, second.microphone_off, second.slot) == (False, True, "MT2")


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Amara Okafor", "AO"), ("Ana", "A"), ("María José García López", "ML"), ("Юлия Смирнова", "ЮС"),
        ("Αλέξανδρος Παπάς", "ΑΠ"), ("ليلى حداد", "ل"), ("林 美玲", "林"), ("김서연", "김"), ("दिया राव", "द"),
        ("  ", "?"), ("🌻", "?"), ("🌻 Zoë Day", "ZD"), ("o'neill", "O"), ("7 of 9", "79"), ("phone-4711", "P"),
    ],
)  # fmt: skip
def test_initials_are_two_letters_in_latin_greek_and_cyrillic_and_one_elsewhere(name: str, letters: str) -> None:
    assert initials(name) == letters


@given(st.text())
def test_any_name_has_initials(name: str) -> None:
    assert 1 <= len(initials(name)) <= 6  # some letters grow in upper case: ŉ, ΐ
    assert first_name(name) in name or first_name(name) == name


def test_small_tiles_show_the_first_name_only_where_there_is_one() -> None:
    assert first_name("Amara Okafor") == "Amara"
    assert first_name("林 美玲") == "林 美玲"
