"""Whatever comes through the kiosk's doors is read or refused, never anything else."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import CommandRefused
from appliance.kiosk.inputs import COMMANDS, read_command
from appliance.kiosk.resume import _read
from appliance.surfaces.control_messages import BadLine, error_line, read_request, write_request
from appliance.surfaces.mqtt.topics import BadCommand
from appliance.surfaces.mqtt.topics import read_request as read_mqtt_request

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4),
    max_leaves=12,
)
near_requests = st.dictionaries(
    st.sampled_from(["id", "do", "get", "watch", "arguments", "actor", "origin", "role", "x"]),
    values | st.sampled_from(["1", "state", "screen", *COMMANDS]),
    max_size=6,
)
near_arguments = st.dictionaries(
    st.sampled_from(["room", "identity", "token", "mic", "camera", "switch", "volume", "muted", "button", "action"]),
    values | st.sampled_from(["mute", "leave", "press", "release", "lobby"]),
    max_size=5,
)


@given(st.binary(max_size=300) | near_requests.map(lambda tree: json.dumps(tree).encode()))
def test_a_control_line_is_read_or_refused(line: bytes) -> None:
    refusal = b""
    try:
        request = read_request(line)
    except BadLine as error:
        refusal = error_line(error.id, error.code, str(error))
    assert refusal.endswith(b"\n") or read_request(write_request(request)) == request


@given(st.sampled_from([*COMMANDS, "", "room.explode"]), near_arguments, st.booleans())
def test_a_command_is_made_or_refused_with_a_reason(name: str, arguments: dict[str, object], strict: bool) -> None:
    code = ""
    try:
        read_command(name, arguments, strict=strict)
    except CommandRefused as error:
        code = error.code
    assert code in ("", "invalid_request", "unknown_command")


@given(
    st.sampled_from(["k/h/command/room.join", "k/h/command/mic.mute", "k/h/command/"]),
    st.binary(max_size=200) | (near_arguments | near_requests).map(lambda tree: json.dumps(tree).encode()),
    st.dictionaries(st.sampled_from(["response_topic", "correlation_data"]), st.text(max_size=5), max_size=2),
)
def test_an_mqtt_command_is_read_or_refused(topic: str, payload: bytes, properties: dict[str, str]) -> None:
    code = ""
    try:
        read_mqtt_request(topic, payload, properties, allowed=("room.join",), now=datetime(2026, 3, 1, tzinfo=UTC))
    except BadCommand as error:
        code = error.code
    assert code in ("", "invalid_request", "unknown_command", "policy_denied", "expired", "too_large")


@given(values | st.fixed_dictionaries({"room": st.text(), "at": st.text() | st.datetimes().map(str), "origin": values}))
def test_what_stands_in_resume_json_is_used_or_passed_over(value: object) -> None:
    found = _read(value)
    if found is not None:
        assert found[0].room_name
