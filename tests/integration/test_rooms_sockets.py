"""Raw signaling clients against the real service and store over real WebSockets; only the media engine is none."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from appliance.media_engine import Description, DescriptionType, Negotiate, PeerConnectionState, TrackKind
from appliance.rooms import sockets as sockets_module
from appliance.rooms.credentials import Credentials
from appliance.rooms.service import RoomsService, ServiceSettings
from appliance.rooms.sockets import SignalingSockets
from appliance.rooms.store.store import Store
from appliance.signaling.client import Disconnected, Reconnecting, Synced
from appliance.signaling.link import MAX_FRAME_BYTES
from appliance.signaling.states import IceServer, LocalTrackState, ParticipantState
from appliance.system_clock import SystemClock
from appliance.tokens import mint
from tests.support.conditions import until
from tests.support.fake_media_engine import FakeMediaEngine, FakePeer
from tests.support.migrated import migrated_sqlite
from tests.support.raw_participant import RawParticipant

MICROPHONE = LocalTrackState(id="mic-id", kind=TrackKind.AUDIO, name="mic")
CAMERA = LocalTrackState(id="cam-id", kind=TrackKind.VIDEO, name="cam")
STUN = IceServer(urls=("stun:stun.example.org:3478",))


@dataclass
class Host:
    """A running service, as a test sees it."""

    url: str
    service: RoomsService
    sockets: SignalingSockets
    engine: FakeMediaEngine
    credentials: Credentials

    def token(self, identity: str, **options: object) -> str:
        return mint(self.credentials.signing_key, identity, now=time.time(), **options)  # type: ignore[arg-type]

    def participant(self, identity: str, *tracks: LocalTrackState, room: str = "lab") -> RawParticipant:
        return RawParticipant(self.url, self.token(identity), room, tracks)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    engine, credentials, clock = FakeMediaEngine(), Credentials.new(), SystemClock()
    async with Store(migrated_sqlite(tmp_path / "rooms.db")) as store:
        settings = ServiceSettings(session_timeout_s=5.0, ice_servers=(STUN,))
        service = RoomsService(settings, credentials, engine, store, clock)
        sockets = SignalingSockets(service, clock)
        app = web.Application()
        app.router.add_get("/signaling", sockets.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield Host(f"http://127.0.0.1:{port}/signaling", service, sockets, engine, credentials)
        await service.close()
        await sockets.close()
        await engine.close()
        await runner.cleanup()


async def both(alice: RawParticipant, bob: RawParticipant) -> None:
    """Wait until two participants with tracks see and receive each other."""
    await alice.joined()
    await bob.joined()
    await until("alice sees bob", lambda: alice.participants and alice.subscribed)
    await until("bob sees alice", lambda: bob.participants and bob.subscribed)


def only(states: dict[str, object]) -> object:
    assert len(states) == 1
    return next(iter(states.values()))


async def hello(url: str, body: object) -> list[dict[str, object]]:
    """Say one hello by hand and return the bodies of all messages until an error, at most three."""
    bodies: list[dict[str, object]] = []
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        frame = {"type": "hello", "id": "1", "version": 2, "timeout": 5000, "body": body}
        await socket.send_str(json.dumps(frame))
        while len(bodies) < 3:
            frame = json.loads(await socket.receive_str(timeout=10))
            bodies += [frame["body"]] if frame["type"] == "msg" else []
            if bodies and bodies[-1]["type"] in ("error", "iced"):
                break
    return bodies


# --- joining ---------------------------------------------------------------------------------------------------------


async def test_two_participants_see_and_receive_each_other(host: Host) -> None:
    async with host.participant("alice", MICROPHONE, CAMERA) as alice, host.participant("bob", MICROPHONE) as bob:
        await both(alice, bob)

        seen_by_alice = only(alice.participants)
        assert seen_by_alice.identity == "bob"  # type: ignore[attr-defined]
        assert set(alice.published) == {"mic-id", "cam-id"}
        assert {track.sid for track in bob.subscribed} == set(alice.published.values())
        assert {track.sid for track in alice.subscribed} == set(bob.published.values())


async def test_connected_tells_the_answer_the_room_and_the_time_out(host: Host) -> None:
    async with host.participant("alice", MICROPHONE) as alice:
        message = (await alice.joined()).message

    assert message.name == "lab"
    assert message.sid.startswith("RM")
    assert message.options.session_timeout_s == 5.0
    assert message.peer_connections is not None
    description = message.peer_connections[0].description
    assert description is not None
    assert (description.type, description.revision) == ("answer", 1)


async def test_ice_servers_of_the_settings_are_given(host: Host) -> None:
    bodies = await hello(host.url, {"type": "ice", "version": 1, "token": host.token("alice")})

    assert bodies == [{"type": "iced", "version": 1, "ice_servers": [STUN.to_wire()]}]


@pytest.mark.parametrize(("token", "code"), [("no token", 20101), ("", 20101)], ids=["garbage", "empty"])
async def test_a_token_that_is_none_is_refused_by_number(host: Host, token: str, code: int) -> None:
    bodies = await hello(host.url, {"type": "ice", "version": 1, "token": token})

    assert [body.get("code") for body in bodies] == [code]


async def test_a_token_for_another_room_is_refused_at_connect(host: Host) -> None:
    token = host.token("alice", room="elsewhere")
    async with RawParticipant(host.url, token, "lab") as alice:
        error = (await alice.saw(Disconnected)).error

    assert error is not None
    assert error.code == 20106


async def test_a_newer_participant_of_the_same_identity_replaces_the_older(host: Host) -> None:
    async with host.participant("alice", MICROPHONE) as older:
        await older.joined()
        async with host.participant("alice", MICROPHONE) as newer:
            await newer.joined()
            error = (await older.saw(Disconnected)).error

    assert error is not None
    assert error.code == 53205


# --- in the room -----------------------------------------------------------------------------------------------------


async def test_muting_is_seen_by_the_others(host: Host) -> None:
    async with host.participant("alice", MICROPHONE) as alice, host.participant("bob", CAMERA) as bob:
        await both(alice, bob)

        alice.do(alice.session.set_tracks, (replace(MICROPHONE, enabled=False),))

        await until("muted", lambda: not only(bob.participants).tracks[0].enabled)  # type: ignore[attr-defined]


async def test_publishing_later_gives_a_sid_and_reaches_the_others(host: Host) -> None:
    async with host.participant("alice", MICROPHONE) as alice, host.participant("bob", CAMERA) as bob:
        await both(alice, bob)

        alice.do(alice.session.set_tracks, (MICROPHONE, CAMERA))

        await until("published", lambda: alice.published.get("cam-id"))
        await until("subscribed", lambda: len(bob.subscribed) == 2)
        assert len(bob.answered) >= 2, "each change of what Bob receives is an offer of its own"


async def test_a_track_name_that_is_taken_fails_by_number_and_the_rest_stays(host: Host) -> None:
    async with host.participant("alice", MICROPHONE) as alice:
        await alice.joined()
        alice.do(alice.session.set_tracks, (MICROPHONE, replace(CAMERA, name="mic")))

        await until("told", lambda: "cam-id" in alice.published)

        assert alice.published["cam-id"] is None
        assert alice.published["mic-id"] is not None


async def test_leaving_is_seen_at_once_with_the_last_tracks(host: Host) -> None:
    async with host.participant("bob", CAMERA) as bob:
        async with host.participant("alice", MICROPHONE) as alice:
            await both(alice, bob)

        gone = await until("gone", lambda: _in_state(bob, ParticipantState.DISCONNECTED))

        assert [track.name for track in gone.tracks] == ["mic"]
        assert alice.close_codes == [1000]


def _in_state(who: RawParticipant, state: ParticipantState):  # type: ignore[no-untyped-def]
    return next((each for each in who.participants.values() if each.state is state), None)


# --- losing the socket -----------------------------------------------------------------------------------------------


async def test_a_dropped_socket_is_resumed_and_the_others_see_it(host: Host) -> None:
    async with host.participant("alice", MICROPHONE) as alice, host.participant("bob", CAMERA) as bob:
        await both(alice, bob)
        before = dict(alice.published)
        states: list[ParticipantState] = []

        alice.drop_socket()

        await alice.saw(Synced)
        await until("bob sees her back", lambda: _in_state(bob, ParticipantState.CONNECTED))
        states = [each.state for each in bob.participants.values()]
        assert states == [ParticipantState.CONNECTED], "the same participant, no second one"
        assert alice.published == before
        assert alice.count(Reconnecting) == 1
        assert only(bob.participants).revision >= 3  # type: ignore[attr-defined]  # reconnecting, connected again


async def test_what_happens_while_away_is_in_the_picture_that_synced_gives(host: Host) -> None:
    async with host.participant("alice", MICROPHONE) as alice, host.participant("bob", CAMERA) as bob:
        await both(alice, bob)
        alice.drop_socket()
        bob.do(bob.session.set_tracks, (replace(CAMERA, enabled=False), replace(MICROPHONE, id="mic-b")))

        await alice.saw(Synced)

        await until("alice receives both", lambda: len(alice.subscribed) == 2)
        await until("muted", lambda: not only(alice.participants).tracks[0].enabled)  # type: ignore[attr-defined]


async def test_who_does_not_come_back_is_gone_after_the_session_time_out(host: Host) -> None:
    async with host.participant("bob", CAMERA) as bob:
        async with aiohttp.ClientSession() as http:
            alice = await _join_by_hand(http, host)
            await until("there", lambda: _in_state(bob, ParticipantState.CONNECTED))
            await alice.close(code=1001)
            await until("reconnecting", lambda: _in_state(bob, ParticipantState.RECONNECTING))

        host.service.settings = replace(host.service.settings, session_timeout_s=0.0)
        host.service.expire()

        await until("gone", lambda: _in_state(bob, ParticipantState.DISCONNECTED))


async def _join_by_hand(http: aiohttp.ClientSession, host: Host) -> aiohttp.ClientWebSocketResponse:
    socket = await http.ws_connect(host.url, autoclose=False)
    connect = {
        "type": "connect",
        "version": 2,
        "name": "lab",
        "token": host.token("alice"),
        "participant": {"revision": 1, "tracks": []},
        "peer_connections": [{"id": "pc", "description": {"type": "offer", "revision": 1, "sdp": "v=0"}}],
    }
    await socket.send_str(json.dumps({"type": "hello", "id": "1", "version": 2, "timeout": 5000, "body": connect}))
    while json.loads(await socket.receive_str(timeout=10)).get("body", {}).get("type") != "connected":
        pass
    return socket


async def test_an_unknown_session_cannot_be_resumed(host: Host) -> None:
    sync = {
        "type": "sync",
        "version": 2,
        "session": "nobody's",
        "token": host.token("alice"),
        "participant": {"revision": 1, "tracks": []},
    }

    bodies = await hello(host.url, sync)

    assert [body.get("code") for body in bodies] == [53001]


# --- closing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 3001, 3005])
async def test_the_clients_close_code_is_echoed(host: Host, code: int) -> None:
    async with aiohttp.ClientSession() as http:
        socket = await http.ws_connect(host.url, autoclose=False)

        await socket.close(code=code)

    assert socket.close_code == code


async def test_a_service_that_stops_closes_1012_and_takes_no_more(host: Host) -> None:
    async with host.participant("alice", MICROPHONE) as alice:
        await alice.joined()
        async with aiohttp.ClientSession() as http:
            idle = await http.ws_connect(host.url, autoclose=False)
            await until("two sockets", lambda: len(host.sockets) == 2)

            await host.service.close()
            await host.sockets.close()

            message = await idle.receive(timeout=5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)
            await idle.close()
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await http.ws_connect(host.url)
        await alice.saw(Reconnecting)
        assert alice.close_codes[0] == 1012


async def test_leaving_while_being_admitted_leaves_nobody_behind(host: Host) -> None:
    async with host.participant("bob", CAMERA) as bob:
        await bob.joined()
        async with host.participant("alice", MICROPHONE) as alice:

            def leave_at_once(peer: FakePeer) -> None:
                alice.do(alice.session.disconnect)

            host.engine.before_answer = leave_at_once
            await alice.saw(Disconnected)
        await until("only bob's socket is left", lambda: len(host.sockets) == 1)

        await until(
            "nobody but bob is in the room",
            lambda: (
                [peer.participant_sid for peers in host.engine.peers.values() for peer in peers]
                == [(bob.session._connected.participant.sid)]
            ),  # type: ignore[union-attr]
        )


async def test_a_bug_while_admitting_is_told_by_number_and_harms_nobody(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    async with host.participant("bob", CAMERA) as bob:
        await bob.joined()

        def fail(peer: FakePeer) -> None:
            raise RuntimeError("a bug")

        host.engine.before_answer = fail
        async with host.participant("alice", MICROPHONE) as alice:
            error = (await alice.saw(Disconnected)).error

        assert error is not None
        assert error.code == 53104
        assert "a bug" in caplog.text
        assert bob.count(Disconnected) == 0


async def test_a_client_that_takes_nothing_is_given_up_and_the_others_go_on(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets_module, "WRITE_DEADLINE_S", 0.3)
    async with host.participant("bob", CAMERA) as bob, aiohttp.ClientSession() as http:
        await bob.joined()
        stalled = await _join_by_hand(http, host)
        await until("there", lambda: _in_state(bob, ParticipantState.CONNECTED))
        peer = host.engine.peer(str(only(bob.participants).sid))  # type: ignore[attr-defined]
        offer = Description(type=DescriptionType.OFFER, revision=2, sdp="x" * 1_000_000)
        _stop_reading(stalled)
        for _ in range(30):
            peer.say(Negotiate(peer_connections=(PeerConnectionState(id="pc", description=offer),)))

        await until("given up", lambda: len(host.sockets) == 1)
        assert bob.count(Disconnected) == 0
        stalled._response.close()


def _stop_reading(socket: aiohttp.ClientWebSocketResponse) -> None:
    connection = socket._response.connection
    assert connection
    transport = connection.transport
    assert transport
    transport.pause_reading()  # type: ignore[attr-defined]


# --- bad input -------------------------------------------------------------------------------------------------------


async def _spoken(host: Host, *frames: str | bytes) -> dict[str, object]:
    """Join by hand, say these frames and return the first error."""
    async with aiohttp.ClientSession() as http:
        socket = await _join_by_hand(http, host)
        for frame in frames:
            await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        while True:
            body = json.loads(await socket.receive_str(timeout=10)).get("body", {})
            if body.get("type") == "error":
                await socket.close()
                return dict(body)


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        ("nonsense", "frame"),
        (b"\x00", "frame"),
        ('{"type":"msg"}', "body"),
        ('{"type":"nothing"}', "type"),
        ('{"type":"msg","body":{"type":"update"}}', "participant"),
        (
            '{"type":"msg","body":{"type":"update","participant":{"revision":2,"tracks":[{}]}}}',
            "participant.tracks[0].id",
        ),
        ('{"type":"msg","body":{"type":"connect","token":"t"}}', "participant"),
        (json.dumps({"type": "msg", "body": {"fill": "x" * MAX_FRAME_BYTES}}), "frame: larger"),
    ],
    ids=["no JSON", "binary", "no body", "unknown type", "no participant", "bad track", "no connect", "too large"],
)
async def test_a_frame_that_breaks_the_rules_is_refused_by_53004_naming_the_key(
    host: Host, frame: str | bytes, named: str
) -> None:
    error = await _spoken(host, frame)

    assert error["code"] == 53004
    assert str(error["message"]).startswith(named)


async def test_a_flood_of_frames_is_refused(host: Host) -> None:
    error = await _spoken(host, *['{"type":"heartbeat"}'] * 600)

    assert error["code"] == 53004


async def test_who_breaks_the_rules_leaves_the_room_and_disturbs_nobody(host: Host) -> None:
    async with host.participant("bob", CAMERA) as bob:
        await bob.joined()

        await _spoken(host, "nonsense")

        await until("gone", lambda: _in_state(bob, ParticipantState.DISCONNECTED))
        assert bob.count(Disconnected) == 0
