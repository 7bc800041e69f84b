"""Rounded panels, corner masks, light and QR plates as pictures, drawn once for each size and colour."""

import logging
from functools import lru_cache
from typing import Literal

import segno
from PIL import Image, ImageChops, ImageDraw

from .look import RGB

log = logging.getLogger(__name__)

FINER = 4  # as in icons.py
PEAK_UP, PEAK_DOWN = 0.24, 0.16  # alpha of the light beside the Line (geometry.md)


def _rounded(w: int, h: int, r: float, stroke: float = 0.0) -> Image.Image:
    large = Image.new("L", (w * FINER, h * FINER))
    box, radius = (0, 0, w * FINER - 1, h * FINER - 1), r * FINER
    if stroke:
        ImageDraw.Draw(large).rounded_rectangle(box, radius, outline=255, width=max(1, round(stroke * FINER)))
    else:
        ImageDraw.Draw(large).rounded_rectangle(box, radius, fill=255)
    return large.resize((w, h), Image.Resampling.BOX)


def coloured(mask: Image.Image, colour: str) -> Image.Image:
    """Return RGBA: one colour, seen through an L mask."""
    image = Image.new("RGBA", mask.size, RGB[colour])
    image.putalpha(mask)
    return image


def panel(w: int, h: int, r: float, colour: str, stroke: float = 0.0) -> Image.Image:
    """Return a rounded rectangle, or its outline inside the edge; everything in px."""
    return coloured(_rounded(w, h, r, stroke), colour)


def corner_mask(w: int, h: int, r: float) -> Image.Image:
    """Return ink with a transparent rounded hole: it rounds the corners of a picture that lies on ink."""
    return coloured(ImageChops.invert(_rounded(w, h, r)), "ink")


def frame_mask(w: int, h: int, r: float, frame: int) -> Image.Image:
    """Return a ring of ink, `frame` px wide, around a rounded hole of w x h: for a picture upon a picture."""
    outer = _rounded(w + 2 * frame, h + 2 * frame, r + frame)
    hole = Image.new("L", outer.size)
    hole.paste(_rounded(w, h, r), (frame, frame))
    return coloured(ImageChops.subtract(outer, hole), "ink")


def glow(h: int, fade: int, up: bool, colour: str, towards: Literal["left", "right"]) -> Image.Image:
    """Return light beside the Line: `fade` columns that come up from nothing, then one that is stretched.

    Alpha is peak x (1 - t) squared over the height, times distance / fade towards the middle.
    """
    peak = PEAK_UP if up else PEAK_DOWN
    heights = [peak * (1 - row / h) ** 2 for row in range(h)]
    if up:
        heights.reverse()
    lengths = [column / fade for column in range(fade)] + [1.0]
    if towards == "right":
        lengths.reverse()
    mask = Image.new("L", (len(lengths), h))
    mask.putdata([round(255 * height * length) for height in heights for length in lengths])
    return coloured(mask, colour)


def cap(h: int, side: Literal["left", "right"], colour: str) -> Image.Image:
    """Return the round end of a bar of `h` px: half a circle."""
    circle = _rounded(h, h, h / 2)
    half = (h + 1) // 2
    return coloured(circle.crop((0, 0, half, h) if side == "left" else (h - half, 0, h, h)), colour)


@lru_cache(maxsize=16)
def modules(link: str) -> tuple[bytes, ...] | None:
    """Return the rows of a QR code of level M, a byte of 0 or 1 for each module; None where the link is too long."""
    try:
        return tuple(bytes(row) for row in segno.make_qr(link, error="m", boost_error=False).matrix)
    except segno.DataOverflowError:
        log.warning("a link of %d characters does not fit a QR code", len(link))
        return None


def plate(size: int, r: float, margin: float, link: str) -> Image.Image:
    """Return a QR code on a paper plate of `size` px; modules are whole pixels, centred. Bare where it does not fit."""
    image = panel(size, size, r, "paper")
    rows = modules(link)
    if rows is None:
        return image
    module = max(1, int((size - 2 * margin) / len(rows)))
    mask = Image.new("L", (len(rows), len(rows)))
    mask.putdata([255 * bit for row in rows for bit in row])
    mask = mask.resize((module * len(rows),) * 2, Image.Resampling.NEAREST)
    at = (size - mask.width) // 2
    image.paste(RGB["ink"], (at, at), mask)
    return image
