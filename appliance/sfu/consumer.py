"""RTP out: the slots in which a participant receives, and its subscriptions that fill them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from appliance.media_engine import Subscription, TrackKind
from appliance.sfu.description import ABSOLUTE_SEND_TIME, MID, Codec
from appliance.sfu.rewriter import TIMESTAMP_MASK, Numbers, Rewriter, same_moment
from appliance.sfu.rtcp import ReceptionReport, SenderReport, write_sender_report
from appliance.sfu.thinning import ALL_LAYERS, Thinner, shift_between
from appliance.sfu.vp8 import Numbers as PictureNumbers
from appliance.sfu.vp8 import numbers_of, read_packet

if TYPE_CHECKING:
    from appliance.sfu.connection import Connection
    from appliance.sfu.data_relay import OutChannel
    from appliance.sfu.history import Entry
    from appliance.sfu.producer import InStream, Producer

PREVIOUS_SOURCE_KEPT_S = 1.0
_REMEMBERED_REPORTS = 4
_MOST_REMEMBERED_RESENDS = 256
_LEAST_RESEND_PAUSE_S = 0.02

NEVER = 1 << 62
"""As `first_index`: no packet of this source is sent, for want of the codec."""


class _Source(NamedTuple):
    """A stream and the numbers under which it went out."""

    stream: InStream
    index_offset: int
    timestamp_offset: int
    first_index: int
    thinner: Thinner | None

    def find(self, sequence: int) -> Entry | None:
        """Return the packet that went out with this number, as it went out."""
        history = self.stream.history
        if self.thinner is None:
            return history.find_sequence((sequence - self.index_offset) & 0xFFFF, self.stream.highest_index)
        index = self.thinner.find(sequence)
        entry = None if index is None else history.find(index)
        if entry is None:
            return None
        index, marker, timestamp, payload = entry
        return index, marker, timestamp, self.thinner.again(index, timestamp, payload)


class OutSlot:
    """One stream towards a participant: the SSRCs of one subscription, and whatever source fills them now.

    The packet path (forwarding.py) reads these fields itself. `pack_header(buffer, 0, 0x90, marker and payload type,
    sequence, timestamp, ssrc, extension, send time high byte, send time low half)` writes `header_size` bytes.
    """

    __slots__ = (
        "codecs",
        "connection",
        "extension",
        "first_index",
        "header_size",
        "index_offset",
        "last_picture",
        "last_sent",
        "last_sent_at",
        "octets",
        "pack_header",
        "packets",
        "payload_type",
        "previous",
        "reports_sent",
        "resent_at",
        "resent_octets",
        "rewriter",
        "rtt_s",
        "rtx_payload_type",
        "rtx_sequence",
        "rtx_ssrc",
        "source",
        "ssrc",
        "temporal",
        "thinner",
        "timestamp_offset",
    )

    def __init__(
        self,
        connection: Connection,
        mid: str,
        codecs: Mapping[str, Codec],
        extensions: Mapping[str, int],
        random: Random,
    ) -> None:
        self.connection = connection
        self.codecs = codecs
        self.ssrc = random.getrandbits(32)
        self.rtx_ssrc = random.getrandbits(32)
        self.rtx_sequence = random.randrange(1, 0x8000)
        self.payload_type = -1
        self.rtx_payload_type: int | None = None
        clock_rate = next((codec.clock_rate for codec in codecs.values()), 90_000)
        self.rewriter = Rewriter.fresh(clock_rate, random)
        self.index_offset = self.timestamp_offset = self.first_index = 0
        self.source: InStream | None = None
        self.previous: tuple[_Source, float] | None = None  # and until when
        self.last_picture: PictureNumbers | None = None
        self.temporal: int | None = None
        self.thinner: Thinner | None = None
        self.last_sent: Numbers | None = None
        self.last_sent_at = 0.0
        self.packets = self.octets = self.resent_octets = 0
        self.reports_sent: dict[int, float] = {}
        self.resent_at: dict[int, float] = {}  # by our number
        self.rtt_s: float | None = None
        self.extension = header_extension(mid, extensions)
        header = struct.Struct(f"!BBHII{len(self.extension)}sBH")
        self.header_size = header.size
        self.pack_header: Callable[..., None] = header.pack_into

    @property
    def has_rtx(self) -> bool:
        return any(codec.rtx is not None for codec in self.codecs.values())

    def use_codec(self, name: str) -> None:
        """Take the client's numbers for this codec; packets of one that it does not have are not sent."""
        codec = self.codecs.get(name)
        self.payload_type = codec.payload_type if codec else -1
        self.rtx_payload_type = codec.rtx if codec else None
        self.first_index = self.rewriter.first_index if codec else NEVER

    def follow(self, stream: InStream | None, *, keep: bool = False, forget: bool = False) -> None:
        """Change to another source: at once to none, to a stream at the next packet one can begin with.

        `keep`: what is sent now, another layer of the same picture, goes on until then (media-engine.md 4.6). `forget`:
        what was lost of it is not sent again.
        """
        now = self.connection.now()
        if self.source is not None and stream is not self.source and not keep:
            self._leave(self.source, now)
            if forget:
                self.previous = None
        if stream is not None and stream is not self.source and self not in stream.pending:
            if self.source is None:
                self.use_codec(stream.codec)
            stream.pending.append(self)
            if stream.codec not in ("", "opus"):
                stream.request_keyframe(now)

    def _leave(self, source: InStream, now: float) -> None:
        self.last_sent = (
            source.highest_index + self.index_offset if self.thinner is None else self.thinner.highest_out,
            (source.highest_timestamp + self.timestamp_offset) & TIMESTAMP_MASK,
        )
        self.last_sent_at = source.last_at
        last = picture_numbers(source, source.highest_index) if self.thinner is None else self.thinner.last_numbers
        self.last_picture = last or self.last_picture
        self.previous = (self._numbers_of(source), now + PREVIOUS_SOURCE_KEPT_S)
        self.source = self.thinner = None
        source.drop(self)

    def begin(self, stream: InStream, index: int, timestamp: int, now: float) -> None:
        """Take this packet of the stream as the next one of ours."""
        aligned: int | None = None
        if self.source is not None and self.source is not stream:
            aligned = self._aligned(self.source, stream, timestamp)
            self._leave(self.source, now)
            self.use_codec(stream.codec)
        self.rewriter.clock_rate = stream.clock_rate
        self.rewriter.switch((index, timestamp), self.last_sent, now - self.last_sent_at, aligned)
        self.index_offset = self.rewriter.index_offset
        self.timestamp_offset = self.rewriter.timestamp_offset
        self.first_index = self.rewriter.first_index if self.payload_type >= 0 else NEVER
        self.source = stream
        shift = shift_between(self.last_picture, picture_numbers(stream, index))
        if self.temporal is not None or shift != (0, 0):
            self._renumber(index - 1, timestamp - 1, shift)

    def thin(self, temporal: int | None) -> None:
        """Pass temporal layers up to this one from the next picture on, None: all of them."""
        self.temporal = temporal
        if self.thinner is not None:
            self.thinner.wanted = ALL_LAYERS if temporal is None else temporal
        elif temporal is not None and self.source is not None:
            self._renumber(self.source.highest_index, self.source.highest_timestamp, PictureNumbers(0, 0))

    def _renumber(self, index: int, timestamp: int, shift: PictureNumbers) -> None:
        """Begin after the packet with this index; once begun, numbers are changed until the source changes."""
        if self.source is not None and self.source.codec == "VP8":
            wanted = ALL_LAYERS if self.temporal is None else self.temporal
            self.thinner = Thinner(self.index_offset, index, timestamp & TIMESTAMP_MASK, wanted, shift)

    def _aligned(self, old: InStream, new: InStream, timestamp: int) -> int | None:
        """Return our timestamp for one of `new`, another layer of the same picture; None where no reports tell."""
        reports = old.record.last_report, new.record.last_report
        if reports[0] is None or reports[1] is None or old.producer is not new.producer:
            return None
        same = same_moment(
            (reports[0].ntp, reports[0].rtp_timestamp),
            (reports[1].ntp, reports[1].rtp_timestamp),
            timestamp,
            new.clock_rate,
        )
        return (same + self.timestamp_offset) & TIMESTAMP_MASK

    def release(self, stream: InStream | None) -> None:
        """Have no source, now or in future; `stream` is the one it may still wait for."""
        if stream is not None:
            stream.drop(self)
        self.follow(None)

    def resend(self, sequences: tuple[int, ...], now: float) -> None:
        """Answer a NACK of the participant from the source's history, or that of the source before."""
        pause = max(_LEAST_RESEND_PAUSE_S, self.rtt_s or 0.0)  # a receiver asks again before the answer can be there
        for sequence in sequences:
            if now - self.resent_at.get(sequence, float("-inf")) < pause:
                continue
            for source in self._sources(now):
                entry = source.find(sequence)
                if entry is not None and entry[0] >= source.first_index:
                    if not self.connection.downlink.may_resend(len(entry[3]), now):
                        return
                    self.connection.resend(self, entry, sequence, source.timestamp_offset, now)
                    self.resent_octets += len(entry[3])
                    self.resent_at[sequence] = now
                    break
        if len(self.resent_at) > _MOST_REMEMBERED_RESENDS:
            self.resent_at = {key: at for key, at in self.resent_at.items() if now - at < pause}

    def _sources(self, now: float) -> list[_Source]:
        """Return what is sent now and what was just before."""
        sources = []
        if self.source is not None:
            sources.append(self._numbers_of(self.source))
        if self.previous is not None:
            source, until = self.previous
            if now <= until:
                sources.append(source)
            else:
                self.previous = None
        return sources

    def _numbers_of(self, source: InStream) -> _Source:
        return _Source(source, self.index_offset, self.timestamp_offset, self.first_index, self.thinner)

    def sender_report(self, heard: SenderReport, now: float, cname: str) -> bytes:
        """Return our report made of the publisher's: its NTP time unchanged, so that lip-sync holds."""
        self.reports_sent[heard.ntp >> 16 & 0xFFFFFFFF] = now
        while len(self.reports_sent) > _REMEMBERED_REPORTS:
            del self.reports_sent[next(iter(self.reports_sent))]
        timestamp = (heard.rtp_timestamp + self.timestamp_offset) & TIMESTAMP_MASK
        return write_sender_report(SenderReport(self.ssrc, heard.ntp, timestamp, self.packets, self.octets), cname)

    def received(self, report: ReceptionReport, now: float) -> None:
        """Take the participant's report on us: it yields the round trip time (RFC 3550, 6.4.1)."""
        sent = self.reports_sent.get(report.last_sr)
        if sent is not None and report.last_sr:
            self.rtt_s = max(0.0, now - sent - report.delay_since_sr / 65536)


def picture_numbers(stream: InStream, index: int) -> PictureNumbers | None:
    """Return how a VP8 stream numbers the picture of the packet with this index, as it came."""
    entry = stream.history.find(index) if stream.codec == "VP8" else None
    packet = read_packet(entry[3]) if entry is not None else None
    return None if entry is None or packet is None else numbers_of(entry[3], packet)


def header_extension(mid: str, extensions: Mapping[str, int]) -> bytes:
    """Return the extension block of a slot up to the 3 bytes of abs-send-time, which end it (RFC 8285, 4.2).

    A client that knows no abs-send-time gets it under a number it gave to nothing, which receivers pass over: so every
    slot's header has the same form and the packet path no branch.
    """
    free = next(number for number in range(14, 0, -1) if number not in extensions.values())
    send_time = extensions.get(ABSOLUTE_SEND_TIME, free)
    elements = b""
    if MID in extensions:
        elements = bytes([extensions[MID] << 4 | len(mid) - 1]) + mid.encode()
    elements += bytes(-len(elements) % 4)
    return struct.pack("!HH", 0xBEDE, len(elements) // 4 + 1) + elements + bytes([send_time << 4 | 2])


class Consumer:
    """One subscription of one participant, from the wish to its end. `id` is fresh for each (signaling.md 3.2).

    `layer_of_use`: the highest layer that the participant has a use for, -1 for none.
    """

    def __init__(self, producer: Producer, subscription_id: str) -> None:
        self.producer = producer
        self.id = subscription_id
        self.slot: OutSlot | None = None
        self.channel: OutChannel | None = None
        self.is_live = False
        self.refusals = 0
        self.error: tuple[int, str] | None = None
        self.layer_of_use = 0
        self._layer: int | None = 0
        self._followed: InStream | None = None
        producer.consumers.add(self)

    @property
    def kind(self) -> TrackKind:
        return self.producer.track.kind

    def subscription(self) -> Subscription:
        """Return the entry for the wire."""
        sid = self.producer.track.sid
        if self.error is not None:
            return Subscription(track_sid=sid, id=None, error_code=self.error[0], error_message=self.error[1])
        return Subscription(track_sid=sid, id=self.id)

    def go_live(self) -> None:
        """The client knows the section now: let packets come."""
        self.is_live = True
        self.follow()

    def show(self, layer: int | None, *, at_once: bool = False) -> None:
        """Want this layer from now on, counted from the lowest; None: nothing, until something is wanted again.

        `at_once`: the layer before ends now, even if the new one has yet to begin: the path is full.
        """
        self._layer = layer
        self.follow(at_once=at_once)

    def follow(self, *, at_once: bool = False) -> None:
        """Take the layer that is wanted of the streams that the producer has now; the topmost where it has fewer."""
        streams = self.producer.streams
        stream = None
        if streams and self._layer is not None:
            stream = streams[min(self._layer, len(streams) - 1)]
        if self.slot is None or not self.is_live or stream is self._followed:
            return
        if self._followed is not None and self._followed is not self.slot.source:
            self._followed.drop(self.slot)
        self._followed = stream
        keep = stream is not None and self.slot.source in streams and not at_once
        self.slot.follow(stream, keep=keep, forget=at_once)

    def close(self) -> None:
        """End it: no packet and no message more."""
        self.producer.consumers.discard(self)
        if self.slot is not None:
            self.slot.release(self._followed)
            self.slot = None
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        self._followed = None
        self.is_live = False
