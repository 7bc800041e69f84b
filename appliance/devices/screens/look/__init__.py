"""Every colour, size and duration of the wall, read from tokens.json, which style sheets of the web share.

May import ground modules only.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..base import Rect, Wall

FOLDER = Path(__file__).parent
ICONS = FOLDER / "icons.svg"
_TOKENS: dict[str, Any] = json.loads((FOLDER / "tokens.json").read_text("utf-8"))

Role = Literal["clock", "hero", "title", "body", "strong", "name", "small"]

TOUCH_BELOW_PX = 600  # a lower screen is a touch panel at arm's length (geometry.md)
STANDBY_MARK = "#1D2320"


def _channels(value: str) -> tuple[int, int, int]:
    return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)


RGB: dict[str, tuple[int, int, int]] = {name: _channels(value) for name, value in _TOKENS["colour"].items()}
RGB["mark"] = _channels(STANDBY_MARK)


@dataclass(frozen=True, slots=True)
class Face:
    """How one role of text is set: size in u, the font, tracking in em, and the style of fonts that stand beside it."""

    size: float
    family: str
    style: str
    tracking: float
    beside: Literal["Regular", "Bold"] = "Bold"


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where things stand, in u. Two tables: the wall, and the touch panel."""

    height: int
    left: float
    line_y: float
    line_h: float
    stand: float
    tile_r: float
    faces: dict[Role, Face]


def _faces(table: dict[Role, list[Any]]) -> dict[Role, Face]:
    faces: dict[Role, Face] = {}
    for role, (size, font, tracking) in table.items():
        family, style = font.rsplit(" ", 1)
        # Other scripts have no Medium: plain in running text, bold in names, which lie on pictures.
        beside: Literal["Regular", "Bold"] = "Regular" if role == "body" else "Bold"
        faces[role] = Face(size, family, style.replace("SemiBold", "Semi Bold"), tracking, beside)
    return faces


def _geometry(table: dict[str, Any], height: int, tile_r: float) -> Geometry:
    line = table["line"]
    return Geometry(height, table["safe"][0], line["y"], line["h"], table["stand"], tile_r, _faces(table["type"]))


WALL = _geometry(_TOKENS["wall"], 135, _TOKENS["wall"]["tile"]["r"])
TOUCH = _geometry(_TOKENS["touch"], 60, 1.5)

GLOW_UP, GLOW_DOWN = float(_TOKENS["wall"]["line"]["glow_up"]), float(_TOKENS["wall"]["line"]["glow_down"])
GLOW_FADE = float(_TOKENS["wall"]["line"]["fade"])
LINE_GAP = float(_TOKENS["wall"]["line"]["gap"])
PILL: dict[str, float] = _TOKENS["wall"]["pill"]
KEY: dict[str, float] = _TOKENS["wall"]["key"]
SPEAKER_RING = float(_TOKENS["wall"]["tile"]["speaker_ring"])
SHIFT = float(_TOKENS["wall"]["shift"])
QR_WALL, QR_TOUCH = float(_TOKENS["wall"]["qr"]), float(_TOKENS["touch"]["qr"])
TOUCH_KEYS: dict[str, Any] = _TOKENS["touch"]["keys"]
SELF_JOINING = Rect(*_TOKENS["wall"]["self"]["joining"])

QUICK_S, MEET_S, CALM_S = (_TOKENS["motion_ms"][name] / 1000 for name in ("quick", "meet", "calm"))
DASH_S = 0.8  # dashes travel one pattern, 8 u, in this time
SETTLE_AFTER_S, SETTLED = 30.0, 0.7  # a lit Line eases to this brightness


def geometry(wall: Wall) -> Geometry:
    """Return the table that holds for this shape of screen."""
    return TOUCH if wall.touch else WALL


def wall_of(width_px: int, height_px: int) -> Wall:
    """Return the shape of a screen of so many pixels."""
    touch = height_px < TOUCH_BELOW_PX
    return Wall(width_px * (TOUCH if touch else WALL).height / height_px, touch)
