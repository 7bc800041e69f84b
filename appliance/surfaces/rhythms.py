"""The rhythms of the lamps (kiosk.md 6): whether a lamp is lit at a moment of its pattern. Pure."""

import math
from collections.abc import Mapping

Flash = tuple[float, float]
"""Lit from, to, in seconds of the period."""

_PERIODS: Mapping[str, tuple[float, tuple[Flash, ...]]] = {
    "off": (1.0, ()),
    "solid": (1.0, ((0.0, 1.0),)),
    "blink_1hz": (1.0, ((0.0, 0.5),)),
    "blink_0_5hz": (2.0, ((0.0, 1.0),)),
    "fast_4hz": (0.25, ((0.0, 0.125),)),
    "double": (2.0, ((0.0, 0.15), (0.3, 0.45))),
    "triple": (3.0, ((0.0, 0.15), (0.3, 0.45), (0.6, 0.75))),
    "breathe": (4.0, ((0.0, 4.0),)),
    "long_short": (2.0, ((0.0, 0.9), (1.2, 1.5))),
    "test": (0.5, ((0.0, 0.25),)),
}
STEADY = frozenset({"off", "solid"})
TEST_S = 1.5
"""Lamp test at boot: three flashes."""
TICK_S = 1 / 16
"""How often a lamp that is not steady is looked after: finer than the shortest flash by half."""


def lit(pattern: str, at_s: float) -> bool:
    """Tell whether a lamp is lit, `at_s` seconds after its pattern began."""
    period_s, flashes = _PERIODS[pattern]
    moment = at_s % period_s
    return any(start <= moment < end for start, end in flashes)


def brightness(pattern: str, at_s: float) -> float:
    """Return 0..1: all patterns are on or off, but `breathe` swells."""
    if pattern != "breathe":
        return 1.0
    return 0.55 - 0.45 * math.cos(2 * math.pi * at_s / _PERIODS["breathe"][0])
