"""One peer connection at our end: where it is, its secure transport, its streams in and out, and its RTCP."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import Any

from appliance.media_engine import LinkFigures, RoomMediaPolicy
from appliance.sfu import rtcp
from appliance.sfu.allowance import Allowance
from appliance.sfu.consumer import OutSlot
from appliance.sfu.description import (
    AUDIO_LEVEL,
    MID,
    TRANSPORT_CC,
    Codec,
    Layer,
    LocalSection,
    LocalTransport,
    RemoteDescription,
    write_description,
)
from appliance.sfu.downlink import Downlink, SentTotals
from appliance.sfu.feedback import TRANSPORT_CC_INTERVAL_S, LossBasedRate, TransportArrivals
from appliance.sfu.flood_gate import FloodGate
from appliance.sfu.forwarding import Address
from appliance.sfu.history import Entry
from appliance.sfu.link_meter import Link, LinkMeter
from appliance.sfu.port import MediaPort
from appliance.sfu.producer import FIRST_CYCLE, InStream
from appliance.sfu.sections import Section, Sections
from appliance.sfu.transport import Certificate, DataChannel, SecureTransport, fingerprint_of

logger = logging.getLogger(__name__)

REPORT_INTERVAL_S = 1.0
LARGEST_PADDING = 255
"""Octets of padding that its last octet can count (RFC 3550, 5.1)."""
_PADDING_ON_THE_WIRE = LARGEST_PADDING + 34
_MOST_STREAMS = 200
_MOST_CREDENTIALS = 8
_QUEUED_BEFORE_ADDRESS = 32
_LEAST_BETWEEN_SENDER_REPORTS_S = 0.1
"""Each goes on to everyone who receives the stream; clients send one or two in a second."""

# What a client may make us do, each several times what the most eager does on a bad network.
_CHECKS = (100.0, 200.0)
_CONTROL_PACKETS = (200.0, 400.0)
_PACKETS_TO_RESEND = (1000.0, 2000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionEvents:
    """Whom a connection tells: DTLS is up; it is over, and why; a section got streams that nobody had announced; SCTP
    has begun; the client opened a channel."""

    ready: Callable[[], None]
    ended: Callable[[str], None]
    streams_found: Callable[[], None]
    data_ready: Callable[[SecureTransport], None]
    channel_opened: Callable[[DataChannel], None]


class Connection:
    """The server's half of one peer connection.

    The packet path reads `address`, `sendto`, `streams`, `srtp_receive`, `srtp_send`, `transport_cc_id`,
    `audio_level_id` and calls `arrived`; it writes `heard_at`, seconds on the clock of `now`.
    """

    def __init__(
        self,
        port: MediaPort,
        certificate: Certificate,
        policy: RoomMediaPolicy,
        events: ConnectionEvents,
        random: Random,
    ) -> None:
        self.now = monotonic
        self._port = port
        self._events = events
        self._random = random
        self._transport = SecureTransport(certificate, self._send_datagram, self._secured, self._lost, port.handshakes)
        self._fingerprint = fingerprint_of(certificate)
        self._passwords: dict[str, str] = {}
        self._ufrag = ""
        self._client_ufrag = ""
        self._session = (random.getrandbits(62), 0)
        self._unsent: list[bytes] = []
        self._fingerprints: tuple[tuple[str, str], ...] = ()
        self._feedback_ssrc = random.getrandbits(32)
        self._slots: dict[int, OutSlot] = {}
        self._resending: set[int] = set()  # SSRCs of their retransmissions
        self._packets_before = 0  # sent by slots that are gone
        self._padding_octets = self._padding_packets = 0
        self._arrivals = TransportArrivals()
        self._rate = LossBasedRate()
        self._next_feedback = self._next_report = 0.0
        self._meter = LinkMeter()
        self._gate = FloodGate()
        self._shut_out: Any = None  # what `srtp_receive` is when the gate is open
        self._checks_allowed = Allowance(*_CHECKS)
        self._control_allowed = Allowance(*_CONTROL_PACKETS)
        self._resends_allowed = Allowance(*_PACKETS_TO_RESEND)
        self.sections = Sections(policy)
        self._nominated = False
        self.address: Any = None  # an Address once a check came; read per packet, so not asked for None there
        self.sendto: Any = None
        self.streams: dict[int, InStream] = {}
        self.srtp_receive: Any = None
        self.srtp_send: Any = None
        self.transport_cc_id = self.audio_level_id = 0
        self.arrived = self._arrivals.fresh.append
        self.heard_at = self.now()
        self.downlink = Downlink()
        self._renew_credentials()

    # --- where it is (ICE) and who it is (DTLS)

    def _renew_credentials(self) -> None:
        self._ufrag, password = self._port.new_credentials(self)
        # The old ones stay valid: aiortc goes on with them after a restart (media-engine.md 4.1).
        self._passwords[self._ufrag] = password
        if len(self._passwords) > _MOST_CREDENTIALS:
            oldest = next(iter(self._passwords))
            del self._passwords[oldest]
            self._port.forget_credentials(oldest)

    def password_of(self, ufrag: str) -> str | None:
        """Return the password that belongs to one of our user fragments."""
        return self._passwords.get(ufrag)

    def may_check(self) -> bool:
        """Tell whether a connectivity check is to be looked at: so many come and no more."""
        return self._checks_allowed.take(self.now())

    def checked(self, address: Address, sock: socket.socket, *, nominated: bool) -> None:
        """Take an authenticated check: the first gives the address, a nomination moves it (roaming)."""
        self.heard_at = self.now()
        self._nominated = self._nominated or nominated
        if self.address is None or (nominated and address != self.address):
            self._move_to(address, sock)

    def _move_to(self, address: Address, sock: socket.socket) -> None:
        logger.debug("participant at %s", address)
        self.address = address
        self.sendto = sock.sendto
        for datagram in self._unsent:
            self._send_datagram(datagram)
        self._unsent.clear()
        self._begin_handshake()

    def _begin_handshake(self) -> None:
        if self.address is not None and self._fingerprints:
            self._transport.start(self._fingerprints)

    def dtls_arrived(self, data: bytes, address: Address, sock: socket.socket) -> None:
        """Take a DTLS record from an address that belongs to this connection.

        A browser begins the handshake before it nominates, on a path that need not be the one it checked first: answers
        on another are lost, and OpenSSL repeats them only after a second.
        """
        if not self._nominated and address != self.address:
            self._move_to(address, sock)
        self._transport.datagram(data)

    def _send_datagram(self, data: bytes) -> None:
        if self.address is None:
            if len(self._unsent) < _QUEUED_BEFORE_ADDRESS:
                self._unsent.append(data)
            return
        try:
            self.sendto(data, self.address)
        except OSError:
            self._port.path.dropped += 1

    def _secured(self) -> None:
        self.srtp_receive = self._transport.srtp_receive
        self.srtp_send = self._transport.srtp_send
        self.heard_at = self.now()
        self.start_data()
        self._events.ready()

    def _lost(self, reason: str) -> None:
        self._events.ended(reason)

    @property
    def is_ready(self) -> bool:
        return self.srtp_send is not None

    # --- descriptions

    def apply_offer(self, description: RemoteDescription) -> bool:
        """Take the client's offer; new ICE credentials of its are answered with new ones of ours.

        Returns:
            whether it restarts ICE.

        Raises:
            RemoteProtocolError: the sections do not continue the last description, or the certificate changed.
        """
        self.sections.apply_offer(description)
        restarts = bool(self._client_ufrag) and description.ufrag != self._client_ufrag
        if restarts:
            self._renew_credentials()
        self._described(description)
        return restarts

    def apply_answer(self, description: RemoteDescription) -> None:
        """Take the client's answer to our offer. Raises as `apply_offer`."""
        self.sections.apply_answer(description)
        self._described(description)

    def _described(self, description: RemoteDescription) -> None:
        self._client_ufrag = description.ufrag
        self._fingerprints = self._fingerprints or description.fingerprints
        self.transport_cc_id = self.sections.extensions.get(TRANSPORT_CC, 0)
        self.audio_level_id = self.sections.extensions.get(AUDIO_LEVEL, 0)
        for section in self.sections:
            if section.is_media:
                self._bind_streams(section)
        self._begin_handshake()
        self.start_data()

    def _bind_streams(self, section: Section) -> None:
        """Make the section's streams what the client declared; those it did not declare are found by their mid."""
        if not section.remote.client_sends:
            self._drop_streams(section.streams)
            section.streams = []
            return
        if not section.remote.layers:
            return
        declared = {layer.ssrc for layer in section.remote.layers}
        self._drop_streams([stream for stream in section.streams if stream.ssrc not in declared])
        streams = [self._stream(layer) for layer in section.remote.layers]
        section.streams = [stream for stream in streams if stream is not None]

    def _stream(self, layer: Layer) -> InStream | None:
        stream = self.streams.get(layer.ssrc)
        if stream is None:
            if len(self.streams) >= _MOST_STREAMS:
                return None
            stream = self.streams[layer.ssrc] = InStream(self, layer.ssrc)
        if layer.rtx_ssrc is not None:
            self.streams.setdefault(layer.rtx_ssrc, InStream(self, layer.rtx_ssrc, resends=stream))
        return stream

    def _drop_streams(self, gone: Sequence[InStream]) -> None:
        for stream in gone:
            for ssrc in [s for s, known in self.streams.items() if known is stream or known.resends is stream]:
                del self.streams[ssrc]

    def describe(self, *, setup: str) -> tuple[str, tuple[LocalSection, ...]]:
        """Return our description, "passive" for an answer, "actpass" for an offer, and what it says of each section."""
        self._session = (self._session[0], self._session[1] + 1)
        described = tuple(section.local(as_answer=setup == "passive") for section in self.sections)
        transport = LocalTransport(
            ufrag=self._ufrag,
            password=self._passwords[self._ufrag],
            fingerprint=self._fingerprint,
            addresses=self._port.candidates,
        )
        session_id, version = self._session
        return (
            write_description(described, transport, setup=setup, session_id=session_id, version=version),
            described,
        )

    def new_slot(self, section: Section) -> OutSlot:
        """Return a fresh slot for what is placed in a section, in place of the one before.

        With the same SSRC as before, Chromium decodes what comes after an inactive exchange but shows nothing of it.
        """
        if section.slot is not None:
            self._packets_before += section.slot.packets
            del self._slots[section.slot.ssrc]
            self.downlink.forget((section.slot.ssrc, section.slot.rtx_ssrc))
            self._resending.discard(section.slot.rtx_ssrc)
        codecs = {codec.name: codec for codec in section.codecs}
        section.slot = OutSlot(self, section.mid, codecs, section.remote.extensions, self._random)
        self._slots[section.slot.ssrc] = section.slot
        self._resending.add(section.slot.rtx_ssrc)
        return section.slot

    # --- data channels

    def start_data(self) -> None:
        """Begin SCTP as soon as DTLS is up and both sides have described a data section."""
        section = self.sections.data
        if section is not None and section.is_known and self.is_ready and not self._transport.has_data:
            remote = section.remote
            self._transport.start_data(remote.sctp_port, remote.max_message_size, self._events.channel_opened)
            self._events.data_ready(self._transport)

    # --- the slow side of the packet path

    def codec_of(self, payload_type: int) -> Codec | None:
        return self.sections.codec_of(payload_type)

    def unknown_ssrc(self, packet: bytes) -> InStream | None:
        """Find the section of a packet whose SSRC nobody announced, by its mid (RFC 8843, 9.2)."""
        identifier = self.sections.extensions.get(MID, 0)
        mid = read_mid(packet, identifier)
        section = self.sections.by_mid(mid) if mid else None
        if section is None or not section.remote.client_sends or len(self.streams) >= _MOST_STREAMS:
            return None
        ssrc = int.from_bytes(packet[8:12], "big")
        if self.sections.is_resending(packet[1] & 0x7F):
            known = [stream.resends for stream in self.streams.values()]
            original = next((stream for stream in section.streams if stream not in known), None)
            if original is None:
                return None
            return self.streams.setdefault(ssrc, InStream(self, ssrc, resends=original))
        if section.remote.layers:
            return None  # the client said which ones it sends
        stream = self.streams[ssrc] = InStream(self, ssrc)
        section.streams = [*section.streams, stream]
        self._events.streams_found()
        return stream

    def rtcp_arrived(self, data: bytes, now: float) -> None:
        """Take a decrypted RTCP datagram; beyond what is allowed it is dropped."""
        if not self._control_allowed.take(now):
            self._port.path.dropped += 1
            return
        for report in rtcp.read_compound(data):
            if isinstance(report, rtcp.SenderReport):
                self._sender_report(report, now)
            elif isinstance(report, rtcp.BitrateEstimate):
                self.downlink.estimated(report, now)
            elif (slot := self._slot(report.ssrc)) is None:
                if isinstance(report, rtcp.ReceptionReport) and report.ssrc in self._resending:
                    self.downlink.reported(report, now)  # of padding, above all
            elif isinstance(report, rtcp.Nack):
                slot.resend(report.sequences[: self._resends_allowed.take_up_to(now, len(report.sequences))], now)
            elif isinstance(report, rtcp.KeyframeRequest):
                if slot.source is not None and slot.source.codec != "opus":
                    slot.source.request_keyframe(now)
            else:
                slot.received(report, now)
                self._meter.reported(report, now, slot.packets)
                self.downlink.reported(report, now, slot.packets)

    def _slot(self, ssrc: int) -> OutSlot | None:
        return self._slots.get(ssrc)

    def _sender_report(self, report: rtcp.SenderReport, now: float) -> None:
        stream = self.streams.get(report.ssrc)
        if stream is None or stream.resends is not None:
            return
        if now - stream.record.last_report_at < _LEAST_BETWEEN_SENDER_REPORTS_S:
            return
        stream.record.heard(report, now)
        cname = stream.producer.owner_sid if stream.producer is not None else ""
        for slot in stream.outs:
            slot.connection.send_rtcp(slot.sender_report(report, now, cname))

    # --- sending

    def send_rtcp(self, data: bytes) -> None:
        self._port.path.send_rtcp(self, data)

    def send_nack(self, ssrc: int, sequences: Sequence[int]) -> None:
        self.send_rtcp(rtcp.write_nack(self._feedback_ssrc, ssrc, sequences))

    def send_pli(self, ssrc: int) -> None:
        self.send_rtcp(rtcp.write_pli(self._feedback_ssrc, ssrc))

    def resend(self, slot: OutSlot, entry: Entry, sequence: int, timestamp_offset: int, now: float) -> None:
        self._port.path.resend(slot, entry, sequence, timestamp_offset, now)

    def tick(self, now: float) -> None:
        """Do what is due: NACKs, key frame requests, transport-cc feedback, reports. Called every 50 ms or so."""
        if not self.is_ready:
            return
        self._hold_off_floods(now)
        for stream in self.streams.values():
            if stream.resends is None:
                stream.tick(now)
        if now >= self._next_feedback:
            self._next_feedback = now + TRANSPORT_CC_INTERVAL_S
            self._send_arrivals()
        if now >= self._next_report:
            self._next_report = now + REPORT_INTERVAL_S
            self._send_reports(now)
        self._meter.tick(self.sections, now)

    def _hold_off_floods(self, now: float) -> None:
        is_open = self._gate.admits(sum(stream.received for stream in self.streams.values()), now)
        if is_open and self._shut_out is not None:
            self.srtp_receive, self._shut_out = self._shut_out, None
        elif not is_open and self._shut_out is None:
            logger.warning("participant at %s floods us, its media is held off", self.address)
            self.srtp_receive, self._shut_out = None, self.srtp_receive

    def _send_arrivals(self) -> None:
        if not self._arrivals.fresh:
            return
        media = next((ssrc for ssrc, s in self.streams.items() if s.payload_type >= 0), 0)
        for packet in self._arrivals.take_feedback(self._feedback_ssrc, media):
            self.send_rtcp(packet)

    def _send_reports(self, now: float) -> None:
        media = [s for s in self.streams.values() if s.resends is None and s.payload_type >= 0]
        if not media:
            return
        reports = [
            stream.record.report(
                stream.ssrc,
                stream.highest_index - stream.first_index + 1,
                stream.received,
                stream.highest_index - FIRST_CYCLE,
                stream.jitter,
                now,
            )
            for stream in media
        ]
        compound = rtcp.write_receiver_report(self._feedback_ssrc, reports)
        if not self.sections.has_transport_cc:
            worst = max(report.fraction_lost for report in reports) / 256
            rate = self._rate.update(worst)
            compound += rtcp.write_remb(self._feedback_ssrc, rate, [s.ssrc for s in media if s.codec != "opus"])
        self.send_rtcp(compound)

    @property
    def rtt_s(self) -> float | None:
        """The best round trip time that the participant's reports tell."""
        return min((slot.rtt_s for slot in self._slots.values() if slot.rtt_s is not None), default=None)

    @property
    def links(self) -> Mapping[Link, LinkFigures]:
        """How media fared over the last second, by direction and kind."""
        # Who takes transport-cc feedback estimates for itself what it can send, and does not tell.
        allowed = None if self.sections.has_transport_cc else float(self._rate.bitrate_bps)
        # An estimate of what was never needed says nothing of the path: receivers begin low, and go up with what flows.
        budget = self.downlink.budget
        return self._meter.with_path(self.rtt_s, allowed, budget.allowed_bps if budget.is_congested else None)

    def sent_totals(self) -> SentTotals:
        """Count what went out in the slots that there are now."""
        video = [slot for slot in self._slots.values() if "opus" not in slot.codecs]
        return SentTotals(
            video=sum(slot.octets for slot in video),
            video_packets=sum(slot.packets for slot in video),
            extra=self._padding_octets + sum(slot.resent_octets for slot in video),
            extra_packets=self._padding_packets,
        )

    def pad(self, octets: int, now: float) -> int:
        """Send so much padding, in whole packets, to see whether the path carries it; return how much that was.

        Where no stream can take it, none goes out.
        """
        slots = [slot for slot in self._slots.values() if slot.rtx_payload_type is not None]
        packets = octets // _PADDING_ON_THE_WIRE
        for _ in range(packets if slots else 0):
            slot = slots[self._padding_packets % len(slots)]
            if self._port.path.send_padding(slot, LARGEST_PADDING, now):
                self._padding_octets += LARGEST_PADDING
                self._padding_packets += 1
        return packets * _PADDING_ON_THE_WIRE

    @property
    def packets_sent(self) -> int:
        return self._packets_before + sum(slot.packets for slot in self._slots.values())

    async def close(self) -> None:
        """End it and free everything. Whoever consumes its streams must have let go before. Closing twice is fine."""
        self._port.forget(self)
        self.srtp_receive = self.srtp_send = self._shut_out = None
        self.streams.clear()
        await self._transport.close()


def read_mid(packet: bytes, identifier: int) -> str | None:
    """Return the mid that a decrypted RTP packet names in its one-byte header extension (RFC 8285, 4.2)."""
    start = 12 + ((packet[0] & 0x0F) << 2)
    if not packet[0] & 0x10 or len(packet) < start + 4 or packet[start : start + 2] != b"\xbe\xde":
        return None
    position = start + 4
    end = min(len(packet), position + 4 * int.from_bytes(packet[start + 2 : start + 4], "big"))
    while position < end:
        head = packet[position]
        size = (head & 0x0F) + 1 if head else 0
        if head and head >> 4 == identifier:
            return packet[position + 1 : position + 1 + size].decode("ascii", "replace")
        position += 1 + size
    return None
