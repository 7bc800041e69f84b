"""The rhythms of the lamps (kiosk.md 6)."""

import pytest

from appliance.surfaces.rhythms import TICK_S, brightness, lit


def flashes(pattern: str, seconds: float) -> int:
    """Count how often the lamp comes on."""
    levels = [lit(pattern, tick * TICK_S / 4) for tick in range(int(seconds / TICK_S * 4))]
    return sum(not before and now for before, now in zip([False, *levels], levels, strict=False))


@pytest.mark.parametrize(
    ("pattern", "seconds", "expected"),
    [
        ("off", 10, 0),
        ("solid", 10, 1),
        ("blink_1hz", 10, 10),
        ("blink_0_5hz", 10, 5),
        ("fast_4hz", 2, 8),
        ("double", 2, 2),
        ("triple", 3, 3),
        ("long_short", 2, 2),
        ("test", 1.5, 3),
    ],
)
def test_each_pattern_has_its_own_rhythm(pattern: str, seconds: float, expected: int) -> None:
    assert flashes(pattern, seconds) == expected


def test_breathing_swells_without_ever_going_dark() -> None:
    levels = [brightness("breathe", step / 10) for step in range(40)]
    assert min(levels) > 0.05
    assert max(levels) > 0.95
    assert all(lit("breathe", step / 10) for step in range(40))
