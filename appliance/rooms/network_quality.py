"""How good a participant's connection is, from 0, broken, to 5, excellent (signaling.md 5.3). Pure.

Four levels are taken, of audio and of video as the participant sends and as it receives; the participant's own is the
worst of them. Each is the worst of three:

loss       up to 2 %: 5, 5 %: 4, 10 %: 3, 20 %: 2, 50 %: 1. Below 2 % a sender that heeds Google's congestion control
           goes faster, above 10 % it slows down (draft-ietf-rmcat-gcc-02, section 6).
delay      from mouth to ear, one way, if the other end is as far away as this one: a round trip, and twice the depth
           that a jitter buffer needs at both ends. Up to 150 ms: 5, 250 ms: 4, 400 ms: 3, 800 ms: 2, beyond: 1. ITU-T
           G.114 calls up to 150 ms good for nearly everything, and more than 400 ms unacceptable for planning.
bandwidth  what the path can carry beside what flows. A fifth more than flows: 5, nothing is held back. Else what it can
           carry counts: for video in terms of what VP8 is sent at as 720p, 540p, 360p and 180p, for audio in terms of
           Opus full-band, wide-band and narrow-band speech (RFC 7587, 3.1.1). Not in the first ten figures: estimates
           begin low, and senders fill them until they have found what they need.

Where no media flows, the path speaks for it. So that levels don't flap, all begin at 5, a level falls once two figures
in a row were worse, and rises once four in a row were better; 0, no connection, shows at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from appliance.media_engine import Direction, LinkFigures, PeerFigures, TrackKind
from appliance.signaling.quality import (
    BEST_LEVEL,
    BandwidthStats,
    DirectionStats,
    LatencyStats,
    LossStats,
    MediaLevels,
    MediaReport,
    ParticipantQuality,
    QualityReport,
)

BROKEN = 0
WORST_LEVEL = 1
"""Of a connection that there is."""

FALLS_AFTER = 2
RISES_AFTER = 4

HEADROOM = 1.2
"""A sender that needs no more lets its estimate rise to half as much again (draft-ietf-rmcat-gcc-02, 5.5); one that is
held back sends what it may."""

SETTLED_AFTER = 10
"""Figures, each of a second or so."""

_LOSSES = (0.02, 0.05, 0.10, 0.20)
_DELAYS_S = (0.150, 0.250, 0.400, 0.800)
_RATES_BPS: Mapping[TrackKind, Sequence[float]] = {
    TrackKind.AUDIO: (28_000, 20_000, 12_000, 8_000),
    TrackKind.VIDEO: (1_200_000, 600_000, 300_000, 100_000),
}
_BROKEN_LOSS = 0.5

Link = tuple[Direction, TrackKind]
LINKS: tuple[Link, ...] = tuple(
    (direction, kind) for kind in (TrackKind.AUDIO, TrackKind.VIDEO) for direction in Direction
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkQuality:
    """One direction of one kind of media.

    `recent`: the levels that were last measured, newest last. `flowed`: in how many figures in a row media flowed.
    """

    level: int
    recent: tuple[int, ...]
    stats: DirectionStats
    flowed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """A participant's connection. `links` is empty before anything was measured, and while there is none."""

    level: int = BROKEN
    links: Mapping[Link, LinkQuality] = field(default_factory=dict)


def assess(before: Quality, figures: PeerFigures, report: QualityReport | None) -> Quality:
    """Return the quality after new figures.

    Args:
        report: what the participant reports of itself; it fills in what the engine cannot see.
    """
    if not figures.connected:
        return Quality()
    links = {link: _assess_link(before.links.get(link), link, figures, report) for link in LINKS}
    return Quality(level=min(quality.level for quality in links.values()), links=links)


def told(quality: Quality, verbosity: int) -> ParticipantQuality:
    """Return what is said of a quality: at 1 the level, at 2 those of audio and video, at 3 what they are made of."""
    if verbosity < 2 or not quality.links:
        return ParticipantQuality(level=quality.level)
    audio, video = (_media_levels(quality, kind, verbosity) for kind in (TrackKind.AUDIO, TrackKind.VIDEO))
    return ParticipantQuality(level=quality.level, audio=audio, video=video)


def _media_levels(quality: Quality, kind: TrackKind, verbosity: int) -> MediaLevels:
    send, receive = quality.links[Direction.SEND, kind], quality.links[Direction.RECEIVE, kind]
    levels = MediaLevels(send=send.level, recv=receive.level)
    return replace(levels, send_stats=send.stats, recv_stats=receive.stats) if verbosity > 2 else levels


# --- one link --------------------------------------------------------------------------------------------------------


def _assess_link(
    before: LinkQuality | None, link: Link, figures: PeerFigures, report: QualityReport | None
) -> LinkQuality:
    known = _completed(link, figures, report)
    flowed = (before.flowed if before else 0) + 1 if link in figures.links else 0
    stats = _stats(link[1], known, settled=flowed > SETTLED_AFTER)
    parts = (stats.bandwidth, stats.latency, stats.fraction_lost)
    measured = min((part.level for part in parts if part and part.level is not None), default=BEST_LEVEL)
    recent = (*(before.recent if before else ()), measured)[-RISES_AFTER:]
    level = _steadied(before.level if before else BEST_LEVEL, recent)
    return LinkQuality(level=level, recent=recent, stats=stats, flowed=flowed)


def _steadied(shown: int, recent: tuple[int, ...]) -> int:
    """Return the level to show after one that was shown: as far down, or up, as all of the last figures agree."""
    down = max(recent[-FALLS_AFTER:])
    if len(recent) >= FALLS_AFTER and down < shown:
        return down
    up = min(recent)
    return up if len(recent) == RISES_AFTER and up > shown else shown


def _completed(link: Link, figures: PeerFigures, report: QualityReport | None) -> LinkFigures:
    """Return the figures of a link, where the engine has none those that the participant reports."""
    direction, kind = link
    known = figures.links.get(link) or LinkFigures()
    rtt_s = known.rtt_s if known.rtt_s is not None else figures.rtt_s
    if report is None:
        return replace(known, rtt_s=rtt_s)
    if rtt_s is None:
        rtt_s = report.ice.rtt
    if direction is Direction.SEND:
        available = known.available_bps if known.available_bps is not None else report.ice.available_send
        return replace(known, rtt_s=rtt_s, available_bps=available)
    seen: MediaReport = report.audio if kind is TrackKind.AUDIO else report.video
    lost = max(known.fraction_lost, min(1.0, seen.recv.fraction_lost or 0.0))
    return replace(known, rtt_s=rtt_s, fraction_lost=lost, jitter_s=max(known.jitter_s, seen.recv.jitter or 0.0))


def _stats(kind: TrackKind, known: LinkFigures, *, settled: bool) -> DirectionStats:
    bandwidth = BandwidthStats(
        actual=round(known.bitrate_bps),
        available=None if known.available_bps is None else round(known.available_bps),
        level=_bandwidth_level(kind, known) if settled else None,
    )
    loss = LossStats(fraction_lost=round(known.fraction_lost, 4), level=_loss_level(known.fraction_lost))
    jitter_s = round(known.jitter_s, 4)
    if known.rtt_s is None:
        latency = LatencyStats(jitter=jitter_s)
    else:
        delay_s = known.rtt_s + 2 * 2 * known.jitter_s
        latency = LatencyStats(jitter=jitter_s, rtt=round(known.rtt_s, 4), level=_level_up_to(delay_s, _DELAYS_S))
    return DirectionStats(bandwidth=bandwidth, latency=latency, fraction_lost=loss)


def _loss_level(fraction_lost: float) -> int:
    return BROKEN if fraction_lost > _BROKEN_LOSS else _level_up_to(fraction_lost, _LOSSES)


def _level_up_to(figure: float, limits: Sequence[float]) -> int:
    """Return 5 up to the first limit, 4 up to the second …, and 1 beyond the last."""
    return BEST_LEVEL - sum(figure > limit for limit in limits)


def _bandwidth_level(kind: TrackKind, known: LinkFigures) -> int | None:
    if known.available_bps is None:
        return None
    if known.available_bps >= HEADROOM * known.bitrate_bps:
        return BEST_LEVEL
    return BEST_LEVEL - sum(known.available_bps < rate for rate in _RATES_BPS[kind])
