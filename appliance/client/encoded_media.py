"""Encoded media in and out of aiortc without its codecs: the client's only file to touch aiortc's insides.

What is touched, why, and for how long it has been so (media-engine.md 5, 8; kiosk-processes.md 4):

    receiver's decoder queue, jitter buffer   packets and frames are taken before aiortc decodes them
    DTLS transport's router, receiver's rtx   streams of a section that aiortc started too early still arrive
    receiver's remote streams                 figures of each, of which its own report keeps the last
    receiver's codecs, _send_rtcp_pli/_nack   to know what came, and to ask for a key frame or once more for packets
    sender's _handle_rtcp_packet, _ssrc       PLI, FIR and REMB reach a camera that encodes by itself
    sender's _next_encoded_frame              the loudness of sound that comes encoded (RFC 6464)
    sender's _track_id, _stream_id            `a=msid` names the track as signaling does
    transceiver's _set_mid, _set_mline_index  an offer we drop must not leave its transceivers to the server's offer
    gatherer's ICE connection                 loopback addresses, larger socket buffers, when something was heard,
                                              checks that are repeated steadily

The names are checked when this module is imported, so that another aiortc fails at once and says why.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import aioice
import aioice.ice
import aioice.stun
from aiortc import RTCDtlsTransport, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from aiortc.rtcdtlstransport import RtpRouter
from aiortc.rtcicetransport import RTCIceGatherer
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    AnyRtcpPacket,
    RtcpPsfbPacket,
    RtpPacket,
    unpack_remb_fci,
)

from appliance.client.feeds import Feed
from appliance.client.packet_order import FrameOrder, VideoPacket, VoiceOrder
from appliance.client.stats import RemoteTrackStats
from appliance.media_engine import TrackKind

logger = logging.getLogger(__name__)

_DECODER_QUEUE = "_RTCRtpReceiver__decoder_queue"
_JITTER_BUFFER = "_RTCRtpReceiver__jitter_buffer"
_RECEIVER_CODECS = "_RTCRtpReceiver__codecs"
_REPAIR_SSRCS = "_RTCRtpReceiver__rtx_ssrc"
_REMOTE_STREAMS = "_RTCRtpReceiver__remote_streams"

SOCKET_BUFFER_BYTES = 1 << 20
"""An event loop that is late by 100 ms must not lose packets and begin to ask for them (kiosk-processes.md 4)."""

SMALLEST_BITRATE_CHANGE = 0.1

CONSENT_INTERVAL_S = 2
"""Between ICE consent checks (RFC 7675), so that something is heard even where no media flows; aioice's are 5 s."""

CHECK_REPEATS = 2
"""Of an ICE check before its intervals begin anew: after 0, 0.5 and 1.5 s, then after 3.5 …

Of a consent check too, whose answer may take 3.5 s so. aioice alone waits half a second for it, gives up a path that is
slower than that for a quarter of a minute; consent lasts for 30 s (RFC 7675, 5.1).
"""
CHECK_ROUNDS = 10
"""35 s in all, more than any connection waits. aioice alone doubles the interval up to 32 s (RFC 8489, 6.2.1), and is
silent for as long where a path comes back; media has to be back within 5 s (kiosk.md 4, Reconnect)."""


def _check_insides() -> None:
    """Raise ImportError naming everything that this aiortc lacks."""
    missing = [
        f"{kind.__name__}.{name}"
        for kind, names in {
            RTCRtpReceiver: ("_handle_rtp_packet", "_send_rtcp_pli", "_send_rtcp_nack"),
            RTCRtpSender: ("_handle_rtcp_packet", "_next_encoded_frame"),
            RTCRtpTransceiver: ("_set_mid", "_set_mline_index"),
            aioice.Connection: ("get_component_candidates",),
            aioice.ice.StunProtocol: ("request", "datagram_received"),
        }.items()
        for name in names
        if not hasattr(kind, name)
    ]
    for kind, attributes in {
        RTCRtpReceiver: (_DECODER_QUEUE, _JITTER_BUFFER, _RECEIVER_CODECS, _REPAIR_SSRCS, _REMOTE_STREAMS),
        RTCDtlsTransport: ("_rtp_router",),
        RtpRouter: ("ssrc_table",),
        RTCRtpSender: ("_ssrc", "_stream_id"),
        RTCRtpTransceiver: ("_offerDirection",),
        RTCIceGatherer: ("_connection",),
        aioice.Connection: ("_protocols", "_nominated"),
    }.items():
        assigned = vars(kind)["__init__"].__code__.co_names
        missing += [f"{kind.__name__}.{name}" for name in attributes if name not in assigned]
    if not hasattr(aioice.ice, "CONSENT_INTERVAL"):
        missing.append("aioice.ice.CONSENT_INTERVAL")
    if missing:
        raise ImportError(f"this aiortc or aioice has changed inside and cannot be used: no {', '.join(missing)}")


_check_insides()
aioice.ice.CONSENT_INTERVAL = CONSENT_INTERVAL_S


# --- receiving -------------------------------------------------------------------------------------------------------

Delivery = Callable[[str, bytes, int, bool], None]
"""Called on the event loop: codec as in SDP, encoded data, 32-bit RTP timestamp, whether data before it was lost."""


class _NoDecoding:
    """In place of the queue to aiortc's decoder thread: that thread is told to end as soon as it begins."""

    def put(self, _: object) -> None:
        return

    def get(self) -> None:
        return None


def media_received(receiver: RTCRtpReceiver) -> list[RemoteTrackStats]:
    """Return the figures of each stream of media that came to this receiver.

    Streams of retransmissions are no media: their packets have the timestamps of others, and padding has none, so that
    what aiortc calls their jitter may be an hour.
    """
    repairs = getattr(receiver, _REPAIR_SSRCS)
    live = {source.source for source in receiver.getSynchronizationSources()}
    return [
        RemoteTrackStats(
            kind=receiver.track.kind,
            ssrc=ssrc,
            packets_received=stream.packets_received,
            packets_lost=stream.packets_lost,
            jitter=stream.jitter if ssrc in live else 0,
        )
        for ssrc, stream in getattr(receiver, _REMOTE_STREAMS).items()
        if ssrc not in repairs
    ]


class IncomingMedia:
    """What arrives on one section, before any decoder. Bound to one remote track after another.

    Attributes:
        deliver: takes what arrives; nothing is kept while it is None.
        bytes_received: of encoded media, without headers, since the section was made.
    """

    def __init__(self, receiver: RTCRtpReceiver, kind: TrackKind) -> None:
        self.kind = kind
        self.deliver: Delivery | None = None
        self.bytes_received = 0
        self._receiver: Any = receiver
        self._codec = ""
        self._ssrc: int | None = None
        self._retired: set[int] = set()
        setattr(receiver, _DECODER_QUEUE, _NoDecoding())
        setattr(receiver, _JITTER_BUFFER, self)  # we stand in for it: `add` below
        self._begin_stream()

    def route(self, ssrcs: Sequence[int], repairs: Mapping[int, int]) -> None:
        """Let these streams reach the receiver; `repairs` maps SSRCs of retransmissions to those they repair.

        aiortc reads them once, when it starts the receiver, which may happen while a description is half applied: then
        it finds those of the one before, or none.
        """
        table = self._receiver.transport._rtp_router.ssrc_table
        table.update(dict.fromkeys(ssrcs, self._receiver))
        getattr(self._receiver, _REPAIR_SSRCS).update(repairs)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """Stand in for aiortc's JitterBuffer: never wants a PLI by itself, never has a frame for the decoder."""
        if packet.ssrc != self._ssrc:
            if packet.ssrc in self._retired:
                return False, None
            if self._ssrc is not None:
                self._retired.add(self._ssrc)
                self._begin_stream()
            self._ssrc = packet.ssrc
        codec = getattr(self._receiver, _RECEIVER_CODECS).get(packet.payload_type)
        self._codec = codec.name if codec is not None else ""
        data: bytes = packet._data  # type: ignore[attr-defined]
        self.bytes_received += len(data)
        if self.kind is TrackKind.AUDIO:
            self._voice.add(packet.sequence_number, packet.timestamp, data)
        else:
            now = time.monotonic()
            video = VideoPacket(packet.sequence_number, packet.timestamp, bool(packet.marker), data)
            self._frames.add(video, now)
            if missing := self._frames.missing(now):
                self._run(self._receiver._send_rtcp_nack(packet.ssrc, missing))
        return False, None

    def _begin_stream(self) -> None:
        """Another stream on this section, as after a subscription took it over: its numbers have nothing in common."""
        self._voice = VoiceOrder(lambda payload, timestamp: self._hand_over(payload, timestamp, False))
        self._frames = FrameOrder(self._hand_over)

    def request_keyframe(self) -> None:
        """Ask the sender for a key frame (PLI). On the event loop only."""
        if self._ssrc is not None:
            self._run(self._receiver._send_rtcp_pli(self._ssrc))

    def _hand_over(self, data: bytes, timestamp: int, after_gap: bool) -> None:
        if self.deliver is not None:
            self.deliver(self._codec, data, timestamp, after_gap)

    def _run(self, sending: Any) -> None:
        task = asyncio.ensure_future(sending)
        _running.add(task)
        task.add_done_callback(_running.discard)


_running: set[asyncio.Future[Any]] = set()
"""Feedback packets on their way out; the loop itself keeps only weak references to tasks."""


# --- sending ---------------------------------------------------------------------------------------------------------


def adopt_sender(sender: RTCRtpSender, feed: Feed) -> None:
    """Tell the feed's track of key frame requests and of the bit rate that the path carries; send its audio level."""
    insides: Any = sender
    next_encoded_frame = insides._next_encoded_frame

    async def next_frame(codec: Any) -> Any:
        frame = await next_encoded_frame(codec)
        # aiortc measures raw sound only, and sends what was encoded elsewhere without a level.
        if frame is not None and frame.audio_level is None and feed.audio_level is not None:
            frame.audio_level = -feed.audio_level
        return frame

    insides._next_encoded_frame = next_frame
    original = insides._handle_rtcp_packet
    told_bps = 0

    async def handle(packet: AnyRtcpPacket) -> None:
        nonlocal told_bps
        if isinstance(packet, RtcpPsfbPacket):
            if packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
                feed.request_keyframe()
            elif packet.fmt == RTCP_PSFB_APP:
                bitrate_bps = _estimate_for(packet, insides._ssrc)
                feed.available_bps = bitrate_bps or feed.available_bps
                if bitrate_bps and abs(bitrate_bps - told_bps) > SMALLEST_BITRATE_CHANGE * told_bps:
                    told_bps = bitrate_bps
                    feed.set_bitrate(bitrate_bps)
        await original(packet)

    insides._handle_rtcp_packet = handle


def _estimate_for(packet: RtcpPsfbPacket, ssrc: int) -> int | None:
    """Return the bits per second of a REMB that names `ssrc`, else None."""
    try:
        bitrate_bps, ssrcs = unpack_remb_fci(packet.fci)
    except ValueError:
        return None  # another application-layer message
    return bitrate_bps if ssrc in ssrcs else None


def name_sender(sender: RTCRtpSender, track_id: str) -> None:
    """Make `a=msid:- <track id>` of the section name the published track (signaling.md 3.1)."""
    insides: Any = sender
    insides._stream_id = "-"
    insides._track_id = track_id


# --- negotiating -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def kept_from_remote_offer(pc: RTCPeerConnection) -> Iterator[None]:
    """Keep transceivers of a dropped offer out of a remote one and of its answer.

    aiortc gives an offered section to the first transceiver of its kind without a mid (signaling.md A8), finds
    transceivers by the place they had in the dropped offer, and expects that each has been offered a direction.
    Ours wait for our next offer.
    """
    held: list[Any] = [transceiver for transceiver in pc.getTransceivers() if transceiver.mid is None]
    for number, transceiver in enumerate(held):
        transceiver._set_mid(f"held-{number}")
        transceiver._set_mline_index(None)
        transceiver._offerDirection = "inactive"
    try:
        yield
    finally:
        for transceiver in held:
            transceiver._set_mid(None)


# --- ICE -------------------------------------------------------------------------------------------------------------


class Hearing:
    """When something last came from the other end, and over which of our addresses it comes."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.heard_at = time.monotonic()

    @property
    def local_address(self) -> str | None:
        """The address of ours that is in use; None before any is, and for a relay's."""
        for pair in self._connection._nominated.values():
            if pair.local_candidate.type == "host":
                return str(pair.local_candidate.host)
        return None

    def listen_to(self, protocol: Any) -> None:
        original = protocol.datagram_received

        def note(data: bytes, addr: Any) -> None:
            self.heard_at = time.monotonic()
            original(data, addr)

        protocol.datagram_received = note


def prepare_gathering(gatherer: RTCIceGatherer, *, loopback: bool) -> Hearing:
    """Let a gatherer use this machine's loopback addresses too, and give its sockets larger buffers.

    aioice never offers loopback (RFC 8445, 5.1.1.1, forbids it between machines). Where the service itself is on a
    loopback address nothing else may lead to it.
    """
    insides: Any = gatherer
    connection: Any = insides._connection
    original = connection.get_component_candidates
    hearing = Hearing(connection)

    async def gather(component: int, addresses: list[str], timeout: int = 5) -> list[Any]:
        extra = [address for address in _loopback_addresses() if address not in addresses] if loopback else []
        candidates: list[Any] = await original(component=component, addresses=[*addresses, *extra], timeout=timeout)
        for protocol in connection._protocols:
            _enlarge_buffers(protocol.transport.get_extra_info("socket"))
            hearing.listen_to(protocol)
            _check_steadily(protocol)
        return candidates

    connection.get_component_candidates = gather
    return hearing


def _check_steadily(protocol: Any) -> None:
    """Let checks that nobody answers be repeated, every two seconds at most instead of ever more rarely."""
    original = protocol.request

    async def request(
        message: aioice.stun.Message,
        addr: tuple[str, int],
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> Any:
        rounds = CHECK_ROUNDS if retransmissions is None else 1  # one for a consent check: the next is soon due
        for _ in range(rounds - 1):
            with contextlib.suppress(aioice.stun.TransactionTimeout):
                return await original(message, addr, integrity_key=integrity_key, retransmissions=CHECK_REPEATS)
        return await original(message, addr, integrity_key=integrity_key, retransmissions=CHECK_REPEATS)

    protocol.request = request


def _enlarge_buffers(udp: Any) -> None:
    if udp is not None:  # None for TURN
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            udp.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)


def _loopback_addresses() -> list[str]:
    return ["127.0.0.1", "::1"] if socket.has_ipv6 else ["127.0.0.1"]
