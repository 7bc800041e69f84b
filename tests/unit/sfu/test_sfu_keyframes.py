"""Key frames: asking for them, and seeing them come."""

import pytest

from appliance.sfu.keyframes import KeyframeRequests, begins_keyframe


def test_the_first_request_goes_out_and_those_within_the_interval_become_one_at_its_end() -> None:
    requests = KeyframeRequests(interval_s=0.5)

    assert requests.ask(10.0)
    assert not requests.ask(10.1)
    assert not requests.ask(10.2)
    assert not requests.is_due(10.4)
    assert requests.is_due(10.5)
    assert not requests.is_due(10.6)
    assert not requests.is_due(20.0)


def test_a_deferred_request_is_forgotten_when_the_keyframe_came() -> None:
    requests = KeyframeRequests(interval_s=0.5)
    requests.ask(10.0)
    requests.ask(10.1)

    requests.satisfied()

    assert not requests.is_due(11.0)


def test_after_the_interval_the_next_request_goes_out_at_once() -> None:
    requests = KeyframeRequests(interval_s=0.5)
    requests.ask(10.0)

    assert requests.ask(10.5)


@pytest.mark.parametrize(
    ("codec", "payload", "expected"),
    [
        ("VP8", "10 00", True),
        ("VP8", "10 01", False),  # P set: an inter frame
        ("VP8", "00 00", False),  # not the start of a partition
        ("VP8", "11 00", False),  # partition 1
        ("VP8", "90 80 12 00", True),  # picture id of 7 bits
        ("VP8", "90 80 92 34 00", True),  # picture id of 15 bits
        ("VP8", "90 f0 92 34 01 20 00", True),  # and TL0PICIDX, TID
        ("VP8", "90 f0 92 34 01 20 01", False),
        ("VP8", "90 80 92", False),  # cut off
        ("VP8", "10", False),
        ("VP8", "", False),
        ("H264", "65 88", True),  # IDR
        ("H264", "67 42", True),  # SPS
        ("H264", "41 9a", False),
        ("H264", "78 00 02 67 42 00 01 68", True),  # STAP-A with SPS and PPS
        ("H264", "78 00 01 41 00 01 41", False),
        ("H264", "7c 85 00", True),  # FU-A, start of an IDR
        ("H264", "7c 05 00", False),  # its middle
        ("H264", "7c", False),
        ("H264", "78 00", False),
        ("H264", "", False),
        ("opus", "fc", True),
    ],
)
def test_the_first_packet_of_a_keyframe_is_recognised(codec: str, payload: str, expected: bool) -> None:
    assert begins_keyframe(codec, bytes.fromhex(payload)) is expected
