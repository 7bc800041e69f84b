"""Test frames for screens: simple people before simple walls, and plain fields of one colour."""

from fractions import Fraction

import av
import numpy
from PIL import Image, ImageDraw

WALLS = ("#7a5c4a", "#5f7688", "#9c8a75", "#4f7267", "#8d6459", "#77809c", "#b0955f", "#5a5f73", "#87957a")
SKINS = ("#8a5a3c", "#e0b18d", "#f0c9a8", "#c78a63", "#ecc3a3", "#c4926a", "#a9714b", "#8b5e3c", "#f0d2b6")
CLOTHES = ("#d3a44f", "#2f4457", "#7d9683", "#1f3a44", "#3a4643", "#596887", "#8f3f52", "#444c63", "#3d4a73")
HAIR = ("#1c1512", "#6b4a2e", "#131417", "#3f6f8a", "#8f3b22", "#4b3b31", "#1d1614", "#241a15", "#d8b46a")


def person(number: int, size: tuple[int, int] = (1280, 720), finer: int = 2) -> Image.Image:
    """Draw somebody: shoulders, hair, face, before a wall with something on it. RGB."""
    w, h = size[0] * finer, size[1] * finer
    n = number % len(WALLS)
    image = Image.new("RGB", (w, h), WALLS[n])
    pen = ImageDraw.Draw(image)
    lighter = Image.blend(image.crop((0, 0, 1, 1)), Image.new("RGB", (1, 1), "#ffffff"), 0.16).getpixel((0, 0))
    left, top = (0.1, 0.14) if n % 2 else (0.74, 0.1)  # a picture, or a window
    pen.rectangle((left * w, top * h, (left + 0.17) * w, (top + 0.34) * h), fill=lighter)

    def ellipse(x: float, y: float, rx: float, ry: float, colour: str) -> None:
        pen.ellipse(((x - rx) * h, (y - ry) * h, (x + rx) * h, (y + ry) * h), fill=colour)

    middle = w / h / 2
    ellipse(middle, 1.18, 0.47, 0.55, CLOTHES[n])
    ellipse(middle, 0.38, 0.175, 0.225, HAIR[n])
    pen.rectangle(((middle - 0.07) * h, 0.5 * h, (middle + 0.07) * h, 0.68 * h), fill=SKINS[n])
    ellipse(middle, 0.66, 0.08, 0.055, SKINS[n])
    ellipse(middle, 0.42, 0.14, 0.19, SKINS[n])
    return image.resize(size, Image.Resampling.LANCZOS)


def meeting_room(size: tuple[int, int] = (1280, 720)) -> Image.Image:
    """Draw our own room: three people at a table. RGB."""
    finer = 2
    w, h = size[0] * finer, size[1] * finer
    image = Image.new("RGB", (w, h), "#7d8883")
    pen = ImageDraw.Draw(image)
    pen.rectangle((0.15 * w, 0.08 * h, 0.36 * w, 0.41 * h), fill="#dfe8e3")
    pen.rectangle((0.68 * w, 0.12 * h, 0.9 * w, 0.37 * h), fill="#efece4")
    for x, skin, hair, cloth in ((0.28, 4, 1, "#e2ddd1"), (0.5, 0, 0, "#b5533f"), (0.71, 1, 2, "#3f5a7c")):
        pen.ellipse(((x - 0.055) * w, 0.29 * h, (x + 0.055) * w, 0.5 * h), fill=HAIR[hair])
        pen.ellipse(((x - 0.042) * w, 0.33 * h, (x + 0.042) * w, 0.5 * h), fill=SKINS[skin])
        pen.ellipse(((x - 0.1) * w, 0.52 * h, (x + 0.1) * w, 0.95 * h), fill=cloth)
    pen.polygon([(0.2 * w, 0.7 * h), (0.8 * w, 0.7 * h), (0.93 * w, h), (0.07 * w, h)], fill="#a9845a")
    return image.resize(size, Image.Resampling.LANCZOS)


def frame_of(image: Image.Image, number: int = 0) -> av.VideoFrame:
    """Return a picture as yuv420p."""
    frame = av.VideoFrame.from_ndarray(numpy.asarray(image.convert("RGB")), format="rgb24").reformat(format="yuv420p")
    frame.pts, frame.time_base = number * 3000, Fraction(1, 90000)
    return frame


def field(colour: tuple[int, int, int], size: tuple[int, int] = (640, 360)) -> av.VideoFrame:
    """Return a frame of one colour."""
    return frame_of(Image.new("RGB", size, colour))
