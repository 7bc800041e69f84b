"""What became of an attempt to deliver an event, and what follows from it (callbacks.md 10, 15). Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random

from appliance.rooms.events import EventName

MAX_ATTEMPTS = 300
MAX_REFUSED_ATTEMPTS = 4
LEAST_DELAY_S = 0.1
MOST_DELAY_S = 300.0
MOST_RETRY_AFTER_S = 3600.0
GIVE_UP_AFTER = timedelta(hours=24)
GIVE_UP_ROOM_ENDED_AFTER = timedelta(hours=72)


class OutcomeClass(StrEnum):
    """What an answer, or none, means."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"
    """Retried three times only."""
    REJECTED = "rejected"
    """This event will never be taken."""
    GONE = "gone"
    """Nothing will be taken any more, of this room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One attempt. `status` is the HTTP status or the broker's reason code; `retry_after_s` what the receiver asks.

    `quick_retries`: so many of the first retries come at once.
    """

    kind: OutcomeClass
    status: int | None = None
    error: str | None = None
    retry_after_s: float = 0.0
    quick_retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """`delivered`, or to be tried again at `next_at`, or, with neither, dead; with `whole_queue` all that waits."""

    delivered: bool = False
    next_at: datetime | None = None
    whole_queue: bool = False


def next_step(
    outcome: Outcome, *, name: str, attempts: int, occurred_at: datetime, now: datetime, random: Random
) -> NextStep:
    """Decide.

    Args:
        attempts: those that were made, with this one.
    """
    if outcome.kind is OutcomeClass.DELIVERED:
        return NextStep(delivered=True)
    if outcome.kind in (OutcomeClass.GONE, OutcomeClass.REJECTED):
        return NextStep(whole_queue=outcome.kind is OutcomeClass.GONE)
    patience = GIVE_UP_ROOM_ENDED_AFTER if name == EventName.ROOM_ENDED else GIVE_UP_AFTER
    refused = outcome.kind is OutcomeClass.REFUSED
    most = max(MAX_REFUSED_ATTEMPTS, 1 + outcome.quick_retries) if refused else MAX_ATTEMPTS
    if attempts >= most or now - occurred_at >= patience:
        return NextStep()
    asked_s = min(outcome.retry_after_s, MOST_RETRY_AFTER_S)
    usual_s = LEAST_DELAY_S if attempts <= outcome.quick_retries else delay_s(attempts, random)
    return NextStep(next_at=now + timedelta(seconds=max(asked_s, usual_s)))


def delay_s(attempts: int, random: Random) -> float:
    """Return the seconds between attempt `attempts` and the next: full jitter, growing to five minutes."""
    bound = min(MOST_DELAY_S, 2.0 ** min(attempts - 1, 16))
    return max(LEAST_DELAY_S, random.uniform(0, bound))


class Breaker:
    """Spares a receiver that fails: after ten failures in a row one probe every thirty seconds. Time is handed in."""

    FAILURES = 10
    PROBE_EVERY_S = 30.0

    def __init__(self) -> None:
        self._failures = 0
        self._next_probe_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self.FAILURES

    def wait_s(self, now: float) -> float:
        """Return how long to wait before an attempt; 0 takes the turn."""
        if not self.is_open:
            return 0.0
        wait_s = self._next_probe_at - now
        if wait_s > 0:
            return wait_s
        self._next_probe_at = now + self.PROBE_EVERY_S
        return 0.0

    def note(self, success: bool, now: float) -> None:
        self._failures = 0 if success else self._failures + 1
        if self._failures == self.FAILURES:
            self._next_probe_at = now + self.PROBE_EVERY_S
