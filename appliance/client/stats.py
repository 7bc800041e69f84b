"""What `Room.get_stats()` returns: aiortc's figures as frozen values, one report for each peer connection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
    """What we receive on one stream. `jitter` in units of the stream's RTP clock."""

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


def stats_report(peer_connection_id: str, raw: Mapping[str, Any]) -> StatsReport:
    """Return aiortc's report in our words."""
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
        remote_tracks=tuple(
            RemoteTrackStats(
                kind=entry.kind,
                ssrc=entry.ssrc,
                packets_received=entry.packetsReceived,
                packets_lost=entry.packetsLost,
                jitter=entry.jitter,
            )
            for entry in entries
            if entry.type == "inbound-rtp"
        ),
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
