"""The bar below the Line: left our picture, middle our sound, right the link; hints and key caps."""

import re
from dataclasses import replace

from .base import Bar, LineOfLight, Rect
from .fit import shorten
from .items import Icon, Panel, Still, Words
from .line import pill_width
from .look import KEY
from .textures import Scale

BASELINE, ICON_Y, ICON = 130.0, 124.6, 6.9
ICON_RISE = 5.4  # from an icon's upper edge to the baseline of the text beside it
BETWEEN, APART = 2.1, 7.5  # icon to its text; one thing to the next
KEY_Y = 123.9
COLUMN = 8.0  # the right column begins so far right of the middle
AFTER_KEY = 2.8
HEALTHY = ("wifi", "globe")  # network marks that say that all is well
BESIDE_CUT = 22.0  # a hint makes way for the pill in the middle


def bar_items(bar: Bar, light: LineOfLight, scale: Scale, width: float) -> list[Still]:
    """Lay out the bar; pills on the Line take the place of what they say."""
    items: list[Still] = []
    if light.left_pill is None:
        items += _left(bar, scale, width)
    middle = width / 2
    if bar.middle and light.cut is None:
        items += _middle(bar, scale, width)
        middle += (scale.width(bar.middle, "body") + ICON + BETWEEN) / 2 + 4
    if light.right_pill is not None:
        right = width - 8 - pill_width(light.right_pill, scale) - 4
        # The time alone finds room beside a pill, and not beside every one.
        fits = bar.time is not None and right - scale.width(bar.time, "body") > middle
        bar = replace(bar, people=None, quality=None, network=None, time=bar.time if fits else None)
    else:
        right = width - 8
    start = width / 2 + COLUMN + (BESIDE_CUT if light.cut is not None else 0)
    if bar.network in HEALTHY and hint_width(bar, scale) > right - ICON - 3 - start:
        bar = replace(bar, network=None)  # what can be done is worth more than that nothing is wrong
    end = _right(bar, items, scale, right)
    if bar.hint or bar.hint_strong:
        items += hint_items(bar, scale, start, end if end == right else end - 3)
    return items


def _left(bar: Bar, scale: Scale, width: float) -> list[Still]:
    x = 8.0
    items: list[Still] = []
    for name in bar.left_icons:
        items.append(Icon(name, x, ICON_Y, ICON))
        x += ICON + BETWEEN
    limit = width / 2 - 4 - x - (scale.width(bar.middle, "body") / 2 + ICON if bar.middle else 0)
    items.append(Words(x, BASELINE, shorten(scale, bar.left, "body", limit), "body", bar.left_tone))
    return items


def _middle(bar: Bar, scale: Scale, width: float) -> list[Still]:
    text = scale.width(bar.middle, "body")
    x = width / 2 - (ICON + BETWEEN + text) / 2
    icon = Icon(bar.middle_icon or "mic", x, ICON_Y, ICON)
    return [icon, Words(x + ICON + BETWEEN, BASELINE, bar.middle, "body", "soft")]


def _right(bar: Bar, items: list[Still], scale: Scale, right: float) -> float:
    """Add count, bars and time from the right edge to the left; return where they begin."""
    x = right
    if bar.network:
        x -= ICON
        items.append(Icon(bar.network, x, ICON_Y, ICON, "soft"))
    if bar.time:
        items.append(Words(x, BASELINE, bar.time, "body", anchor="right"))
        x -= scale.width(bar.time, "body")
    if bar.quality is not None:
        x -= APART + ICON
        items.append(Icon("signal", x, ICON_Y, ICON, bars=bar.quality))
    if bar.people is not None:
        x -= APART
        count = str(bar.people)
        items.append(Words(x, BASELINE, count, "body", anchor="right"))
        x -= scale.width(count, "body") + BETWEEN + ICON
        items.append(Icon("people", x, ICON_Y, ICON))
    return x


def hint_width(bar: Bar, scale: Scale) -> float:
    """Return how wide the hint would like to be, u."""
    items = hint_items(bar, scale, 0.0, 10_000.0)
    ends = [item.x + scale.width(item.text, item.role) for item in items if isinstance(item, Words)]
    return max(ends, default=0.0)


def hint_items(bar: Bar, scale: Scale, x: float, right: float) -> list[Still]:
    """Lay out a hint: words, and keys of the device as caps."""
    items: list[Still] = []
    if bar.hint_icon:
        items.append(Icon(bar.hint_icon, x, ICON_Y, ICON))
        x += ICON + BETWEEN
    for part in re.split(r"(\[[^]]*])", bar.hint):
        words = part.strip()
        if not words:
            continue
        if part.startswith("["):
            cap = words[1:-1]
            w = scale.width(cap, "strong") + 2 * KEY["pad"] + 1.0
            items.append(Panel(Rect(x, KEY_Y, w, KEY["h"]), KEY["r"], "soft", stroke=KEY["stroke"]))
            items.append(Words(x + w / 2, BASELINE, cap, "strong", anchor="middle"))
            x += w + AFTER_KEY
        else:
            words = shorten(scale, words, "body", right - x)
            items.append(Words(x, BASELINE, words, "body", "soft"))
            x += scale.width(words, "body") + KEY["pad"]
    if bar.hint_strong:
        items.append(Words(x, BASELINE, shorten(scale, bar.hint_strong, "strong", right - x), "strong"))
    return items
