"""The picture of the virtual camera: a test card with clock, frame number and the device's name.

All that stands still is drawn once, with Pillow, and kept as yuv420p. A frame is a copy of it with a few pieces
pasted in: the digits, the number's blocks (`frame_number`) and a bar that runs from left to right once a second.
"""

import colorsys
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from appliance.devices.cameras import frame_number

Plane = NDArray[np.uint8]

_GROUND = (16, 20, 28)
_LINES = (44, 52, 66)
_TEXT = (236, 240, 246)
_SOFT = (148, 160, 178)
_DIGITS = "0123456789:.# "
_BARS = 8
_CLOCK_CHARACTERS = 10  # HH:MM:SS.t
_NUMBER_CHARACTERS = 9  # # and 8 digits


class TestCard:
    """Draws frames of one size for one device."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    def __init__(self, width: int, height: int, name: str) -> None:
        """Prepare a card; width and height are even."""
        self._width, self._height = width, height
        self._clock_size, self._number_size = max(10, height // 6), max(8, height // 14)
        self._clock_place = _even(width * 0.5 - self._glyph_width(self._clock_size) * _CLOCK_CHARACTERS / 2)
        self._clock_top = _even(height * 0.34)
        self._number_place = _even(width * 0.5 - self._glyph_width(self._number_size) * _NUMBER_CHARACTERS / 2)
        self._number_top = _even(height * 0.55)
        self._ground = _yuv420p(self._still_picture(name))

    def frame(self, number: int, clock: str, part_of_second: float) -> Plane:
        """Return one frame as uint8 of shape (height * 3 // 2, width), yuv420p.

        Args:
            number: shown as digits and as blocks.
            clock: ten characters of 0-9 : and . to show large.
            part_of_second: 0..1, where the running bar stands.
        """
        planes = self._ground.copy()
        luma = planes[: self._height]
        left, top, right, bottom = frame_number.place_in(self._width, self._height)
        luma[top:bottom, left:right] = frame_number.row_of(number, self._width)
        self._write(luma, clock, self._clock_place, self._clock_top, self._clock_size)
        digits = f"#{number % 10**8:08d}"
        self._write(luma, digits, self._number_place, self._number_top, self._number_size)
        bar = max(4, self._width // 80)
        place = round(part_of_second * (self._width - bar))
        luma[round(self._height * 0.935) : round(self._height * 0.965), place : place + bar] = frame_number.WHITE
        return planes

    def _write(self, luma: Plane, text: str, left: int, top: int, size: int) -> None:
        for character in text:
            glyph = self._glyphs[size][character]
            luma[top : top + glyph.shape[0], left : left + glyph.shape[1]] = glyph
            left += glyph.shape[1]

    @staticmethod
    def _glyph_width(size: int) -> int:
        return _even(size * 0.62)

    @cached_property
    def _glyphs(self) -> dict[int, dict[str, Plane]]:
        """Luma of every digit at both sizes, on the card's ground; all equally wide, so that nothing wanders."""
        shades = np.array([_luma_of(_GROUND), _luma_of(_TEXT)], np.float64)
        glyphs: dict[int, dict[str, Plane]] = {}
        for size in (self._clock_size, self._number_size):
            font = ImageFont.load_default(size)
            glyphs[size] = {}
            for character in _DIGITS:
                mask = Image.new("L", (self._glyph_width(size), _even(size * 1.25)))
                ImageDraw.Draw(mask).text((mask.width / 2, mask.height / 2), character, 255, font, anchor="mm")
                part = np.asarray(mask, np.float64) / 255
                glyphs[size][character] = np.asarray(shades[0] + part * (shades[1] - shades[0]), np.uint8)
        return glyphs

    def _still_picture(self, name: str) -> Image.Image:
        width, height = self._width, self._height
        card = Image.new("RGB", (width, height), _GROUND)
        draw = ImageDraw.Draw(card)
        line = max(1, height // 360)
        for step in range(1, 16):
            draw.line([(width * step / 16, 0), (width * step / 16, height)], _LINES, line)
        for step in range(1, 9):
            draw.line([(0, height * step / 9), (width, height * step / 9)], _LINES, line)
        radius = height * 0.46
        centre = (width / 2, height / 2)
        box = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
        draw.ellipse(box, outline=_SOFT, width=2 * line)
        self._still_bars(draw)
        panel = (width * 0.2, height * 0.2, width * 0.8, height * 0.66)
        draw.rounded_rectangle(panel, height * 0.03, _GROUND, _LINES, line)
        soft = ImageFont.load_default(max(8, height // 20))
        draw.text((width / 2, height * 0.265), name, _TEXT, soft, anchor="mm")
        draw.rectangle(frame_number.place_in(width, height), (0, 0, 0))
        draw.rectangle((0, height * 0.93, width, height * 0.97), _GROUND)
        return card

    def _still_bars(self, draw: ImageDraw.ImageDraw) -> None:
        """Eight colours, then eight greys: what a camera, a codec or a screen does to them is seen at once."""
        for place in range(_BARS):
            left, right = self._width * (0.2 + 0.075 * place), self._width * (0.2 + 0.075 * (place + 1))
            red, green, blue = colorsys.hsv_to_rgb(place / _BARS, 0.72, 0.86)
            colour = (round(red * 255), round(green * 255), round(blue * 255))
            draw.rectangle((left, self._height * 0.70, right, self._height * 0.80), colour)
            grey = round(255 * place / (_BARS - 1))
            draw.rectangle((left, self._height * 0.80, right, self._height * 0.87), (grey, grey, grey))


def _even(size: float) -> int:
    return int(size) // 2 * 2


def _luma_of(colour: tuple[int, int, int]) -> float:
    red, green, blue = colour
    return 16 + (65.738 * red + 129.057 * green + 25.064 * blue) / 256  # ITU-R BT.601, limited range


def _yuv420p(card: Image.Image) -> Plane:
    """Return a picture as uint8 of shape (height * 3 // 2, width), BT.601 in limited range."""
    width, height = card.size
    red, green, blue = np.moveaxis(np.asarray(card, np.float64), 2, 0)
    luma = _luma_of((red, green, blue))
    u = 128 + (-37.945 * red - 74.494 * green + 112.439 * blue) / 256
    v = 128 + (112.439 * red - 94.154 * green - 18.285 * blue) / 256
    small = [plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)) for plane in (u, v)]
    parts = [luma, *(plane.reshape(-1, width) for plane in small)]
    return np.round(np.concatenate(parts)).astype(np.uint8)
