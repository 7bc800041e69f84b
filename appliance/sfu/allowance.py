"""How much of something a participant may make us do: so much a second, and so much at once. Pure."""


class Allowance:
    """A bucket that fills with `per_second` and holds `at_once`; full at first. Times are seconds on one clock."""

    __slots__ = ("_at", "_at_once", "_left", "_per_second")

    def __init__(self, per_second: float, at_once: float) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._left = at_once
        self._at = float("-inf")

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._left = min(self._at_once, self._left + (now - self._at) * self._per_second)
            self._at = now

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take this much, or nothing where less is left; tell which."""
        self._fill(now)
        if self._left < amount:
            return False
        self._left -= amount
        return True

    def take_up_to(self, now: float, wanted: int) -> int:
        """Take as much of this as is left, in whole numbers, and return how much that was."""
        self._fill(now)
        taken = min(wanted, int(self._left))
        self._left -= taken
        return taken

    def spend(self, now: float, amount: float) -> None:
        """Take what was used already, be it more than was left: the bucket then has to fill from below."""
        self._fill(now)
        self._left -= amount
