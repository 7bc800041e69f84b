"""Who is to look after itself next, so that no packet waits until everybody has. Pure."""

from collections import OrderedDict
from collections.abc import Callable

Turn = Callable[[float], None]
"""Does what is due; takes the time, seconds of one clock."""


class Rota:
    """Everybody's turn comes `every_s` after the one before; whoever waits longest is first.

    A turn is known by itself: bound methods of one object are the same. Times are seconds of one clock.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._due: OrderedDict[Turn, float] = OrderedDict()  # soonest first, since all wait equally long

    def __len__(self) -> int:
        return len(self._due)

    def enter(self, turn: Turn, now: float) -> None:
        """Take one in; its first turn comes after the usual time."""
        self._due[turn] = now + self._every_s
        self._due.move_to_end(turn)

    def leave(self, turn: Turn) -> None:
        """Take one out, in or not."""
        self._due.pop(turn, None)

    def take(self, now: float) -> Turn | None:
        """Return whose turn it is, None where nobody's is yet. What was late is not made up for."""
        for turn, due in self._due.items():
            if due > now:
                return None
            self.enter(turn, now)
            return turn
        return None

    def wait_s(self, now: float) -> float | None:
        """Return how long until the next turn, 0 where it is due, None where nobody is in."""
        return next((max(0.0, due - now) for due in self._due.values()), None)
