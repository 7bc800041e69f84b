"""Everything that reads bytes from outside, each behind one function that takes any bytes and never raises.

`test_targets.py` feeds them a little in every run, and with `--long` hands them to libFuzzer, which looks for new paths
through the code (`under_atheris.py`). A first byte, or two, choose where a target has several doors.
"""

import asyncio
import json
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any

import pylibsrtp
from aiortc.rtcsctptransport import RTCSctpCapabilities
from google_crc32c import value as crc32c

from appliance.errors import RemoteProtocolError
from appliance.media_engine import PublishedTrack, TrackKind
from appliance.sfu.consumer import Consumer
from appliance.sfu.description import read_description
from appliance.sfu.producer import Producer
from appliance.sfu.stun import read_binding_request
from appliance.sfu.transport import Association
from appliance.sids import new_track_sid
from appliance.signaling.frames import format_frame, parse_frame
from appliance.signaling.link import ClientLink, ServerLink
from appliance.signaling.messages import client_message, server_message
from appliance.signaling.server import ServerSession
from appliance.signaling.side_channels import Channel, message_of_client, message_of_service, text_of
from tests.support.sfu_harness import CHROMIUM_OFFER, Harness, Participant, write_rtp


@dataclass(frozen=True, slots=True)
class Target:
    """`seeds` are inputs to begin with."""

    take: Callable[[bytes], None]
    seeds: tuple[bytes, ...] = ()


class Inputs:
    """Bytes, taken piece by piece."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def number(self, size: int) -> int:
        """Return the next bytes as a number, 0 where there are none."""
        return int.from_bytes(self.piece(size), "big")

    def piece(self, size: int) -> bytes:
        """Return at most so many of the next bytes."""
        piece = self._data[self._at : self._at + size]
        self._at += size
        return piece

    def rest(self) -> bytes:
        return self.piece(len(self._data))


def _table() -> tuple[Participant, Participant]:
    """Return two participants of an engine without a network, the second of whom receives the video of the first."""
    alice, bob = Harness().participants(2)
    for participant in (alice, bob):
        participant.connection._control_allowed._at_once = participant.connection._control_allowed._left = 1e9
    track = PublishedTrack(sid=new_track_sid(), client_id="vid-a", kind=TrackKind.VIDEO)
    producer = Producer(track, "PA", lambda track: None)
    producer.bind(alice.connection.sections.all[1].streams)
    place = bob.connection.sections.all[1]
    place.consumer = consumer = Consumer(producer, "s1")
    consumer.slot = bob.connection.new_slot(place)
    consumer.go_live()
    return alice, bob


ALICE, BOB = _table()


class Tables:
    """A table that was used before, and now and then a fresh one: to lay one takes longer than to use it."""

    def __init__(self) -> None:
        self._turns = cycle(range(50))
        self._laid = _table()

    def next(self) -> tuple[Participant, Participant]:
        if next(self._turns) == 0:
            self._laid = _table()
        return self._laid


PLAIN_TABLES, MANGLED_TABLES = Tables(), Tables()
NUMBERS = count(1, 8)

# --- the media port


def stun(data: bytes) -> None:
    """A check as it comes, and one whose frame is right; a password nobody knows makes none authentic."""
    framed = struct.pack("!HHI12s", 1, len(data) // 4 * 4, 0x2112A442, b"t" * 12) + data[: len(data) // 4 * 4]
    for datagram in (data, framed):
        request = read_binding_request(datagram)
        assert request is None or not request.is_authentic("no such password")
        ALICE.harness.socket.arriving.append((datagram, ("127.0.0.1", 1)))
    ALICE.harness.run()
    assert not ALICE.harness.socket.sent


def datagrams(data: bytes) -> None:
    """What does not come from whom it seems to: from a stranger, and from a participant's address."""
    inputs = Inputs(data)
    while inputs:
        address = (ALICE.address, BOB.address, ("127.0.0.1", 1))[inputs.number(1) % 3]
        ALICE.harness.socket.arriving.append((inputs.piece(inputs.number(1) * 9), address))
    heard, reports = ALICE.harness.port.path.received, ALICE.connection._meter._reports
    ALICE.harness.run()
    assert ALICE.harness.port.path.received == heard
    assert not reports


def rtcp(data: bytes) -> None:
    """Authentic reports."""
    for participant in (ALICE, BOB):
        participant.connection.rtcp_arrived(data, participant.connection.now())
        participant.connection.tick(participant.connection.now())
    ALICE.harness.socket.sent.clear()


def rtp(data: bytes) -> None:
    """Authentic packets, in any order and of any shape, then a subscriber that asks for some again."""
    alice, bob = PLAIN_TABLES.next()
    inputs = Inputs(data)
    while inputs:
        kind, size = inputs.number(1), inputs.number(1)
        if kind % 4 == 3:
            packet = bytes([0x80 | inputs.number(1) & 0x3F]) + inputs.piece(size)
        else:
            packet = write_rtp(
                (96, 97, 108, 109, 111, 0)[kind % 6],
                inputs.number(2),
                inputs.number(4),
                (1001, 2001, 2002, 77)[kind // 8 % 4],
                inputs.piece(size),
                marker=kind > 127,
                extensions={inputs.number(1) % 14 + 1: inputs.piece(4) or b"\0"} if kind & 16 else None,
                padding=inputs.number(1) if kind & 32 else 0,
            )
        with suppress(pylibsrtp.Error):  # the client's own libsrtp does not protect what breaks off, or is far behind
            alice.send(packet)
        alice.connection.tick(alice.connection.now())
    for slot in bob.connection._slots.values():
        slot.resend(tuple(range(0, 65536, 257)), bob.connection.now())
    known = {ssrc for slot in bob.connection._slots.values() for ssrc in (slot.ssrc, slot.rtx_ssrc)}
    for got in bob.take_media():
        assert got.ssrc in known


def mangled(data: bytes) -> None:
    """Authentic packets on whose way somebody cuts, lengthens, changes, doubles and reorders."""
    alice, bob = MANGLED_TABLES.next()
    first = next(NUMBERS)
    said = [struct.pack("!HI", 0x1000, number) for number in range(first, first + 8)]
    datagrams = [
        alice._tx.protect(write_rtp(96, first + place, 90 * (first + place), 2001, payload))
        for place, payload in enumerate(said)
    ]
    alice.send_raw(datagrams[0])
    inputs = Inputs(data)
    while inputs:
        datagram = bytearray(datagrams[inputs.number(1) % len(datagrams)])
        change, place = inputs.number(1), inputs.number(1) % len(datagram)
        match change % 5:
            case 0:
                del datagram[place:]
            case 1:
                datagram += inputs.piece(place)
            case 2:
                datagram[place] ^= change >> 3 or 1
            case 3:
                datagram += bytes(2048)
            case _:
                pass
        alice.send_raw(bytes(datagram))
    got = [packet.payload for packet in bob.take_media()]
    assert len(got) == len(set(got))
    assert said[0] in got
    assert set(got) <= set(said)


def description(data: bytes) -> None:
    """An offer, and our answer to it, which we would understand ourselves."""
    try:
        described = read_description(data.decode("utf-8", "replace"))
    except RemoteProtocolError:
        return
    connection = Participant(Harness(), 5, data.decode("utf-8", "replace")).connection
    for section in connection.sections:
        if section.is_media:
            connection.new_slot(section)
    sdp, answered = connection.describe(setup="passive")
    if all(section.rejected for section in answered):
        return  # and then it says nothing of a transport
    assert [section.mid for section in read_description(sdp).sections] == [s.mid for s in described.sections]


def sctp(data: bytes) -> None:
    """Chunks on the association of a client that has keys."""
    asyncio.run(_chunks(data))


class _Pipe:
    """A DTLS connection whose other end is nobody."""

    def __init__(self) -> None:
        self.transport = self
        self._role = "server"
        self.state = "connected"

    def _register_data_receiver(self, receiver: object) -> None:
        pass

    _unregister_data_receiver = _register_data_receiver

    async def _send_data(self, data: bytes) -> None:
        pass


async def _chunks(data: bytes) -> None:
    pipe: Any = _Pipe()
    association = Association(pipe)
    inner: Any = association
    await association.start(RTCSctpCapabilities(65536), 5000)
    inner._set_state(inner.State.ESTABLISHED)
    inner._last_received_tsn, inner._inbound_streams_count = 0, 65535
    inputs = Inputs(data)
    while inputs:
        chunks = b""
        for _ in range(1 + inputs.number(1) % 3):
            kind, flags, size = inputs.number(1) % 20, inputs.number(1), inputs.number(1)
            body = inputs.piece(size)
            chunks += struct.pack("!BBH", kind, flags, 4 + len(body)) + body + bytes(-len(body) % 4)
        tag = 0 if chunks[0] == 1 else inner._local_verification_tag
        head = struct.pack("!HHI", 5000, 5000, tag)
        checksum = struct.pack("<I", crc32c(head + bytes(4) + chunks))
        await association._handle_data(head + checksum + chunks)
    await association.stop()


# --- signaling


def signaling(data: bytes) -> None:
    """A text as a frame, as messages, and on both ends of a link."""
    text = data.decode("utf-8", "replace")
    with suppress(RemoteProtocolError):
        frame = parse_frame(text)
        assert parse_frame(format_frame(frame)) == frame
    with suppress(ValueError, RecursionError):
        body = json.loads(text)
        for read in (client_message, server_message):
            with suppress(RemoteProtocolError):
                read(body if isinstance(body, dict) else {"type": body})
    for link in (ClientLink({"type": "ice"}, lambda: "id", 0.0), ServerLink(0.0)):
        link.receive(text, 1.0)
        link.wake(20.0)
        link.take_outbox()


def session(data: bytes) -> None:
    """Texts, one after the other, to the end that admits clients."""
    admitting = ServerSession(0.0)
    for number, line in enumerate(data.split(b"\n")):
        admitting.receive(line.decode("utf-8", "replace"), float(number))
        while admitting.next_event():
            pass
        frames = [json.loads(text) for text in admitting.take_outbox()]
        assert {frame["type"] for frame in frames} <= {"welcome", "heartbeat", "msg", "bad"}


def side_channels(data: bytes) -> None:
    """A message on one of the media signaling channels, of a client and of a service."""
    channels = list(Channel)
    channel = channels[(data[0] if data else 0) % len(channels)]
    text = data[1:].decode("utf-8", "replace")
    for read in (message_of_client, message_of_service):
        with suppress(RemoteProtocolError):
            message: Any = read(channel, text)
            assert read(channel, text_of(message)) == message


_HELLO = b'{"type":"hello","id":"1","version":2,"timeout":5000,"body":{"type":"ice","version":1,"token":"t"}}'
_CONNECT = (
    b'{"type":"msg","body":{"type":"connect","version":2,"name":"lab","token":"t","participant":{"revision":2,"tracks":'
    b'[{"id":"a","kind":"audio","name":"mic","enabled":true}]},"peer_connections":[{"id":"pc","description":{"type":'
    b'"offer","revision":1,"sdp":"v=0"},"ice":{"revision":1,"ufrag":"u","candidates":[{"candidate":"c"}]}}],'
    b'"media_signaling":{"active_speaker":{"transports":[{"type":"data-channel"}]}},"subscribe":{"revision":1,"rules":'
    b'[{"type":"include","all":true}]},"bandwidth_profile":{"video":{"mode":"grid","max_tracks":3}}}}'
)
_HINTS = (
    b'{"type":"render_hints","subscriber":{"id":2,"hints":[{"track":"MT1","enabled":true,"render_dimensions":'
    b'{"width":640,"height":360}}]}}'
)
_QUALITY = (
    b'{"type":"network_quality","local":{"level":4,"audio":{"send":5,"recv":5}},"remotes":[{"sid":"PA","level":3}]}'
)
_REPORTS = struct.pack("!BBHI", 0x81, 206, 2, 1) + struct.pack("!I", 2001)
_VP8 = bytes([0, 4]) + bytes(6) + b"\x10\x00aa"

TARGETS = {
    "stun": Target(stun, (struct.pack("!HH", 6, 8) + b"abcd:efg" + struct.pack("!HH", 8, 20) + bytes(20),)),
    "datagrams": Target(datagrams, (b"\x00\x10" + b"\x80\x60" + bytes(140),)),
    "rtcp": Target(rtcp, (_REPORTS, _REPORTS * 3, struct.pack("!BBH", 0x81, 201, 7) + bytes(28))),
    "rtp": Target(rtp, (_VP8 * 3, b"\x03\x20" + bytes(33))),
    "mangled": Target(mangled, (bytes([0, 4, 0, 1, 4, 0, 0, 4, 0]), bytes(range(3, 40)))),
    "description": Target(description, (CHROMIUM_OFFER.encode(),)),
    "sctp": Target(sctp, (b"\x00\x00\x03\x10" + bytes(16), b"\x00\x03\x00\x00\xc0\x04" + bytes(20))),
    "signaling": Target(signaling, (_HELLO, _CONNECT, b'{"type":"welcome","negotiatedTimeout":5000}')),
    "session": Target(session, (_HELLO + b"\n" + _CONNECT,)),
    "side_channels": Target(side_channels, tuple(bytes([n]) + text for n in range(7) for text in (_HINTS, _QUALITY))),
}
