"""The straight line from socket to subscribers, over a socket that is a list."""

import pytest

from appliance.media_engine import PublishedTrack, TrackKind
from appliance.sfu import rtcp
from appliance.sfu.consumer import Consumer
from appliance.sfu.producer import Producer
from appliance.sids import new_track_sid
from tests.support.sfu_harness import CHROMIUM_OFFER, Harness, Participant, write_rtp

VIDEO, VIDEO_RTX, AUDIO = 2001, 2002, 1001  # SSRCs in the offer
VP8, RTX, OPUS = 96, 97, 111
KEYFRAME = b"\x10\x00keyframe"
DELTA = b"\x10\x01delta"


def producer_of(participant: Participant, kind: TrackKind = TrackKind.VIDEO) -> Producer:
    section = next(s for s in participant.connection.sections if s.kind == kind.value)
    producer = Producer(PublishedTrack(sid=new_track_sid(), client_id="x", kind=kind), "PA", lambda track: None)
    producer.bind(section.streams)
    return producer


def subscribe(participant: Participant, producer: Producer) -> Consumer:
    section = next(s for s in participant.connection.sections if s.kind == producer.track.kind.value)
    consumer = Consumer(producer, "s1")
    section.consumer = consumer
    consumer.slot = participant.connection.new_slot(section)
    consumer.go_live()
    return consumer


@pytest.fixture
def pair() -> tuple[Participant, Participant]:
    alice, bob = Harness().participants(2)
    return alice, bob


def test_packets_go_on_under_the_subscribers_numbers(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    consumer = subscribe(bob, producer_of(alice))
    assert consumer.slot is not None

    for number in range(3):
        alice.send(write_rtp(VP8, 65534 + number, 1000 + 3000 * number, VIDEO, KEYFRAME, marker=number == 2))

    got = bob.take_media()
    assert [p.payload for p in got] == [KEYFRAME] * 3
    assert {p.ssrc for p in got} == {consumer.slot.ssrc}
    assert [p.sequence - got[0].sequence for p in got] == [0, 1, 2]
    assert [p.timestamp - got[0].timestamp for p in got] == [0, 3000, 6000]
    assert [p.marker for p in got] == [0, 0, 1]
    assert got[0].extensions[4] == b"1"  # the mid, under Chromium's number for it
    assert len(got[0].extensions[2]) == 3  # abs-send-time


def test_video_begins_with_a_keyframe_and_one_is_asked_for(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    alice.send(write_rtp(VP8, 1, 0, VIDEO, DELTA))
    subscribe(bob, producer_of(alice))
    assert [list(rtcp.read_compound(data)) for data in alice.take()[1]] == [[rtcp.KeyframeRequest(VIDEO)]]

    alice.send(write_rtp(VP8, 2, 3000, VIDEO, DELTA))
    assert bob.take_media() == []
    alice.send(write_rtp(VP8, 3, 6000, VIDEO, KEYFRAME))
    alice.send(write_rtp(VP8, 4, 9000, VIDEO, DELTA))

    assert [p.payload for p in bob.take_media()] == [KEYFRAME, DELTA]


def test_audio_begins_at_once(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    subscribe(bob, producer_of(alice, TrackKind.AUDIO))

    alice.send(write_rtp(OPUS, 9, 960, AUDIO, b"opus", extensions={1: b"\x85"}))

    assert [p.payload for p in bob.take_media()] == [b"opus"]
    assert alice.connection.streams[AUDIO].level == 5


def test_a_gap_is_asked_for_at_once_and_the_retransmission_fills_it(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    subscribe(bob, producer_of(alice))
    alice.send(write_rtp(VP8, 10, 0, VIDEO, KEYFRAME))
    alice.send(write_rtp(VP8, 13, 9000, VIDEO, DELTA))
    assert [list(rtcp.read_compound(data)) for data in alice.take()[1]] == [[rtcp.Nack(VIDEO, (11, 12))]]

    alice.send(write_rtp(RTX, 500, 3000, VIDEO_RTX, (11).to_bytes(2, "big") + b"\x10\x01lost", marker=True))

    got = bob.take_media()
    assert [p.sequence - got[0].sequence for p in got] == [0, 3, 1]
    assert (got[2].payload, got[2].marker, got[2].payload_type) == (b"\x10\x01lost", 1, VP8)
    assert got[2].timestamp - got[0].timestamp == 3000


def test_what_never_comes_again_is_made_up_for_by_a_key_frame(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    producer = producer_of(alice)
    subscribe(bob, producer)
    alice.send(write_rtp(VP8, 10, 0, VIDEO, KEYFRAME))
    alice.send(write_rtp(VP8, 12, 9000, VIDEO, DELTA))
    alice.take()
    [stream] = producer.streams
    start = alice.connection.now()

    asked = []
    for number in range(1, 15):
        stream.tick(start + 2.0 + 0.06 * number)
        asked += [report for data in alice.take()[1] for report in rtcp.read_compound(data)]

    assert asked.count(rtcp.KeyframeRequest(VIDEO)) == 1
    assert isinstance(asked[-1], rtcp.KeyframeRequest), "once nothing else helps"


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x00", (10).to_bytes(2, "big") + b"known already", (400).to_bytes(2, "big") + b"never sent"],
)
def test_probing_on_the_retransmission_stream_is_not_forwarded(
    pair: tuple[Participant, Participant], payload: bytes
) -> None:
    alice, bob = pair
    subscribe(bob, producer_of(alice))
    alice.send(write_rtp(VP8, 10, 0, VIDEO, KEYFRAME))
    bob.take()

    alice.send(write_rtp(RTX, 500, 0, VIDEO_RTX, payload, padding=0 if payload else 200))

    assert bob.take_media() == []


def test_a_packet_of_padding_alone_goes_on_empty_so_that_numbers_stay_in_step(
    pair: tuple[Participant, Participant],
) -> None:
    alice, bob = pair
    subscribe(bob, producer_of(alice))
    alice.send(write_rtp(VP8, 10, 0, VIDEO, KEYFRAME))

    alice.send(write_rtp(VP8, 11, 0, VIDEO, b"", padding=255))
    alice.send(write_rtp(VP8, 12, 3000, VIDEO, DELTA))

    got = bob.take_media()
    assert [p.payload for p in got] == [KEYFRAME, b"", DELTA]
    assert [p.sequence - got[0].sequence for p in got] == [0, 1, 2]


def test_what_comes_twice_goes_on_once(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    subscribe(bob, producer_of(alice))
    alice.send(write_rtp(VP8, 10, 0, VIDEO, KEYFRAME))
    alice.send(write_rtp(VP8, 12, 0, VIDEO, DELTA))
    lost = write_rtp(VP8, 11, 0, VIDEO, DELTA)

    alice.send(lost)
    alice.send(write_rtp(RTX, 500, 0, VIDEO_RTX, (11).to_bytes(2, "big") + DELTA))

    assert len(bob.take_media()) == 3


def test_a_nack_is_answered_from_history_as_a_retransmission(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    consumer = subscribe(bob, producer_of(alice))
    assert consumer.slot is not None
    for number in range(4):
        alice.send(write_rtp(VP8, 100 + number, 3000 * number, VIDEO, KEYFRAME + bytes([number])))
    got = bob.take_media()

    bob.send_rtcp(rtcp.write_nack(1, consumer.slot.ssrc, [got[1].sequence, got[3].sequence]))

    again = bob.take_media()
    assert [p.payload for p in again] == [got[n].sequence.to_bytes(2, "big") + KEYFRAME + bytes([n]) for n in (1, 3)]
    assert {(p.ssrc, p.payload_type) for p in again} == {(consumer.slot.rtx_ssrc, RTX)}
    assert again[1].sequence == again[0].sequence + 1
    assert again[0].timestamp == got[1].timestamp


def test_another_source_continues_the_numbers_and_the_old_one_can_still_be_resent() -> None:
    alice, bob, carol = Harness().participants(3)
    first, second = producer_of(alice), producer_of(carol)
    consumer = subscribe(bob, first)
    assert consumer.slot is not None
    slot = consumer.slot
    for number in range(3):
        alice.send(write_rtp(VP8, 5000 + number, 3000 * number, VIDEO, KEYFRAME))
    before = bob.take_media()

    consumer.close()
    assert slot.source is None
    successor = Consumer(second, "s2")
    successor.slot = slot
    successor.go_live()
    carol.send(write_rtp(VP8, 39998, 77, VIDEO, DELTA))
    carol.send(write_rtp(VP8, 40000, 77, VIDEO, KEYFRAME))
    carol.send(write_rtp(VP8, 39999, 77, VIDEO, DELTA))  # from before the switch: it has no number here
    carol.send(write_rtp(VP8, 40001, 3077, VIDEO, DELTA))
    after = bob.take_media()
    bob.send_rtcp(rtcp.write_nack(1, slot.ssrc, [before[2].sequence]))

    assert [p.sequence for p in before + after] == [before[0].sequence + n for n in range(5)]
    assert {p.ssrc for p in after} == {slot.ssrc}
    assert 0 < after[0].timestamp - before[-1].timestamp < 90_000
    assert after[1].timestamp - after[0].timestamp == 3000
    assert [p.payload[2:] for p in bob.take_media()] == [KEYFRAME]


def test_keyframe_requests_of_subscribers_reach_the_publisher_once(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    consumer = subscribe(bob, producer_of(alice))
    assert consumer.slot is not None
    alice.send(write_rtp(VP8, 10, 0, VIDEO, KEYFRAME))
    alice.take()
    stream = alice.connection.streams[VIDEO]

    for _ in range(5):
        bob.send_rtcp(rtcp.write_pli(1, consumer.slot.ssrc))
    at_once = len(alice.take()[1])
    stream.tick(alice.connection.now() + 0.6)

    assert at_once == 1
    assert [list(rtcp.read_compound(data)) for data in alice.take()[1]] == [[rtcp.KeyframeRequest(VIDEO)]]


def test_a_full_socket_loses_the_copy_and_nothing_else(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    subscribe(bob, producer_of(alice))
    alice.send(write_rtp(VP8, 10, 0, VIDEO, KEYFRAME))
    alice.harness.socket.is_full = True
    alice.send(write_rtp(VP8, 11, 0, VIDEO, DELTA))
    alice.harness.socket.is_full = False
    alice.send(write_rtp(VP8, 12, 0, VIDEO, DELTA))

    got = bob.take_media()

    assert [p.sequence - got[0].sequence for p in got] == [0, 2]


def test_sender_reports_go_on_with_our_numbers_and_their_time(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    consumer = subscribe(bob, producer_of(alice))
    assert consumer.slot is not None
    alice.send(write_rtp(VP8, 10, 50_000, VIDEO, KEYFRAME))
    got = bob.take_media()[0]

    alice.send_rtcp(rtcp.write_sender_report(rtcp.SenderReport(VIDEO, 0xE0000000_80000000, 53_000, 9, 9), "alice"))

    [report] = list(rtcp.read_compound(bob.take()[1][0]))
    assert report == rtcp.SenderReport(
        consumer.slot.ssrc, 0xE0000000_80000000, (got.timestamp + 3000) & 0xFFFFFFFF, 1, len(KEYFRAME)
    )


def test_an_ssrc_that_nobody_announced_is_bound_by_its_mid() -> None:
    harness = Harness()
    silent = "\n".join(line for line in CHROMIUM_OFFER.splitlines() if not line.startswith("a=ssrc"))
    alice = Participant(harness, 1, silent)

    alice.send(write_rtp(VP8, 1, 0, 777, KEYFRAME, extensions={4: b"1"}))
    alice.send(write_rtp(RTX, 1, 0, 778, b"\x00\x00", extensions={4: b"1"}))
    alice.send(write_rtp(VP8, 1, 0, 779, KEYFRAME, extensions={4: b"9"}))

    section = alice.connection.sections.by_mid("1")
    assert section is not None
    assert [stream.ssrc for stream in section.streams] == [777]
    assert alice.connection.streams[778].resends is alice.connection.streams[777]
    assert 779 not in alice.connection.streams
    assert alice.found == 1


def test_transport_wide_numbers_are_reported_to_the_publisher(pair: tuple[Participant, Participant]) -> None:
    alice, _ = pair
    for number in (5, 6, 8):
        alice.send(write_rtp(OPUS, number, 960 * number, AUDIO, extensions={3: number.to_bytes(2, "big")}))
    alice.take()

    alice.connection.tick(alice.connection.now())

    feedback = [data for data in alice.take()[1] if data[:2] in (b"\x8f\xcd", b"\xaf\xcd")]
    assert len(feedback) == 1
    assert feedback[0][8:12] == AUDIO.to_bytes(4, "big")
    assert feedback[0][12:16] == (5).to_bytes(2, "big") + (4).to_bytes(2, "big")


def test_media_from_an_address_that_no_check_came_from_is_dropped(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    subscribe(bob, producer_of(alice))
    packet = alice._tx.protect(write_rtp(VP8, 10, 0, VIDEO, KEYFRAME))

    alice.harness.socket.arriving.append((packet, ("127.0.0.1", 4)))
    alice.harness.run()

    assert bob.take_media() == []
    assert alice.harness.port.path.dropped == 1


class Overload:
    """Alice's packets wait, while the clock goes on by hand."""

    def __init__(self, alice: Participant, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = alice.connection.now() + 10.0
        self.harness = alice.harness
        self.alice = alice
        self.number = 11
        monkeypatch.setattr("appliance.sfu.forwarding.monotonic", lambda: self.now)

    def wait_in_line(self, packets: int) -> None:
        """Add so many packets of pictures to the socket, and a packet of sound after every eighth."""
        for _ in range(packets):
            self.number += 1
            self._add(write_rtp(VP8, self.number, 3000 * self.number, VIDEO, DELTA))
            if self.number % 8 == 0:
                self._add(write_rtp(OPUS, self.number, 960 * self.number, AUDIO, b"opus"))

    def _add(self, packet: bytes) -> None:
        self.harness.socket.arriving.append((self.alice._tx.protect(packet), self.alice.address))

    def wake(self, after_s: float) -> None:
        """Let some time pass, and the engine read once."""
        self.now += after_s
        self.harness.port.path.receive(self.harness.socket)


def watched_and_overloaded(alice: Participant, bob: Participant, monkeypatch: pytest.MonkeyPatch) -> Overload:
    """Bob receives Alice's picture, which has begun."""
    alice.send(write_rtp(VP8, 10, 0, VIDEO, KEYFRAME))
    subscribe(bob, producer_of(alice))
    alice.send(write_rtp(VP8, 11, 3000, VIDEO, KEYFRAME))
    return Overload(alice, monkeypatch)


def test_who_has_no_time_for_all_throws_pictures_away_and_lets_sound_through(
    pair: tuple[Participant, Participant], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    alice.send(write_rtp(VP8, 10, 0, VIDEO, KEYFRAME))
    alice.send(write_rtp(OPUS, 10, 0, AUDIO, b"opus"))
    subscribe(bob, producer_of(alice))
    subscribe(bob, producer_of(alice, TrackKind.AUDIO))
    alice.send(write_rtp(VP8, 11, 3000, VIDEO, KEYFRAME))
    bob.take(), alice.take()
    overload, path = Overload(alice, monkeypatch), alice.harness.port.path
    overload.wait_in_line(400)

    for _ in range(3):
        overload.wake(after_s=0.04)
    assert path.shed == 0, "a tenth of a second is made up for"
    bob.take()
    overload.wake(after_s=0.04)
    while alice.harness.socket.arriving:
        overload.wake(after_s=0.01)

    assert path.shed > 100
    assert {p.payload_type for p in bob.take_media()} == {OPUS}
    assert len(alice.harness.socket.arriving) == 0


def test_what_was_thrown_away_is_not_asked_for_again_but_a_new_picture_is(
    pair: tuple[Participant, Participant], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    overload = watched_and_overloaded(alice, bob, monkeypatch)
    alice.take()
    overload.wait_in_line(300)
    while alice.harness.socket.arriving:
        overload.wake(after_s=0.04)
    assert alice.harness.port.path.shed > 0
    alice.take()
    overload.now += 10.0

    overload.wait_in_line(1)
    overload.wake(after_s=0.0)

    assert [list(rtcp.read_compound(data)) for data in alice.take()[1]] == [[rtcp.KeyframeRequest(VIDEO)]]


def test_a_stall_of_the_whole_machine_is_made_up_for(
    pair: tuple[Participant, Participant], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    overload = watched_and_overloaded(alice, bob, monkeypatch)
    overload.wait_in_line(200)

    overload.wake(after_s=0.0)
    while alice.harness.socket.arriving:
        overload.wake(after_s=0.3)

    assert alice.harness.port.path.shed == 0
