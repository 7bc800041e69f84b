"""RTP in: the streams a participant sends, and the published tracks they belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from appliance.media_engine import PublishedTrack, TrackFigures, TrackKind
from appliance.sfu.feedback import Missing, ReceptionRecord
from appliance.sfu.history import Entry, History
from appliance.sfu.keyframes import KeyframeRequests, begins_keyframe
from appliance.sfu.layers import SILENT_AFTER_S, LayerFacts, LayerMeter
from appliance.sfu.loudness import SILENCE

if TYPE_CHECKING:
    from appliance.sfu.connection import Connection
    from appliance.sfu.consumer import Consumer, OutSlot

FIRST_CYCLE = 0x10000
"""Indices begin here, so that a packet from before the first one has a positive index too."""

LAYERS_LAST_S = 0.05
"""All subscribers of a track look at its layers: once found out is enough for so long."""

LEVEL_LASTS_S = 0.2
"""So long is a packet's level believed: a microphone that is off sends nothing more, one without speech may (DTX)."""


class InStream:
    """One incoming SSRC: one layer of one track, or the retransmissions of one.

    The packet path (forwarding.py) reads and writes these fields itself. `index` is the sequence number extended by its
    cycles; `payload_type` is that of the last packet, -1 before the first; `outs` get every packet, `pending` slots
    wait for a packet to begin with. `resends` is the stream whose losses this one repairs, None for media itself.
    """

    __slots__ = (
        "bytes",
        "clock_rate",
        "codec",
        "connection",
        "first_index",
        "has_nack",
        "highest_index",
        "highest_timestamp",
        "history",
        "jitter",
        "kept",
        "keyframes",
        "last_at",
        "level",
        "meter",
        "missing",
        "outs",
        "payload_type",
        "pending",
        "producer",
        "received",
        "record",
        "resends",
        "ssrc",
        "thrown_away",
        "transit",
        "wanted",
    )

    def __init__(self, connection: Connection, ssrc: int, resends: InStream | None = None) -> None:
        self.connection = connection
        self.ssrc = ssrc
        self.resends = resends
        self.producer: Producer | None = None
        self.payload_type = -1
        self.codec = ""
        self.clock_rate = 90_000
        self.has_nack = False
        self.first_index = 0
        self.highest_index = 0
        self.highest_timestamp = 0
        self.last_at = 0.0
        self.received = 0
        self.bytes = 0
        self.jitter = 0.0
        self.transit = 0
        self.level = SILENCE
        self.thrown_away = False
        self.missing = Missing()
        self.wanted = self.missing.wanted
        self.history = History()
        self.kept: list[Entry | None] | None = None
        self.record = ReceptionRecord()
        self.keyframes = KeyframeRequests()
        self.meter = LayerMeter()
        self.outs: list[OutSlot] = []
        self.pending: list[OutSlot] = []

    def payload_type_changed(self, payload_type: int, sequence: int) -> bool:
        """Look up what a new payload type means; at the first packet, begin counting. False: not ours to forward."""
        codec = self.connection.codec_of(payload_type)
        if codec is None:
            return False
        if self.payload_type < 0:
            self.first_index = self.highest_index = FIRST_CYCLE + sequence
            self.highest_index -= 1
            if self.producer is not None:
                self.producer.flows()
        self.payload_type = payload_type
        self.clock_rate = codec.clock_rate
        self.has_nack = "nack" in codec.feedback
        self.kept = self.history.entries if self.has_nack or codec.name != "opus" else None
        if codec.name != self.codec:
            self.codec = codec.name
            if self.producer is not None:
                self.producer.on_codec()
            for slot in (*self.outs, *self.pending):
                slot.use_codec(codec.name)
        return True

    def is_shed(self, payload_type: int) -> bool:
        """Tell whether a packet of this type is a part of pictures, which a machine without time does not take."""
        if self.resends is not None:
            return True
        if payload_type != self.payload_type or self.codec == "opus":
            return False
        self.thrown_away = True
        return True

    def jumped(self, index: int, now: float) -> None:
        """Note the packets between the highest and this one as missing, and ask for them at once.

        What was thrown away here would come again too early: a new picture is asked for instead.
        """
        if self.thrown_away:
            self.thrown_away = False
            if self.outs:
                self.request_keyframe(now)
        elif not self.missing.gap(self.highest_index + 1, index - 1, now):
            if self.producer is not None and self.producer.track.kind is TrackKind.VIDEO:
                self.request_keyframe(now)
        elif self.has_nack:
            self.ask_again(now)

    def ask_again(self, now: float) -> None:
        """Send the NACKs that are due."""
        if not self.wanted:
            return
        if not self.has_nack:
            self.missing.forget_old(now)
            return
        given_up = self.missing.given_up
        if due := self.missing.due(now):
            self.connection.send_nack(self.ssrc, [index & 0xFFFF for index in due])
        if self.missing.given_up > given_up and self.outs and self.codec != "opus":
            # A picture lacks a part for good. A browser that decodes it waits for seconds before it says so.
            self.request_keyframe(now)

    def admit(self, index: int, timestamp: int, payload: bytes, now: float) -> None:
        """Let the waiting slots begin with this packet, if one can begin with it."""
        if payload and begins_keyframe(self.codec, payload):
            self.keyframes.satisfied()
            waiting, self.pending = self.pending, []
            for slot in waiting:
                slot.begin(self, index, timestamp, now)
                self.outs.append(slot)

    def request_keyframe(self, now: float) -> None:
        """Ask the publisher for a key frame, now or when the last request is old enough."""
        if self.keyframes.ask(now):
            self.connection.send_pli(self.ssrc)

    def tick(self, now: float) -> None:
        """Do what is due: NACKs again, a key frame request that had to wait or was not heard, a look at itself."""
        self.ask_again(now)
        if self.kept is not None:
            self.meter.look(self.kept, self.highest_index, self.codec)
            self.meter.count(self.bytes, now)
        if self.keyframes.is_due(now):
            self.connection.send_pli(self.ssrc)
        elif self.pending and self.codec != "opus" and self.payload_type >= 0 and now - self.keyframes.last_sent > 1.0:
            self.request_keyframe(now)

    def drop(self, slot: OutSlot) -> None:
        """Stop serving a slot, whether it was served already or still waited."""
        if slot in self.outs:
            self.outs.remove(slot)
        if slot in self.pending:
            self.pending.remove(slot)

    def figures(self) -> TrackFigures:
        lost = max(0, self.highest_index - self.first_index + 1 - self.received) if self.payload_type >= 0 else 0
        return TrackFigures(packets=self.received, bytes=self.bytes, lost=lost)


def _nothing() -> None:
    """Nobody wants to know."""


class Producer:
    """One published track and whoever consumes it.

    `streams` holds its layers, lowest first. A data track has none. `on_codec` is called when that changes.
    """

    def __init__(self, track: PublishedTrack, owner_sid: str, on_flow: Callable[[PublishedTrack], None]) -> None:
        self.track = track
        self.owner_sid = owner_sid
        self.streams: list[InStream] = []
        self.consumers: set[Consumer] = set()
        self.reliability: Reliability | None = None
        self.on_codec: Callable[[], None] = _nothing
        self._on_flow = on_flow
        self._flowed = False
        self._layers: tuple[LayerFacts, ...] = ()
        self._layers_at = float("-inf")
        self._layers_of: list[InStream] | None = None

    def flows(self) -> None:
        """The first packet or message is here."""
        if not self._flowed:
            self._flowed = True
            self._on_flow(self.track)

    def bind(self, streams: list[InStream]) -> None:
        """Take these streams for the track's layers from now on, and let the consumers follow."""
        if streams == self.streams:
            return
        self.streams = streams
        for stream in streams:
            stream.producer = self
            if stream.payload_type >= 0:
                self.flows()
        for consumer in self.consumers:
            consumer.follow()

    def unbind(self) -> None:
        """The track has no streams any more: unpublished, or its section was given to another."""
        for stream in self.streams:
            if stream.producer is self:
                stream.producer = None
        self.streams = []
        for consumer in self.consumers:
            consumer.follow()

    @property
    def codec(self) -> str | None:
        """What is being sent, once it is."""
        return next((stream.codec for stream in self.streams if stream.codec), None)

    def layers(self, now: float) -> tuple[LayerFacts, ...]:
        """Return what is known of each layer. One has stopped that is silent while another is not."""
        if now - self._layers_at < LAYERS_LAST_S and self._layers_of is self.streams:
            return self._layers
        self._layers_at, self._layers_of = now, self.streams
        newest = max((stream.last_at for stream in self.streams), default=now)
        self._layers = tuple(
            LayerFacts(
                size=stream.meter.size,
                bitrate_bps=stream.meter.bitrate_bps,
                is_alive=stream.payload_type >= 0 and newest - stream.last_at < SILENT_AFTER_S,
                temporal_shares=stream.meter.temporal_shares,
            )
            for stream in self.streams
        )
        return self._layers

    def layer_of_use(self) -> int:
        """Return the highest layer that anybody has a use for, -1 for none."""
        return max((consumer.layer_of_use for consumer in self.consumers), default=-1)

    def level(self, now: float) -> int:
        """Return how loud it is, in dB below the loudest possible; a stream that pauses is silent (RFC 6464, 3)."""
        stream = self.streams[0] if self.streams else None
        return stream.level if stream is not None and now - stream.last_at < LEVEL_LASTS_S else SILENCE

    def figures(self) -> TrackFigures:
        layers = [stream.figures() for stream in self.streams]
        return TrackFigures(
            packets=sum(f.packets for f in layers), bytes=sum(f.bytes for f in layers), lost=sum(f.lost for f in layers)
        )


class Reliability:
    """How a data track's channel was opened: at most one of the two limits is set."""

    __slots__ = ("max_packet_life_time", "max_retransmits", "ordered")

    def __init__(self, ordered: bool, max_packet_life_time: int | None, max_retransmits: int | None) -> None:
        self.ordered = ordered
        self.max_packet_life_time = max_packet_life_time
        self.max_retransmits = max_retransmits
