"""How late each period of sound is ready after the card asked for it. Pure: times are handed in."""

from collections import deque

from appliance.devices.samples import PERIOD_S

WINDOW_PERIODS = 3000
"""Figures cover the last minute."""

DRIFT_PART = 0.001
"""The grid gives way by this part of each lateness, so that a slow card does not look ever later."""


class Lateness:
    """Compares wake-ups with an even grid through the earliest of them.

    A card wakes its reader every 20 ms; whatever a wake-up comes after its place on the grid is scheduling delay, which
    no program sees by itself. Lateness is that delay plus the work until the period was ready.
    """

    def __init__(self) -> None:
        self._due: float | None = None
        self._late_s: deque[float] = deque(maxlen=WINDOW_PERIODS)
        self.worst_s = 0.0
        self.periods = 0

    def woke(self, now: float) -> None:
        """The card woke its thread for the next period."""
        if self._due is None:
            self._due = now
            return
        due = self._due + PERIOD_S
        early = due - now
        self._due = now if early > 0 else due - early * DRIFT_PART

    def ready(self, now: float) -> None:
        """That period is finished."""
        if self._due is None:
            return
        late = now - self._due
        self._late_s.append(late)
        self.worst_s = max(self.worst_s, late)
        self.periods += 1

    def gap(self) -> None:
        """The card lost samples or was opened anew: the grid starts again."""
        self._due = None

    def percentile_ms(self, part: float) -> float:
        """Return the lateness that `part` (0..1) of the last minute's periods did not exceed; 0 before the first."""
        late = sorted(self._late_s.copy())
        return 1000 * late[min(len(late) - 1, int(part * len(late)))] if late else 0.0
