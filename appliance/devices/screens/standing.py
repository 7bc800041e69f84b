"""The screens without a call: starting, idle, ringing, updating, set-up, error, dim, standby. Numbers: geometry.md."""

import re

from .bar import BETWEEN, ICON, ICON_RISE
from .base import (
    DimScene,
    ErrorScene,
    IdleScene,
    Invitation,
    Rect,
    RingingScene,
    SetupScene,
    StandbyScene,
    StartingScene,
    UpdatingScene,
)
from .fit import largest, shorten, wrap
from .items import Fill, Icon, Plate, Still, Words
from .look import QR_WALL
from .textures import Scale

LEFT, EDGE, COLUMN = 8.0, 8.0, 8.0
STAND = 115.0
NAME, BELOW = 19.3, 29.3
QR_Y, QR_R, QR_MARGIN = 77.0, 2.0, 2.5
HERO_SIZES = (16.0, 13.0, 9.0)
CALLER_SIZES, CALLER_LEADING = (22.0, 16.0, 13.0), 1.02
CAPITAL = 0.727  # height of a capital of Inter, em
LABEL_RISE = 8.7  # from the ink of a large thing to the baseline of its label; label and thing look apart alike
DIMMED = 0.34
UNIT_GAP = 1.2
MARKS_FROM, MARK_W = 8.0, 8.0
BODY_LEADING = 6.9


def heading(name: str, below: str, scale: Scale, room: float) -> list[Still]:
    """Return the name of this wall and the line under it."""
    size, lines = largest(scale, name, "hero", room, HERO_SIZES)
    items: list[Still] = [Words(LEFT, NAME, lines[0] if lines else "", "hero", size=size)]
    if below:
        items.append(Words(LEFT, BELOW, shorten(scale, below, "body", room), "body", "soft"))
    return items


def starting(scene: StartingScene, scale: Scale, width: float) -> list[Still]:
    return heading(scene.name, scene.below, scale, width - LEFT - EDGE)


def idle(scene: IdleScene, scale: Scale, width: float) -> list[Still]:
    right = width / 2 + COLUMN
    narrow = width / 2 - LEFT
    room = narrow if scene.booking else width - LEFT - EDGE
    items = heading(scene.name, "" if scene.notice else scene.date, scale, room)
    if scene.notice:
        items.append(Icon("warning", LEFT, BELOW - ICON_RISE, ICON, "attention"))
        text = shorten(scale, scene.notice, "strong", room - ICON - BETWEEN)
        items.append(Words(LEFT + ICON + BETWEEN, BELOW, text, "strong", "attention"))
    items.append(Words(LEFT, STAND, scene.clock, "clock"))
    if scene.booking is not None:
        room = width - EDGE - right
        items += [
            Words(right, 11.8, shorten(scale, scene.booking.label, "body", room), "body", "soft"),
            Words(right, 23.2, shorten(scale, scene.booking.title, "title", room), "title"),
            Words(right, 32.0, shorten(scale, scene.booking.rest, "body", room), "body", "soft"),
        ]
    if scene.invitation is not None:
        items += _invitation_beside(scene.invitation, right, width - EDGE, scale)
    return items


def _invitation_beside(invitation: Invitation, x: float, right: float, scale: Scale) -> list[Still]:
    items: list[Still] = [Plate(Rect(x, QR_Y, QR_WALL, QR_WALL), QR_R, QR_MARGIN, invitation.link)]
    x += QR_WALL + 5
    room = right - x
    title = wrap(scale, invitation.title, "strong", room)
    count = len(title) + len(invitation.lines)
    for i, text in enumerate([*title, *invitation.lines]):
        baseline = STAND - (count - 1 - i) * BODY_LEADING
        if i < len(title):
            items.append(Words(x, baseline, shorten(scale, text, "strong", room), "strong"))
        else:
            items.append(Words(x, baseline, shorten(scale, text, "body", room), "body", "soft"))
    return items


def _with_unit(value: str, unit: str, x: float, size: float, scale: Scale) -> list[Still]:
    """A large figure and its small unit."""
    end = x + scale.width(value, "clock")
    return [Words(x, STAND, value, "clock"), Words(end + UNIT_GAP, STAND, unit, "clock", "soft", size=size)]


def ringing(scene: RingingScene, scale: Scale, width: float) -> list[Still]:
    items = heading(scene.name, scene.date, scale, width - LEFT - EDGE)
    items += _with_unit(str(scene.seconds), "s", LEFT, 17.6, scale)
    items.append(Words(LEFT, STAND - 44 * CAPITAL - LABEL_RISE, scene.label, "body", "soft"))
    x = width / 2 + COLUMN
    size, lines = largest(scale, scene.caller, "hero", width - EDGE - x, CALLER_SIZES, most_lines=2)
    leading = size * CALLER_LEADING
    for i, text in enumerate(lines):
        items.append(Words(x, STAND - (len(lines) - 1 - i) * leading, text, "hero", size=size))
    label = STAND - (len(lines) - 1) * leading - size * CAPITAL - 9.3
    items.append(Icon("ring", x, label - ICON_RISE, ICON, "soft"))
    items.append(Words(x + ICON + BETWEEN, label, scene.caller_label, "body", "soft"))
    return items


def updating(scene: UpdatingScene, scale: Scale, width: float) -> list[Still]:
    items = heading(scene.name, scene.date, scale, width - LEFT - EDGE)
    items.append(Words(LEFT, 104.0 if scene.detail else STAND, scene.title, "hero"))
    if scene.detail:
        items.append(Words(LEFT, STAND, shorten(scale, scene.detail, "body", width / 2 - LEFT), "body", "soft"))
    return items + _with_unit(str(scene.percent), "%", width / 2 + COLUMN, 22.0, scale)


def setup(scene: SetupScene, scale: Scale, width: float) -> list[Still]:
    items = heading(scene.name, scene.below, scale, width / 2 - LEFT)
    x = width / 2 + COLUMN
    for i, text in enumerate(scene.how):
        items += _marked(text, x, 11.85 + i * 7.15, scale, width - EDGE)
    groups, x = scene.code.split(), LEFT
    for group in groups:
        items.append(Words(x, STAND, group, "clock", size=30.5, tracking=0.01))
        x += scale.width(group, "clock", 30.5, 0.01) + (0.28 + 0.04) * 30.5
    if scene.link:
        place = Rect(width - EDGE - QR_WALL, QR_Y, QR_WALL, QR_WALL)
        items.append(Plate(place, QR_R, QR_MARGIN, scene.link))
    return items


def _marked(text: str, x: float, baseline: float, scale: Scale, right: float) -> list[Still]:
    """A line in second text, with what stands in brackets in first text."""
    items: list[Still] = []
    for part in re.split(r"(\[[^]]*])", text):
        words = part.strip(" ").strip("[]")
        if words:
            words = shorten(scale, words, "body", right - x)
            items.append(Words(x, baseline, words, "body", "paper" if part.startswith("[") else "soft"))
            x += scale.width(words, "body") + 1.8
    return items


def error(scene: ErrorScene, scale: Scale, width: float) -> list[Still]:
    items = heading(scene.name, "", scale, width - LEFT - EDGE)
    items.append(Icon("warning", LEFT, BELOW - ICON_RISE, ICON, "error"))
    items.append(Words(LEFT + ICON + BETWEEN, BELOW, scene.title, "strong", "error"))
    rows = [*enumerate(scene.remedies, 1), (None, scene.code)]
    room = width - EDGE - QR_WALL - 6 - LEFT
    numbered = len(scene.remedies) > 1
    text_x = LEFT + 6.5 if numbered else LEFT
    for i, (number, text) in enumerate(rows):
        baseline = STAND - (len(rows) - 1 - i) * 8
        if number is not None and numbered:
            items.append(Words(LEFT, baseline, str(number), "body"))
        tone = "paper" if number is not None else "soft"
        items.append(Words(text_x, baseline, shorten(scale, text, "body", room), "body", tone))
    last = STAND - (len(rows) - 1) * 8 - 13.3
    lines = wrap(scale, scene.headline, "hero", min(room, width / 2), 13)
    for i, text in enumerate(lines):
        items.append(Words(LEFT, last - (len(lines) - 1 - i) * 14.3, text, "hero", size=13))
    if scene.details is not None:
        x = width - EDGE - QR_WALL
        items.append(Words(x, 66.1, shorten(scale, scene.details.title, "strong", QR_WALL), "strong"))
        for i, text in enumerate(scene.details.lines):
            items.append(Words(x, 73.0 + i * BODY_LEADING, shorten(scale, text, "body", QR_WALL), "body", "soft"))
        items.append(Plate(Rect(x, QR_Y, QR_WALL, QR_WALL), QR_R, QR_MARGIN, scene.details.link))
    return items


def dim(scene: DimScene, scale: Scale, width: float) -> list[Still]:
    x = width / 2 + COLUMN if scene.right_column else LEFT
    size, lines = largest(scale, scene.name, "hero", width / 2 - LEFT - EDGE, HERO_SIZES)
    return [
        Words(x, NAME, lines[0] if lines else "", "hero", "soft", size=size, alpha=DIMMED),
        Words(x, STAND, scene.clock, "clock", "soft", alpha=DIMMED),
    ]


def standby(scene: StandbyScene, scale: Scale, width: float) -> list[Still]:
    if scene.mark is None:
        return []
    x = MARKS_FROM + scene.mark * (width - 2 * MARKS_FROM - MARK_W) / 25
    return [Fill(Rect(x, scale.geometry.line_y, MARK_W, scale.geometry.line_h), "mark")]
