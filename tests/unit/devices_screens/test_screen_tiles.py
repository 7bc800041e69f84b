"""Tiles without a picture: whole letters, whole names."""

import pytest

from appliance.devices.screens.base import Rect, Tile, Wall
from appliance.devices.screens.call import tile_group
from appliance.devices.screens.items import Panel, Words
from appliance.devices.screens.look import geometry
from appliance.devices.screens.standing import CAPITAL
from appliance.devices.screens.textures import Scale
from appliance.kiosk.tiles import SPEAKER_MAIN, STRIP, STRIP_X, TOP_OF_STRIP


def letters_and_tag(tile: Tile) -> tuple[Words, Panel]:
    panel, letters, tag, *_ = tile_group(tile, Scale(geometry(Wall()), 1080), 240.0).items
    assert isinstance(panel, Panel)
    assert isinstance(letters, Words)
    assert isinstance(tag, Panel)
    return letters, tag


@pytest.mark.parametrize("microphone_off", [False, True])
def test_in_the_low_tiles_of_the_strip_the_name_does_not_cover_the_initials(microphone_off: bool) -> None:
    place = Rect(STRIP_X, TOP_OF_STRIP, *STRIP)
    letters, tag = letters_and_tag(
        Tile("PA1", "Amara", "AO", place, look="small", microphone_off=microphone_off, speaking=False)
    )
    assert letters.baseline < tag.place.y
    assert letters.baseline - (letters.size or 0) * CAPITAL > place.y


@pytest.mark.parametrize(("place", "look"), [(Rect(42, 62.1, 94, 52.9), "tile"), (SPEAKER_MAIN, "main")])
def test_where_there_is_room_the_initials_stand_in_the_middle(place: Rect, look: str) -> None:
    letters, _ = letters_and_tag(Tile("PA1", "Amara Okafor", "AO", place, look=look))  # type: ignore[arg-type]
    assert letters.baseline - (letters.size or 0) * CAPITAL / 2 == pytest.approx(place.y + place.h / 2)
