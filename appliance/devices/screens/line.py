"""Painting the line of light. What it says is made elsewhere (kiosk/line.py); here is how it looks at one moment."""

import math
from dataclasses import dataclass, replace

from .base import LineOfLight, Pill, Rect
from .items import Cap, Fill, Glow, Icon, Panel, Still, Words
from .look import GLOW_DOWN, GLOW_UP, LINE_GAP, PILL
from .textures import Scale

DASH, DASH_GAP = 4.0, 4.0
MARKS = (8.0, 26.0, 44.0)  # from the right edge to the right edge of each
MARK = 12.0
LONG, SHORT, PAUSE = 10.0, 3.0, 3.0
PILL_BASELINE = 123.5
OUTLINE = 0.5
TOUCH_CUT = 32.3  # as wide as the middle key below, which is the sign there
TOUCH_GLOW = (3.0, 1.5)
HELD_W, HELD_H = (6.0, 14.0), 2.0  # talking while the button is held: a length that goes to and fro


@dataclass(frozen=True, slots=True)
class Pose:
    """The Line at one moment of its motion. All from 0 to 1, but `dash` in u to the left and `pulse` in turns."""

    cut: float = 0.0  # how far it is open
    part: float = 0.0  # how much of the right half is paper
    brightness: float = 1.0  # of what is lit
    dash: float = 0.0
    pulse: float = 0.0


def still_pose(light: LineOfLight) -> Pose:
    """Return the pose that all motion ends in."""
    part = {"connected": 1.0, "part": light.right.part}.get(light.right.kind, 0.0)
    return Pose(cut=1.0 if light.cut else 0.0, part=part)


def pill_width(pill: Pill, scale: Scale) -> float:
    """Return the width of a pill on the Line, u."""
    text = scale.width(pill.word, "strong")
    edge = 2 * OUTLINE if pill.tone == "outline" else 0.0
    return PILL["pad_left"] + PILL["icon"] + PILL["between"] + text + PILL["pad_right"] + edge


def paint(light: LineOfLight, pose: Pose, scale: Scale, width: float, *, touch: bool = False) -> list[Still]:
    """Return what to stack for the Line, back to front."""
    painter = _Painter(light, pose, scale, width, touch)
    painter.halves()
    if light.pulse == "held":
        painter.held()
    if not touch:
        painter.pills()
    return painter.items


class _Painter:
    def __init__(self, light: LineOfLight, pose: Pose, scale: Scale, width: float, touch: bool) -> None:
        self.light, self.pose, self.scale, self.width = light, pose, scale, width
        self.y, self.h = scale.geometry.line_y, scale.geometry.line_h
        self.glow_up, self.glow_down = TOUCH_GLOW if touch else (GLOW_UP, GLOW_DOWN)
        self.items: list[Still] = []
        open_u = 0.0
        if pose.cut > 0:
            open_u = TOUCH_CUT if touch else (pill_width(light.cut, scale) if light.cut else 0.0) + 2 * LINE_GAP
        self.gap = pose.cut * open_u / 2
        self.middle = width / 2

    def halves(self) -> None:
        pose, right = self.pose, self.light.right
        rest = 1.0 if self.light.pulse != "slow" else 0.7 + 0.3 * math.cos(math.tau * pose.pulse)
        end = self.middle - self.gap
        if self.light.left_lit:
            self._glows(0, end, "live", "right")
            self._stretch(0, end, "live", pose.brightness, round_right=self.gap > 0)
        else:
            self._stretch(0, end, "rest", rest, round_right=self.gap > 0)
        start = self.middle + self.gap
        if right.kind in ("rest", "connected", "part", "marks"):
            self._stretch(start, self.width, "rest", rest, round_left=self.gap > 0)
        match right.kind:
            case "dashes":
                self._dashes(start)
            case "long_short":
                self._long_short(start)
            case "marks":
                for at in MARKS:
                    self._fill(self.width - at - MARK, self.width - at, "error")
        if pose.part > 0 and right.kind in ("rest", "connected", "part"):
            head = max(start, self.width - pose.part * self.middle)
            self._glows(head, self.width, "paper", "left")
            self._stretch(head, self.width, "paper", pose.brightness, round_left=head > self.middle)

    def _fill(self, x0: float, x1: float, colour: str, alpha: float = 1.0) -> None:
        if x1 > x0:
            self.items.append(Fill(Rect(x0, self.y, x1 - x0, self.h), colour, alpha))

    def _stretch(
        self, x0: float, x1: float, colour: str, alpha: float, *, round_left: bool = False, round_right: bool = False
    ) -> None:
        """Fill a length of the Line, its ends round where asked."""
        r = self.h / 2
        if x1 - x0 <= 2 * r:
            return
        if round_left:
            self.items.append(Cap(Rect(x0, self.y, r, self.h), "left", colour, alpha))
        if round_right:
            self.items.append(Cap(Rect(x1 - r, self.y, r, self.h), "right", colour, alpha))
        self._fill(x0 + r * round_left, x1 - r * round_right, colour, alpha)

    def _glows(self, x0: float, x1: float, colour: str, fade: str) -> None:
        if x1 - x0 < 1:
            return
        up = Glow(Rect(x0, self.y - self.glow_up, x1 - x0, self.glow_up), True, colour, "left", self.pose.brightness)
        down = Glow(Rect(x0, self.y + self.h, x1 - x0, self.glow_down), False, colour, "left", self.pose.brightness)
        for glow in (up, down):
            self.items.append(replace(glow, fade="right") if fade == "right" else glow)

    def _dashes(self, start: float) -> None:
        at = self.width - self.pose.dash + DASH + DASH_GAP
        while at > start:
            self._fill(max(start, at - DASH), min(at, self.width), "attention")
            at -= DASH + DASH_GAP

    def _long_short(self, start: float) -> None:
        at, lengths = self.width, (LONG, SHORT)
        for i in range(int(self.width)):
            if at <= start:
                return
            self._fill(max(start, at - lengths[i % 2]), at, "paper")
            at -= lengths[i % 2] + PAUSE

    def held(self) -> None:
        """Talking while the button is held: the middle swells and shrinks at 2 Hz."""
        low, high = HELD_W
        half = (low + (high - low) * (0.5 - 0.5 * math.cos(math.tau * self.pose.pulse))) / 2
        y = self.y + self.h / 2 - HELD_H / 2
        self.items.append(Fill(Rect(self.middle - half, y, half, HELD_H), "live"))
        self.items.append(Fill(Rect(self.middle, y, half, HELD_H), "paper"))

    def pills(self) -> None:
        if self.light.left_pill is not None:
            self._pill(self.light.left_pill, 8.0)
        if self.light.right_pill is not None:
            self._pill(self.light.right_pill, self.width - 8 - pill_width(self.light.right_pill, self.scale))
        if self.light.cut is not None and self.pose.cut > 0:
            w = pill_width(self.light.cut, self.scale)
            self._pill(self.light.cut, self.middle - w / 2, self.pose.cut)

    def _pill(self, pill: Pill, x: float, opened: float = 1.0) -> None:
        """Draw a pill; while it opens only its ground, narrower: its words come when it is there."""
        w = pill_width(pill, self.scale)
        place = Rect(x + w * (1 - opened) / 2, PILL["y"], w * opened, PILL["h"])
        edge = OUTLINE if pill.tone == "outline" else 0.0
        colour, ink = ("ink", "paper") if edge else (pill.tone, "ink")
        self.items.append(Panel(place, PILL["r"], colour))
        if edge:
            self.items.append(Panel(place, PILL["r"], "soft", stroke=OUTLINE))
        if opened < 1:
            return
        x += edge + PILL["pad_left"]
        y = PILL["y"] + (PILL["h"] - PILL["icon"]) / 2
        self.items.append(Icon(pill.icon, x, y, PILL["icon"], ink, bars=1))  # bars stand for a weak link here
        x += PILL["icon"] + PILL["between"]
        self.items.append(Words(x, PILL_BASELINE, pill.word, "strong", ink))
