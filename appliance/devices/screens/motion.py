"""What moves, and how far it has come: told the time, it says where everything stands (look/README.md 5). Pure.

Only position, size and alpha change; with `reduced` motion everything is at its end at once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .base import LineOfLight, Rect
from .items import Group
from .line import DASH, DASH_GAP, Pose, still_pose
from .look import CALM_S, DASH_S, MEET_S, QUICK_S, SETTLE_AFTER_S, SETTLED

SLOW_PULSE_S, HELD_PULSE_S = 2.0, 0.5  # one turn of the Line while starting; while talking with the button held


def eased(t: float) -> float:
    """Return an ease out: quick at first, gentle at the end. Both 0..1, and clipped to that."""
    return 1 - (1 - min(1.0, max(0.0, t))) ** 3


@dataclass(frozen=True, slots=True)
class Change:
    """A number on its way from one value to another, from `began` for `lasts` seconds."""

    start: float
    end: float
    began: float
    lasts: float

    def at(self, now: float) -> float:
        if self.lasts <= 0 or self.start == self.end:
            return self.end
        return self.start + (self.end - self.start) * eased((now - self.began) / self.lasts)

    def moving(self, now: float) -> bool:
        return self.start != self.end and now < self.began + self.lasts


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a group is drawn now, and how visible."""

    group: Group
    place: Rect
    alpha: float


@dataclass(frozen=True, slots=True)
class _Course:
    """A group that comes from elsewhere or out of nothing."""

    group: Group
    origin: Rect
    began: float
    appears: bool


class LineMotion:
    """The Line on its way to what it says."""

    def __init__(self, *, reduced: bool) -> None:
        self._reduced = reduced
        self._light = LineOfLight()
        self._cut = self._part = Change(0, 0, 0, 0)
        self._changed_at = 0.0
        self._closing: LineOfLight | None = None

    def show(self, light: LineOfLight, now: float) -> None:
        """Begin to move to this; nothing where it is the same."""
        if light == self._light:
            return
        pose, old = still_pose(light), self._light
        if light.cut is None and old.cut is not None:
            self._closing = old
        quick, meet = (0.0, 0.0) if self._reduced else (QUICK_S, MEET_S)
        self._cut = Change(self._cut.at(now), pose.cut, now, quick)
        begin = self._part.at(now) if old.right.kind in ("rest", "part", "connected") else 0.0
        self._part = Change(begin, pose.part, now, meet)
        self._light, self._changed_at = light, now

    def light(self, now: float) -> LineOfLight:
        """Return what to paint: while a cut closes, with the pill that was in it."""
        if self._closing is not None and self._light.cut is None and self._cut.moving(now):
            return replace(self._light, cut=self._closing.cut)
        return self._light

    def pose(self, now: float) -> Pose:
        turn = HELD_PULSE_S if self._light.pulse == "held" else SLOW_PULSE_S
        moves = not self._reduced
        return Pose(
            cut=self._cut.at(now),
            part=self._part.at(now),
            brightness=self._brightness(now),
            dash=(now % DASH_S) / DASH_S * (DASH + DASH_GAP) if moves and self._light.right.kind == "dashes" else 0.0,
            pulse=(now % turn) / turn if moves and self._light.pulse != "none" else 0.0,
        )

    def _brightness(self, now: float) -> float:
        """A lit Line is bright after a change, then settles: no picture burns in."""
        since = now - self._changed_at - SETTLE_AFTER_S
        if since <= 0:
            return 1.0
        return SETTLED if self._reduced else 1 + (SETTLED - 1) * eased(since / CALM_S)

    def wants_frame_at(self, now: float) -> float:
        """Return when the picture changes by itself next: now, later, or never (infinity)."""
        if self._cut.moving(now) or self._part.moving(now):
            return now
        if not self._reduced and (self._light.right.kind == "dashes" or self._light.pulse != "none"):
            return now
        settles = self._changed_at + SETTLE_AFTER_S
        if now < settles:
            return settles
        return now if now < settles + CALM_S else math.inf


class GroupMotion:
    """Tiles that change places, what appears, and scenes that cross-fade."""

    def __init__(self, *, reduced: bool) -> None:
        self._reduced = reduced
        self._courses: list[_Course] = []
        self._before: list[Group] = []
        self._kind = ""
        self._faded_at = -math.inf
        self._end_time = -math.inf

    def show(self, kind: str, groups: Sequence[Group], now: float) -> None:
        """Begin to move to these groups; another `kind` of scene cross-fades."""
        if kind != self._kind:
            self._before = [stand.group for stand in self.stands(now)] if self._kind else []
            self._faded_at = now if self._kind else -math.inf
            self._courses = [_Course(group, group.place, -math.inf, False) for group in groups]
            self._kind = kind
            self._end_time = now + MEET_S
            return
        old = {stand.group.key: stand.place for stand in self.stands(now)}
        courses = {course.group.key: course for course in self._courses}
        fresh = []
        for group in groups:
            if group.key not in old:
                fresh.append(_Course(group, group.place, now, True))
            elif courses[group.key].group.place == group.place:
                fresh.append(replace(courses[group.key], group=group))
            else:
                fresh.append(_Course(group, old[group.key], now, False))
        if fresh != self._courses:
            self._end_time = max(self._end_time, now + MEET_S)
        self._courses = fresh

    def stands(self, now: float) -> list[Stand]:
        """Return everything to draw, back to front."""
        if self._reduced:
            return [Stand(course.group, course.group.place, 1.0) for course in self._courses]
        fade = eased((now - self._faded_at) / MEET_S)
        gone = [Stand(group, group.place, 1 - fade) for group in self._before] if fade < 1 else []
        return gone + [self._stand(course, now, fade) for course in self._courses]

    def _stand(self, course: _Course, now: float, fade: float) -> Stand:
        place, age = course.group.place, now - course.began
        if course.appears:
            return Stand(course.group, place, fade * eased(age / QUICK_S))
        t = eased(age / MEET_S)
        if t < 1:
            place = Rect(*(a + (b - a) * t for a, b in zip(course.origin, place, strict=True)))
        return Stand(course.group, place, fade)

    def moving(self, now: float) -> bool:
        """Return whether the next frame differs from this one; what has faded out is forgotten."""
        if self._reduced or now >= self._end_time:
            self._before = []
            return False
        return True
