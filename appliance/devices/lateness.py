"""How late each period of sound is ready after the card asked for it. Pure: times are handed in."""

from collections import deque

from appliance.devices.samples import PERIOD_S

WINDOW_PERIODS = 3000
"""Figures cover the last minute."""

SETTLING_PERIODS = 50
"""After a delay of ours the card's buffer is read faster than it fills, and the next wake-ups are early again. A second
without one early wake-up was no delay: the card itself stood still, or its clock is slow."""

SMALLEST_SHIFT_S = 0.001


class Lateness:
    """Compares wake-ups with an even grid through the earliest of them.

    A card wakes its reader every 20 ms; whatever a wake-up comes after its place on the grid is scheduling delay, which
    no program sees by itself. Lateness is that delay plus the work until the period was ready.
    """

    def __init__(self) -> None:
        self._due: float | None = None
        self._delays_s: deque[float] = deque(maxlen=SETTLING_PERIODS)
        self._settling_s: deque[float] = deque()
        self._settled_s: deque[float] = deque(maxlen=WINDOW_PERIODS)
        self._worst_s = 0.0
        self.periods = 0

    def woke(self, now: float) -> None:
        """The card woke its thread for the next period."""
        due = now if self._due is None else min(now, self._due + PERIOD_S)
        self._due = due
        self._delays_s.append(now - due)
        if len(self._delays_s) == SETTLING_PERIODS and (least_s := min(self._delays_s)) > SMALLEST_SHIFT_S:
            self._shift(least_s)

    def ready(self, now: float) -> None:
        """That period is finished."""
        if self._due is None:
            return
        self._settling_s.append(now - self._due)
        if len(self._settling_s) == SETTLING_PERIODS:  # the oldest is not among the delays any more
            self._settle(self._settling_s.popleft())
        self.periods += 1

    def gap(self) -> None:
        """The card lost samples or was opened anew: the grid starts again."""
        self._due = None
        self._delays_s.clear()
        while self._settling_s:
            self._settle(self._settling_s.popleft())

    @property
    def worst_s(self) -> float:
        return max(self._worst_s, *self._settling_s.copy(), 0.0)

    def percentile_ms(self, part: float) -> float:
        """Return the lateness that `part` (0..1) of the last minute's periods did not exceed; 0 before the first."""
        late = sorted([*self._settled_s.copy(), *self._settling_s.copy()])
        return 1000 * late[min(len(late) - 1, int(part * len(late)))] if late else 0.0

    def _shift(self, by_s: float) -> None:
        """Move the grid to the earliest wake-up of late, and what was measured on the old one with it."""
        assert self._due is not None
        self._due += by_s
        self._delays_s = deque((delay - by_s for delay in self._delays_s), maxlen=SETTLING_PERIODS)
        self._settling_s = deque(late - by_s for late in self._settling_s)

    def _settle(self, late_s: float) -> None:
        self._settled_s.append(late_s)
        self._worst_s = max(self._worst_s, late_s)
