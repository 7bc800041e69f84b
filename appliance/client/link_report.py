"""Our own figures of the connection, as the service is told them, and how often (signaling.md 5.3). Pure.

Counters grow as long as a peer connection lives; a report is the difference of two readings of the same connection.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.media_engine import TrackKind
from appliance.signaling.quality import MediaReport, PathReport, QualityReport, ReceiveReport, SendReport

FIRST_AFTER_S = 0.2
EVERY_S = 1.0
FIRST_PATIENCE_S = 5.0
PATIENCE_GROWS = 1.5
NEVER = float("inf")
KINDS = (TrackKind.AUDIO, TrackKind.VIDEO)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCounters:
    """One kind of media. Counters since the connection began; `jitter_s` and `rtt_s` as they are now."""

    bytes_sent: int = 0
    bytes_received: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    jitter_s: float | None = None
    rtt_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """One reading of a peer connection, at `at` seconds on a monotonic clock.

    `available_bps`: what the path carries for what we send, as the service estimates (REMB); None until it did.
    """

    connection: str
    at: float
    bytes_sent: int = 0
    bytes_received: int = 0
    available_bps: float | None = None
    kinds: Mapping[TrackKind, KindCounters] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkQualityConfiguration:
    """How much is wanted to be known: of ourselves from 1 to 3, of the others from 0, nothing, to 3.

    1: levels. 2: levels of sound and pictures by direction. 3: with the figures that make them.

    Raises:
        ValueError: out of range.
    """

    local: int = 1
    remote: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.local <= 3 or not 0 <= self.remote <= 3:
            raise ValueError(f"verbosity is 1 to 3 for us and 0 to 3 for others, not {self.local} and {self.remote}")


class ReportPace:
    """When the next report is due: a second after each answer; while none comes, ever more seldom."""

    def __init__(self) -> None:
        self.due_at = NEVER
        self._patience_s = FIRST_PATIENCE_S

    def attached(self, now: float) -> None:
        self.due_at, self._patience_s = now + FIRST_AFTER_S, FIRST_PATIENCE_S

    def detached(self) -> None:
        self.due_at = NEVER

    def sent(self, now: float) -> None:
        self.due_at = now + self._patience_s
        self._patience_s *= PATIENCE_GROWS

    def answered(self, now: float) -> None:
        self.due_at, self._patience_s = now + EVERY_S, FIRST_PATIENCE_S


def report(before: Counters | None, after: Counters, wanted: NetworkQualityConfiguration) -> QualityReport:
    """Return what happened between two readings; without a first one, of the same connection, no rates are known."""
    if before is None or before.connection != after.connection or after.at <= before.at:
        return QualityReport(
            ice=PathReport(available_send=after.available_bps, rtt=_least_rtt(after)),
            report_level=wanted.local,
            remote_report_level=wanted.remote,
        )
    seconds = after.at - before.at
    media = {
        kind: _of_kind(before.kinds.get(kind, KindCounters()), after.kinds.get(kind, KindCounters()), seconds)
        for kind in KINDS
    }
    return QualityReport(
        ice=PathReport(
            send=_rate(before.bytes_sent, after.bytes_sent, seconds),
            recv=_rate(before.bytes_received, after.bytes_received, seconds),
            available_send=after.available_bps,
            rtt=_least_rtt(after),
        ),
        all=_of_kind(_sum(before), _sum(after), seconds),
        audio=media[TrackKind.AUDIO],
        video=media[TrackKind.VIDEO],
        report_level=wanted.local,
        remote_report_level=wanted.remote,
    )


def _of_kind(before: KindCounters, after: KindCounters, seconds: float) -> MediaReport:
    lost = max(0, after.packets_lost - before.packets_lost)
    received = max(0, after.packets_received - before.packets_received)
    return MediaReport(
        send=SendReport(bitrate=_rate(before.bytes_sent, after.bytes_sent, seconds), rtt=after.rtt_s),
        recv=ReceiveReport(
            bitrate=_rate(before.bytes_received, after.bytes_received, seconds),
            fraction_lost=lost / (lost + received) if lost or received else 0.0,
            jitter=after.jitter_s,
        ),
    )


def _rate(before: int, after: int, seconds: float) -> float:
    return max(0, after - before) * 8 / seconds


def _sum(counters: Counters) -> KindCounters:
    kinds = counters.kinds.values()
    return KindCounters(
        bytes_sent=sum(kind.bytes_sent for kind in kinds),
        bytes_received=sum(kind.bytes_received for kind in kinds),
        packets_received=sum(kind.packets_received for kind in kinds),
        packets_lost=sum(kind.packets_lost for kind in kinds),
        jitter_s=max((kind.jitter_s for kind in kinds if kind.jitter_s is not None), default=None),
        rtt_s=_least_rtt(counters),
    )


def _least_rtt(counters: Counters) -> float | None:
    return min((kind.rtt_s for kind in counters.kinds.values() if kind.rtt_s is not None), default=None)
