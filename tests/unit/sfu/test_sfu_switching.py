"""A subscription that changes between the layers of a simulcast video, over a socket that is a list."""

from itertools import pairwise

import pytest

from appliance.media_engine import PublishedTrack, TrackKind
from appliance.sfu import rtcp
from appliance.sfu.consumer import Consumer
from appliance.sfu.producer import Producer
from appliance.sfu.vp8 import keyframe_size
from appliance.sids import new_track_sid
from tests.support.sfu_harness import CHROMIUM_OFFER, Harness, Participant, Rtp, write_rtp
from tests.support.vp8_packets import vp8_packet

VP8 = 96
SMALL, LARGE = 2001, 2003
SIMULCAST_OFFER = CHROMIUM_OFFER.replace(
    "a=ssrc-group:FID 2001 2002",
    "a=ssrc-group:FID 2001 2002\r\na=ssrc-group:SIM 2001 2003\r\na=ssrc:2003 cname:x",
).replace("\r\r", "\r")


class Meeting:
    """Alice sends two layers, Bob receives; `small` and `large` are the numbers of the next packet of each."""

    def __init__(self) -> None:
        harness = Harness()
        self.alice = Participant(harness, 0, SIMULCAST_OFFER)
        self.bob = Participant(harness, 1)
        section = next(s for s in self.alice.connection.sections if s.kind == "video")
        track = PublishedTrack(sid=new_track_sid(), client_id="x", kind=TrackKind.VIDEO)
        self.producer = Producer(track, "PA", lambda flowing: None)
        self.producer.bind(section.streams)
        self.consumer = Consumer(self.producer, "s1")
        place = next(s for s in self.bob.connection.sections if s.kind == "video")
        place.consumer = self.consumer
        self.consumer.slot = self.bob.connection.new_slot(place)
        self.consumer.go_live()
        self.sequences = {SMALL: 100, LARGE: 60_000}
        self.pictures = {SMALL: 300, LARGE: 20}
        self.origins = {SMALL: 1_000_000, LARGE: 4_294_960_000}  # RTP timestamps at time 0, the second about to wrap

    def send(self, ssrc: int, at_s: float, *, key: bool = False, temporal: int = 0) -> None:
        self.pictures[ssrc] += 1
        payload = vp8_packet(self.pictures[ssrc], temporal, sync=False, key=key)
        timestamp = self.origins[ssrc] + round(90_000 * at_s)
        self.alice.send(write_rtp(VP8, self.sequences[ssrc], timestamp, ssrc, payload, marker=True))
        self.sequences[ssrc] += 1

    def report(self, ssrc: int, at_s: float) -> None:
        """Send the publisher's report: both layers' timestamps belong to one clock."""
        report = rtcp.SenderReport(
            ssrc, int((3_900_000_000 + at_s) * 2**32), self.origins[ssrc] + round(90_000 * at_s), 1, 1
        )
        self.alice.send_rtcp(rtcp.write_sender_report(report, "alice"))

    def received(self) -> list[Rtp]:
        return self.bob.take_media()

    def asked(self) -> list[object]:
        return [report for data in self.alice.take()[1] for report in rtcp.read_compound(data)]


@pytest.fixture
def meeting() -> Meeting:
    found = Meeting()
    assert [stream.ssrc for stream in found.producer.streams] == [SMALL, LARGE]
    found.send(LARGE, 0.0, key=True)
    found.send(SMALL, 0.0, key=True)
    found.received()
    return found


def picture(packet: Rtp) -> tuple[int, int]:
    """Return (picture id, TL0PICIDX)."""
    return int.from_bytes(packet.payload[2:4], "big") & 0x7FFF, packet.payload[4]


def test_the_layer_before_goes_on_until_the_key_frame_of_the_next(meeting: Meeting) -> None:
    meeting.asked()
    meeting.consumer.show(1)
    assert meeting.asked() == [rtcp.KeyframeRequest(LARGE)]

    meeting.send(SMALL, 0.05)
    meeting.send(LARGE, 0.05)
    assert len(meeting.received()) == 1
    meeting.send(LARGE, 0.1, key=True)
    meeting.send(SMALL, 0.1)
    meeting.send(LARGE, 0.15)

    got = meeting.received()
    assert [keyframe_size(p.payload) is not None for p in got] == [True, False]
    assert got[1].sequence == got[0].sequence + 1


def test_a_change_of_mind_before_the_key_frame_changes_nothing(meeting: Meeting) -> None:
    meeting.consumer.show(1)
    meeting.consumer.show(0)
    meeting.send(LARGE, 0.1, key=True)
    assert meeting.received() == []
    meeting.send(SMALL, 0.1)
    assert len(meeting.received()) == 1


def test_numbers_of_pictures_go_on_in_one_row_through_changes_of_layer(meeting: Meeting) -> None:
    meeting.send(SMALL, 0.05)
    for turn in range(1, 9):
        layer = turn % 2
        meeting.consumer.show(layer)
        meeting.send((SMALL, LARGE)[layer], turn, key=True)
        meeting.send((SMALL, LARGE)[layer], turn + 0.05)
    got = meeting.received()

    assert len(got) == 17
    assert [p.sequence - got[0].sequence for p in got] == list(range(17))
    assert [picture(p)[0] - picture(got[0])[0] for p in got] == list(range(17))
    bases = [picture(p)[1] for p in got]
    # A change begins a new base; within a layer the distance is the publisher's.
    assert all((after - before) & 0xFF in (0, 1) for before, after in pairwise(bases))


@pytest.mark.parametrize("late_s", [0.0, 0.4])
def test_timestamps_follow_the_publishers_clock_where_its_reports_tell_it(
    meeting: Meeting, late_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting.report(SMALL, 0.02)
    meeting.report(LARGE, 0.03)
    meeting.send(SMALL, 1.0)
    meeting.consumer.show(1)
    now = meeting.bob.connection.now() + late_s  # the network brings the next layer later than its time
    monkeypatch.setattr("appliance.sfu.forwarding.monotonic", lambda: now)
    meeting.send(LARGE, 1.5, key=True)

    before, after = meeting.received()
    assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == pytest.approx(45_000, abs=2)


def test_a_picture_of_the_same_moment_in_another_layer_is_a_later_one(meeting: Meeting) -> None:
    meeting.report(SMALL, 0.02)
    meeting.report(LARGE, 0.03)
    meeting.send(SMALL, 1.0)
    meeting.consumer.show(1)
    meeting.send(LARGE, 1.0, key=True)

    before, after = meeting.received()
    assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == 1


def test_what_was_sent_of_the_layer_before_can_be_asked_for_after_the_change(meeting: Meeting) -> None:
    meeting.send(SMALL, 0.05)
    meeting.consumer.show(1)
    meeting.send(LARGE, 0.1, key=True)
    meeting.send(LARGE, 0.15)
    got = meeting.received()

    slot = meeting.consumer.slot
    assert slot is not None
    for packet in got:
        slot.resend((packet.sequence,), meeting.bob.connection.now())
        (again,) = meeting.received()
        assert again.payload == packet.sequence.to_bytes(2, "big") + packet.payload


def test_off_stops_at_once_and_on_begins_with_a_key_frame(meeting: Meeting) -> None:
    meeting.consumer.show(None)
    meeting.send(SMALL, 0.05)
    assert meeting.received() == []
    meeting.asked()
    meeting.consumer.show(0)
    meeting.send(SMALL, 0.1)
    assert meeting.received() == []
    meeting.send(SMALL, 0.15, key=True)
    assert len(meeting.received()) == 1


def test_a_change_at_once_leaves_the_layer_before_and_what_was_lost_of_it(meeting: Meeting) -> None:
    meeting.send(SMALL, 0.05)
    (last,) = meeting.received()
    meeting.consumer.show(1, at_once=True)
    meeting.send(SMALL, 0.1)
    assert meeting.received() == []
    slot = meeting.consumer.slot
    assert slot is not None
    slot.resend((last.sequence,), meeting.bob.connection.now())
    assert meeting.received() == []


def test_upper_temporal_layers_are_left_out_of_what_goes_on_in_one_row(meeting: Meeting) -> None:
    slot = meeting.consumer.slot
    assert slot is not None
    meeting.send(SMALL, 0.05, temporal=2)
    slot.thin(0)
    for number, temporal in enumerate((2, 0, 2, 1, 2, 0)):
        meeting.send(SMALL, 0.1 + 0.05 * number, temporal=temporal)

    got = meeting.received()
    assert len(got) == 3
    assert [p.sequence - got[0].sequence for p in got] == [0, 1, 2]
    assert [picture(p)[0] - picture(got[0])[0] for p in got] == [0, 1, 2]
    for packet in got:
        slot.resend((packet.sequence,), meeting.bob.connection.now())
        (again,) = meeting.received()
        assert again.payload == packet.sequence.to_bytes(2, "big") + packet.payload


def test_padding_goes_out_on_the_stream_of_retransmissions(meeting: Meeting) -> None:
    slot = meeting.consumer.slot
    assert slot is not None
    meeting.bob.connection.pad(1000, 1.0)
    got = meeting.received()
    assert {p.ssrc for p in got} == {slot.rtx_ssrc}
    assert {p.payload_type for p in got} == {97}
    assert all(len(p.payload) == p.payload[-1] == 255 for p in got)
    assert [p.sequence - got[0].sequence for p in got] == list(range(len(got)))
    assert meeting.bob.connection.sent_totals().extra == 255 * len(got) == 765
