"""What `connect` may be asked, and what of it goes over the wire."""

from typing import Any

import pytest

from appliance.client.link_report import NetworkQualityConfiguration
from appliance.client.options import BandwidthProfileOptions, ConnectOptions, VideoBandwidthProfile
from appliance.media_engine import SwitchOffMode, TrackPriority, VideoMode

URL = "https://rooms.example"


@pytest.mark.parametrize(
    ("asked", "channels"),
    [
        ({}, set()),
        ({"dominant_speaker": True}, {"active_speaker"}),
        ({"network_quality": NetworkQualityConfiguration()}, {"network_quality"}),
        ({"bandwidth_profile": BandwidthProfileOptions()}, {"render_hints", "track_priority", "track_switch_off"}),
        ({"preferred_video_codecs": "auto"}, {"publisher_hints"}),
        ({"preferred_video_codecs": ("H264",)}, set()),
        ({"receive_transcriptions": True}, {"extension_transcriptions"}),
    ],
)
def test_each_option_asks_for_its_channels(asked: dict[str, Any], channels: set[str]) -> None:
    assert ConnectOptions(url=URL, **asked).channels() == channels


def test_a_profile_is_told_in_the_words_of_the_wire_and_only_what_is_set() -> None:
    full = VideoBandwidthProfile(
        mode=VideoMode.COLLABORATION,
        dominant_speaker_priority=TrackPriority.HIGH,
        max_subscription_bitrate=2_500_000,
        track_switch_off_mode=SwitchOffMode.DETECTED,
        client_track_switch_off_control="manual",
    )

    assert full.as_wish().to_wire() == {
        "video": {
            "mode": "collaboration",
            "active_speaker_priority": "high",
            "max_subscription_bandwidth": 2_500_000,
            "track_switch_off": "detected",
        }
    }
    assert VideoBandwidthProfile().as_wish().to_wire() == {"video": {}}
