"""What a picture of the wall consists of: things to be stacked, in u, back to front. Values only; pure.

A scene becomes groups once; then frames only move, scale and fade what is there (look/README.md 5).
"""

from dataclasses import dataclass
from typing import Literal

from .base import Rect
from .look import Role

Anchor = Literal["left", "middle", "right"]


@dataclass(frozen=True, slots=True)
class Fill:
    """A plain rectangle."""

    place: Rect
    colour: str
    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class Panel:
    """A rounded rectangle; an outline of `stroke` u inside its edge where that is above 0."""

    place: Rect
    r: float
    colour: str
    alpha: float = 1.0
    stroke: float = 0.0


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text. `x` is where the ink begins (left), its middle, or where it ends (right)."""

    x: float
    baseline: float
    text: str
    role: Role
    colour: str = "paper"
    size: float | None = None  # u, where not the role's own
    anchor: Anchor = "left"
    tracking: float | None = None  # em, where not the role's own
    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class Icon:
    """One of icons.svg; `bars` counts those of `signal` that are lit."""

    name: str
    x: float
    y: float
    size: float
    colour: str = "paper"
    bars: int = 4


@dataclass(frozen=True, slots=True)
class Plate:
    """A QR code of level M on its paper plate."""

    place: Rect
    r: float
    margin: float
    link: str


@dataclass(frozen=True, slots=True)
class Glow:
    """Light above (`up`) or below a half of the Line; fades out over 10 u towards `fade`."""

    place: Rect
    up: bool
    colour: str
    fade: Literal["left", "right"]
    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class Cap:
    """The round end of a half of the Line."""

    place: Rect
    side: Literal["left", "right"]
    colour: str
    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """The newest frame of a slot, cropped to fill its place; `otherwise` until there is one."""

    slot: str
    place: Rect
    r: float
    otherwise: "tuple[Still, ...]" = ()
    mirrored: bool = False
    bias: float = 0.5  # where the crop is centred, as a part of what is cut off
    framed: bool = False  # an ink frame of half a u, where it lies over another picture


Still = Fill | Panel | Words | Icon | Plate | Glow | Cap
Item = Still | Picture


@dataclass(frozen=True, slots=True)
class Group:
    """Things that move and appear together; `key` tells that it is the same as before."""

    key: str
    place: Rect
    items: tuple[Item, ...]
