"""A number that stands in a picture and can be read back after coding and scaling. Pure.

One row of 32 equal blocks, black or white, in fractions of the picture (width, height), origin at the top left:

    x from 0.1 to 0.9, each block 0.025 wide          y from 0.06 to 0.13
    block  0   1   2 … 25            26 … 29         30  31
           W   B   24 bits, highest  4 check bits    B   W         (white is 1)

The check is the exclusive or of the number's six nibbles and 0b1010. A reader takes the mean of the middle half of each
block, both ways, sets the threshold half way between the guards' black and white, and gives up where those are less
than 64 grey levels apart, where a block is nearer than a sixth of that distance to the threshold, or where guards or
check are wrong. At 1280x720 a block is 32 x 50 pixels, at 320x180 it is 8 x 12: both survive VP8 and H.264 at low
rates.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

LEFT, RIGHT, TOP, BOTTOM = 0.1, 0.9, 0.06, 0.13
BLOCKS = 32
NUMBER_BITS = 24
CHECK_BITS = 4
LEAST_CONTRAST = 64.0
WHITE, BLACK = 235, 16
"""Full range of limited-range luma (ITU-R BT.601)."""

_GUARD_BEFORE, _GUARD_AFTER = (1, 0), (0, 1)


def check_of(number: int) -> int:
    """Return the four check bits."""
    check = 0b1010
    for place in range(0, NUMBER_BITS, 4):
        check ^= number >> place & 0xF
    return check


def bits_of(number: int) -> tuple[int, ...]:
    """Return the 32 blocks from left to right, 1 for white. Numbers above 24 bits start again at 0."""
    number %= 1 << NUMBER_BITS
    coded = number << CHECK_BITS | check_of(number)
    coded_bits = NUMBER_BITS + CHECK_BITS
    middle = tuple(coded >> place & 1 for place in reversed(range(coded_bits)))
    return (*_GUARD_BEFORE, *middle, *_GUARD_AFTER)


def row_of(number: int, width: int) -> NDArray[np.uint8]:
    """Return one line of luma, as wide as the blocks are together in a picture of this width."""
    edges = _edges(LEFT, RIGHT, width)
    shades = np.where(np.array(bits_of(number)), WHITE, BLACK).astype(np.uint8)
    return np.repeat(shades, np.diff(edges))


def place_in(width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the row in pixels."""
    return round(LEFT * width), round(TOP * height), round(RIGHT * width), round(BOTTOM * height)


def read_frame_number(gray: NDArray[np.uint8]) -> int | None:
    """Return the number in a picture of shape (height, width), or None where none can be read with certainty."""
    height, width = gray.shape
    edges = _edges(LEFT, RIGHT, width)
    top, bottom = _middle(TOP * height, BOTTOM * height)
    if width < 2 * BLOCKS or bottom <= top:
        return None
    band = gray[top:bottom].astype(np.float64)
    means = np.array([band[:, slice(*_middle(a, b))].mean() for a, b in itertools.pairwise(edges)])
    white, black = (means[0] + means[-1]) / 2, (means[1] + means[-2]) / 2
    threshold, contrast = (white + black) / 2, white - black
    if contrast < LEAST_CONTRAST or float(np.min(np.abs(means - threshold))) < contrast / 6:
        return None
    bits = tuple(int(mean > threshold) for mean in means)
    coded = 0
    for bit in bits[2:-2]:
        coded = coded << 1 | bit
    number = coded >> CHECK_BITS
    return number if bits == bits_of(number) else None


def _edges(start: float, end: float, size: int) -> NDArray[np.intp]:
    return np.asarray(np.round(np.linspace(start * size, end * size, BLOCKS + 1)), np.intp)


def _middle(start: float, end: float) -> tuple[int, int]:
    quarter = (end - start) / 4
    first = round(start + quarter)
    return first, max(first + 1, round(end - quarter))
