"""Between the rooms service's values and room messages: bandwidth profiles and channels of media signaling."""

from typing import Any

import pytest

from appliance.media_engine import (
    Dimensions,
    ReceivingProfile,
    SwitchOffMode,
    TrackPriority,
    VideoMode,
)
from appliance.rooms.asked import Asked
from appliance.rooms.conversation import Changed
from appliance.rooms.wire import (
    bandwidth_profile_of,
    join_request,
    receiving_profile,
    server_update,
    update_request,
)
from appliance.signaling.messages import ClientUpdate, ConnectMessage
from appliance.signaling.wishes import BandwidthProfile

CONNECT: dict[str, Any] = {
    "type": "connect",
    "token": "t",
    "participant": {"revision": 1, "tracks": []},
    "peer_connections": [],
    "media_signaling": {
        "active_speaker": {"transports": [{"type": "data-channel"}]},
        "render_hints": {"transports": [{"type": "data-channel"}]},
    },
    "bandwidth_profile": {
        "video": {
            "mode": "presentation",
            "active_speaker_priority": "high",
            "max_subscription_bandwidth": 2_500_000,
            "max_tracks": 5,
            "track_switch_off": "disabled",
            "render_dimensions": {"high": {"width": 1280, "height": 720}, "low": {"width": 176}},
        }
    },
}
PROFILE = ReceivingProfile(
    mode=VideoMode.PRESENTATION,
    active_speaker_priority=TrackPriority.HIGH,
    max_bitrate_bps=2_500_000,
    max_tracks=5,
    switch_off=SwitchOffMode.DISABLED,
    render_dimensions={
        TrackPriority.HIGH: Dimensions(width=1280, height=720),
        TrackPriority.LOW: Dimensions(width=176, height=99),
    },
)


def test_what_a_client_asks_for_when_it_connects_is_passed_on() -> None:
    request = join_request(ConnectMessage.from_wire(CONNECT))

    assert request.channels == {"active_speaker", "render_hints"}
    assert request.profile == PROFILE


def test_a_profile_that_says_nothing_is_as_the_sdk_documents_its_options() -> None:
    assert receiving_profile(BandwidthProfile()) == ReceivingProfile(
        mode=VideoMode.GRID, max_bitrate_bps=None, max_tracks=None, switch_off=SwitchOffMode.PREDICTED
    )
    assert receiving_profile(None) is None


@pytest.mark.parametrize("bandwidth", [0, -1, 0.5])
def test_a_limit_of_nothing_is_no_limit(bandwidth: float) -> None:
    profile = receiving_profile(BandwidthProfile(max_subscription_bandwidth=bandwidth, max_tracks=0))

    assert profile == ReceivingProfile()


def test_an_update_replaces_the_profile_only_if_it_has_one() -> None:
    body = {"type": "update", "session": "s", "participant": {"revision": 1, "tracks": []}}

    assert update_request(ClientUpdate.from_wire(body)).profile is None
    with_profile = {**body, "bandwidth_profile": CONNECT["bandwidth_profile"]}
    assert update_request(ClientUpdate.from_wire(with_profile)).profile == PROFILE


def test_labels_are_told_where_there_are_any() -> None:
    told = server_update(Changed(media_signaling={"active_speaker": "l-2"})).to_wire()

    assert told["media_signaling"] == {"active_speaker": {"transport": {"type": "data-channel", "label": "l-2"}}}
    assert "media_signaling" not in server_update(Changed()).to_wire()


def test_what_was_asked_for_is_read_as_it_was_written() -> None:
    asked = Asked(channels=frozenset({"render_hints", "active_speaker"}), profile=PROFILE)

    assert Asked.read(asked.written()) == asked
    assert Asked.read(Asked().written()) == Asked()
    assert Asked().written() == ""
    assert receiving_profile(bandwidth_profile_of(PROFILE)) == PROFILE


@pytest.mark.parametrize("text", ["", "[]", "{", '{"channels":3}', '{"channels":["a"],"bandwidth_profile":[]}'])
def test_of_what_another_version_wrote_the_sensible_is_kept(text: str) -> None:
    assert Asked.read(text).profile is None
