"""Whole conversations (signaling.md 8), one frame a line, replayed against the joining and the admitting end.

`C`: from the client; `S`: from the service; `closed`: the client closes with this code; `lost`: the socket ends with
this code, and the next line opens another.
"""

import json
from collections import deque
from pathlib import Path
from random import Random
from typing import Any

import pytest

from appliance.signaling.client import ClientSession
from appliance.signaling.messages import (
    ClientUpdate,
    ConnectedMessage,
    ConnectMessage,
    DisconnectedMessage,
    DisconnectMessage,
    ErrorMessage,
    IcedMessage,
    ServerUpdate,
    SyncedMessage,
    client_message,
    server_message,
)
from appliance.signaling.room_session import Admission, RoomState
from appliance.signaling.server import Left, ServerSession
from appliance.signaling.wishes import IceServerSource, Publisher
from tests.support.signaling_pair import counted

TRANSCRIPTS = sorted(Path(__file__).parent.glob("*.jsonl"))
Line = dict[str, Any]


def lines_of(transcript: Path) -> list[Line]:
    return [json.loads(line) for line in transcript.read_text().splitlines()]


def body_of(frame: dict[str, Any]) -> dict[str, Any] | None:
    body: dict[str, Any] | None = frame.get("body")
    return body


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_admitting_end_says_its_lines(transcript: Path) -> None:
    session, now = ServerSession(0.0), 0.0
    written: deque[dict[str, Any]] = deque()
    events: list[object] = []
    for line in lines_of(transcript):
        now += 0.1
        match line:
            case {"C": frame}:
                session.receive(json.dumps(frame), now)
            case {"S": {"type": "welcome"} as frame}:
                assert written.popleft() == frame
            case {"S": frame}:
                say(session, frame, now)
                written.extend(json.loads(text) for text in session.take_outbox())
                assert written.popleft() == frame
            case {"closed": code}:
                session.socket_closed(code, now)
            case {"lost": code}:
                session.socket_closed(code, now)
                session = ServerSession(now)
        written.extend(json.loads(text) for text in session.take_outbox())
        while event := session.next_event():
            events.append(event)

    assert not written, "nothing is said that the transcript does not have"
    assert session.state is Admission.ENDED
    refused = any(
        line.get("S", {}).get("body", {}).get("type") in ("error", "disconnected") for line in lines_of(transcript)
    )
    assert isinstance(events[-1], Left) is not refused


def say(session: ServerSession, frame: dict[str, Any], now: float) -> None:
    """Let the service say the message of the transcript through the session's methods."""
    message = server_message(frame["body"])
    match message:
        case IcedMessage(ice_servers=servers):
            session.send_iced(servers, now)
        case ConnectedMessage():
            session.send_connected(message, now)
        case ServerUpdate():
            session.send_update(message, now)
        case SyncedMessage():
            session.send_synced(message, now)
        case ErrorMessage(code=code, message=text):
            session.send_error(code, text, now)
        case DisconnectedMessage(completed=completed):
            session.send_disconnected(now, completed=completed)
        case _:
            raise AssertionError(f"no transcript has {message}")


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_joining_end_says_its_lines(transcript: Path) -> None:
    lines = lines_of(transcript)
    session, now = joining(lines), 0.0
    written: deque[dict[str, Any]] = deque()
    for line in lines:
        now += 0.1
        match line:
            case {"C": frame}:
                if not written:
                    want(session, frame, now)
                    written.extend(json.loads(text) for text in session.take_outbox())
                assert written.popleft() == frame
            case {"S": frame}:
                session.receive(json.dumps(frame), now)
            case {"closed": code}:
                assert session.close_code == code
                session.socket_closed(code, now)
            case {"lost": code}:
                session.socket_closed(code, now)
        written.extend(json.loads(text) for text in session.take_outbox())

    assert not written, "nothing is said that the transcript does not have"
    assert session.state is RoomState.DISCONNECTED


def joining(lines: list[Line]) -> ClientSession:
    """Return a session that was set up as the client of the transcript was."""
    bodies = [body for line in lines if "C" in line and (body := body_of(line["C"]))]
    connect = next((client_message(body) for body in bodies if body["type"] == "connect"), None)
    made = counted("hello")
    if not isinstance(connect, ConnectMessage):
        token = bodies[0]["token"]
        return ClientSession(token=token, name="lab", publisher=Publisher(), random=Random(1), new_uuid=made, now=0.0)
    return ClientSession(
        token=connect.token,
        name=connect.name,
        publisher=connect.publisher,
        random=Random(1),
        new_uuid=made,
        now=0.0,
        tracks=connect.participant.tracks,
        media_signaling=connect.media_signaling,
        own_ice_servers=connect.ice_servers is IceServerSource.OVERRODE,
    )


def want(session: ClientSession, frame: dict[str, Any], now: float) -> None:
    """Want of the session what makes it say this frame."""
    body = body_of(frame)
    assert body, f"{frame} follows from something that was said before"
    message = client_message(body)
    if frame["type"] == "hello":
        if isinstance(message, ConnectMessage):
            session.connect(message.peer_connections, now)
        session.socket_opened(now)
        return
    match message:
        case ConnectMessage(peer_connections=states):
            session.connect(states, now)
        case ClientUpdate(participant=participant, peer_connections=states):
            if participant.revision > session.participant.revision:
                session.set_tracks(participant.tracks, now)
            else:
                session.describe(states, now)
        case DisconnectMessage():
            session.disconnect(now)
        case _:
            raise AssertionError(f"no transcript has {message} in a msg")
