"""How long a client may be silent before its peer connection is replaced, or it is given up. Pure.

A client that cannot apply an offer says nothing and never recovers by itself; nor does one whose transport is dead
while its signaling lives. Both get another peer connection (signaling.md 4.4, 4.7), and, if that does not help, are
told so. Times are seconds on one clock, whose zero does not matter.
"""

from dataclasses import dataclass
from enum import Enum, auto

OFFER_LIMIT_S = 8.0
"""For the first offer that stays unanswered; each further one gets twice as long: slow is not broken."""

OFFER_TRIES = 3
SILENCE_REPLACE_S = 12.0
"""Browsers check the path every 2.5 s at most, aioice every 6 s (RFC 7675, 5.1)."""

SILENCE_LIMIT_S = 30.0


class Verdict(Enum):
    WAIT = auto()
    REPLACE = auto()
    LOST = auto()  # told once
    GIVE_UP = auto()  # it never answers our offers; told once


@dataclass(slots=True)
class Patience:
    """What is known of one client's silence; `heard_at` begins as the time at which it came."""

    heard_at: float
    offered_at: float | None = None
    unanswered: int = 0
    replaced_at: float | None = None
    is_away: bool = False
    is_over: bool = False

    def heard(self, at: float) -> None:
        """Something authentic came over the transport."""
        self.heard_at = max(self.heard_at, at)

    def offered(self, now: float) -> None:
        """An offer was sent, or sent again."""
        self.offered_at = now

    def answered(self) -> None:
        self.offered_at = None
        self.unanswered = 0

    def went_away(self) -> None:
        """Its signaling is lost: it cannot answer, and how long it may stay away is not ours to decide."""
        self.is_away = True

    def came_back(self, now: float) -> None:
        """Its signaling is there again; from now on it has all the time again."""
        self.is_away = self.is_over = False
        self.heard_at = max(self.heard_at, now)
        self.replaced_at = None

    def replaced(self, now: float) -> None:
        """It has, or was asked for, another path: a peer connection, or a restart of ICE on the one it has.

        What was offered before does not matter any more.
        """
        self.replaced_at = now
        self.offered_at = None

    def is_silent(self, now: float) -> bool:
        """Tell whether the transport has been silent for so long that it is better replaced."""
        return now - self.heard_at > SILENCE_REPLACE_S

    def judge(self, now: float) -> Verdict:
        """Say what is due. Who replaces says so by `replaced`."""
        if self.is_away or self.is_over:
            return Verdict.WAIT
        if self.offered_at is not None and now - self.offered_at > OFFER_LIMIT_S * 2**self.unanswered:
            self.unanswered += 1
            if self.unanswered < OFFER_TRIES:
                return Verdict.REPLACE
            self.is_over = True
            return Verdict.GIVE_UP
        if now - self.heard_at > SILENCE_LIMIT_S:
            self.is_over = True
            return Verdict.LOST
        # Once for each silence: where the network is gone, another connection has it no easier.
        fresh = self.replaced_at is None or self.heard_at > self.replaced_at
        return Verdict.REPLACE if self.is_silent(now) and fresh else Verdict.WAIT
