"""Media signaling: every message of signaling.md 5, in the very form that stands on the wire."""

import json
from typing import Any

import pytest

from appliance.errors import RemoteProtocolError
from appliance.media_engine import Dimensions, TrackPriority
from appliance.signaling.quality import ParticipantQuality, PathReport, QualityReply, QualityReport
from appliance.signaling.side_channels import (
    ActiveSpeaker,
    Channel,
    ClientReset,
    EncodingHint,
    HintResult,
    PublisherHint,
    PublisherHintResults,
    PublisherHints,
    Ready,
    RenderHint,
    RenderHintResults,
    RenderHints,
    TrackPriorityWish,
    TrackResult,
    TrackSwitchOff,
    Transcription,
    message_of_client,
    message_of_service,
    text_of,
)

REPORT: dict[str, Any] = {
    "type": "network_quality",
    "ice": {"availableSend": 300000, "recv": 215600.0, "rtt": 0.002, "send": 135987.2},
    "send": {"bitrate": 0, "rtt": 0.01},
    "recv": {"bitrate": 0, "fractionLost": 0.0, "jitter": 0.002},
    "audio": {"send": {"bitrate": 31000}, "recv": {"bitrate": 30000, "fractionLost": 0.1}},
    "video": {"send": {}, "recv": {}},
    "reportLevel": 3,
    "remoteReportLevel": 2,
}
STATS = {
    "bandwidth": {"actual": 31000, "available": 300000, "level": 5},
    "latency": {"jitter": 0.002, "rtt": 0.02, "level": 5},
    "fractionLost": {"fractionLost": 0.01, "level": 4},
}
LEVELS = {"send": 5, "recv": 4, "sendStats": STATS, "recvStats": STATS}

OF_CLIENT: list[tuple[Channel, dict[str, Any]]] = [
    (Channel.ACTIVE_SPEAKER, {"type": "ready"}),
    (Channel.NETWORK_QUALITY, REPORT),
    (Channel.TRACK_PRIORITY, {"type": "track_priority", "track": "MT1", "subscribe": "high"}),
    (Channel.TRACK_PRIORITY, {"type": "track_priority", "track": "MT1", "subscribe": None}),
    (
        Channel.RENDER_HINTS,
        {
            "type": "render_hints",
            "subscriber": {
                "id": 2,
                "hints": [
                    {"track": "MT1", "enabled": False},
                    {"track": "MT2", "enabled": True, "render_dimensions": {"width": 640, "height": 360}},
                ],
            },
        },
    ),
    (
        Channel.PUBLISHER_HINTS,
        {"type": "publisher_hints", "id": 7, "hints": [{"track": "MT1", "result": "REQUEST_SKIPPED"}]},
    ),
    (Channel.PUBLISHER_HINTS, {"type": "client_reset", "track": "MT1", "id": 1}),
]
OF_SERVICE: list[tuple[Channel, dict[str, Any]]] = [
    (Channel.ACTIVE_SPEAKER, {"type": "active_speaker", "participant": "PA1"}),
    (Channel.ACTIVE_SPEAKER, {"type": "active_speaker", "participant": None}),
    (
        Channel.NETWORK_QUALITY,
        {"type": "network_quality", "local": 4, "remotes": [{"sid": "PA1", "level": 3}]},
    ),
    (
        Channel.NETWORK_QUALITY,
        {
            "type": "network_quality",
            "local": {"level": 4, "audio": LEVELS, "video": {"send": 5, "recv": 5}},
            "remotes": [{"sid": "PA1", "level": 3, "audio": LEVELS, "video": LEVELS}],
        },
    ),
    (
        Channel.RENDER_HINTS,
        {"type": "render_hints", "subscriber": {"id": 2, "hints": [{"track": "MT1", "result": "OK"}]}},
    ),
    (Channel.TRACK_SWITCH_OFF, {"type": "track_switch_off", "off": ["MT1"], "on": ["MT2"]}),
    (Channel.TRACK_SWITCH_OFF, {"type": "track_switch_off", "on": ["MT2"]}),
    (
        Channel.PUBLISHER_HINTS,
        {
            "type": "publisher_hints",
            "publisher": {
                "id": 7,
                "hints": [
                    {"track": "MT1", "encodings": [{"layer_index": 0, "enabled": True}]},
                    {"track": "MT2", "encodings": None},
                ],
            },
        },
    ),
    (
        Channel.TRANSCRIPTIONS,
        {
            "type": "extension_transcriptions",
            "participant": "PA1",
            "track": "MT1",
            "transcription": "good morning",
            "partial_results": False,
            "language_code": "en-US",
            "sequence_number": 1,
            "timestamp": "2025-01-01T12:00:00.000000000Z",
        },
    ),
]


@pytest.mark.parametrize(("channel", "wire"), OF_CLIENT, ids=lambda value: str(value)[:30])
def test_what_a_client_says_is_read_and_written_as_it_stands_on_the_wire(
    channel: Channel, wire: dict[str, Any]
) -> None:
    message = message_of_client(channel, json.dumps(wire))

    assert json.loads(text_of(message)) == wire


@pytest.mark.parametrize(("channel", "wire"), OF_SERVICE, ids=lambda value: str(value)[:30])
def test_what_a_service_says_is_read_and_written_as_it_stands_on_the_wire(
    channel: Channel, wire: dict[str, Any]
) -> None:
    message = message_of_service(channel, json.dumps(wire))

    assert json.loads(text_of(message)) == wire


def test_each_message_is_read_into_its_own_value() -> None:
    read = {message_of_client(channel, json.dumps(wire)) for channel, wire in OF_CLIENT if wire != REPORT}

    assert read == {
        Ready(),
        TrackPriorityWish(track="MT1", subscribe=TrackPriority.HIGH),
        TrackPriorityWish(track="MT1", subscribe=None),
        RenderHints(
            id=2,
            hints=(
                RenderHint(track="MT1", enabled=False),
                RenderHint(track="MT2", enabled=True, render_dimensions=Dimensions(width=640, height=360)),
            ),
        ),
        PublisherHintResults(id=7, hints=(TrackResult(track="MT1", result=HintResult.REQUEST_SKIPPED),)),
        ClientReset(track="MT1", id=1),
    }


def test_the_services_messages_are_read_into_their_own_values() -> None:
    read = [message_of_service(channel, json.dumps(wire)) for channel, wire in OF_SERVICE]

    assert read[0] == ActiveSpeaker(participant="PA1")
    assert read[2] == QualityReply(local=ParticipantQuality(level=4), remotes={"PA1": ParticipantQuality(level=3)})
    assert read[4] == RenderHintResults(id=2, hints=(TrackResult(track="MT1"),))
    assert read[5] == TrackSwitchOff(off=("MT1",), on=("MT2",))
    assert read[7] == PublisherHints(
        id=7,
        hints=(
            PublisherHint(track="MT1", encodings=(EncodingHint(layer_index=0, enabled=True),)),
            PublisherHint(track="MT2", encodings=None),
        ),
    )
    assert isinstance(read[8], Transcription)
    assert read[8].said["transcription"] == "good morning"


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "{}", '{"type": 3}', '{"type": "network_quality"}', '{"type": "track_priority"}']
)
def test_what_does_not_belong_on_a_channel_is_named_as_such(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        message_of_client(Channel.TRACK_PRIORITY, text)
    with pytest.raises(RemoteProtocolError):
        message_of_service(Channel.ACTIVE_SPEAKER, text)


def test_a_report_of_nothing_but_nonsense_is_still_a_report() -> None:
    """It has to be answered: the answer paces the client."""
    wire = {
        "type": "network_quality",
        "ice": [],
        "send": {"bitrate": "fast", "rtt": -1},
        "recv": 7,
        "audio": {"send": None, "recv": {"fractionLost": True}},
        "reportLevel": "all of it",
        "remoteReportLevel": 99,
    }

    report = message_of_client(Channel.NETWORK_QUALITY, json.dumps(wire))

    assert report == QualityReport(ice=PathReport(), report_level=1, remote_report_level=3)


def test_numbers_that_are_none_are_left_out_of_a_report() -> None:
    wire = '{"type": "network_quality", "ice": {"rtt": NaN, "send": 1e999, "recv": 12}}'

    report = message_of_client(Channel.NETWORK_QUALITY, wire)

    assert report == QualityReport(ice=PathReport(recv=12))


def test_a_hint_with_something_malformed_says_nothing_and_the_others_stay() -> None:
    wire = {
        "type": "render_hints",
        "subscriber": {
            "id": 1,
            "hints": [
                {"track": "MT1", "enabled": "yes"},
                {"track": "MT2", "enabled": True, "render_dimensions": {"width": "wide"}},
                {"track": "MT3", "enabled": True},
            ],
        },
    }

    hints = message_of_client(Channel.RENDER_HINTS, json.dumps(wire))

    assert isinstance(hints, RenderHints)
    assert [hint.is_empty for hint in hints.hints] == [True, True, False]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"width": 640, "height": 360}, Dimensions(width=640, height=360)),
        ({"width": 639.2, "height": 359.5}, Dimensions(width=640, height=360)),
        ({"width": 1280}, Dimensions(width=1280, height=720)),
        ({"height": 360}, Dimensions(width=640, height=360)),
        ({"width": 0, "height": 0}, Dimensions(width=0, height=0)),
        ({"width": 10**9, "height": 10}, Dimensions(width=16384, height=10)),
        ({}, None),
    ],
)
def test_a_size_is_in_whole_pixels_and_needs_one_side_only(said: dict[str, Any], read: Dimensions | None) -> None:
    wire = {"type": "render_hints", "subscriber": {"id": 1, "hints": [{"track": "MT1", "render_dimensions": said}]}}

    hints = message_of_client(Channel.RENDER_HINTS, json.dumps(wire))

    assert hints == RenderHints(id=1, hints=(RenderHint(track="MT1", render_dimensions=read),))


def test_local_levels_without_a_level_of_their_own_are_as_good_as_the_worst_of_them() -> None:
    wire = {
        "type": "network_quality",
        "local": {"audio": {"send": 5, "recv": 2}, "video": {"send": 3, "recv": 4}},
    }

    reply = message_of_service(Channel.NETWORK_QUALITY, json.dumps(wire))

    assert isinstance(reply, QualityReply)
    assert reply.local.level == 2
    assert reply.remotes is None


def test_a_result_that_nobody_knows_is_a_hint_that_could_not_be_applied() -> None:
    wire = {"type": "publisher_hints", "id": 1, "hints": [{"track": "MT1", "result": "TOO_LATE"}]}

    results = message_of_client(Channel.PUBLISHER_HINTS, json.dumps(wire))

    assert results == PublisherHintResults(
        id=1, hints=(TrackResult(track="MT1", result=HintResult.COULD_NOT_APPLY_HINT),)
    )
