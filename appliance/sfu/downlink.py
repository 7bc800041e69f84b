"""What is known of the path to one participant: what went there, what came through, what may be sent. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.sfu.link_budget import LinkBudget
from appliance.sfu.rtcp import BitrateEstimate, ReceptionReport

WINDOW_S = 1.0
_RESENDING_SHARE = 0.25
_RESENDING_AT_ONCE_S = 0.5
_LEAST_RESENDING_BPS = 50_000.0
_HEADER_OCTETS = 34
"""Of an RTP header with its extensions and SRTP's tag: estimates count them, our counters of payload do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentTotals:
    """Octets of payload and packets since the connection began, of video, and of padding and what was
    sent again."""

    video: int = 0
    video_packets: int = 0
    extra: int = 0
    extra_packets: int = 0


@dataclass(slots=True)
class Downlink:
    """One connection's path to its participant. Bitrates in bit/s with headers, over about the last second."""

    budget: LinkBudget = field(default_factory=LinkBudget)
    video_bps: float = 0.0
    extra_bps: float = 0.0
    _totals: deque[tuple[float, SentTotals]] = field(default_factory=deque)
    _estimates: dict[frozenset[int], int] = field(default_factory=dict)
    _reports: dict[int, tuple[int, int, int | None]] = field(default_factory=dict)  # highest number, lost, sent so far
    _expected: int = 0
    _lost: int = 0
    _judged_at: float = 0.0
    _resending: float = 0.0  # bits that a path of the allowed share would not have carried yet
    _resending_at: float = 0.0

    @property
    def estimate_bps(self) -> int | None:
        return sum(self._estimates.values()) if self._estimates else None

    def estimated(self, report: BitrateEstimate, now: float) -> None:
        """Take an estimate. A browser makes one for all it receives; aiortc one for each video, and they add up."""
        named = frozenset(report.ssrcs)
        for other in [other for other in self._estimates if other & named or not named or not other]:
            del self._estimates[other]
        self._estimates[named] = report.bitrate_bps
        self.budget.estimated(float(sum(self._estimates.values())), now)

    def reported(self, report: ReceptionReport, now: float, packets: int | None = None) -> None:
        """Take a report on one of our streams; about once a second the share of what was lost is judged.

        `packets`: so many of the stream went out by now. What never came to us had to be missing there as well.
        """
        before = self._reports.get(report.ssrc)
        self._reports[report.ssrc] = (report.highest_sequence, report.lost, packets)
        if before is not None:
            expected = max(0, report.highest_sequence - before[0])
            sent = expected if packets is None or before[2] is None else packets - before[2]
            never_sent = max(0, expected - sent)
            self._expected += expected - never_sent
            self._lost += max(0, report.lost - before[1] - never_sent)
        if now - self._judged_at >= WINDOW_S:
            if self._expected:
                self.budget.lost(min(1.0, self._lost / self._expected), now)
            self._judged_at = now
            self._expected = self._lost = 0

    def may_resend(self, octets: int, now: float) -> bool:
        """Tell whether this much may be sent again now, and count it.

        A full path loses what is sent again too, and each loss is asked for again: without a bound a line of 300 kbit/s
        was given 8 Mbit/s of it.
        """
        rate = max(_LEAST_RESENDING_BPS, _RESENDING_SHARE * self.budget.allowed_bps)
        self._resending = max(0.0, self._resending - (now - self._resending_at) * rate)
        self._resending_at = now
        if self._resending > rate * _RESENDING_AT_ONCE_S:
            return False
        self._resending += 8 * octets
        return True

    def forget(self, ssrcs: Sequence[int]) -> None:
        """These streams are no more: an estimate for them alone is void."""
        gone = frozenset(ssrcs)
        for ssrc in gone:
            self._reports.pop(ssrc, None)
        for named in [named for named in self._estimates if named and named <= gone]:
            del self._estimates[named]

    def sent(self, totals: SentTotals, now: float) -> None:
        """Take what was sent so far."""
        self._totals.append((now, totals))
        while len(self._totals) > 2 and now - self._totals[1][0] >= WINDOW_S:
            self._totals.popleft()
        since, before = self._totals[0]
        if now <= since:
            return

        def rate(octets: int, packets: int) -> float:
            return 8 * max(0, octets + _HEADER_OCTETS * packets) / (now - since)

        self.video_bps = rate(totals.video - before.video, totals.video_packets - before.video_packets)
        self.extra_bps = rate(totals.extra - before.extra, totals.extra_packets - before.extra_packets)
