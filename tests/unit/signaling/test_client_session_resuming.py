"""The joining end resumes its session over a new socket, against a real admitting end in memory."""

from dataclasses import replace

import pytest

from appliance.media_engine import Description, DescriptionType, IceState, PeerConnectionState
from appliance.signaling import server
from appliance.signaling.client_events import (
    Disconnected,
    Reconnecting,
    Synced,
    Updated,
)
from appliance.signaling.messages import ServerUpdate, SyncedMessage
from appliance.signaling.room_session import RoomState
from appliance.signaling.states import (
    ParticipantState,
    PublishedState,
    SubscribedState,
)
from tests.support.signaling_pair import (
    BOB,
    CAMERA,
    MICROPHONE,
    OWN,
    SESSION_TIMEOUT_S,
    SignalingPair,
    admitted,
    answer,
    offer,
    server_of,
)


def resumed(pair: SignalingPair, **parts: object) -> None:
    """Let the service resume the session over the socket that is open now."""
    message = SyncedMessage(session="S-A", participant=OWN, participants=(BOB,), **parts)  # type: ignore[arg-type]
    server_of(pair).send_synced(message, pair.now)
    pair.pump()


@pytest.mark.parametrize("code", [1001, 1006, 1011, 1012, 4000])
def test_a_lost_socket_is_replaced_after_a_short_delay(code: int) -> None:
    pair = admitted()

    pair.break_socket(code)

    assert pair.client.state is RoomState.SYNCING
    assert pair.client_saw(Reconnecting).error.code == 53001
    assert 0 <= pair.sockets_wanted()[-1] <= 0.08


def test_silence_for_three_heartbeats_closes_3001_and_reconnects() -> None:
    pair = admitted()
    pair.up = False

    pair.sleep(14.9)
    assert pair.client_closes == []
    pair.sleep(0.2)

    assert pair.client_closes == [3001]
    assert pair.client.state is RoomState.SYNCING


def test_the_sync_in_the_hello_tells_session_tracks_and_last_descriptions() -> None:
    pair = admitted()
    pair.client.describe((answer(2),), pair.now)
    pair.break_socket()
    pair.client.renew_token("token-b")
    pair.client.set_tracks((MICROPHONE,), pair.now)

    pair.open_socket()

    message = pair.server_saw(server.SyncRequested).message
    assert message.session == "S-A"
    assert message.token == "token-b"
    assert message.participant.tracks == (MICROPHONE,)
    assert message.peer_connections == (answer(2),)


def test_that_a_connection_was_closed_is_said_again_before_what_took_its_place_and_once() -> None:
    closed = PeerConnectionState(id="pc-a", description=Description(type=DescriptionType.CLOSE, revision=2))
    pair = admitted()
    pair.up = False  # the network is gone, and nobody has noticed yet
    pair.client.describe((closed,), pair.now)
    pair.client.describe((offer(1, "pc-b"),), pair.now)
    pair.up = True
    pair.break_socket()

    pair.open_socket()
    assert pair.server_saw(server.SyncRequested).message.peer_connections == (closed, offer(1, "pc-b"))
    resumed(pair)
    pair.break_socket()
    pair.open_socket()

    assert pair.server_saw(server.SyncRequested).message.peer_connections == (offer(1, "pc-b"),)


def test_synced_ends_the_gap_and_tells_everybody_who_is_there() -> None:
    pair = admitted()
    pair.break_socket()
    pair.open_socket()

    resumed(pair, subscribed=SubscribedState(revision=1), published=PublishedState(revision=2))

    message = pair.client_saw(Synced).message
    assert message.participants == (BOB,), "complete, though nothing about Bob has changed"
    assert message.subscribed is None
    assert message.published == PublishedState(revision=2)
    assert pair.client.state is RoomState.CONNECTED


def test_what_was_wanted_after_the_sync_was_sent_follows_synced() -> None:
    pair = admitted()
    pair.break_socket()
    pair.open_socket()
    muted = replace(MICROPHONE, enabled=False)
    pair.client.set_tracks((muted, CAMERA), pair.now)
    pair.client.describe((offer(3),), pair.now)

    resumed(pair)

    message = pair.server_saw(server.Updated).message
    assert message.participant.tracks == (muted, CAMERA)
    assert message.peer_connections == (offer(3),)


def test_what_the_sync_has_told_is_not_told_again() -> None:
    pair = admitted()
    pair.break_socket()
    pair.client.describe((offer(2),), pair.now)
    pair.open_socket()

    resumed(pair)

    assert pair.server_saw(server.SyncRequested).message.peer_connections == (offer(2),)
    assert not any(isinstance(event, server.Updated) for event in pair.server_events)


def test_candidates_that_may_be_lost_are_told_again_after_synced() -> None:
    pair = admitted()
    candidates = PeerConnectionState(id="pc-a", ice=IceState(revision=2, ufrag="u", complete=True))
    pair.client.describe((candidates,), pair.now)
    pair.break_socket()
    pair.open_socket()

    resumed(pair)

    assert pair.server_saw(server.Updated).message.peer_connections == (candidates,)


def test_an_update_that_comes_while_syncing_is_told_after_synced() -> None:
    pair = admitted()
    pair.break_socket()
    pair.open_socket()
    later = replace(BOB, revision=9, state=ParticipantState.RECONNECTING)
    update = '{"type":"msg","body":%s}'
    body = '{"type":"update","participants":[{"sid":"PA_B","identity":"bob","state":"reconnecting","revision":9}]}'
    pair.client.receive(update % body, pair.now)
    pair.pump()
    assert pair.client_count(Updated) == 0

    resumed(pair)

    assert isinstance(pair.client_events[-2], Synced)
    assert pair.client_saw(Updated).message.participants == (later,)


def test_without_a_socket_for_the_session_time_out_the_stay_ends_with_53001() -> None:
    pair = admitted()
    pair.break_socket()
    while pair.sockets_wanted() and pair.client.state is RoomState.SYNCING:
        pair.sleep(pair.sockets_wanted()[-1] + 1)
        pair.client.socket_closed(1006, pair.now)
        pair.pump()

    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert error.code == 53001
    assert pair.now - 1000 == pytest.approx(SESSION_TIMEOUT_S, abs=12)


def test_the_delays_grow_and_start_anew_after_success() -> None:
    pair = admitted()
    pair.break_socket()
    for _ in range(6):
        pair.client.socket_closed(1006, pair.now)
        pair.pump()
    assert max(pair.sockets_wanted()) > 0.08
    pair.open_socket()
    resumed(pair)

    pair.break_socket()

    assert pair.sockets_wanted()[-1] <= 0.08


def test_an_expired_session_ends_with_the_code_of_the_service() -> None:
    pair = admitted()
    pair.break_socket()
    pair.open_socket().send_error(53002, "expired", pair.now)
    pair.pump()

    error = pair.client_saw(Disconnected).error
    assert error is not None
    assert error.code == 53002


def test_a_second_loss_does_not_prolong_the_session() -> None:
    pair = admitted()
    pair.break_socket()
    pair.sleep(10)
    pair.open_socket()
    pair.break_socket()
    assert pair.client_count(Reconnecting) == 1

    pair.sleep(SESSION_TIMEOUT_S - 10)

    assert pair.client.state is RoomState.DISCONNECTED


def test_a_connection_that_the_service_closed_is_not_in_the_sync() -> None:
    pair = admitted()
    close = PeerConnectionState(id="pc-a", description=Description(type=DescriptionType.CLOSE, revision=9))
    server_of(pair).send_update(ServerUpdate(peer_connections=(close,)), pair.now)
    pair.pump()
    pair.client.describe((offer(2, pc="pc-b"),), pair.now)
    pair.break_socket()

    pair.open_socket()

    assert pair.server_saw(server.SyncRequested).message.peer_connections == (offer(2, pc="pc-b"),)
