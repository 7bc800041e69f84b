"""Whatever arrives on a signaling socket: nothing but RemoteProtocolError, and a session that still keeps its rules."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import RemoteProtocolError
from appliance.signaling.client import ClientSession
from appliance.signaling.fields import text_from_object
from appliance.signaling.frames import format_frame, parse_frame
from appliance.signaling.link import ClientLink, ServerLink
from appliance.signaling.messages import SyncedMessage, client_message, server_message
from appliance.signaling.room_session import Admission, RoomState
from appliance.signaling.server import ConnectRequested, IceRequested, ServerSession, SyncRequested
from appliance.signaling.wishes import Publisher
from tests.support.signaling_pair import OWN, connected, offer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)

KEYS = (  # noqa: SIM905 (one quoted word per line is unreadable)
    "type id sid token name session participant participants tracks revision kind enabled priority state "
    "identity peer_connections description sdp ice ufrag candidates candidate complete sdpMid sdpMLineIndex "
    "published subscribed error code message ice_servers urls username credential options session_timeout "
    "media_signaling transports transport label recording is_recording subscribe rules all bandwidth_profile "
    "video mode states status body timeout version cookie negotiatedTimeout retryAfter keepAlive reason "
    "publisher active_speaker MT_1 format preflight edge"
).split()
WORDS = (  # noqa: SIM905 (one quoted word per line is unreadable)
    "ice connect update sync disconnect iced connected synced disconnected error warning hello welcome "
    "heartbeat msg busy bad bye audio video data offer answer create-offer close low standard high ready "
    "failed created completed include exclude acquire overrode data-channel grid disabled reconnecting"
).split()

SHAPED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from([2**53, -(2**70), 10**400, 1.5, float("nan"), float("inf"), "\0", "\ud800", ""])
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=30,
)
"""JSON made of the protocol's own words, so that it gets far."""

OBJECTS = st.dictionaries(st.sampled_from(KEYS), SHAPED, max_size=10)
TYPES = st.sampled_from(WORDS)


def valid_connect() -> dict[str, Any]:
    return {
        "type": "connect",
        "version": 2,
        "name": "lab",
        "token": "t",
        "participant": {"revision": 2, "tracks": [{"id": "a", "kind": "audio", "name": "mic", "enabled": True}]},
        "peer_connections": [
            {
                "id": "pc",
                "description": {"type": "offer", "revision": 1, "sdp": "v=0"},
                "ice": {"revision": 1, "ufrag": "u", "candidates": [{"candidate": "c", "sdpMLineIndex": 0}]},
            }
        ],
        "media_signaling": {"active_speaker": {"transports": [{"type": "data-channel"}]}},
        "subscribe": {"revision": 1, "rules": [{"type": "include", "all": True}]},
        "bandwidth_profile": {"video": {"mode": "grid", "max_tracks": 3}},
    }


def problem(read: Callable[[Any], object], body: Any) -> str | None:
    """Return why the message is refused; None where it is not."""
    try:
        read(body)
    except RemoteProtocolError as error:
        return str(error)
    return None


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside, the deepest too."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, inner in entries for deeper in paths(inner, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@given(JSON | SHAPED, TYPES)
def test_any_object_is_a_message_or_a_remote_protocol_error(value: Any, kind: str) -> None:
    body = {**value, "type": kind} if isinstance(value, dict) else {"type": kind, "participant": value}
    for read in (client_message, server_message):
        assert problem(read, body) != "", "it names the key"


@given(OBJECTS, TYPES)
def test_what_was_read_is_written_so_that_it_reads_the_same(body: dict[str, Any], kind: str) -> None:
    for read in (client_message, server_message):
        try:
            message = read({**body, "type": kind})
        except RemoteProtocolError:
            continue
        if message is not None:
            assert read(json.loads(text_from_object(message.to_wire()))) == message


@given(st.data(), SHAPED)
def test_a_connect_with_one_value_replaced_is_read_or_refused(data: st.DataObject, new: Any) -> None:
    body = replaced(valid_connect(), data.draw(st.sampled_from(paths(valid_connect())[1:])), new)
    assert ":" in (problem(client_message, body) or ":")


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | JSON.map(json.dumps) | OBJECTS.map(json.dumps))
def test_any_text_is_a_frame_or_a_remote_protocol_error(text: str) -> None:
    try:
        frame = parse_frame(text)
    except RemoteProtocolError:
        return
    assert parse_frame(format_frame(frame)) == frame


FRAMES = st.text(max_size=40) | st.tuples(OBJECTS, TYPES).map(lambda pair: json.dumps({**pair[0], "type": pair[1]}))
BODIES = st.tuples(OBJECTS, TYPES).map(lambda pair: {**pair[0], "type": pair[1]})
MESSAGES = BODIES.map(lambda body: json.dumps({"type": "msg", "body": body}))
WELCOME = st.just('{"type":"welcome","negotiatedTimeout":5000}')


@given(st.lists(FRAMES | MESSAGES | WELCOME | st.floats(0, 20), max_size=12))
def test_links_take_any_text_at_any_time(steps: list[str | float]) -> None:
    now, count = 0.0, iter(range(1000))
    links = (ClientLink({"type": "ice"}, lambda: str(next(count)), now), ServerLink(now))
    for step in steps:
        for link in links:
            if isinstance(step, str):
                link.receive(step, now)
            else:
                link.wake(now + step)
            link.take_outbox()
            while link.next_event():
                pass
        now += step if isinstance(step, float) else 0.0


HELLO = st.just(json.dumps({"type": "hello", "id": "1", "version": 2, "timeout": 5000}))
CONNECT = st.just(json.dumps({"type": "msg", "body": valid_connect()}))


@settings(max_examples=200)
@given(st.lists(FRAMES | MESSAGES | HELLO | CONNECT | st.floats(0, 20), max_size=14))
def test_an_admitting_end_survives_any_client(steps: list[str | float]) -> None:
    now = 0.0
    session = ServerSession(now)
    for step in steps:
        if isinstance(step, str):
            session.receive(step, now)
        else:
            now += step
            session.wake(now)
        while event := session.next_event():
            match event:
                case IceRequested():
                    session.send_iced((), now)
                case ConnectRequested():
                    session.send_connected(connected(), now)
                case SyncRequested():
                    session.send_synced(SyncedMessage(session="S", participant=OWN), now)
                case _:
                    pass
        frames = [json.loads(text) for text in session.take_outbox()]
        assert {frame["type"] for frame in frames} <= {"welcome", "heartbeat", "msg", "bad"}
        if session.close_code is not None:
            assert session.close_code != 1000
            assert session.state is Admission.ENDED


CONNECTED = st.just(json.dumps({"type": "msg", "body": connected().to_wire()}))
ICED = st.just('{"type":"msg","body":{"type":"iced","ice_servers":[]}}')


@settings(max_examples=200)
@given(
    st.lists(FRAMES | MESSAGES | WELCOME | ICED | CONNECTED | st.sampled_from(["open", "close"]) | st.floats(0, 20)),
)
def test_a_joining_end_survives_any_service(steps: list[str | float]) -> None:
    now, count = 0.0, iter(range(10_000))
    session = ClientSession(
        token="t", name="lab", publisher=Publisher(), random=Random(1), new_uuid=lambda: str(next(count)), now=now
    )
    asked = False
    for step in steps:
        match step:
            case "open":
                session.socket_opened(now)
            case "close":
                session.socket_closed(1006, now)
            case str():
                session.receive(step, now)
            case _:
                now += step
                session.wake(now)
        events = []
        while event := session.next_event():
            events.append(type(event).__name__)
        if "IceServersKnown" in events and not asked:
            asked = True
            session.connect((offer(),), now)
        session.take_outbox()
        if "Disconnected" in events:
            assert session.state is RoomState.DISCONNECTED
            assert session.wake_at() == float("inf"), "nothing is waited for after the end"


@pytest.mark.parametrize("key", [path for path in paths(valid_connect())[1:] if isinstance(path[-1], str)])
def test_the_error_names_the_very_key_that_is_wrong(key: tuple[Any, ...]) -> None:
    named = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).removeprefix(".")
    found = problem(client_message, replaced(valid_connect(), key, [[]]))
    if key == ("version",) or key[0] == "bandwidth_profile":
        assert found is None, "what is not read, or hints only, may hold anything"
    else:
        assert (found or "").startswith((f"{named}:", f"{named}["))
