"""Bytes from outside never raise out of the media port, whoever sends them and wherever they break off."""

import struct
from contextlib import suppress

import pylibsrtp
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import RemoteProtocolError
from appliance.media_engine import PublishedTrack, TrackKind
from appliance.sfu import rtcp
from appliance.sfu.consumer import Consumer
from appliance.sfu.description import read_description
from appliance.sfu.feedback import TransportArrivals
from appliance.sfu.keyframes import begins_keyframe
from appliance.sfu.producer import Producer
from appliance.sfu.stun import read_binding_request
from appliance.sids import new_track_sid
from tests.support.sfu_harness import CHROMIUM_OFFER, Harness, Participant, write_rtp


def table() -> tuple[Harness, Participant, Participant]:
    """Return a fresh engine in which the second participant receives the video of the first."""
    harness = Harness()
    alice, bob = harness.participants(2)
    track = PublishedTrack(sid=new_track_sid(), client_id="vid-a", kind=TrackKind.VIDEO)
    producer = Producer(track, "PA", lambda track: None)
    producer.bind(alice.connection.sections.all[1].streams)
    place = bob.connection.sections.all[1]
    place.consumer = consumer = Consumer(producer, "s1")
    consumer.slot = bob.connection.new_slot(place)
    consumer.go_live()
    return harness, alice, bob


def send_unless_refused(participant: Participant, packet: bytes) -> None:
    """Send what the client's own libsrtp protects: it refuses numbers far behind and headers that break off."""
    with suppress(pylibsrtp.Error):
        participant.send(packet)


HARNESS, ALICE, BOB = table()

ssrcs = st.sampled_from([1001, 2001, 2002, 2001, 2001, 77])
numbers = st.integers(0, 65535)


@settings(deadline=None)
@given(st.binary(max_size=2048), st.sampled_from([ALICE.address, BOB.address, ("127.0.0.1", 1)]))
def test_any_datagram(data: bytes, address: tuple[str, int]) -> None:
    HARNESS.socket.arriving.append((data, address))
    HARNESS.run()


@settings(deadline=None)
@given(st.integers(0, 3), st.binary(max_size=300))
def test_any_check(first: int, rest: bytes) -> None:
    HARNESS.socket.arriving.append((bytes([first]) + rest, ("127.0.0.1", 1)))
    HARNESS.run()


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0x0006, 0x0008, 0x0025, 0x8028, 1]), st.binary(max_size=40))))
def test_any_check_that_is_well_framed(attributes: list[tuple[int, bytes]]) -> None:
    body = b"".join(struct.pack("!HH", kind, len(v)) + v + bytes(-len(v) % 4) for kind, v in attributes)
    request = read_binding_request(struct.pack("!HHI12s", 1, len(body), 0x2112A442, b"t" * 12) + body)

    assert request is None or not request.is_authentic("no such password")


packets = st.builds(
    write_rtp,
    st.sampled_from([96, 96, 97, 108, 109, 111, 0, 127]),
    numbers,
    st.integers(0, 2**32 - 1),
    ssrcs,
    st.binary(max_size=1200),
    marker=st.booleans(),
    extensions=st.none() | st.dictionaries(st.integers(1, 14), st.binary(min_size=1, max_size=16), min_size=1),
    padding=st.integers(0, 255),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(packets, max_size=12))
def test_any_sequence_of_authentic_packets(sequence: list[bytes]) -> None:
    _, alice, bob = table()
    for packet in sequence:
        send_unless_refused(alice, packet)
        alice.connection.tick(alice.connection.now())
    for got in bob.take_media():
        assert got.ssrc in {slot.ssrc for slot in bob.connection._slots.values()}


@settings(max_examples=300, deadline=None)
@given(ssrcs, st.integers(0, 15), st.integers(0, 65535), st.integers(0, 30), st.binary(max_size=200))
def test_any_header_of_an_authentic_packet(ssrc: int, flags: int, profile: int, words: int, rest: bytes) -> None:
    csrcs = flags & 3
    head = struct.pack("!BBHII", 0x80 | (flags & 12) << 2 | csrcs, 96, 9, 5, ssrc) + bytes(4 * csrcs)
    extension = struct.pack("!HH", 0xBEDE if profile & 1 else profile, words)
    send_unless_refused(table()[1], head + extension + rest)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_as_authentic_rtcp(body: bytes) -> None:
    packet = struct.pack("!BBHI", 0x80, 201, 1, 7) + body
    BOB.send_rtcp(packet)
    HARNESS.socket.sent.clear()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 31), st.sampled_from([200, 201, 202, 203, 204, 205, 206, 207]), st.binary(max_size=80)
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_any_well_framed_compound(parts: list[tuple[int, int, bytes]], padded: bool) -> None:
    compound = b""
    for count, kind, body in parts:
        body += bytes(-len(body) % 4)
        compound += struct.pack("!BBH", 0x80 | padded << 5 | count, kind, len(body) // 4) + body
    assert len(list(rtcp.read_compound(compound))) < 2000
    assert BOB.connection.rtcp_arrived(compound, 1.0) is None


@settings(deadline=None)
@given(st.sampled_from(["VP8", "H264", "opus"]), st.binary(max_size=60))
def test_any_payload_begins_a_keyframe_or_not(codec: str, payload: bytes) -> None:
    assert begins_keyframe(codec, payload) in (True, False)


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, st.floats(0, 1e6)), max_size=60), st.lists(st.tuples(numbers, st.floats(0, 1e6))))
def test_any_arrivals_end_in_feedback(first: list[tuple[int, float]], second: list[tuple[int, float]]) -> None:
    arrivals = TransportArrivals()
    for batch in (first, second):
        arrivals.fresh += batch
        assert all(len(packet) % 4 == 0 for packet in arrivals.take_feedback(1, 2))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_to_a_description_is_taken_or_refused_by_name(data: st.DataObject) -> None:
    lines = CHROMIUM_OFFER.split("\n")
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "cut", "swap", "junk"])):
            case "drop":
                del lines[place]
            case "cut":
                lines[place] = lines[place][: data.draw(st.integers(0, 20))]
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[place], lines[other] = lines[other], lines[place]
            case _:
                lines[place] = data.draw(st.text(max_size=30))
        lines = lines or ["v=0"]
    text = "\n".join(lines)
    try:
        description = read_description(text)
    except RemoteProtocolError:
        return
    connection = Participant(Harness(), 5, text).connection
    assert len(connection.sections.all) == len(description.sections)
    for section in connection.sections:
        if section.is_media:
            connection.new_slot(section)
    sdp, _ = connection.describe(setup="passive")
    assert read_description(sdp).sections[0].mid == description.sections[0].mid


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_text_as_a_description(text: str) -> None:
    try:
        read_description(text)
    except RemoteProtocolError:
        return
    raise AssertionError("nothing usable can come of noise")
