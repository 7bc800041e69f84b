"""The admitting end, fed with text frames as a client would send them."""

import json
from typing import Any

import pytest

from appliance.errors import LocalProtocolError
from appliance.signaling.link import CloseCode
from appliance.signaling.messages import ServerUpdate
from appliance.signaling.room_session import Admission
from appliance.signaling.server import (
    ConnectRequested,
    IceRequested,
    Left,
    LinkLost,
    Refused,
    ServerEvent,
    ServerSession,
    SyncRequested,
    Updated,
)
from tests.support.signaling_pair import connected

ICE = {"type": "ice", "version": 1, "edge": "roaming", "token": "t"}
CONNECT = {
    "type": "connect",
    "version": 2,
    "name": "lab",
    "token": "t",
    "participant": {"revision": 1, "tracks": []},
    "peer_connections": [{"id": "pc-a", "description": {"type": "offer", "revision": 1, "sdp": "v=0"}}],
}
SYNC = {"type": "sync", "version": 2, "session": "S", "token": "t", "participant": {"revision": 1, "tracks": []}}
UPDATE = {"type": "update", "version": 2, "session": "S-A", "participant": {"revision": 2, "tracks": []}}
DISCONNECT = {"type": "disconnect", "version": 2, "session": "S-A"}


class Talk:
    """A server session, what it wrote, and what it reported."""

    def __init__(self) -> None:
        self.now = 100.0
        self.session = ServerSession(self.now)
        self.frames: list[dict[str, Any]] = []
        self.events: list[ServerEvent] = []

    def say(self, frame: dict[str, Any] | str) -> None:
        self.session.receive(frame if isinstance(frame, str) else json.dumps(frame), self.now)
        self.read()

    def hello(self, body: dict[str, Any] | None = None, **other: Any) -> None:
        hello = {"type": "hello", "id": "h", "version": 2, "timeout": 5000, **other}
        self.say({**hello, "body": body} if body else hello)

    def message(self, body: dict[str, Any]) -> None:
        self.say({"type": "msg", "body": body})

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.session.wake_at()) <= end:
            self.now = max(self.now, due)
            self.session.wake(self.now)
            self.read()
        self.now = end

    def read(self) -> None:
        self.frames += [json.loads(text) for text in self.session.take_outbox()]
        while event := self.session.next_event():
            self.events.append(event)

    def error(self) -> tuple[int, str]:
        bodies = [frame["body"] for frame in self.frames if frame["type"] == "msg"]
        found = [body for body in bodies if body["type"] == "error"]
        assert len(found) == 1
        return found[0]["code"], found[0]["message"]


def admitted() -> Talk:
    talk = Talk()
    talk.hello(CONNECT)
    talk.session.send_connected(connected(), talk.now)
    talk.read()
    return talk


# --- handshake -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked_ms", "given_ms"), [(5000, 5000), (12000, 12000), (1, 1000), (-5, 1000), (10**9, 30000)]
)
def test_the_welcome_echoes_the_time_out_within_reason(asked_ms: int, given_ms: int) -> None:
    talk = Talk()

    talk.hello(timeout=asked_ms)

    assert talk.frames == [{"type": "welcome", "negotiatedTimeout": given_ms}]


@pytest.mark.parametrize(("body", "kind"), [(ICE, IceRequested), (CONNECT, ConnectRequested), (SYNC, SyncRequested)])
def test_the_body_of_the_hello_is_the_first_message(body: dict[str, Any], kind: type) -> None:
    talk = Talk()

    talk.hello(body)

    assert [type(event) for event in talk.events] == [kind]


def test_the_body_of_a_repeated_hello_is_not_taken_again() -> None:
    talk = Talk()

    talk.hello(ICE)
    talk.hello(ICE, id="another")

    assert len(talk.events) == 1
    assert len(talk.frames) == 1


def test_a_hello_without_body_is_welcomed_and_the_first_message_follows() -> None:
    talk = Talk()
    talk.hello()

    talk.message(ICE)

    assert talk.events == [IceRequested("t", preflight=False)]


def test_a_preflight_is_told_as_such() -> None:
    talk = Talk()

    talk.hello({**ICE, "preflight": True})

    assert talk.events == [IceRequested("t", preflight=True)]


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        ("nonsense", "frame"),
        ("[]", "frame"),
        ('{"type":"msg","body":{}}', "type"),
        ('{"type":"hello"}', "id"),
        ('{"type":"hello","id":"h","timeout":"soon","version":2}', "timeout"),
        ('{"type":"hello","id":"h","timeout":5000,"version":1}', "version"),
        ('{"type":"hello","id":"h","timeout":5000,"version":2,"body":[]}', "body"),
    ],
)
def test_a_bad_hello_is_told_so_once_and_the_socket_closed_later(frame: str, named: str) -> None:
    talk = Talk()

    talk.say(frame)
    talk.hello(ICE)

    assert [(sent["type"], sent["reason"].split(":")[0]) for sent in talk.frames] == [("bad", named)]
    assert [type(event) for event in talk.events] == [Refused]
    talk.sleep(10)
    assert talk.session.close_code == CloseCode.GOING_AWAY


def test_a_socket_that_says_nothing_is_closed_after_15_s() -> None:
    talk = Talk()
    talk.sleep(14.9)
    assert talk.session.close_code is None

    talk.sleep(0.2)

    assert talk.session.close_code == CloseCode.GOING_AWAY
    assert talk.events == [LinkLost(CloseCode.SILENCE)]


# --- the client's turns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "out_of_turn"),
    [
        ([ICE], ICE),
        ([CONNECT], CONNECT),
        ([ICE], CONNECT),
        ([CONNECT], SYNC),
        ([SYNC], UPDATE),
        ([CONNECT], UPDATE),
        ([ICE], UPDATE),
    ],
)
def test_a_message_out_of_turn_is_refused(before: list[dict[str, Any]], out_of_turn: dict[str, Any]) -> None:
    talk = Talk()
    talk.hello()
    for body in before:
        talk.message(body)

    talk.message(out_of_turn)

    assert talk.error() == (53004, f"type: {out_of_turn['type']} is out of turn")
    assert isinstance(talk.events[-1], Refused)


def test_connect_after_iced_is_in_turn() -> None:
    talk = Talk()
    talk.hello(ICE)
    talk.session.send_iced((), talk.now)

    talk.message(CONNECT)

    assert isinstance(talk.events[-1], ConnectRequested)


def test_iced_is_never_sent_twice() -> None:
    talk = Talk()
    talk.hello(ICE)
    talk.session.send_iced((), talk.now)

    with pytest.raises(LocalProtocolError):
        talk.session.send_iced((), talk.now)


def test_an_update_is_told_as_it_came() -> None:
    talk = admitted()

    talk.message(UPDATE)

    assert isinstance(talk.events[-1], Updated)
    assert talk.events[-1].message.participant.revision == 2


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        ("nonsense", "frame: not JSON"),
        ("[" * 100_000, "frame: not JSON"),
        ("9" * 5_000, "frame: not JSON"),
        ('{"type":"msg"}', "body: missing"),
        ('{"type":"welcome","negotiatedTimeout":5000}', "type: only the service"),
        ('{"type":"riddle"}', "type: 'riddle'"),
        ('{"type":"msg","body":{"type":"riddle"}}', "type: 'riddle'"),
        ('{"type":"msg","body":{"type":"update","participant":{"revision":1}}}', "participant.tracks: missing"),
        ('{"type":"msg","body":{"type":"update","participant":{"revision":-1,"tracks":[]}}}', "participant.revision"),
        ('{"type":"msg","body":{"type":"update","participant":{"revision":NaN,"tracks":[]}}}', "participant.revision"),
    ],
)
def test_a_frame_that_breaks_the_rules_ends_the_stay_naming_the_key(frame: str, named: str) -> None:
    talk = admitted()

    talk.say(frame)

    code, message = talk.error()
    assert code == 53004
    assert message.startswith(named)
    assert talk.session.state is Admission.ENDED
    assert [sent["type"] for sent in talk.frames] == ["welcome", "msg", "msg"], "never bad after the welcome"


def test_a_frame_beyond_256_kib_is_refused_and_one_of_just_that_size_is_not() -> None:
    small, large = admitted(), admitted()
    frame = json.dumps({"type": "msg", "body": {**UPDATE, "fill": ""}})

    small.say(frame.replace('"fill": ""', f'"fill": "{"x" * (256 * 1024 - len(frame))}"'))
    large.say(frame.replace('"fill": ""', f'"fill": "{"x" * (256 * 1024 - len(frame) + 1)}"'))

    assert isinstance(small.events[-1], Updated)
    assert large.error() == (53004, "frame: larger than 262144 bytes")


def test_bytes_count_not_characters() -> None:
    talk = admitted()

    talk.say('{"type":"msg","body":{"type":"update","fill":"%s"}}' % ("é" * 140_000))

    assert talk.error()[1] == "frame: larger than 262144 bytes"


def test_fifty_frames_a_second_are_fine_for_ever() -> None:
    talk = admitted()

    for _ in range(3000):
        talk.sleep(1 / 50)
        talk.say('{"type":"heartbeat"}')

    assert talk.session.state is Admission.ADMITTED


def test_sixty_frames_a_second_are_refused_in_the_end() -> None:
    talk = admitted()

    for _ in range(3000):
        talk.sleep(1 / 60)
        talk.say('{"type":"heartbeat"}')

    assert talk.error() == (53004, "frame: more than 50 a second")


# --- leaving and losing ----------------------------------------------------------------------------------------------


def test_disconnect_bye_and_1000_are_one_farewell() -> None:
    talk = admitted()

    talk.message(DISCONNECT)
    talk.say({"type": "bye"})
    talk.session.socket_closed(1000, talk.now)
    talk.read()

    assert talk.events[1:] == [Left()]


@pytest.mark.parametrize("frames", [[{"type": "bye"}], []])
def test_a_close_with_1000_is_a_farewell_even_without_words(frames: list[dict[str, Any]]) -> None:
    talk = admitted()
    for frame in frames:
        talk.say(frame)

    talk.session.socket_closed(1000, talk.now)
    talk.read()

    assert talk.events[1:] == [Left()]


@pytest.mark.parametrize("code", [1001, 1005, 1006, 3001])
def test_any_other_close_is_a_lost_link(code: int) -> None:
    talk = admitted()

    talk.session.socket_closed(code, talk.now)
    talk.read()

    assert talk.events[1:] == [LinkLost(code)]


def test_a_client_that_is_silent_for_three_heartbeats_is_lost() -> None:
    talk = admitted()
    talk.sleep(14.9)
    assert talk.session.close_code is None

    talk.sleep(0.2)

    assert talk.events[1:] == [LinkLost(CloseCode.SILENCE)]
    assert talk.session.close_code == CloseCode.GOING_AWAY


def test_any_frame_keeps_the_link_alive() -> None:
    talk = admitted()

    for _ in range(10):
        talk.sleep(14)
        talk.message(UPDATE)

    assert talk.session.state is Admission.ADMITTED


def test_we_beat_a_little_before_the_client_expects_it() -> None:
    talk = admitted()

    talk.sleep(4.9)

    assert talk.frames[-1] == {"type": "heartbeat"}
    assert talk.session.wake_at() == pytest.approx(104.8 + 4.8)


# --- what the service says -------------------------------------------------------------------------------------------


def test_an_error_is_sent_and_the_socket_closed_when_the_client_does_not() -> None:
    talk = admitted()

    talk.session.send_error(53205, "Participant disconnected because of duplicate identity", talk.now)
    talk.read()

    assert talk.error()[0] == 53205
    assert talk.session.close_code is None, "the client closes first (signaling.md 2.10)"
    talk.sleep(6)
    assert talk.session.close_code == CloseCode.GOING_AWAY
    assert len(talk.events) == 1, "whoever sends it knows"


@pytest.mark.parametrize(("completed", "body"), [(True, {"status": "completed"}), (False, {})])
def test_disconnected_tells_a_completed_room_from_a_kick(completed: bool, body: dict[str, str]) -> None:
    talk = admitted()

    talk.session.send_disconnected(talk.now, completed=completed)
    talk.read()

    assert talk.frames[-1]["body"] == {"type": "disconnected", **body}


def test_after_the_end_nothing_more_is_heard() -> None:
    talk = admitted()
    talk.session.send_disconnected(talk.now, completed=True)

    talk.message(UPDATE)
    talk.say("nonsense")
    talk.message(DISCONNECT)
    talk.session.socket_closed(1000, talk.now)
    talk.read()

    assert len(talk.events) == 1


def test_a_socket_is_closed_with_the_code_the_service_wants() -> None:
    talk = admitted()

    talk.session.close(CloseCode.SERVICE_RESTART)
    talk.read()

    assert talk.session.close_code == 1012
    assert len(talk.events) == 1


def test_the_service_never_closes_with_1000() -> None:
    with pytest.raises(AssertionError):
        admitted().session.close(CloseCode.NORMAL)


def test_updates_before_the_welcome_are_a_bug_of_the_caller() -> None:
    talk = Talk()
    talk.hello(CONNECT)

    with pytest.raises(LocalProtocolError):
        talk.session.send_update(ServerUpdate(), talk.now)
