"""What `Room.get_stats()` returns: aiortc's figures as frozen values, one report for each peer connection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.client.link_report import Counters, KindCounters
from appliance.media_engine import TrackKind

CLOCK_RATES = {TrackKind.AUDIO: 48_000, TrackKind.VIDEO: 90_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTrackStats:
    """What we send on one stream. The last two are the receiver's word, None until it spoke."""

    kind: str
    ssrc: int
    packets_sent: int
    bytes_sent: int
    packets_lost: int | None = None
    round_trip_time_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTrackStats:
    """What we receive on one stream. `jitter` in units of the stream's RTP clock, 0 once nothing came for 10 s."""

    kind: str
    ssrc: int
    packets_received: int
    packets_lost: int
    jitter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsReport:
    """Counters since the peer connection began."""

    peer_connection_id: str
    bytes_sent: int = 0
    bytes_received: int = 0
    local_tracks: tuple[LocalTrackStats, ...] = ()
    remote_tracks: tuple[RemoteTrackStats, ...] = ()


def stats_report(peer_connection_id: str, raw: Mapping[str, Any], received: Sequence[RemoteTrackStats]) -> StatsReport:
    """Return aiortc's report in our words; `received` is of encoded_media, since aiortc's has one stream a section."""
    entries = list(raw.values())
    heard = {entry.id.rpartition("_")[2]: entry for entry in entries if entry.type == "remote-inbound-rtp"}
    transports = [entry for entry in entries if entry.type == "transport"]
    return StatsReport(
        peer_connection_id=peer_connection_id,
        bytes_sent=sum(entry.bytesSent for entry in transports),
        bytes_received=sum(entry.bytesReceived for entry in transports),
        local_tracks=tuple(
            _local(entry, heard.get(entry.id.rpartition("_")[2])) for entry in entries if entry.type == "outbound-rtp"
        ),
        remote_tracks=tuple(received),
    )


def _local(entry: Any, heard: Any) -> LocalTrackStats:
    return LocalTrackStats(
        kind=entry.kind,
        ssrc=entry.ssrc,
        packets_sent=entry.packetsSent,
        bytes_sent=entry.bytesSent,
        packets_lost=heard.packetsLost if heard is not None else None,
        round_trip_time_s=heard.roundTripTime if heard is not None else None,
    )


def counters_of(
    report: StatsReport, at: float, received: Mapping[TrackKind, int], available_bps: float | None
) -> Counters:
    """Return one reading.

    Args:
        at: seconds on a monotonic clock. received: bytes by kind, which aiortc does not count.
    """
    return Counters(
        connection=report.peer_connection_id,
        at=at,
        bytes_sent=report.bytes_sent,
        bytes_received=report.bytes_received,
        available_bps=available_bps,
        kinds={kind: _kind(report, kind, received.get(kind, 0)) for kind in CLOCK_RATES},
    )


def _kind(report: StatsReport, kind: TrackKind, bytes_received: int) -> KindCounters:
    sent = [track for track in report.local_tracks if track.kind == kind]
    received = [track for track in report.remote_tracks if track.kind == kind]
    times = [track.round_trip_time_s for track in sent if track.round_trip_time_s is not None]
    return KindCounters(
        bytes_sent=sum(track.bytes_sent for track in sent),
        bytes_received=bytes_received,
        packets_received=sum(track.packets_received for track in received),
        packets_lost=sum(track.packets_lost for track in received),
        jitter_s=max((track.jitter for track in received), default=0) / CLOCK_RATES[kind] if received else None,
        rtt_s=min(times, default=None),
    )
