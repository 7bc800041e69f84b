"""The engine's packet path without a network: sockets that are lists, SRTP keys that both ends were given."""

import struct
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, cast

from pylibsrtp import Policy, Session

from appliance.media_engine import PublishedTrack, RoomMediaPolicy, TrackKind
from appliance.sfu.connection import Connection, ConnectionEvents
from appliance.sfu.consumer import Consumer, OutSlot
from appliance.sfu.description import read_description
from appliance.sfu.port import MediaPort
from appliance.sfu.producer import Producer
from appliance.sfu.transport import make_certificate
from appliance.sids import new_track_sid

CHROMIUM_OFFER = Path(__file__).with_name("sfu_chromium_offer.sdp").read_text()
"""What Chromium 156 offers for one microphone, one camera and one data channel."""

CERTIFICATE = make_certificate()
Address = tuple[str, int]


class ListSocket:
    """A UDP socket whose network is two lists."""

    def __init__(self) -> None:
        self.arriving: deque[tuple[bytes, Address]] = deque()
        self.sent: list[tuple[bytes, Address]] = []
        self.is_full = False

    def recvfrom_into(self, view: memoryview) -> tuple[int, Address]:
        if not self.arriving:
            raise BlockingIOError
        data, address = self.arriving.popleft()
        size = min(len(data), len(view))
        view[:size] = data[:size]
        return size, address

    def sendto(self, data: bytes | memoryview, address: Address) -> int:
        if self.is_full:
            raise BlockingIOError
        self.sent.append((bytes(data), address))
        return len(data)

    def getsockname(self) -> Address:
        return ("127.0.0.1", 8444)


class Rtp:
    """One RTP packet, read without its extension's meaning."""

    def __init__(self, data: bytes) -> None:
        flags, marker, self.sequence, self.timestamp, self.ssrc = struct.unpack_from("!BBHII", data)
        self.marker, self.payload_type = marker >> 7, marker & 0x7F
        position = 12
        self.extensions: dict[int, bytes] = {}
        if flags & 0x10:
            end = 16 + 4 * int.from_bytes(data[14:16], "big")
            position = 16
            while position < end:
                head = data[position]
                if not head:
                    position += 1
                    continue
                size = (head & 15) + 1
                self.extensions[head >> 4] = data[position + 1 : position + 1 + size]
                position += 1 + size
        self.payload = data[position:]


def write_rtp(
    payload_type: int,
    sequence: int,
    timestamp: int,
    ssrc: int,
    payload: bytes = b"payload",
    *,
    marker: bool = False,
    extensions: Mapping[int, bytes] | None = None,
    padding: int = 0,
) -> bytes:
    """Return an RTP packet with one-byte header extensions."""
    block = b"".join(bytes([number << 4 | len(value) - 1]) + value for number, value in (extensions or {}).items())
    block += bytes(-len(block) % 4)
    first = 0x80 | (0x10 if extensions else 0) | (0x20 if padding else 0)
    header = struct.pack("!BBHII", first, marker << 7 | payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    if extensions:
        header += struct.pack("!HH", 0xBEDE, len(block) // 4) + block
    return header + payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


def _session(kind: int, key: bytes) -> Session:
    policy = Policy(key=key, ssrc_type=kind, srtp_profile=Policy.SRTP_PROFILE_AES128_CM_SHA1_80)
    policy.window_size = 1024
    policy.allow_repeat_tx = True
    return Session(policy)


class Participant:
    """A connection whose client is the test: it says `offer`, and has keys without a handshake."""

    def __init__(self, harness: "Harness", number: int, offer: str = CHROMIUM_OFFER) -> None:
        self.harness = harness
        self.address = ("127.0.0.1", 20000 + number)
        self.ended: list[str] = []
        self.found = 0
        events = ConnectionEvents(
            ready=lambda: None,
            ended=self.ended.append,
            streams_found=self._streams_found,
            data_ready=lambda transport: None,
            channel_opened=lambda channel: None,
        )
        self.connection = Connection(harness.port, CERTIFICATE, RoomMediaPolicy(), events, Random(number))
        to_engine, from_engine = (Random(f"{number} {way}").randbytes(30) for way in ("up", "down"))
        self._tx, self._rx = (
            _session(Policy.SSRC_ANY_OUTBOUND, to_engine),
            _session(Policy.SSRC_ANY_INBOUND, from_engine),
        )
        self._kept = (_session(Policy.SSRC_ANY_INBOUND, to_engine), _session(Policy.SSRC_ANY_OUTBOUND, from_engine))
        self.connection.sections.apply_offer(read_description(offer))
        self.connection._described(read_description(offer))
        self.connection._fingerprints = ()  # no handshake
        self.connection.address, self.connection.sendto = self.address, harness.socket.sendto
        self.connection.srtp_receive, self.connection.srtp_send = (session._srtp[0] for session in self._kept)
        harness.port.path.connections[self.address] = self.connection

    def _streams_found(self) -> None:
        self.found += 1

    def send(self, packet: bytes) -> None:
        """Protect an RTP packet and let the engine take it."""
        self.send_raw(self._tx.protect(packet))

    def send_rtcp(self, packet: bytes) -> None:
        self.send_raw(self._tx.protect_rtcp(packet))

    def send_raw(self, datagram: bytes) -> None:
        self.harness.socket.arriving.append((datagram, self.address))
        self.harness.run()

    def take(self) -> tuple[list[Rtp], list[bytes]]:
        """Return and forget what the engine sent here: RTP packets, and RTCP datagrams."""
        mine = [data for data, address in self.harness.socket.sent if address == self.address]
        self.harness.socket.sent[:] = [item for item in self.harness.socket.sent if item[1] != self.address]
        media, control = [], []
        for data in mine:
            if 192 <= data[1] < 224:
                control.append(self._rx.unprotect_rtcp(data))
            elif 128 <= data[0] < 192:
                media.append(Rtp(self._rx.unprotect(data)))
        return media, control

    def take_media(self) -> list[Rtp]:
        return self.take()[0]


class Harness:
    """A media port on a list socket, and the participants behind it."""

    def __init__(self) -> None:
        self.socket = cast(Any, ListSocket())
        self.port = MediaPort([self.socket], ["127.0.0.1"])

    def run(self) -> None:
        """Let the engine read until nothing is left."""
        while self.socket.arriving:
            self.port.path.receive(self.socket)

    def participants(self, count: int) -> Sequence[Participant]:
        return [Participant(self, number) for number in range(count)]


def subscribe(bob: Participant, alice: Participant) -> OutSlot:
    """Let Bob receive the video that Alice sends, and return what carries it."""
    producer = Producer(PublishedTrack(sid=new_track_sid(), client_id="x", kind=TrackKind.VIDEO), "PA", lambda _: None)
    producer.bind(next(s for s in alice.connection.sections if s.kind == "video").streams)
    section = next(s for s in bob.connection.sections if s.kind == "video")
    consumer = Consumer(producer, "s1")
    section.consumer = consumer
    consumer.slot = bob.connection.new_slot(section)
    consumer.go_live()
    return consumer.slot
