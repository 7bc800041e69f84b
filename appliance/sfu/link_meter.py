"""How a participant's media fares, each way, from the counters that the packet path keeps anyway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.media_engine import Direction, LinkFigures, TrackKind
from appliance.sfu.rtcp import ReceptionReport
from appliance.sfu.sections import MEDIA_KINDS, Section, Sections

INTERVAL_S = 1.0
_REPORT_LASTS_S = 10.0
"""Browsers report on audio every 5 s, on video every second."""

Link = tuple[Direction, TrackKind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Totals of one stream. `lost`: of `packets`, those that did not come, or not at first; 0 … 1 as a share."""

    packets: int
    octets: int
    lost: float = 0.0
    jitter_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """A report of the participant. `packets`: sent by then; `lost`: the share of what we sent since the one before."""

    report: ReceptionReport
    at: float
    packets: int
    lost: float


class LinkMeter:
    """Figures of one connection over the last second, by direction and kind; only where packets came or went.

    What the participant sends is as we see it arrive: losses count whether they were repaired or not. What it receives
    is as its receiver reports say (RFC 3550, 6.4), without what never came to us and so had to be missing there too.
    Bits are those of the payload. Times are seconds on one clock.
    """

    def __init__(self) -> None:
        self.links: Mapping[Link, LinkFigures] = {}
        self._before: dict[tuple[Direction, int], Counts] = {}
        self._reports: dict[int, _Told] = {}
        self._measured_at: float | None = None

    def reported(self, report: ReceptionReport, now: float, packets: int) -> None:
        """Take the participant's report on a stream that it receives from us, of which so many packets went out."""
        before = self._reports.get(report.ssrc)
        lost = 0.0  # until a second report tells what is the path's
        if before is not None:
            expected = max(0, report.highest_sequence - before.report.highest_sequence)
            sent = packets - before.packets
            missing = max(0, report.lost - before.report.lost) - max(0, expected - sent)
            lost = min(1.0, max(0, missing) / sent) if sent > 0 else 0.0
        self._reports[report.ssrc] = _Told(report=report, at=now, packets=packets, lost=lost)

    def tick(self, sections: Sections, now: float) -> None:
        """Measure, if a second has passed since the last time."""
        if self._measured_at is not None and now - self._measured_at < INTERVAL_S:
            return
        counts: dict[Link, dict[int, Counts]] = {}
        for section in sections:
            if section.kind in MEDIA_KINDS:
                kind = TrackKind(section.kind)
                counts.setdefault((Direction.SEND, kind), {}).update(_sent(section))
                counts.setdefault((Direction.RECEIVE, kind), {}).update(self._received(section, now))
        if self._measured_at is not None:
            passed_s = now - self._measured_at
            found = {link: self._figures(link[0], totals, passed_s) for link, totals in counts.items()}
            self.links = {link: figures for link, figures in found.items() if figures is not None}
        self._before = {(link[0], ssrc): total for link, totals in counts.items() for ssrc, total in totals.items()}
        slots = {section.slot.ssrc for section in sections if section.slot is not None}
        self._reports = {ssrc: entry for ssrc, entry in self._reports.items() if ssrc in slots}
        self._measured_at = now

    def with_path(
        self, rtt_s: float | None, send_bps: float | None, receive_bps: float | None
    ) -> dict[Link, LinkFigures]:
        """Return the figures with what is known of the path: it is one for all kinds."""
        available = {Direction.SEND: send_bps, Direction.RECEIVE: receive_bps}
        return {
            link: replace(figures, rtt_s=rtt_s, available_bps=available[link[0]])
            for link, figures in self.links.items()
        }

    def _received(self, section: Section, now: float) -> dict[int, Counts]:
        slot = section.slot
        if slot is None:
            return {}
        told = self._reports.get(slot.ssrc)
        if told is None or now - told.at > _REPORT_LASTS_S:
            return {slot.ssrc: Counts(packets=slot.packets, octets=slot.octets)}
        # The share is of the interval between two reports; as a total it is kept so that differences come out right.
        before = self._before.get((Direction.RECEIVE, slot.ssrc), Counts(packets=0, octets=0))
        lost = before.lost + told.lost * max(0, slot.packets - before.packets)
        jitter_s = told.report.jitter / slot.rewriter.clock_rate
        return {slot.ssrc: Counts(packets=slot.packets, octets=slot.octets, lost=lost, jitter_s=jitter_s)}

    def _figures(self, direction: Direction, totals: Mapping[int, Counts], passed_s: float) -> LinkFigures | None:
        packets, octets, lost, jitter_s = 0, 0, 0.0, 0.0
        for ssrc, total in totals.items():
            before = self._before.get((direction, ssrc), Counts(packets=0, octets=0))
            if total.packets <= before.packets:
                continue
            packets += total.packets - before.packets
            octets += max(0, total.octets - before.octets)
            lost += max(0.0, total.lost - before.lost)
            jitter_s = max(jitter_s, total.jitter_s)
        if packets == 0:
            return None
        return LinkFigures(bitrate_bps=octets * 8 / passed_s, fraction_lost=min(1.0, lost / packets), jitter_s=jitter_s)


def _sent(section: Section) -> dict[int, Counts]:
    """Return what has arrived of the section's streams; a packet that did not come was sent too."""
    return {
        stream.ssrc: Counts(
            packets=stream.highest_index - stream.first_index + 1,
            octets=stream.bytes,
            lost=stream.missing.noted,
            jitter_s=stream.jitter / stream.clock_rate,
        )
        for stream in section.streams
        if stream.payload_type >= 0
    }
