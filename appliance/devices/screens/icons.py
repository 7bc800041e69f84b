"""The icons of icons.svg as masks: strokes of 2 on a grid of 24, flattened here and drawn by Pillow."""

import math
import re
from functools import cache
from xml.etree import ElementTree

from PIL import Image, ImageDraw

from .look import ICONS

SVG = "{http://www.w3.org/2000/svg}"
GRID = 24
FINER = 4  # drawn so many times too large, then reduced: Pillow's own edges are hard
STROKE, AIR = 2.0, 6.5  # width of a stroke; of the air around the diagonal of an -off icon
DIAGONAL = [(4.0, 3.5), (20.0, 20.5)]
FAINT_BAR = 0.28  # opacity of a bar of `signal` that is missing, so that the scale remains visible

Point = tuple[float, float]


@cache
def symbols() -> dict[str, ElementTree.Element]:
    """Return the drawing of each icon by name."""
    found = ElementTree.parse(ICONS).iter(SVG + "symbol")
    return {str(symbol.get("id")): symbol for symbol in found}


def mask(name: str, size: int, bars: int = 4) -> Image.Image:
    """Draw an icon.

    Args:
        size: pixels of its square.
        bars: how many bars of `signal` are lit, 0..4.
    Returns:
        L, size x size. Raise KeyError, naming the icon, where there is none.
    """
    large = Image.new("L", (size * FINER, size * FINER))
    _draw(symbols()[name], large, size * FINER / GRID, bars)
    return large.resize((size, size), Image.Resampling.LANCZOS)


def _draw(parent: ElementTree.Element, into: Image.Image, scale: float, bars: int) -> None:
    pen = ImageDraw.Draw(into)
    for shape in parent:
        if shape.tag == SVG + "g":  # the glyph of an -off icon, cut by the diagonal with air on both sides
            _draw(shape, into, scale, bars)
            _stroke(pen, [(x * scale, y * scale) for x, y in DIAGONAL], AIR * scale, 0)
        elif shape.tag == SVG + "rect":
            _rectangle(pen, shape, scale, bars)
        elif shape.tag == SVG + "circle":
            _circle(pen, shape, scale)
        else:
            points = [(x * scale, y * scale) for x, y in flatten(str(shape.get("d")))]
            _stroke(pen, points, STROKE * scale, 255)


def _number(shape: ElementTree.Element, name: str) -> float:
    return float(str(shape.get(name)))


def _rectangle(pen: ImageDraw.ImageDraw, shape: ElementTree.Element, scale: float, bars: int) -> None:
    x, y, w, h, r = (_number(shape, name) * scale for name in ("x", "y", "width", "height", "rx"))
    bar = re.search(r"--b(\d)", shape.get("style") or "")
    ink = round(255 * FAINT_BAR) if bar and int(bar[1]) > bars else 255
    if shape.get("fill"):
        pen.rounded_rectangle((x, y, x + w - 1, y + h - 1), r, fill=ink)
    else:
        half = STROKE / 2 * scale
        box = (x - half, y - half, x + w + half - 1, y + h + half - 1)
        pen.rounded_rectangle(box, r + half, outline=ink, width=round(STROKE * scale))


def _circle(pen: ImageDraw.ImageDraw, shape: ElementTree.Element, scale: float) -> None:
    x, y, r = (_number(shape, name) * scale for name in ("cx", "cy", "r"))
    if shape.get("fill"):
        pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
    else:
        r += STROKE / 2 * scale
        pen.ellipse((x - r, y - r, x + r, y + r), outline=255, width=round(STROKE * scale))


def _stroke(pen: ImageDraw.ImageDraw, points: list[Point], width: float, ink: int) -> None:
    """Draw a polyline with round ends and joints."""
    pen.line(points, ink, round(width), joint="curve")
    r = width / 2
    for x, y in points:
        pen.ellipse((x - r, y - r, x + r - 1, y + r - 1), fill=ink)


def flatten(path: str) -> list[Point]:
    """Turn a path of M L H V A (circular, small) and Z into points."""
    points: list[Point] = []
    for letter, numbers in re.findall(r"([MLHVAZ])([^MLHVAZ]*)", path):
        n = [float(number) for number in re.findall(r"-?[\d.]+", numbers)]
        match letter:
            case "M" | "L":
                points += zip(n[::2], n[1::2], strict=True)
            case "H":
                points.append((n[0], points[-1][1]))
            case "V":
                points.append((points[-1][0], n[0]))
            case "A":
                points += _arc(points[-1], (n[5], n[6]), n[0], clockwise=n[4] != 0)
            case _:
                points.append(points[0])
    return points


def _arc(start: Point, end: Point, radius: float, clockwise: bool, steps: int = 32) -> list[Point]:
    """Return points on the small arc of a circle from start (left out) to end (SVG 2, appendix F.6.5)."""
    dx, dy = (end[0] - start[0]) / 2, (end[1] - start[1]) / 2
    half = math.hypot(dx, dy)
    radius = max(radius, half)
    away = math.sqrt(max(radius * radius - half * half, 0.0)) / half * (1 if clockwise else -1)
    x, y = start[0] + dx - dy * away, start[1] + dy + dx * away
    a, b = math.atan2(start[1] - y, start[0] - x), math.atan2(end[1] - y, end[0] - x)
    if clockwise and b < a:
        b += math.tau
    if not clockwise and b > a:
        b -= math.tau
    angles = (a + (b - a) * i / steps for i in range(1, steps + 1))
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]
