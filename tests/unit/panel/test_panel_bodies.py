"""Bodies of requests: what is taken, what is refused, and that the refusal names the key."""

from collections.abc import Callable
from typing import Any

import pytest

from appliance.panel import bodies
from appliance.panel.problems import Problem


def refusal(read: Callable[..., Any], body: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        read(body)
    return caught.value


def test_an_empty_body_is_an_empty_object() -> None:
    assert bodies.parse(b"") == bodies.parse(b" \n") == {}


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"12", b"\xff{}", b'{"a": 1} {"b": 2}', b"{'a': 1}"])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    assert refusal(bodies.parse, body).status == 400


def test_deep_nesting_is_refused_before_it_is_parsed() -> None:
    assert bodies.parse(b'{"a":' * 15 + b"{}" + b"}" * 15)
    assert "levels deep" in refusal(bodies.parse, b'{"a":' * 100_000 + b"1" + b"}" * 100_000).detail


def test_brackets_inside_text_are_no_nesting() -> None:
    assert bodies.parse(b'{"a": "[[[[[[[[[[[[[[[[[[[[{{{\\"{{"}') == {"a": '[[[[[[[[[[[[[[[[[[[[{{{"{{'}


def test_joining_takes_every_argument_of_the_specification() -> None:
    body = {"room": "lobby", "identity": "hall-2", "token": "e.y.J", "mic": False, "camera": True, "switch": True}
    assert bodies.join(body) == body
    assert bodies.join({}) == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"room": ""}, "room"),
        ({"room": "x" * 129}, "room"),
        ({"room": "a\u0000b"}, "room"),
        ({"room": 7}, "room"),
        ({"mic": "yes"}, "mic"),
        ({"token": ""}, "token"),
        ({"rom": "lobby"}, "rom"),
    ],
)
def test_a_bad_argument_of_joining_is_named(body: dict[str, Any], field: str) -> None:
    problem = refusal(bodies.join, body)
    assert (problem.code, problem.field) == ("invalid_request", field)


def test_the_microphone_is_muted_or_unmuted_by_one_flag() -> None:
    assert bodies.microphone({"muted": True}) == "mic.mute"
    assert bodies.microphone({"muted": False}) == "mic.unmute"
    assert refusal(bodies.microphone, {"muted": 1}).field == "muted"
    assert refusal(bodies.microphone, {}).field == "muted"
    assert refusal(bodies.microphone, {"muted": True, "force": True}).field == "force"


def test_the_camera_is_turned_by_one_flag() -> None:
    assert bodies.camera({"enabled": True}) == "camera.on"
    assert bodies.camera({"enabled": False}) == "camera.off"
    assert refusal(bodies.camera, {"enabled": None}).field == "enabled"


@pytest.mark.parametrize("volume", [-1, 101, 5.5, "60", True, None])
def test_a_volume_outside_0_to_100_is_refused(volume: Any) -> None:
    assert refusal(bodies.speaker, {"volume": volume}).field == "volume"


def test_the_speaker_needs_at_least_one_wish() -> None:
    assert bodies.speaker({"volume": 0}) == {"volume": 0}
    assert bodies.speaker({"muted": True}) == {"muted": True}
    assert refusal(bodies.speaker, {}).code == "invalid_request"


def test_a_drawn_button_is_one_of_two_and_goes_down_or_up() -> None:
    assert bodies.front_panel({"button": "mute", "action": "press"}) == {"button": "mute", "action": "press"}
    assert refusal(bodies.front_panel, {"button": "reset", "action": "press"}).field == "button"
    assert refusal(bodies.front_panel, {"button": "mute", "action": "toggle"}).field == "action"
    assert refusal(bodies.front_panel, {"button": ["mute"], "action": "press"}).field == "button"


def test_a_command_without_arguments_takes_none() -> None:
    assert bodies.nothing({}) == {}
    assert refusal(bodies.nothing, {"now": True}).field == "now"
