"""Whether a client's media is taken in, or held off for a while since it floods us. Pure."""

from appliance.sfu.allowance import Allowance

PACKETS_PER_S = 10_000.0
PACKETS_AT_ONCE = 20_000.0
"""Sixteen cameras at their best send about half of that."""
SHUT_S = 1.0


class FloodGate:
    """One client's; looked at every 50 ms or so, since the way of a packet has no time for it.

    Beyond what is allowed it shuts for a second, again and again: what a flood costs then is a look into a table for
    each packet, not decryption and a copy for everyone. Times are seconds on one clock.
    """

    def __init__(self) -> None:
        self._allowance = Allowance(PACKETS_PER_S, PACKETS_AT_ONCE)
        self._total = 0
        self._shut_until = float("-inf")

    def admits(self, total: int, now: float) -> bool:
        """Take how many packets came in all, of the streams that there are; tell whether more are wanted."""
        if not self._allowance.take(now, max(0, total - self._total)):
            self._shut_until = now + SHUT_S
        self._total = total
        return now >= self._shut_until
