"""Time as a value that is handed in, so that tests can hold it, and how it is written. Pure."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a part that needs the time gets it from."""

    def monotonic(self) -> float:
        """Seconds that only ever grow; for deadlines and durations."""

    def now(self) -> datetime:
        """Wall-clock time, aware, in UTC; for what people and other machines read."""


def rfc3339(moment: datetime) -> str:
    """Return UTC with exactly three fraction digits, `2026-03-01T09:14:03.512Z`."""
    utc = moment.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"


def rfc3339_seconds(moment: datetime) -> str:
    """Return UTC in whole seconds, `2026-03-01T09:14:03Z` (REST dates: rest.md 4.1)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown_duration(since: datetime, until: datetime | None) -> int | None:
    """Return the seconds between two times as `rfc3339_seconds` shows them, at least 0; None while it lasts."""
    if until is None:
        return None
    return max(0, int((until.replace(microsecond=0) - since.replace(microsecond=0)).total_seconds()))
