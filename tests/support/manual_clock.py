"""A clock that only moves when a test says so."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """Satisfies Clock. Starts at a monotonic time that is not 0, so that nobody can rely on its zero."""

    def __init__(self, monotonic: float = 1000.0, now: datetime = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)) -> None:
        self._monotonic = monotonic
        self._now = now

    def monotonic(self) -> float:
        return self._monotonic

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> float:
        """Let time pass and return the new monotonic time."""
        self._monotonic += seconds
        self._now += timedelta(seconds=seconds)
        return self._monotonic
