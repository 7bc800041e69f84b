"""Delays between attempts. Pure: randomness is handed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


@dataclass(slots=True)
class Backoff:
    """Growing delays with full jitter, reset by success.

    Args:
        steps_s: the upper bound of each delay in seconds; the last one repeats.
        least_s: no delay is shorter, except a step of 0, which means at once.
    """

    random: Random
    steps_s: Sequence[float]
    least_s: float = 0.0
    attempt: int = 0

    def next_delay_s(self) -> float:
        """Return the seconds to wait before the next attempt, and count it."""
        bound = self.steps_s[min(self.attempt, len(self.steps_s) - 1)]
        self.attempt += 1
        return 0.0 if bound == 0 else max(self.least_s, self.random.uniform(0, bound))

    def reset(self) -> None:
        self.attempt = 0


def geometric(first_s: float, factor: float, cap_s: float) -> tuple[float, ...]:
    """Return `first_s`, `first_s * factor`, … up to and including `cap_s`."""
    steps = [first_s]
    while steps[-1] < cap_s:
        steps.append(min(cap_s, steps[-1] * factor))
    return tuple(steps)


SIGNALING_STEPS_S = geometric(0.08, 1.5, 10.0)
"""The SDK's reconnect delays: 80 ms x 1.5^n, at most 10 s (signaling.md 1.3)."""

KIOSK_RECONNECT_STEPS_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""kiosk.md 4, Reconnect."""

BROKER_STEPS_S = geometric(1.0, 2.0, 60.0)
"""kiosk.md 10: 1 to 60 s."""
