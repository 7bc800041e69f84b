"""Our own figures of the connection, and how often they are told."""

import pytest

from appliance.client.link_report import Counters, KindCounters, NetworkQualityConfiguration, ReportPace, report
from appliance.media_engine import TrackKind
from appliance.signaling.quality import MediaReport, PathReport, ReceiveReport, SendReport

WANTED = NetworkQualityConfiguration(local=2, remote=3)
EARLIER = Counters(
    connection="pc-1",
    at=100.0,
    bytes_sent=1_000,
    bytes_received=9_000,
    kinds={TrackKind.VIDEO: KindCounters(bytes_received=8_000, packets_received=100, packets_lost=10)},
)
LATER = Counters(
    connection="pc-1",
    at=102.0,
    bytes_sent=26_000,
    bytes_received=134_000,
    available_bps=300_000,
    kinds={
        TrackKind.AUDIO: KindCounters(bytes_sent=10_000, rtt_s=0.03),
        TrackKind.VIDEO: KindCounters(bytes_received=108_000, packets_received=190, packets_lost=20, jitter_s=0.004),
    },
)


def test_rates_and_losses_are_those_between_two_readings() -> None:
    told = report(EARLIER, LATER, WANTED)

    assert told.ice == PathReport(send=100_000, recv=500_000, available_send=300_000, rtt=0.03)
    assert told.audio == MediaReport(
        send=SendReport(bitrate=40_000, rtt=0.03), recv=ReceiveReport(bitrate=0, fraction_lost=0)
    )
    assert told.video.recv == ReceiveReport(bitrate=400_000, fraction_lost=0.1, jitter=0.004)
    assert told.all.send == SendReport(bitrate=40_000, rtt=0.03)
    assert told.all.recv == ReceiveReport(bitrate=400_000, fraction_lost=0.1, jitter=0.004)
    assert (told.report_level, told.remote_report_level) == (2, 3)


@pytest.mark.parametrize(
    "before", [None, LATER, Counters(connection="pc-0", at=1.0)], ids=["none", "the same", "of another connection"]
)
def test_without_an_earlier_reading_of_the_connection_no_rate_is_claimed(before: Counters | None) -> None:
    told = report(before, LATER, WANTED)

    assert told.ice == PathReport(available_send=300_000, rtt=0.03)
    assert told.video == MediaReport()


def test_a_late_packet_that_was_counted_as_lost_is_no_loss_below_zero() -> None:
    told = report(LATER, Counters(connection="pc-1", at=103.0, kinds=EARLIER.kinds), WANTED)

    assert told.video.recv == ReceiveReport(bitrate=0, fraction_lost=0)


def test_reports_follow_each_answer_by_a_second_and_silence_by_ever_more() -> None:
    pace = ReportPace()
    pace.attached(10.0)
    due = [pace.due_at]
    for _ in range(3):
        pace.sent(pace.due_at)
        due.append(pace.due_at)
    pace.answered(30.0)
    due.append(pace.due_at)
    pace.sent(31.0)
    due.append(pace.due_at)
    pace.detached()

    assert due == [10.2, 15.2, 22.7, 33.95, 31.0, 36.0]
    assert pace.due_at == float("inf")


@pytest.mark.parametrize(("local", "remote"), [(0, 0), (4, 0), (1, -1), (1, 4)])
def test_a_verbosity_that_is_none_is_refused(local: int, remote: int) -> None:
    with pytest.raises(ValueError, match="verbosity"):
        NetworkQualityConfiguration(local=local, remote=remote)
