"""What a client may make the engine do has bounds, and what is beyond them is dropped or refused."""

import asyncio
import hmac
import struct
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import RemoteProtocolError
from appliance.media_engine import (
    Description,
    DescriptionType,
    Happening,
    Negotiate,
    PeerConnectionState,
    PeerFailed,
    PublishedTrack,
    RoomMediaPolicy,
    TrackKind,
)
from appliance.sfu import data_relay, rtcp
from appliance.sfu.connection import Connection, ConnectionEvents
from appliance.sfu.consumer import Consumer
from appliance.sfu.data_relay import DataRelay
from appliance.sfu.description import MAX_MESSAGE_SIZE, read_description
from appliance.sfu.flood_gate import PACKETS_AT_ONCE, SHUT_S, FloodGate
from appliance.sfu.own_channels import MOST_CHARACTERS, OwnChannels
from appliance.sfu.peer import Peer
from appliance.sfu.pressure import Pressure
from appliance.sfu.producer import Producer
from appliance.sfu.router import Router
from appliance.sfu.stun import MOST_ATTRIBUTES, read_binding_request
from appliance.sfu.transport import Handshakes, SecureTransport
from appliance.sids import ParticipantSid, new_track_sid
from tests.support.sfu_harness import CERTIFICATE, CHROMIUM_OFFER, Harness, Participant, subscribe, write_rtp

VIDEO, VP8 = 2001, 96
KEYFRAME = b"\x10\x00keyframe"
AT_ONCE = 400  # of RTCP datagrams


def check(participant: Participant, *, attributes: int = 0, password: str | None = None) -> bytes:
    """Return a connectivity check of this participant's, with so many attributes of no meaning before its name."""
    connection = participant.connection
    username = f"{connection._ufrag}:theirs".encode()
    body = struct.pack("!HH", 0x8000, 0) * attributes
    body += struct.pack("!HH", 0x0006, len(username)) + username + bytes(-len(username) % 4)
    signed = struct.pack("!HHI12s", 1, len(body) + 24, 0x2112A442, b"transaction1") + body
    key = password or connection.password_of(connection._ufrag) or ""
    return signed + struct.pack("!HH", 0x0008, 20) + hmac.digest(key.encode(), signed, "sha1")


@pytest.fixture
def pair() -> tuple[Participant, Participant]:
    alice, bob = Harness().participants(2)
    return alice, bob


# --- replay


def test_a_packet_that_is_sent_again_by_anybody_goes_no_further(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    subscribe(bob, alice)
    datagrams = [alice._tx.protect(write_rtp(VP8, number, 3000 * number, VIDEO, KEYFRAME)) for number in range(5)]

    for datagram in (*datagrams, *reversed(datagrams), *datagrams):
        alice.send_raw(datagram)

    assert [packet.payload for packet in bob.take_media()] == [KEYFRAME] * 5
    assert alice.harness.port.path.dropped == 10


def test_a_report_that_is_sent_again_is_not_heard_again(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    slot = subscribe(bob, alice)
    alice.send(write_rtp(VP8, 1, 0, VIDEO, KEYFRAME))
    bob.take_media()
    wanted = bob._tx.protect_rtcp(rtcp.write_nack(9, slot.ssrc, [slot.index_offset + 1 + 0x10000 & 0xFFFF]))

    for _ in range(3):
        bob.send_raw(wanted)

    assert len(bob.take_media()) == 1


# --- floods


def test_a_client_that_floods_us_is_held_off_for_a_second_and_others_are_not(
    pair: tuple[Participant, Participant],
) -> None:
    alice, bob = pair
    subscribe(bob, alice)
    alice.send(write_rtp(VP8, 1, 0, VIDEO, KEYFRAME))
    alice.connection.tick(100.0)
    alice.connection.streams[VIDEO].received += int(PACKETS_AT_ONCE) + 1
    bob.take_media()

    alice.connection.tick(100.05)
    alice.send(write_rtp(VP8, 2, 0, VIDEO, KEYFRAME))
    bob.send(write_rtp(VP8, 7, 0, VIDEO, KEYFRAME))
    held_off, heard = bob.take_media(), bob.connection.streams[VIDEO].received
    alice.connection.tick(100.05 + SHUT_S + 0.05)
    alice.send(write_rtp(VP8, 3, 0, VIDEO, KEYFRAME))

    assert (held_off, heard) == ([], 1)
    assert len(bob.take_media()) == 1


@given(st.lists(st.tuples(st.floats(0.04, 0.2), st.integers(0, 400)), max_size=60))
def test_the_gate_stays_open_to_whoever_keeps_to_the_rate(steps: list[tuple[float, int]]) -> None:
    gate, now, total = FloodGate(), 0.0, 0
    for passed, packets in steps:
        now += passed
        total += packets

        assert gate.admits(total, now)


# --- checks


def test_a_check_with_more_attributes_than_anybody_needs_is_not_read_to_its_end(
    pair: tuple[Participant, Participant],
) -> None:
    alice, _ = pair

    assert read_binding_request(check(alice, attributes=MOST_ATTRIBUTES - 2)) is not None
    assert read_binding_request(check(alice, attributes=MOST_ATTRIBUTES)) is None


def test_checks_beyond_what_anybody_needs_have_no_answer_and_others_do(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    alice.connection.now = bob.connection.now = lambda: 50.0  # the same moment, so that nothing is granted meanwhile

    for _ in range(1000):
        alice.send_raw(check(alice))
    bob.send_raw(check(bob))

    sent = [address for data, address in alice.harness.socket.sent if data[:2] == b"\x01\x01"]
    assert sent.count(alice.address) == 200
    assert sent.count(bob.address) == 1


def test_a_check_without_the_password_has_no_answer(pair: tuple[Participant, Participant]) -> None:
    alice, _ = pair

    alice.send_raw(check(alice, password="guessed"))

    assert not alice.harness.socket.sent


# --- reports


def test_reports_beyond_what_anybody_needs_are_dropped(
    pair: tuple[Participant, Participant], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bob = pair
    read: list[bytes] = []

    def note(data: bytes) -> tuple[()]:
        read.append(data)
        return ()

    monkeypatch.setattr(rtcp, "read_compound", note)

    for _ in range(AT_ONCE + 50):
        bob.connection.rtcp_arrived(b"", 7.0)

    assert len(read) == AT_ONCE
    assert bob.harness.port.path.dropped == 50


def test_a_compound_of_many_parts_is_read_up_to_a_point() -> None:
    part = rtcp.write_pli(1, 2)

    assert len(list(rtcp.read_compound(part * 100))) == rtcp.MOST_PARTS


def test_packets_are_resent_only_so_often(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    slot = subscribe(bob, alice)
    for number in range(1, 33):
        alice.send(write_rtp(VP8, number, 0, VIDEO, KEYFRAME))
    numbers = [packet.sequence for packet in bob.take_media()]
    bob.harness.socket.sent.clear()

    for _ in range(300):
        bob.connection.rtcp_arrived(rtcp.write_nack(9, slot.ssrc, numbers), 9.0)

    assert len(bob.take_media()) == 32, "each once in a round trip"

    for turn in range(1, 300):
        bob.connection.rtcp_arrived(rtcp.write_nack(9, slot.ssrc, numbers), 9.0 + turn / 1000)

    # A quarter of what may be sent, for 0.3 s and what may come at once.
    octets = sum(len(packet.payload) for packet in bob.take_media())
    assert 0 < octets <= (0.3 + 0.5) * 0.25 * bob.connection.downlink.budget.allowed_bps / 8


def test_a_sender_report_goes_on_to_others_ten_times_a_second_at_most(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    subscribe(bob, alice)
    alice.send(write_rtp(VP8, 1, 0, VIDEO, KEYFRAME))
    bob.take()
    report = rtcp.write_sender_report(rtcp.SenderReport(VIDEO, 1 << 40, 5, 6, 7), "x")

    for now in (20.0, 20.01, 20.05, 20.12, 20.13):
        alice.connection.rtcp_arrived(report * 3, now)

    assert len(bob.take()[1]) == 2


# --- descriptions


def section(mid: str, *lines: str, formats: str = "96") -> str:
    media = [f"m=video 9 UDP/TLS/RTP/SAVPF {formats}", f"a=mid:{mid}", "a=rtpmap:96 VP8/90000", *lines]
    return "\r\n".join(media) + "\r\n"


HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\na=fingerprint:sha-256 AA:BB\r\n"


@pytest.mark.parametrize(
    "too_much",
    [
        "".join(section(f"x{number}") for number in range(301)),
        section("0", formats=" ".join(["96"] * 129)),
        section("0", *(f"a=ssrc:{number} cname:x" for number in range(1, 34))),
        section("0", "a=ssrc-group:SIM " + " ".join(str(number) for number in range(1, 34))),
        section("0", "a=x:" + "y" * 262_144),
    ],
    ids=["sections", "formats", "streams", "simulcast", "characters"],
)
def test_a_description_with_more_than_anybody_needs_is_refused(too_much: str) -> None:
    read_description(HEAD + section("0"))

    with pytest.raises(RemoteProtocolError):
        read_description(HEAD + too_much)


def test_a_connection_takes_so_many_streams_and_goes_on_with_those() -> None:
    kinds = CHROMIUM_OFFER.index("m=application")
    many = "".join(
        section(f"x{number}", "a=sendonly", *(f"a=ssrc:{number * 100 + place} cname:x" for place in range(1, 31)))
        for number in range(100, 120)
    )

    connection = Participant(Harness(), 1, CHROMIUM_OFFER[:kinds] + many).connection

    assert len(connection.streams) <= 200
    assert VIDEO in connection.streams


async def test_offers_faster_than_anybody_makes_them_are_refused_by_the_code_of_descriptions() -> None:
    harness, told = Harness(), list[Happening]()

    def connect(policy: RoomMediaPolicy, events: ConnectionEvents) -> Connection:
        return Connection(harness.port, CERTIFICATE, policy, events, Random(1))

    sid = ParticipantSid("PA1")
    peer = Peer(sid, Router(Pressure()), RoomMediaPolicy(), told.append, connect, lambda: 5.0, lambda _: None)

    for revision in range(1, 51):
        offer = Description(type=DescriptionType.OFFER, revision=revision, sdp=CHROMIUM_OFFER)
        peer.describe((PeerConnectionState(id="pc", description=offer),))
    await asyncio.sleep(0)

    assert sum(isinstance(happening, Negotiate) for happening in told) == 40
    assert [happening.code for happening in told if isinstance(happening, PeerFailed)] == [53403] * 10
    await peer.close()


# --- data


class Channel:
    """A data channel of a client's, as aiortc shows it."""

    ordered, maxPacketLifeTime, maxRetransmits, readyState = True, None, None, "open"  # noqa: N815

    def __init__(self, label: str) -> None:
        self.label = label
        self.listeners: dict[str, Any] = {}
        self.is_closed = False

    def on(self, event: str, listener: Any) -> None:
        self.listeners[event] = listener

    def close(self) -> None:
        self.is_closed = True


class Receiver:
    """Where messages go."""

    def __init__(self) -> None:
        self.got: list[str | bytes] = []

    def send(self, message: str | bytes) -> None:
        self.got.append(message)


def relayed(label: str) -> tuple[Channel, Receiver]:
    """Return a client's channel, and who receives what is sent on it."""
    track = PublishedTrack(sid=new_track_sid(), client_id=label, kind=TrackKind.DATA)
    producer, receiver = Producer(track, "PA", lambda _: None), Receiver()
    consumer: Any = Consumer(producer, "s1")
    consumer.channel = receiver
    channel: Any = Channel(label)
    DataRelay({label: producer}.get, lambda _: None).channel_opened(channel)
    return channel, receiver


def test_a_message_larger_than_we_said_we_take_is_dropped() -> None:
    channel, receiver = relayed("chat")

    channel.listeners["message"]("ü" * (MAX_MESSAGE_SIZE // 2 + 1))
    channel.listeners["message"](bytes(MAX_MESSAGE_SIZE))

    assert receiver.got == [bytes(MAX_MESSAGE_SIZE)]


def test_messages_beyond_the_rate_are_dropped_and_later_ones_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(data_relay, "monotonic", lambda: now)
    channel, receiver = relayed("chat")

    for number in range(2000):
        channel.listeners["message"](f"{number}")
    at_once = len(receiver.got)
    now = 1.0
    for number in range(2000):
        channel.listeners["message"](f"later {number}")

    assert (at_once, len(receiver.got)) == (1000, 1500)


def test_bytes_beyond_the_rate_are_dropped() -> None:
    channel, receiver = relayed("file")

    for _ in range(100):
        channel.listeners["message"](bytes(60_000))

    assert 33 <= len(receiver.got) < 60


def test_channels_beyond_what_anybody_needs_and_second_ones_of_a_name_are_closed() -> None:
    relay = DataRelay(lambda label: None, lambda _: None)
    channels: list[Any] = [Channel(f"{number}") for number in range(data_relay.MOST_CHANNELS + 3)]
    again: Any = Channel("0")

    for channel in (*channels, again):
        relay.channel_opened(channel)

    assert [channel.label for channel in channels if channel.is_closed] == ["32", "33", "34"]
    assert again.is_closed


class Carrier:
    """An association that opens channels at once."""

    has_ended = False

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}

    def open_channel(self, label: str, **_: object) -> Channel:
        return self.channels.setdefault(label, Channel(label))


def test_on_the_services_own_channels_only_texts_of_some_length_and_number_are_heard() -> None:
    told: list[Any] = []
    own, carrier = OwnChannels(told.append, lambda: None), Carrier()
    own.open_channels(frozenset({"hints"}))
    own.transport_ready(carrier)  # type: ignore[arg-type]
    write = carrier.channels["hints"].listeners["message"]

    write(b"bytes")
    write("x" * (MOST_CHARACTERS + 1))
    for number in range(1000):
        write(f"{number}")

    assert 400 <= len(told) < 600
    assert told[0].text == "0"


# --- handshakes


async def test_beyond_so_many_handshakes_the_oldest_is_given_up() -> None:
    handshakes, ended = Handshakes(most=2), list[str]()
    transports = [
        SecureTransport(CERTIFICATE, lambda _: None, lambda: None, ended.append, handshakes) for _ in range(4)
    ]
    for transport in transports:
        transport.start((("sha-256", "AA"),))
    await asyncio.sleep(0)

    assert [transport.has_ended for transport in transports] == [True, True, False, False]
    assert len(ended) == len(handshakes) == 2
    for transport in transports:
        await transport.close()
    assert len(handshakes) == 0
