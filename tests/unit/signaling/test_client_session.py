"""The joining end, against a real admitting end in memory."""

from dataclasses import replace

import pytest

from appliance.errors import LocalProtocolError
from appliance.media_engine import IceState, PeerConnectionState, VideoMode
from appliance.signaling import server
from appliance.signaling.client_events import (
    Connected,
    Disconnected,
    IceServersKnown,
    SocketWanted,
    Updated,
    Warned,
)
from appliance.signaling.frames import Busy
from appliance.signaling.messages import ServerUpdate, WarningMessage
from appliance.signaling.room_session import RoomState
from appliance.signaling.states import (
    IceServer,
    ParticipantState,
    PublishedState,
    RecordingState,
    RemoteParticipantState,
    SubscribedState,
)
from appliance.signaling.wishes import BandwidthProfile, IceServerSource
from tests.support.signaling_pair import (
    BOB,
    CAMERA,
    MICROPHONE,
    SignalingPair,
    admitted,
    answer,
    connected,
    offer,
    server_of,
)

# --- joining ---------------------------------------------------------------------------------------------------------


def test_a_new_session_wants_a_socket_at_once() -> None:
    assert SignalingPair().client_events == [SocketWanted(0.0)]


def test_the_first_thing_asked_is_ice_servers_with_the_token() -> None:
    pair = SignalingPair()

    pair.open_socket()

    assert pair.server_events == [server.IceRequested("token-a", preflight=False)]


def test_ice_servers_are_told_and_the_connect_carries_tracks_and_offer() -> None:
    pair = SignalingPair()
    turn = IceServer(urls=("turn:turn.example.org:3478",), username="u", credential="p")
    pair.open_socket().send_iced((turn,), pair.now)
    pair.pump()
    assert pair.client_saw(IceServersKnown).ice_servers == (turn,)

    pair.client.connect((offer(),), pair.now)
    pair.pump()

    message = pair.server_saw(server.ConnectRequested).message
    assert message.name == "lab"
    assert message.participant.revision == 3
    assert message.participant.tracks == (MICROPHONE, CAMERA)
    assert message.peer_connections == (offer(),)
    assert message.subscribe.automatic


def test_connected_is_told_once_with_the_room() -> None:
    pair = admitted()

    assert pair.client_saw(Connected).message == connected(BOB)
    assert pair.client.state is RoomState.CONNECTED
    assert pair.client.session == "S-A"


def test_with_ice_servers_of_its_own_the_connect_travels_in_the_hello() -> None:
    pair = SignalingPair(options={"own_ice_servers": True, "automatic_subscription": False})
    assert pair.sockets_wanted() == []
    pair.client.connect((offer(),), pair.now)
    pair.pump()
    assert pair.sockets_wanted() == [0.0]

    pair.open_socket()

    message = pair.server_saw(server.ConnectRequested).message
    assert message.ice_servers is IceServerSource.OVERRODE
    assert message.peer_connections == (offer(),)
    assert not message.subscribe.automatic


def test_connecting_before_the_ice_servers_are_known_is_a_bug_of_the_caller() -> None:
    pair = SignalingPair()

    with pytest.raises(LocalProtocolError):
        pair.client.connect((offer(),), pair.now)


def test_connecting_twice_is_a_bug_of_the_caller() -> None:
    pair = admitted()

    with pytest.raises(LocalProtocolError):
        pair.client.connect((offer(),), pair.now)


def test_a_track_that_changes_before_connect_is_told_by_connect() -> None:
    pair = SignalingPair()
    pair.client.set_tracks((MICROPHONE,), pair.now)
    pair.open_socket().send_iced((), pair.now)
    pair.pump()
    pair.client.connect((offer(),), pair.now)
    pair.pump()

    assert pair.server_saw(server.ConnectRequested).message.participant.tracks == (MICROPHONE,)


def test_updates_made_while_connecting_are_sent_as_one_after_connected() -> None:
    pair = SignalingPair()
    ready = pair.open_socket()
    ready.send_iced((), pair.now)
    pair.pump()
    pair.client.connect((offer(),), pair.now)
    muted = replace(MICROPHONE, enabled=False)
    pair.client.set_tracks((muted, CAMERA), pair.now)
    pair.client.describe((PeerConnectionState(id="pc-a", ice=IceState(revision=1, ufrag="u")),), pair.now)
    pair.client.describe((PeerConnectionState(id="pc-a", ice=IceState(revision=2, ufrag="u")),), pair.now)
    pair.pump()
    assert not any(isinstance(event, server.Updated) for event in pair.server_events)

    ready.send_connected(connected(), pair.now)
    pair.pump()

    updates = [event.message for event in pair.server_events if isinstance(event, server.Updated)]
    assert len(updates) == 1
    assert updates[0].session == "S-A"
    assert updates[0].participant.tracks == (muted, CAMERA)
    assert updates[0].peer_connections == (PeerConnectionState(id="pc-a", ice=IceState(revision=2, ufrag="u")),)


@pytest.mark.parametrize("code", [20104, 53105, 59999])
def test_an_error_while_connecting_ends_with_its_code(code: int) -> None:
    pair = SignalingPair()
    pair.open_socket().send_error(code, "as sent", pair.now)
    pair.pump()

    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert (error.code, error.message) == (code, "as sent")
    assert pair.client_closes == [1000]


def test_a_socket_that_is_lost_while_connecting_ends_with_53000() -> None:
    pair = SignalingPair()
    pair.open_socket()

    pair.break_socket(1006)

    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert error.code == 53000


def test_a_service_that_closes_1000_while_connecting_ends_with_53001() -> None:
    pair = SignalingPair()
    pair.open_socket()

    pair.break_socket(1000)

    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert error.code == 53001


def test_a_socket_that_never_opens_is_given_up_after_15_s_with_3007() -> None:
    pair = SignalingPair()

    pair.sleep(14.9)
    assert pair.client_closes == []
    pair.sleep(0.2)

    assert pair.client_closes == [3007]
    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert error.code == 53000


def test_a_service_that_welcomes_but_never_answers_is_given_up() -> None:
    pair = SignalingPair()
    pair.open_socket()

    pair.sleep(29)
    assert pair.client_count(Disconnected) == 0
    pair.sleep(2)

    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert error.code == 53000


def test_a_connected_without_participant_ends_with_53003() -> None:
    pair = SignalingPair()
    pair.open_socket().send_iced((), pair.now)
    pair.pump()
    pair.client.connect((offer(),), pair.now)
    pair.client.receive('{"type":"msg","body":{"type":"connected","session":"S","sid":"RM"}}', pair.now)
    pair.pump()

    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert error.code == 53003


# --- hello again, busy, bad ------------------------------------------------------------------------------------------


def test_a_hello_without_answer_is_said_three_times_then_3000() -> None:
    pair = SignalingPair(up=False)
    pair.open_socket()
    pair.sleep(14.9)
    assert pair.client_closes == []

    pair.sleep(0.2)

    assert pair.client_closes == [3000]
    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert error.code == 53000


def test_a_terminal_busy_closes_3006_and_ends_with_53006() -> None:
    pair = SignalingPair()

    pair.open_socket(busy=Busy(retry_after_ms=-1))

    assert pair.client_closes == [3006]
    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert error.code == 53006


def test_busy_with_keep_alive_says_hello_again_over_the_same_socket() -> None:
    pair = SignalingPair()
    pair.open_socket(busy=Busy(retry_after_ms=2000, keep_alive=True, cookie="c"))
    pair.sleep(1.9)
    assert pair.client.take_outbox() == []

    pair.clock.advance(0.2)
    pair.client.wake(pair.now)

    [hello] = pair.client.take_outbox()
    assert '"type":"hello"' in hello
    assert '"cookie":"c"' in hello
    assert pair.client_closes == []


def test_who_waits_on_an_open_socket_may_be_welcomed_before_it_asks_again() -> None:
    pair = SignalingPair()
    crowded = pair.open_socket(busy=Busy(retry_after_ms=2000, keep_alive=True, cookie="c"))
    assert pair.server_events == []

    crowded.readmit(pair.now)
    pair.pump()

    assert isinstance(pair.server_events[0], server.IceRequested)
    assert pair.client_closes == []


def test_busy_without_keep_alive_closes_3005_and_returns_with_the_cookie() -> None:
    pair = SignalingPair()
    pair.open_socket(busy=Busy(retry_after_ms=2000, keep_alive=False, cookie="c"))
    assert pair.client_closes == [3005]
    assert pair.sockets_wanted() == [0.0, 2.0]
    pair.sleep(2)

    pair.client.socket_opened(pair.now)

    assert '"cookie":"c"' in pair.client.take_outbox()[0]


def test_a_bad_hello_closes_3002_and_ends_with_53000() -> None:
    pair = SignalingPair()
    pair.client.socket_opened(pair.now)
    pair.client.receive('{"type":"bad","reason":"no"}', pair.now)
    pair.pump()

    assert pair.client_closes == [3002]
    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert error.code == 53000


# --- in the room -----------------------------------------------------------------------------------------------------


def test_muting_sends_the_whole_state_with_the_next_revision() -> None:
    pair = admitted()
    muted = replace(MICROPHONE, enabled=False)

    pair.client.set_tracks((muted, CAMERA), pair.now)
    pair.pump()

    message = pair.server_saw(server.Updated).message
    assert message.participant.revision == 4
    assert message.participant.tracks == (muted, CAMERA)


def test_the_same_tracks_again_are_not_sent() -> None:
    pair = admitted()

    pair.client.set_tracks((MICROPHONE, CAMERA), pair.now)
    pair.pump()

    assert not any(isinstance(event, server.Updated) for event in pair.server_events)


def test_an_answer_is_sent_with_the_participant_unchanged() -> None:
    pair = admitted()

    pair.client.describe((answer(2),), pair.now)
    pair.pump()

    message = pair.server_saw(server.Updated).message
    assert message.peer_connections == (answer(2),)
    assert message.participant.revision == 3


def test_a_bandwidth_profile_is_sent_at_the_top_of_an_update() -> None:
    pair = admitted()
    profile = BandwidthProfile(mode=VideoMode.GRID)

    pair.client.set_bandwidth_profile(profile, pair.now)
    pair.pump()

    assert pair.server_saw(server.Updated).message.bandwidth_profile == profile


def test_old_states_and_our_own_are_left_out_of_an_update() -> None:
    pair = admitted()
    own = RemoteParticipantState(sid="PA_A", identity="alice", state=ParticipantState.CONNECTED, revision=99)
    update = ServerUpdate(
        participants=(BOB, own),
        published=PublishedState(revision=1),
        subscribed=SubscribedState(revision=2),
        recording=RecordingState(is_recording=True, revision=1),
    )
    server_of(pair).send_update(update, pair.now)
    server_of(pair).send_update(update, pair.now)
    pair.pump()

    first, second = [event.message for event in pair.client_events if isinstance(event, Updated)]
    assert first.participants == ()
    assert first.published is None
    assert first.subscribed == SubscribedState(revision=2)
    assert second.subscribed is None
    assert second.recording is not None, "an equal recording revision is applied (signaling.md 2.10)"


def test_a_warning_is_told_once_per_revision() -> None:
    pair = admitted()
    warning = WarningMessage(revision=1, tracks={"MT_AA": {"recordings": "NO_MEDIA"}})

    server_of(pair).send_warning(warning, pair.now)
    server_of(pair).send_warning(warning, pair.now)
    pair.pump()

    assert pair.client_saw(Warned).message == warning
    assert pair.client_count(Warned) == 1


def test_an_unknown_message_is_ignored() -> None:
    pair = admitted()

    pair.client.receive('{"type":"msg","body":{"type":"news"}}', pair.now)
    pair.pump()

    assert pair.client.state is RoomState.CONNECTED


def test_both_ends_beat_so_that_nobody_gives_up() -> None:
    pair = admitted()

    pair.sleep(3600)

    assert pair.client.state is RoomState.CONNECTED
    assert pair.client_closes == pair.server_closes == []


# --- leaving ---------------------------------------------------------------------------------------------------------


def test_leaving_says_disconnect_and_bye_and_closes_1000() -> None:
    pair = admitted()

    pair.client.disconnect(pair.now)
    pair.pump()

    assert pair.server_events[-1] == server.Left()
    assert pair.client_closes == [1000]
    assert pair.client_saw(Disconnected) == Disconnected(None)


def test_leaving_twice_is_fine() -> None:
    pair = admitted()

    pair.client.disconnect(pair.now)
    pair.client.disconnect(pair.now)
    pair.pump()

    assert pair.client_count(Disconnected) == 1


def test_leaving_before_the_socket_is_open_gives_the_attempt_up() -> None:
    pair = SignalingPair()

    pair.client.disconnect(pair.now)
    pair.pump()

    assert pair.client_closes == [1000]
    assert pair.client_saw(Disconnected) == Disconnected(None)


def test_a_completed_room_ends_with_53118() -> None:
    pair = admitted()

    server_of(pair).send_disconnected(pair.now, completed=True)
    pair.pump()

    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert error.code == 53118


def test_being_put_out_ends_without_error() -> None:
    pair = admitted()

    server_of(pair).send_disconnected(pair.now, completed=False)
    pair.pump()

    assert pair.client_saw(Disconnected) == Disconnected(None)


def test_a_service_that_closes_1000_ends_the_stay_without_error_or_retry() -> None:
    pair = admitted()

    pair.break_socket(1000)

    assert pair.client_saw(Disconnected) == Disconnected(None)
    assert pair.sockets_wanted() == [0.0]
