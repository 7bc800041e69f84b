"""Who may come in now, and who is asked to wait a little (signaling.md 1.5). Pure; times are seconds on one clock.

Joining is what costs: a handshake, descriptions, a line in the store. So under load newcomers wait, by `busy`, in the
order in which they came; those who are in a room, and those who come back to one, never do. A socket waits open, and
is welcomed as soon as there is room; when too many wait so, others come back with a cookie that keeps their turn.
"""

import hmac
from collections.abc import Hashable
from dataclasses import dataclass

from appliance.signaling.frames import Busy

SMOOTHING = 0.25
"""Of the lateness: what a sample counts beside all before it; at four samples a second that is about two seconds."""

ARRIVAL_LIMIT_S = 5.0
"""So long a place is held for a client that was welcomed and has not asked to join."""

RETRY_S = 1.0
RETRY_STEP_S = 0.1
MOST_RETRY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """`admissions`: on the way in at once; `participants`: in rooms; 0 for any number of either.

    `lateness_s`: newcomers wait while the event loop is late by so much, about two seconds' mean; 0: never.
    `waiting`: sockets that wait open. `patience_s`: who waited so long is refused for good (53006).
    """

    admissions: int = 50
    participants: int = 0
    lateness_s: float = 1.0
    waiting: int = 200
    patience_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFigures:
    """Who waits on an open socket now, how often somebody was told to wait, and how late the event loop is."""

    waiting: int = 0
    turned_away: int = 0
    lateness_s: float = 0.0


class Gate:
    """Holds a place for everybody on the way in, and a turn for everybody who waits.

    Whoever comes is known by a hashable `who` of its own, such as its socket. `secret` signs the cookies.
    """

    def __init__(self, limits: GateLimits, secret: bytes) -> None:
        self._limits = limits
        self._secret = secret
        self._arriving: dict[Hashable, float] = {}  # since when it is not asking to join; infinity once it does
        self._waiting: dict[Hashable, float] = {}  # since when, those with an open socket
        self._lateness_s = 0.0
        self._overloaded = False
        self._turned_away = 0

    def figures(self) -> GateFigures:
        return GateFigures(waiting=len(self._waiting), turned_away=self._turned_away, lateness_s=self._lateness_s)

    def note_lateness(self, late_s: float) -> None:
        """Take a sample of how late the event loop is."""
        self._lateness_s += SMOOTHING * (max(0.0, late_s) - self._lateness_s)
        # Half of it to become free again, so that the gate does not flutter.
        limit = self._limits.lateness_s * (0.5 if self._overloaded else 1.0)
        self._overloaded = limit > 0 and self._lateness_s > limit

    def ask(self, who: Hashable, now: float, participants: int, cookie: str | None = None) -> Busy | None:
        """Let somebody in, who then holds a place until `left`; or say when to ask again."""
        since = self._waiting.get(who, self._read(cookie, now))
        ahead = sum(1 for other, began in self._waiting.items() if other != who and began <= since)
        if self._places(now, participants) > ahead:
            self._waiting.pop(who, None)
            self._arriving[who] = now
            return None
        self._turned_away += 1
        if now - since > self._limits.patience_s:
            self._waiting.pop(who, None)
            return Busy(retry_after_ms=-1)
        keep = who in self._waiting or len(self._waiting) < self._limits.waiting
        if keep:
            self._waiting[who] = since
        # The end of a long queue need not ask as often as its head.
        retry_s = min(MOST_RETRY_S, RETRY_S + RETRY_STEP_S * ahead)
        return Busy(retry_after_ms=round(retry_s * 1000), keep_alive=keep, cookie=self._write(since))

    def next_in(self, now: float, participants: int) -> Hashable | None:
        """Return who has waited longest, if it can be let in; it holds a place from now on."""
        if not self._waiting or self._places(now, participants) <= 0:
            return None
        who = min(self._waiting, key=self._waiting.__getitem__)
        del self._waiting[who]
        self._arriving[who] = now
        return who

    def joining(self, who: Hashable) -> None:
        """Somebody asks to join: its place is its own until `left`. Who was let in long ago counts again from now."""
        self._arriving[who] = float("inf")

    def left(self, who: Hashable) -> None:
        """Somebody is in, was refused, or is gone. Telling it twice is fine."""
        self._arriving.pop(who, None)
        self._waiting.pop(who, None)

    def _places(self, now: float, participants: int) -> float:
        """Return for how many there is room now."""
        if self._overloaded:
            return 0
        for idle in [each for each, since in self._arriving.items() if now - since > ARRIVAL_LIMIT_S]:
            del self._arriving[idle]
        limits, places = self._limits, float("inf")
        if limits.admissions:
            places = limits.admissions - len(self._arriving)
        if limits.participants:
            places = min(places, limits.participants - participants - len(self._arriving))
        return places

    def _write(self, since: float) -> str:
        text = f"{since:.3f}"
        return f"{text}.{self._sign(text)}"

    def _read(self, cookie: str | None, now: float) -> float:
        """Return since when the bearer waits; what we did not sign says nothing."""
        text, _, signature = (cookie or "").rpartition(".")
        if not text or not signature.isascii() or not hmac.compare_digest(signature, self._sign(text)):
            return now
        return min(now, float(text))

    def _sign(self, text: str) -> str:
        return hmac.digest(self._secret, text.encode(errors="surrogatepass"), "sha256")[:12].hex()
