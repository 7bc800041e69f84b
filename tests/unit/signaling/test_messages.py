"""Room messages: what is read of them and what is written."""

from typing import Any

import pytest

from appliance.errors import RemoteProtocolError
from appliance.media_engine import DescriptionType, Dimensions, SwitchOffMode, TrackKind, TrackPriority, VideoMode
from appliance.signaling.messages import (
    ConnectedMessage,
    ConnectMessage,
    ErrorMessage,
    IcedMessage,
    IceMessage,
    ServerUpdate,
    WarningMessage,
    client_message,
    server_message,
)
from appliance.signaling.states import LocalTrackState, RemoteParticipantState, SubscribedTrackState
from appliance.signaling.wishes import BandwidthProfile, IceServerSource, RuleType

SDK_CONNECT: dict[str, Any] = {  # as the SDK 2.36.0 sends it (signaling.md 2.3)
    "type": "connect",
    "version": 2,
    "name": None,
    "token": "t",
    "format": "unified",
    "ice_servers": "overrode",
    "publisher": {"name": "twilio-video.js", "sdk_version": "2.36.0", "user_agent": "Mozilla/5.0"},
    "participant": {
        "revision": 2,
        "tracks": [
            {
                "id": "a",
                "kind": "audio",
                "name": "mic",
                "enabled": True,
                "priority": "low",
                "audio_processor": "krisp",
            }
        ],
        "media_warnings": ["recordings"],
    },
    "peer_connections": [{"id": "pc", "description": {"type": "offer", "revision": 1, "sdp": "v=0"}}],
    "media_signaling": {
        "active_speaker": {"transports": [{"type": "data-channel"}]},
        "pigeon_post": {"transports": [{"type": "pigeon"}]},
    },
    "subscribe": {"revision": 1, "rules": [{"type": "exclude", "all": True}]},
    "bandwidth_profile": {"video": {"mode": "grid", "render_dimensions": {"high": {"width": 1280}}}},
}


def test_the_sdks_connect_is_read_whole() -> None:
    message = client_message(SDK_CONNECT)

    assert isinstance(message, ConnectMessage)
    assert message.name is None
    assert message.ice_servers is IceServerSource.OVERRODE
    assert message.participant.tracks == (
        LocalTrackState(id="a", kind=TrackKind.AUDIO, name="mic", priority=TrackPriority.LOW),
    )
    assert message.media_signaling == {"active_speaker"}, "what needs another transport is not asked of us"
    assert message.subscribe.rules[0].type is RuleType.EXCLUDE
    assert not message.subscribe.automatic
    assert message.bandwidth_profile
    assert message.bandwidth_profile.mode is VideoMode.GRID
    assert message.bandwidth_profile.render_dimensions == {TrackPriority.HIGH: Dimensions(width=1280, height=720)}
    assert message.peer_connections[0].description
    assert message.peer_connections[0].description.type is DescriptionType.OFFER


def test_what_a_client_leaves_out_has_a_meaning() -> None:
    message = client_message(
        {"type": "connect", "token": "t", "participant": {"revision": 1, "tracks": []}, "peer_connections": []}
    )

    assert isinstance(message, ConnectMessage)
    assert message.subscribe.automatic
    assert message.media_signaling == frozenset()
    assert message.bandwidth_profile is None


@pytest.mark.parametrize("junk", ["all", 7, [], {"video": 3}, {"video": {"mode": "mosaic", "max_tracks": -1}}])
def test_a_bandwidth_profile_of_which_nothing_can_be_made_was_not_given(junk: object) -> None:
    message = client_message({**SDK_CONNECT, "bandwidth_profile": junk})

    assert isinstance(message, ConnectMessage)
    assert message.bandwidth_profile in (None, BandwidthProfile())


def test_of_a_bandwidth_profile_the_sensible_hints_are_kept() -> None:
    sizes = {"high": {"width": 640, "height": 480}, "low": "tiny", "urgent": {"width": 1}}
    video = {"mode": 3, "track_switch_off": "detected", "max_tracks": 4, "render_dimensions": sizes}

    message = client_message({**SDK_CONNECT, "bandwidth_profile": {"video": video}})

    assert isinstance(message, ConnectMessage)
    assert message.bandwidth_profile == BandwidthProfile(
        track_switch_off=SwitchOffMode.DETECTED,
        max_tracks=4,
        render_dimensions={TrackPriority.HIGH: Dimensions(width=640, height=480)},
    )
    assert BandwidthProfile.from_wire(message.bandwidth_profile.to_wire()) == message.bandwidth_profile


def test_preflight_is_written_only_where_it_is_meant() -> None:
    assert "preflight" not in IceMessage(token="t").to_wire()
    assert IceMessage(token="t", preflight=True).to_wire()["preflight"] is True


def test_ice_servers_have_one_address_or_many() -> None:
    message = server_message(
        {"type": "iced", "ice_servers": [{"urls": "stun:a"}, {"urls": ["turn:b", "turn:c"], "username": "u"}]}
    )

    assert isinstance(message, IcedMessage)
    assert [server.urls for server in message.ice_servers] == [("stun:a",), ("turn:b", "turn:c")]


def test_an_update_writes_only_what_has_changed() -> None:
    assert ServerUpdate().to_wire() == {"type": "update", "version": 2}
    assert ServerUpdate(participants=()).to_wire()["participants"] == []


def test_a_participant_who_left_is_read_without_tracks_and_written_with_them() -> None:
    message = server_message(
        {
            "type": "update",
            "participants": [{"sid": "PA", "identity": "bob", "state": "disconnected", "revision": 4}],
        }
    )

    assert isinstance(message, ServerUpdate)
    assert message.participants
    assert message.participants[0].to_wire()["tracks"] == [], "the SDK iterates it unguarded (signaling.md 2.6)"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"sid": "MT"}, "id: missing"),
        ({"id": "s-1"}, "sid: missing"),
        ({"sid": "MT", "error": {}}, "error.code: missing"),
    ],
)
def test_a_subscription_has_an_id_or_an_error(entry: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RemoteProtocolError, match=complaint):
        SubscribedTrackState.from_wire(entry)


@pytest.mark.parametrize("kind", ["offer", "answer"])
def test_an_offer_and_an_answer_have_an_sdp(kind: str) -> None:
    body = {
        "type": "update",
        "participant": {"revision": 1, "tracks": []},
        "peer_connections": [{"id": "pc", "description": {"type": kind, "revision": 1}}],
    }

    with pytest.raises(RemoteProtocolError, match=r"peer_connections\[0\]\.description\.sdp: missing"):
        client_message(body)


def test_a_message_that_we_do_not_know_is_ignored_from_a_service_and_refused_from_a_client() -> None:
    assert server_message({"type": "news"}) is None
    with pytest.raises(RemoteProtocolError, match="'news' is no message of a client"):
        client_message({"type": "news"})


@pytest.mark.parametrize(("options", "timeout_s"), [({"session_timeout": 12.5}, 12.5), ({}, 30.0)])
def test_a_service_that_tells_no_session_timeout_means_30_s(options: dict[str, Any], timeout_s: float) -> None:
    message = ConnectedMessage.from_wire(
        {"session": "S", "sid": "RM", "name": "lab", "participant": {"sid": "PA", "identity": "a"}, "options": options}
    )

    assert message.options.session_timeout_s == timeout_s


def test_an_error_may_come_without_words() -> None:
    assert server_message({"type": "error", "code": 53205}) == ErrorMessage(code=53205, message="")


def test_warnings_name_tracks_and_subjects() -> None:
    body = {"type": "warning", "states": {"revision": 1, "tracks": {"MT_1": {"recordings": "NO_MEDIA"}}}}

    message = server_message(body)

    assert message == WarningMessage(revision=1, tracks={"MT_1": {"recordings": "NO_MEDIA"}})
    assert message.to_wire() == body


def test_a_participants_state_survives_the_wire() -> None:
    wire = {
        "sid": "PA_B",
        "identity": "bob",
        "state": "connected",
        "revision": 3,
        "tracks": [{"sid": "MT", "name": "cam", "kind": "video", "enabled": False, "priority": "high"}],
    }

    assert RemoteParticipantState.from_wire(wire).to_wire() == wire
