"""How media fares each way, from packets and reports that really passed the packet path."""

import pytest

from appliance.media_engine import Direction, TrackKind
from appliance.sfu import rtcp
from appliance.sfu.link_meter import INTERVAL_S, LinkMeter
from tests.support.sfu_harness import Harness, Participant, subscribe, write_rtp

VIDEO, AUDIO = 2001, 1001  # SSRCs in the offer
VP8, OPUS = 96, 111
KEYFRAME = b"\x10\x00" + bytes(98)
UP, DOWN = (Direction.SEND, TrackKind.VIDEO), (Direction.RECEIVE, TrackKind.VIDEO)


@pytest.fixture
def pair() -> tuple[Participant, Participant]:
    alice, bob = Harness().participants(2)
    return alice, bob


def send_video(alice: Participant, *sequences: int) -> None:
    for sequence in sequences:
        alice.send(write_rtp(VP8, sequence, sequence * 3000, VIDEO, KEYFRAME))


def test_what_a_participant_sends_is_counted_per_second_and_kind(pair: tuple[Participant, Participant]) -> None:
    alice, _ = pair
    meter = LinkMeter()
    meter.tick(alice.connection.sections, 100.0)

    send_video(alice, *range(1, 11))
    alice.send(write_rtp(OPUS, 1, 0, AUDIO, bytes(50)))
    meter.tick(alice.connection.sections, 100.0 + 2 * INTERVAL_S)

    assert meter.links[UP].bitrate_bps == 10 * 100 * 8 / 2
    assert meter.links[Direction.SEND, TrackKind.AUDIO].bitrate_bps == 50 * 8 / 2
    assert meter.links[UP].fraction_lost == 0
    assert DOWN not in meter.links


def test_losses_count_although_they_are_repaired_and_the_next_second_begins_anew(
    pair: tuple[Participant, Participant],
) -> None:
    alice, _ = pair
    meter = LinkMeter()
    send_video(alice, 1)
    meter.tick(alice.connection.sections, 0.0)

    send_video(alice, 2, 3, 7, 8, 9, 10, 11, 4, 5)
    meter.tick(alice.connection.sections, 1.0)
    lossy = meter.links[UP].fraction_lost
    send_video(alice, 12, 13)
    meter.tick(alice.connection.sections, 2.0)

    assert lossy == pytest.approx(0.3)
    assert meter.links[UP].fraction_lost == 0


def test_where_nothing_flows_there_is_no_entry(pair: tuple[Participant, Participant]) -> None:
    alice, _ = pair
    meter = LinkMeter()
    meter.tick(alice.connection.sections, 0.0)
    send_video(alice, 1, 2)
    meter.tick(alice.connection.sections, 1.0)

    meter.tick(alice.connection.sections, 2.0)

    assert not meter.links


def test_what_a_participant_receives_is_as_its_reports_say(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    send_video(alice, 1)
    slot = subscribe(bob, alice)
    bob.connection.tick(0.0)

    bob.send_rtcp(rtcp.write_receiver_report(9, [rtcp.ReceptionReport(slot.ssrc, 0, 0, 1, 900, 0, 0)]))
    send_video(alice, *range(2, 22))
    bob.send_rtcp(
        rtcp.write_receiver_report(9, [rtcp.ReceptionReport(slot.ssrc, 64, 5, 21, 900, 0, 0)])
        + rtcp.write_remb(9, 800_000, [slot.ssrc])
    )
    bob.connection.tick(1.0)

    figures = bob.connection.links
    assert set(figures) == {DOWN}
    assert figures[DOWN].bitrate_bps == 20 * 100 * 8
    assert figures[DOWN].fraction_lost == 0.25
    assert figures[DOWN].jitter_s == 0.01
    assert figures[DOWN].available_bps is None, "an estimate of what was never needed says nothing of the path"


def test_a_path_that_was_full_is_known_to_carry_so_much(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    send_video(alice, 1)
    subscribe(bob, alice)
    bob.connection.tick(0.0)
    send_video(alice, *range(2, 22))
    bob.connection.tick(1.0)
    budget = bob.connection.downlink.budget

    budget.proven_bps, budget.estimate_bps, budget.is_congested = 150_000.0, 200_000.0, True

    assert bob.connection.links[DOWN].available_bps == 200_000


def test_what_never_came_to_us_is_not_lost_on_the_way_to_others(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    send_video(alice, 1)
    slot = subscribe(bob, alice)
    bob.connection.tick(0.0)

    def report(highest: int, lost: int, fraction: int) -> None:
        bob.send_rtcp(
            rtcp.write_receiver_report(9, [rtcp.ReceptionReport(slot.ssrc, fraction, lost, highest, 0, 0, 0)])
        )

    report(1, 0, 0)
    send_video(alice, *range(2, 21, 2))
    report(20, 9, 121)
    bob.connection.tick(1.0)
    gaps_of_hers = bob.connection.links[DOWN].fraction_lost
    send_video(alice, *range(22, 41, 2))
    report(40, 24, 192)
    bob.connection.tick(2.0)

    assert gaps_of_hers == 0
    assert bob.connection.links[DOWN].fraction_lost == 0.5, "five of the ten that went to him"


def test_the_round_trip_is_that_of_the_path_whatever_the_kind(pair: tuple[Participant, Participant]) -> None:
    alice, bob = pair
    send_video(alice, 1)
    slot = subscribe(bob, alice)
    bob.connection.tick(0.0)
    bob.connection.tick(0.5)

    send_video(alice, 2)
    bob.send(write_rtp(OPUS, 1, 0, AUDIO, bytes(50)))
    slot.rtt_s = 0.04
    bob.connection.tick(1.5)

    assert {link: figures.rtt_s for link, figures in bob.connection.links.items()} == {
        DOWN: 0.04,
        (Direction.SEND, TrackKind.AUDIO): 0.04,
    }


def test_a_report_on_a_stream_that_was_never_sent_is_forgotten(pair: tuple[Participant, Participant]) -> None:
    _, bob = pair
    meter = LinkMeter()
    for ssrc in range(1000):
        meter.reported(rtcp.ReceptionReport(ssrc, 255, 1, 1, 1, 0, 0), 0.0, 1)

    meter.tick(bob.connection.sections, 0.0)

    assert not meter._reports
