"""Who stands where on the screen, in u, and by which letters where there is no picture (geometry.md). Pure."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from appliance.devices.screens.base import SELF_SLOT, Rect, SelfView, Tile, Wall
from appliance.kiosk.state import Person
from appliance.media_engine import Dimensions

HEIGHT, TOUCH_HEIGHT = 135, 60  # of the screen in u

STAND = 115.0
EDGE = 8.0
GAP = 2.0
STAGE_X = 42.0  # of a gallery beside the self view
TOP = 5.5  # four rows of four reach half a u into the safe area
LARGEST_GALLERY = 16
SMALL_BELOW, FIRST_NAME_BELOW = 70.0, 32.0  # widths of a tile in u: smaller tag; first name only
SELF_GALLERY = (30.0, 16.875)
SELF_ONE = (44.0, 24.75)
SELF_SPEAKER = Rect(10.0, 92.75, 36.0, 20.25)
SPEAKER_MAIN = Rect(8.0, 6.6, 192.8, 108.4)
STRIP_X, TOP_OF_STRIP, STRIP, STRIP_ROWS = 202.8, 6.6, (29.2, 16.4), 6
SELF_LARGE = Rect(8.0, 56.5, 104.0, 58.5)  # while we are the only ones to see
TOUCH_STAND, TOUCH_EDGE, TOUCH_LINE = 37.5, 3.0, 41.0
TOUCH_SELF = (20.0, 11.25)
TOUCH_SELF_LARGE = Rect(3.0, 15.0, 40.0, 22.5)
TOUCH_GAP = 1.0

INITIALS_SCRIPTS = ("LATIN", "GREEK", "CYRILLIC")


@dataclass(frozen=True, slots=True)
class Layout:
    """Tiles, and where we see ourselves."""

    tiles: tuple[Tile, ...]
    self_view: SelfView | None


def layout(
    people: Sequence[Person],
    wall: Wall,
    *,
    own_camera: bool,
    self_view: bool = True,
    spotlight: str | None = None,
) -> Layout:
    """Lay out a call as `auto` does (kiosk.md 7).

    One other person fills the screen; more stand in a gallery of 2, 3 or 4 columns until somebody speaks, then beside
    whoever spoke last, who is large. Everybody keeps a place: whoever finds none is counted in the last tile.

    Args:
        people: in the order they keep, oldest first.
        own_camera: whether our own camera delivers; without it the self view shows that it is off.
        self_view: False leaves it out; the gallery then stands in the middle.
        spotlight: SID of whoever is to be large. A touch panel has no room for that.
    """
    own = SELF_SLOT if own_camera else None
    if wall.touch:
        return _touch(people, wall, own, self_view)
    if not people:
        return Layout((), SelfView(SELF_LARGE, own))
    if len(people) == 1:
        place = Rect(0, 0, wall.width, 121)
        w, h = SELF_ONE
        return Layout(
            (_tile(people[0], place, full=True),),
            SelfView(Rect(EDGE, STAND - h, w, h), own, framed=True) if self_view else None,
        )
    main = next((person for person in people if person.sid == spotlight), None)
    if main is not None:
        view = SelfView(SELF_SPEAKER, own, framed=True) if self_view else None
        return Layout(_speaker(main, people, wall), view)
    w, h = SELF_GALLERY
    left = STAGE_X if self_view else (wall.width - (wall.width - STAGE_X - EDGE)) / 2
    stage = Rect(left, TOP, wall.width - STAGE_X - EDGE, STAND - TOP)
    return Layout(
        _gallery(people, stage, GAP),
        SelfView(Rect(EDGE, STAND - h, w, h), own) if self_view else None,
    )


def _touch(people: Sequence[Person], wall: Wall, own: str | None, self_view: bool) -> Layout:
    if not people:
        return Layout((), SelfView(TOUCH_SELF_LARGE, own))
    w, h = TOUCH_SELF
    view = SelfView(Rect(TOUCH_EDGE, TOUCH_STAND - h, w, h), own, framed=len(people) == 1) if self_view else None
    if len(people) == 1:
        return Layout((_tile(people[0], Rect(0, 0, wall.width, TOUCH_LINE), full=True),), view)
    left = TOUCH_EDGE + w + 2 if self_view else TOUCH_EDGE
    stage = Rect(left, 6.5, wall.width - left - TOUCH_EDGE, TOUCH_STAND - 6.5)
    return Layout(_gallery(people, stage, TOUCH_GAP), view)


def sizes(placed: Layout, wall: Wall, height_px: int) -> Mapping[str, Dimensions]:
    """Return how large each person is shown, in pixels, by participant SID; whoever is only counted is not listed."""
    pixels = height_px / (TOUCH_HEIGHT if wall.touch else HEIGHT)
    return {
        tile.key: Dimensions(width=math.ceil(tile.place.w * pixels), height=math.ceil(tile.place.h * pixels))
        for tile in placed.tiles
        if tile.look != "rest"
    }


def _speaker(main: Person, people: Sequence[Person], wall: Wall) -> tuple[Tile, ...]:
    """`main` is large; the others stand in a strip on the right, in their order."""
    others = [person for person in people if person is not main]
    wider = wall.width - 240
    x, y, w, h = SPEAKER_MAIN
    tiles = [replace(_tile(main, Rect(x, y, w + wider, h)), look="main", speaking=False, name=main.name)]
    for i, person in enumerate(others[:STRIP_ROWS]):
        place = Rect(STRIP_X + wider, TOP_OF_STRIP + i * (STRIP[1] + GAP), *STRIP)
        if i == STRIP_ROWS - 1 and len(others) > STRIP_ROWS:
            tiles.append(Tile("rest", "", f"+{len(others) - i}", place, look="rest"))
        else:
            tiles.append(replace(_tile(person, place), speaking=False))
    return tuple(tiles)


def columns(count: int) -> int:
    """Return the columns of a gallery: 2 to 4 people, 3 to 9, 4 to 16."""
    return 2 if count <= 4 else 3 if count <= 9 else 4


def _gallery(people: Sequence[Person], stage: Rect, gap: float) -> tuple[Tile, ...]:
    """Fill rows from the top; the grid stands on the lower edge, a place left empty is the last one."""
    shown = people[:LARGEST_GALLERY]
    rest = len(people) - len(shown)
    if not shown:
        return ()
    across = columns(len(shown))
    rows = -(-len(shown) // across)
    w = (stage.w - (across - 1) * gap) / across
    h = w * 9 / 16
    if rows * h + (rows - 1) * gap > stage.h:  # on screens wider than 16:9 the height decides
        h = (stage.h - (rows - 1) * gap) / rows
        w = h * 16 / 9
    left = stage.x + (stage.w - across * w - (across - 1) * gap) / 2
    bottom = stage.y + stage.h
    tiles = []
    for i, person in enumerate(shown):
        row, column = divmod(i, across)
        top = bottom - (rows - row) * h - (rows - row - 1) * gap
        place = Rect(left + column * (w + gap), top, w, h)
        if rest and i == len(shown) - 1:
            tiles.append(Tile("rest", "", f"+{rest + 1}", place, look="rest"))
        else:
            tiles.append(_tile(person, place))
    return tuple(tiles)


def _tile(person: Person, place: Rect, full: bool = False) -> Tile:
    small = place.w < SMALL_BELOW
    return Tile(
        key=person.sid,
        name=first_name(person.name) if place.w < FIRST_NAME_BELOW else person.name,
        initials=initials(person.name),
        place=place,
        slot=person.video,
        microphone_off=person.microphone != "on",
        speaking=person.speaking and not full,
        look="full" if full else "small" if small else "tile",
    )


def first_name(name: str) -> str:
    """Return the given name of a Western name; others are kept whole."""
    words = name.split()
    return words[0] if len(words) > 1 and has_initials(name) else name


def has_initials(name: str) -> bool:
    """Return whether two letters stand for this name: in Latin, Greek and Cyrillic."""
    letter = next((letter for letter in name if letter.isalpha()), "")
    return unicodedata.name(letter, "").startswith(INITIALS_SCRIPTS) if letter else False


def initials(name: str) -> str:
    """Return the first letters of given and family name; one letter of names in other scripts; "?" for none."""
    words = [word for word in name.split() if any(letter.isalnum() for letter in word)]
    if not words:
        return "?"
    letters = [next(letter for letter in word if letter.isalnum()) for word in words]
    if not has_initials(name):
        return letters[0].upper()
    return (letters[0] + letters[-1] if len(letters) > 1 else letters[0]).upper()
