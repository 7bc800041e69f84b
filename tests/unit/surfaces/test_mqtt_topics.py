"""Topics and commands on MQTT (kiosk.md 10)."""

import json
from datetime import UTC, datetime

import pytest

from appliance.kiosk.effects import Answer
from appliance.kiosk.inputs import Join, SetMicrophone
from appliance.surfaces.mqtt.topics import BadCommand, Request, Topics, answer_payload, read_request

NOW = datetime(2026, 3, 1, 9, 0, 0, 120_000, tzinfo=UTC)
TOPICS = Topics("room-kiosk", "hall-2")
ALLOWED = ("room.join", "mic.mute")


def request(payload: bytes, name: str = "room.join", **properties: object) -> Request:
    return read_request(f"room-kiosk/hall-2/command/{name}", payload, properties, allowed=ALLOWED, now=NOW)


def test_topics_are_those_of_the_specification() -> None:
    assert TOPICS.status == "room-kiosk/hall-2/status"
    assert TOPICS.event("track-added") == "room-kiosk/hall-2/event/track-added"
    assert TOPICS.button("mute") == "room-kiosk/hall-2/button/mute"


def test_an_empty_payload_is_a_command_without_arguments() -> None:
    assert request(b"", "mic.mute").command == SetMicrophone(muted=True)


def test_what_is_not_known_passes_by() -> None:
    assert request(b'{"room":"board","colour":"red"}').command == Join(room="board")


def test_whom_to_answer_comes_from_properties_or_payload() -> None:
    by_property = request(b"{}", response_topic="room-kiosk/reply/1", correlation_data=b"\x01")
    assert (by_property.response_topic, by_property.correlation) == ("room-kiosk/reply/1", b"\x01")
    by_payload = request(b'{"response_topic":"room-kiosk/reply/2","id":"7"}')
    assert (by_payload.response_topic, by_payload.id) == ("room-kiosk/reply/2", "7")


@pytest.mark.parametrize(
    ("name", "payload", "code"),
    [
        ("room.join", b"{", "invalid_request"),
        ("room.join", b"\xff", "invalid_request"),
        ("room.join", b"[]", "invalid_request"),
        ("room.join", b'{"room":7}', "invalid_request"),
        ("room.join", b'{"room":""}', "invalid_request"),
        ("room.join", b'{"id":7}', "invalid_request"),
        ("room.join", b'{"issued_at":"yesterday"}', "invalid_request"),
        ("room.join", b'{"issued_at":"2026-03-01T08:59:00Z"}', "expired"),
        ("room.join", b"{" * 70_000, "too_large"),
        ("mic.unmute", b"{}", "policy_denied"),
        ("room.explode", b"{}", "unknown_command"),
    ],
)
def test_a_command_that_cannot_be_is_refused_with_a_code(name: str, payload: bytes, code: str) -> None:
    with pytest.raises(BadCommand) as caught:
        request(payload, name)
    assert caught.value.code == code


def test_a_fresh_command_is_not_expired() -> None:
    assert request(b'{"issued_at":"2026-03-01T08:59:45Z"}').command == Join()


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("room-kiosk/reply/7", True),
        ("home/answers/7", True),
        ("room-kiosk/hall-3/status", False),
        ("room-kiosk/reply/#", False),
        ("$SYS/broker", False),
    ],
)
def test_answers_go_only_where_they_may(topic: str, allowed: bool) -> None:
    assert TOPICS.may_answer_to(topic, ("home/answers/",)) is allowed


def test_answers_look_as_specified() -> None:
    accepted = answer_payload("room.join", "6f1c", Answer(id="c", ok=True, final=False, result={"room": "b"}), NOW, 41)
    assert accepted == {
        "v": 1,
        "id": "6f1c",
        "command": "room.join",
        "ok": True,
        "accepted": True,
        "result": {"room": "b"},
        "ts": "2026-03-01T09:00:00.120Z",
        "duration_ms": 41,
    }
    refused = answer_payload("mic.unmute", "6f1d", Answer(id="c", ok=False, code="policy_denied", message="no"), NOW, 2)
    assert refused["error"] == {"code": "policy_denied", "message": "no", "retryable": False}
    json.dumps(refused)
