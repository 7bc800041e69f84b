"""From an item in u to pixels: which picture, made once and kept, and where it stands.

The canvas keeps what it makes of a picture under `key`; equal keys are equal pictures.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache, partial

from PIL import Image

from . import icons, shapes
from .items import Cap, Fill, Glow, Icon, Panel, Plate, Still, Words
from .look import GLOW_FADE, RGB, Face, Geometry, Role
from .type import Setting, draw_line, is_right_to_left, set_line


@dataclass(frozen=True, slots=True)
class Box:
    """A place in pixels."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class Sprite:
    """A picture and where it stands; without `make` it is a plain rectangle of `colour`."""

    key: Hashable
    box: Box
    alpha: float = 1.0
    make: Callable[[], Image.Image] | None = None
    colour: str = "ink"
    source: Box | None = None  # the part of the picture, where not the whole


class Scale:
    """How many pixels 1 u is on this screen, and how text comes out there."""

    def __init__(self, geometry: Geometry, height_px: int) -> None:
        self.geometry = geometry
        self.u = height_px / geometry.height

    def box(self, x: float, y: float, w: float, h: float) -> Box:
        """Round the edges, not the size, so that neighbours in u are neighbours in pixels."""
        left, top = round(x * self.u), round(y * self.u)
        return Box(left, top, max(1, round((x + w) * self.u) - left), max(1, round((y + h) * self.u) - top))

    def setting(self, text: str, role: Role, size: float | None = None, tracking: float | None = None) -> Setting:
        """Set a line of text in a role; px."""
        style: Face = self.geometry.faces[role]
        wanted = ("tnum", "case") if role == "clock" else ("tnum",)
        tracked = style.tracking if tracking is None else tracking
        return set_line(text, style, max(1, round((size or style.size) * self.u)), tracked, wanted)

    def width(self, text: str, role: Role, size: float | None = None, tracking: float | None = None) -> float:
        """Return how wide the ink of a line of text is, in u."""
        return self.setting(text, role, size, tracking).width / self.u

    @staticmethod
    def right_to_left(text: str) -> bool:
        """Whether a text runs from right to left."""
        return is_right_to_left(text)

    def sprites(self, item: Still) -> list[Sprite]:
        """Return what to stack for this item."""
        match item:
            case Fill(place, colour, alpha):
                return [Sprite(("fill", colour), self.box(*place), alpha, None, colour)]
            case Panel(place, r, colour, alpha, stroke):
                box = self.box(*place)
                numbers = (box.w, box.h, round(r * self.u, 2), colour, round(stroke * self.u, 2))
                return [Sprite(("panel", *numbers), box, alpha, partial(shapes.panel, *numbers))]
            case Words():
                return self._words(item)
            case Icon(name, x, y, size, colour, bars):
                px = round(size * self.u)
                make = partial(_icon, name, px, colour, bars)
                return [
                    Sprite(
                        ("icon", name, px, colour, bars), Box(round(x * self.u), round(y * self.u), px, px), 1.0, make
                    )
                ]
            case Plate(place, r, margin, link):
                if shapes.modules(link) is None:
                    return []
                box = self.box(*place)
                make = partial(shapes.plate, box.w, r * self.u, margin * self.u, link)
                return [Sprite(("plate", box.w, link), box, 1.0, make)]
            case Glow():
                return self._glow(item)
            case Cap(place, side, colour, alpha):
                box = self.box(*place)
                return [Sprite(("cap", box.h, side, colour), box, alpha, partial(shapes.cap, box.h, side, colour))]

    def _words(self, item: Words) -> list[Sprite]:
        setting = self.setting(item.text, item.role, item.size, item.tracking)
        if not setting.pieces:
            return []
        begin = item.x * self.u - {"left": 0.0, "middle": setting.width / 2, "right": setting.width}[item.anchor]
        whole = int(begin // 1)
        fraction = round((begin - whole) * 4) / 4  # quarters of a pixel are enough, and few keys
        image, dx, dy = _drawn(setting, item.colour, fraction)
        box = Box(whole + dx, round(item.baseline * self.u) + dy, image.width, image.height)
        key = ("words", item.text, item.role, item.size, item.tracking, item.colour, fraction)
        return [Sprite(key, box, item.alpha, lambda: image)]

    def _glow(self, item: Glow) -> list[Sprite]:
        """Return the part that fades, and the rest as one column stretched."""
        box, fade = self.box(*item.place), round(GLOW_FADE * self.u)
        key = ("glow", box.h, item.up, item.colour, item.fade)
        make = partial(shapes.glow, box.h, fade, item.up, item.colour, item.fade)
        n = min(fade, box.w)
        if item.fade == "right":
            ends = Box(box.x + box.w - n, box.y, n, box.h), Box(fade + 1 - n, 0, n, box.h)
            rest = Box(box.x, box.y, box.w - n, box.h), Box(0, 0, 1, box.h)
        else:
            ends = Box(box.x, box.y, n, box.h), Box(0, 0, n, box.h)
            rest = Box(box.x + n, box.y, box.w - n, box.h), Box(fade, 0, 1, box.h)
        pairs = [ends, rest] if box.w > n else [ends]
        return [Sprite(key, to, item.alpha, make, source=part) for to, part in pairs]


def _icon(name: str, px: int, colour: str, bars: int) -> Image.Image:
    return shapes.coloured(icons.mask(name, px, bars), colour)


@lru_cache(maxsize=128)
def _drawn(setting: Setting, colour: str, fraction: float) -> tuple[Image.Image, int, int]:
    return draw_line(setting, RGB[colour], fraction)
