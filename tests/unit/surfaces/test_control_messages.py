"""What may be said on the control socket, and what is answered to the rest."""

import json

import pytest

from appliance.surfaces.control_messages import (
    MAX_LINE_BYTES,
    BadLine,
    ClaimedActor,
    Do,
    Get,
    Watch,
    error_line,
    outcome_line,
    read_request,
    write_request,
)


def test_a_command_is_read_with_arguments_and_actor() -> None:
    actor = b'{"origin":"page","role":"operator","account":null}'
    line = b'{"id":"1","do":"room.join","arguments":{"room":"lobby"},"actor":' + actor + b"}"
    expected = Do(id="1", name="room.join", arguments={"room": "lobby"}, actor=ClaimedActor(role="operator"))
    assert read_request(line) == expected


@pytest.mark.parametrize("request_", [Watch("2"), Get("3", "screen"), Do(id="4", name="mic.mute")])
def test_what_is_written_is_read_as_it_was(request_: object) -> None:
    assert read_request(write_request(request_)) == request_  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff{}", "not UTF-8"),
        (b"[]", "JSON object"),
        (b"{}", "'id'"),
        (b'{"id":1,"get":"state"}', "'id'"),
        (b'{"id":"\\ud800","get":"state"}', "'id'"),
        (b'{"id":"1"}', "exactly one"),
        (b'{"id":"1","get":"state","watch":"state"}', "exactly one"),
        (b'{"id":"1","get":"secrets"}', "'get'"),
        (b'{"id":"1","watch":"levels"}', "watched"),
        (b'{"id":"1","do":7}', "'do'"),
        (b'{"id":"1","do":"mic.mute","arguments":[]}', "'arguments'"),
        (b'{"id":"1","do":"mic.mute","actor":"root"}', "'actor'"),
        (b'{"id":"1","do":"mic.mute","actor":{"uid":0}}', "'actor'"),
        (b'{"id":"1","get":"state","extra":1}', "'extra'"),
        (b'{"id":"1","do":' + b"[" * 20 + b"]" * 20 + b"}", "nested"),
        (b" " * (MAX_LINE_BYTES + 1), "bytes"),
    ],
)
def test_a_bad_line_is_told_what_is_wrong_with_it(line: bytes, complaint: str) -> None:
    with pytest.raises(BadLine, match=complaint) as caught:
        read_request(line)
    assert caught.value.code == "invalid_request"


def test_the_answer_to_a_bad_request_finds_its_way_by_id() -> None:
    with pytest.raises(BadLine) as caught:
        read_request(b'{"id":"7","get":"nonsense"}')
    assert caught.value.id == "7"


def test_every_line_ends_in_one_line_feed_whatever_the_text_holds() -> None:
    line = error_line("1", "invalid_request", "a\nb")
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


def test_an_outcome_names_its_command() -> None:
    tree = json.loads(outcome_line("c1", ("room_full", "full")))
    assert tree == {
        "event": "outcome",
        "command_id": "c1",
        "ok": False,
        "error": {"code": "room_full", "message": "full"},
    }
