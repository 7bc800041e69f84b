"""Levels of network quality: what they are made of, and that they don't flap."""

import pytest

from appliance.media_engine import Direction, LinkFigures, PeerFigures, TrackKind
from appliance.rooms.network_quality import RISES_AFTER, SETTLED_AFTER, Quality, assess, told
from appliance.signaling.quality import MediaReport, PathReport, QualityReport, ReceiveReport

AUDIO_IN = (Direction.RECEIVE, TrackKind.AUDIO)
VIDEO_IN = (Direction.RECEIVE, TrackKind.VIDEO)
VIDEO_OUT = (Direction.SEND, TrackKind.VIDEO)


def figures(link: tuple[Direction, TrackKind] = VIDEO_IN, rtt_s: float | None = 0.02, **of_link: float) -> PeerFigures:
    return PeerFigures(connected=True, rtt_s=rtt_s, links={link: LinkFigures(**of_link)})


def settled(measured: PeerFigures, report: QualityReport | None = None) -> Quality:
    """Return the quality after the same figures again and again."""
    quality = Quality()
    for _ in range(SETTLED_AFTER + RISES_AFTER):
        quality = assess(quality, measured, report)
    return quality


def level(measured: PeerFigures, report: QualityReport | None = None) -> int:
    return settled(measured, report).level


def levels(*measured: PeerFigures) -> list[int]:
    """Return the levels that are shown as one figure comes after the other."""
    quality, shown = Quality(), []
    for each in measured:
        quality = assess(quality, each, None)
        shown.append(quality.level)
    return shown


@pytest.mark.parametrize(
    ("lost", "expected"),
    [(0.0, 5), (0.02, 5), (0.021, 4), (0.05, 4), (0.1, 3), (0.2, 2), (0.3, 1), (0.5, 1), (0.51, 0), (1.0, 0)],
)
def test_the_more_is_lost_the_lower_the_level(lost: float, expected: int) -> None:
    assert level(figures(fraction_lost=lost)) == expected


@pytest.mark.parametrize(
    ("rtt_s", "jitter_s", "expected"),
    [(0.02, 0.0, 5), (0.15, 0.0, 5), (0.1, 0.02, 4), (0.2, 0.0, 4), (0.35, 0.01, 3), (0.7, 0.0, 2), (3.0, 0.0, 1)],
)
def test_the_later_it_arrives_the_lower_the_level(rtt_s: float, jitter_s: float, expected: int) -> None:
    assert level(figures(rtt_s=rtt_s, jitter_s=jitter_s)) == expected


@pytest.mark.parametrize(
    ("kind", "flows_bps", "available_bps", "expected"),
    [
        (TrackKind.VIDEO, 100_000, 150_000, 5),
        (TrackKind.VIDEO, 100_000, 119_000, 2),
        (TrackKind.VIDEO, 1_200_000, 1_250_000, 5),
        (TrackKind.VIDEO, 700_000, 800_000, 4),
        (TrackKind.VIDEO, 300_000, 310_000, 3),
        (TrackKind.VIDEO, 120_000, 120_000, 2),
        (TrackKind.VIDEO, 60_000, 50_000, 1),
        (TrackKind.AUDIO, 32_000, 300_000, 5),
        (TrackKind.AUDIO, 24_000, 24_000, 4),
        (TrackKind.AUDIO, 12_000, 9_000, 2),
    ],
)
def test_what_the_path_cannot_carry_lowers_the_level(
    kind: TrackKind, flows_bps: float, available_bps: float, expected: int
) -> None:
    measured = figures((Direction.SEND, kind), bitrate_bps=flows_bps, available_bps=available_bps)

    assert level(measured) == expected


def test_the_worst_link_is_what_counts() -> None:
    links = {AUDIO_IN: LinkFigures(fraction_lost=0.15), VIDEO_OUT: LinkFigures(fraction_lost=0.03)}

    quality = settled(PeerFigures(connected=True, rtt_s=0.01, links=links))

    assert quality.level == 2
    said = told(quality, 2)
    assert said.audio
    assert said.video
    assert (said.audio.send, said.audio.recv, said.video.send, said.video.recv) == (5, 2, 4, 5)


def test_without_a_connection_there_is_no_quality_at_once() -> None:
    good = figures()

    assert levels(good, good, PeerFigures(connected=False)) == [5, 5, 0]
    assert told(assess(Quality(), PeerFigures(), None), 3).audio is None


def test_one_bad_second_is_not_shown_and_two_are() -> None:
    good, bad = figures(), figures(fraction_lost=0.15)

    assert levels(good, bad, good, bad, good) == [5, 5, 5, 5, 5]
    assert levels(good, bad, bad) == [5, 5, 2]


def test_a_level_falls_only_as_far_as_both_bad_seconds_agree() -> None:
    assert levels(figures(), figures(fraction_lost=0.4), figures(fraction_lost=0.08)) == [5, 5, 3]


def test_a_level_rises_after_four_good_seconds() -> None:
    good, bad = figures(), figures(fraction_lost=0.15)

    assert levels(bad, bad, good, good, good, good) == [5, 2, 2, 2, 2, 5]
    assert levels(bad, bad, good, good, good, bad, good, good, good)[1:] == [2] * 8


def test_what_flows_is_not_held_against_a_path_before_its_estimate_has_settled() -> None:
    """Estimates begin low, and a sender fills them until it has what it needs."""
    tight = figures(VIDEO_OUT, bitrate_bps=250_000, available_bps=260_000)
    pause = PeerFigures(connected=True, rtt_s=0.02)

    shown = levels(*[tight] * (SETTLED_AFTER + 2))
    assert shown == [5] * (SETTLED_AFTER + 1) + [2]
    assert levels(*[tight] * SETTLED_AFTER, pause, *[tight] * SETTLED_AFTER) == [5] * (2 * SETTLED_AFTER + 1)


def test_a_figure_at_a_limit_does_not_make_the_level_flap() -> None:
    shown = levels(*[figures(fraction_lost=0.05 if second % 2 else 0.051) for second in range(40)])

    assert len(set(shown[2:])) == 1


def test_what_the_engine_cannot_see_the_client_reports() -> None:
    nothing_seen = figures(VIDEO_OUT, rtt_s=None, bitrate_bps=400_000)

    assert level(nothing_seen) == 5
    assert level(nothing_seen, QualityReport(ice=PathReport(rtt=0.5))) == 2
    assert level(nothing_seen, QualityReport(ice=PathReport(available_send=410_000))) == 3
    lossy = QualityReport(video=MediaReport(recv=ReceiveReport(fraction_lost=0.15)))
    assert level(figures(VIDEO_IN), lossy) == 2


def test_what_the_engine_sees_counts_more_than_what_a_client_reports() -> None:
    measured = figures(VIDEO_OUT, rtt_s=0.01, bitrate_bps=400_000, available_bps=2_000_000)

    assert level(measured, QualityReport(ice=PathReport(rtt=9.0, available_send=1000))) == 5


def test_how_much_is_said_is_the_verbosity() -> None:
    measured = figures(VIDEO_IN, rtt_s=0.02, bitrate_bps=500_000, fraction_lost=0.03, jitter_s=0.004)
    quality = settled(measured)

    assert told(quality, 1).to_wire() == {"level": 4}
    assert told(quality, 2).to_wire() == {
        "level": 4,
        "audio": {"send": 5, "recv": 5},
        "video": {"send": 5, "recv": 4},
    }
    video = told(quality, 3).to_wire()["video"]
    assert video["recvStats"] == {
        "bandwidth": {"actual": 500_000},
        "latency": {"jitter": 0.004, "rtt": 0.02, "level": 5},
        "fractionLost": {"fractionLost": 0.03, "level": 4},
    }
