"""How much may be sent to one subscriber: its estimates read, and tried beyond. Pure.

A receiver's estimate (REMB) says two things. That it *falls* is news: the path is full, and what it says now is what
gets through. That it is *low* is none: Chromium lets it grow by some percent a second and never beyond one and a half
times what arrives, so that behind a small layer it never reaches what a large one needs. So what may be sent is the
larger of the estimate and of what was proven: sent for a while without the estimate falling or packets getting lost.
To prove more we probe: padding on a stream of retransmissions, which receivers count and throw away, until the sum is
what the next step needs. A probe that makes the estimate fall, or of which something gets lost, ends at once and comes
back later, each time after longer. No picture suffers by it, as it would by trying with a larger layer. Where the last
probe made the estimate grow, the next one doubles what may be sent; else it asks for no more than it must, since an
estimate that is far below the path cannot fall any more when it is full.

All of it is of video alone: browsers and aiortc leave sound out of this estimate, so that sound is always paid for
before. Bitrates are bit/s, RTP headers included; times are seconds of the caller's clock.
"""

from dataclasses import dataclass

START_BPS = 1_500_000.0
"""Presumed of a path that is not known yet: the first pictures are not held back, the first estimate comes late."""

PROBE_S = 1.0
_BEYOND = 1.2  # a line that is narrower by little than what the probe sends shows it too late
PROBE_RISE_S = 0.5
_JUDGE_S = 1.2  # after the last padding: receivers report once a second what was lost of it
_CALM_S = 2.0
_FIRST_PAUSE_S = 3.0
_LONGEST_PAUSE_S = 10.0
_FALLS = 0.97
_SEVERE = 0.8
_LAGS = 0.5
_GROWS = 1.01
_LOSS_LASTS_S = 6.0  # reports on sound come every 5 s
_MILD_TWICE_S = 5.0
_MUCH_LOSS = 0.1
_LITTLE_LOSS = 0.02
_LEAST_BPS = 5_000.0
_PROBE_AT_MOST_BPS = 8_000_000.0


@dataclass(slots=True)
class LinkBudget:
    """One subscriber's path. Feed `estimated`, `lost` and, about four times a second, `update`; read the rest.

    `allowed_bps`: how much video may be sent now, resending included. `is_congested`: the path showed that it
    cannot carry what is wanted, and has not carried it since. `padding_bps`: how much padding to add now.
    """

    proven_bps: float = START_BPS
    estimate_bps: float | None = None
    is_congested: bool = False
    padding_bps: float = 0.0
    _sent_bps: float = 0.0
    _video_bps: float = 0.0
    _loss: float = 0.0
    _lost_at: float = float("-inf")
    _congested_at: float = float("-inf")
    _mild_at: float = float("-inf")
    _probe_from: float | None = None
    _probe_target: float = 0.0
    _probe_estimate: float | None = None
    _is_bold: bool = True
    _next_probe: float = 0.0
    _pause: float = _FIRST_PAUSE_S
    _raised_at: float = float("-inf")

    @property
    def allowed_bps(self) -> float:
        return max(self.proven_bps, self.estimate_bps or 0.0)

    def is_urgent(self, now: float) -> bool:
        """Tell whether the path has just shown to be full: what is too much must stop now."""
        return now - self._congested_at < _CALM_S

    @property
    def is_probing(self) -> bool:
        return self._probe_from is not None

    def estimated(self, bitrate_bps: float, now: float) -> None:
        """Take the receiver's estimate of how much video it can take in all."""
        before, self.estimate_bps = self.estimate_bps, bitrate_bps
        if before is None or bitrate_bps >= _FALLS * before or bitrate_bps >= self._sent_bps:
            return
        flowing_bps = self._sent_bps
        if self.is_probing:
            self._probe_failed(now)
            flowing_bps = (
                self._video_bps
            )  # unless even that is too much it was the padding, and what went before goes on
            if bitrate_bps >= _SEVERE * flowing_bps:
                return
        if before < _LAGS * flowing_bps:
            return  # it had not come near what flows: on a busy machine Chromium's goes to 5 kbit/s for nothing
        if bitrate_bps < _SEVERE * flowing_bps or now - self._mild_at < _MILD_TWICE_S:
            self._congested(bitrate_bps, now)
        self._mild_at = now

    def lost(self, fraction: float, now: float) -> None:
        """Take the share of packets that was lost on the way in about the last second, 0 … 1."""
        before, self._loss, self._lost_at = self._loss, fraction, now
        if fraction > _LITTLE_LOSS and self.is_probing:
            self._probe_failed(now)
            return
        if fraction > _MUCH_LOSS and (before > _MUCH_LOSS or fraction > 3 * _MUCH_LOSS):
            # What was lost was sent again, and counts twice: the second bound is of what we meant to send.
            through = min(self._sent_bps * (1 - fraction), self.allowed_bps * (1 - fraction / 2))
            self.estimate_bps = min(self.estimate_bps or through, through)
            self._congested(through, now)

    def _congested(self, through_bps: float, now: float) -> None:
        if now - self._raised_at < _MILD_TWICE_S:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)
        self.proven_bps = min(self.proven_bps, max(through_bps, _LEAST_BPS))
        self._congested_at = now
        self._next_probe = max(self._next_probe, now + self._pause)
        self.is_congested = True
        self._end_probe()

    def _probe_failed(self, now: float) -> None:
        self._end_probe()
        self._is_bold = False
        self._next_probe = now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)

    def _end_probe(self) -> None:
        self._probe_from = None
        self.padding_bps = 0.0

    def update(
        self,
        video_bps: float,
        extra_bps: float,
        wanted_bps: float,
        next_bps: float | None,
        now: float,
    ) -> None:
        """Take what was sent in about the last second, what all that is wanted takes, and what one improvement takes.

        `extra_bps` is what was sent beside the videos: padding, and what was sent again. `next_bps` None: nothing
        can be improved.
        """
        self._video_bps = video_bps
        self._sent_bps = video_bps + extra_bps
        lately_lost = self._loss if now - self._lost_at < _LOSS_LASTS_S else 0.0
        is_calm = now - max(self._congested_at, self._mild_at) > _CALM_S and lately_lost <= _LITTLE_LOSS
        if is_calm and self._probe_from is None:
            self.proven_bps = max(self.proven_bps, video_bps)
        if self.allowed_bps >= wanted_bps:
            self.is_congested = False
        if self._probe_from is not None:
            self._go_on(video_bps, now)
        elif next_bps is not None and wanted_bps > self.allowed_bps and is_calm and now >= self._next_probe:
            self._probe_from, self._probe_estimate = now, self.estimate_bps
            bold_bps = min(wanted_bps, 2 * self.allowed_bps) if self._is_bold else 0.0
            self._probe_target = min(max(_BEYOND * next_bps, bold_bps), _PROBE_AT_MOST_BPS)
            self._go_on(video_bps, now)

    def _go_on(self, video_bps: float, now: float) -> None:
        assert self._probe_from is not None
        passed = now - self._probe_from
        if passed >= PROBE_S + _JUDGE_S:
            self.proven_bps = max(self.proven_bps, self._probe_target)
            self._raised_at = now
            before, after = self._probe_estimate, self.estimate_bps
            self._is_bold = before is None or (after is not None and after > _GROWS * before)
            self._next_probe = now
            self._pause = max(_FIRST_PAUSE_S, self._pause / 2)
            self._end_probe()
        elif passed >= PROBE_S:
            self.padding_bps = 0.0
        else:
            share = min(1.0, 0.3 + 0.7 * passed / PROBE_RISE_S)
            self.padding_bps = share * max(0.0, self._probe_target - video_bps)
