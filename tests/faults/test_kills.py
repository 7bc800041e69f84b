"""Kill -9 of each process in turn: what remains says so, and recovers when it is back."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.mqtt_listener import MqttListener
from tests.support.processes import wait_for
from tests.support.sdk_participant import SdkParticipant
from tests.support.stack import KIOSK, ROOM, Stack, fetch, running_stack, status_of

pytestmark = pytest.mark.broker

KIOSK_IN_ROOM = f"""
[join]
mode = "always"
default_room = "{ROOM}"
[video]
source = "test"
width = 320
height = 180
fps = 10
[audio]
input = "virtual"
output = "virtual"
[display]
mode = "dummy"
"""


@pytest.fixture(scope="module")
def running_whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("whole")) as stack:
        stack.start_broker()
        stack.start_rooms()
        stack.start_kiosk(KIOSK_IN_ROOM)
        stack.start_panel()
        yield stack
        # pytest shows it beside a failure only
        print(stack.logs())  # noqa: T201


@pytest.fixture
def whole_stack(running_whole: Stack) -> Stack:
    """All parts, each of them up whatever an earlier test killed; the kiosk is in its room and not muted."""
    stack = running_whole
    if not stack.broker.process.running:
        stack.broker.start()
    for program in (stack.rooms, stack.kiosk, stack.panel):
        if not program.running:
            program.start()
    if in_room(stack)["mic"] == "muted":
        with stack.control() as control:
            control.tap("mute")
            wait_for("not muted", lambda: control.state()["mic"] != "muted")
    stack.wait_for_panel()
    return stack


def kiosk_state(stack: Stack) -> dict[str, Any]:
    """Return the state document, or an empty one while the control socket does not answer."""
    try:
        with stack.control() as control:
            return control.state()
    except (OSError, json.JSONDecodeError):
        return {}


def in_room(stack: Stack) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        state = kiosk_state(stack)
        return state if state.get("state") == "in_room" else None

    state = wait_for("the kiosk is in its room", look, within_s=60)
    assert state is not None
    return state


def status(mqtt: MqttListener) -> bytes | None:
    return mqtt.last(f"room-kiosk/{KIOSK}/status")


def test_a_killed_kiosk_is_told_offline_and_comes_back_muted_as_it_was(whole_stack: Stack) -> None:
    with MqttListener(whole_stack.broker.port, f"room-kiosk/{KIOSK}/#") as mqtt:
        wait_for("the broker knows the kiosk is online", lambda: status(mqtt) == b"online")
        with whole_stack.control() as control:
            control.tap("mute")
            wait_for("muted", lambda: control.state()["mic"] == "muted")

        whole_stack.kiosk.kill()

        wait_for("the will says offline", lambda: status(mqtt) == b"offline")
        panel = f"{whole_stack.panel_url}/readyz"
        wait_for("the panel says the kiosk is away", lambda: status_of(panel) == 503)

        whole_stack.kiosk.start()
        state = in_room(whole_stack)
        wait_for("online again", lambda: status(mqtt) == b"online")
        wait_for("the panel shows the room again", lambda: whole_stack.panel_state().get("state") == "in_room")
    assert state["mic"] == "muted"


def test_a_killed_kiosk_leaves_no_ghost_in_the_room(whole_stack: Stack) -> None:
    with SdkParticipant(whole_stack.service, whole_stack.token("paul"), ROOM) as paul:
        whole_stack.kiosk.kill()
        whole_stack.kiosk.start()
        in_room(whole_stack)

        wait_for("one kiosk is in the room", lambda: paul.identities() == [KIOSK])


def test_the_call_goes_on_without_the_panel(whole_stack: Stack) -> None:
    before = in_room(whole_stack)["room"]["participant_sid"]

    whole_stack.panel.kill()
    during = in_room(whole_stack)["room"]["participant_sid"]
    whole_stack.panel.start()
    whole_stack.wait_for_panel()

    assert during == before
    assert whole_stack.panel_state()["room"]["participant_sid"] == before
    assert fetch(f"{whole_stack.panel_url}/screen.png").startswith(b"\x89PNG")


def test_the_call_goes_on_without_the_broker_and_events_follow(whole_stack: Stack) -> None:
    before = in_room(whole_stack)["room"]["participant_sid"]

    whole_stack.broker.kill()
    wait_for("the kiosk says that MQTT is away", lambda: kiosk_state(whole_stack).get("mqtt") != "connected")
    with whole_stack.control() as control:
        control.tap("mute")
        wait_for("muted while the broker is away", lambda: control.state()["mic"] == "muted")
    assert in_room(whole_stack)["room"]["participant_sid"] == before

    whole_stack.broker.start()
    with MqttListener(whole_stack.broker.port, f"room-kiosk/{KIOSK}/#") as mqtt:
        wait_for("online again", lambda: status(mqtt) == b"online", within_s=60)
        wait_for("the state is there", lambda: (mqtt.json(f"room-kiosk/{KIOSK}/state") or {}).get("mic") == "muted")
        wait_for(
            "the event of the time without a broker follows",
            lambda: any(message.topic.endswith("/event/kiosk-mic") for message in mqtt.messages),
            within_s=60,
        )


def test_the_kiosk_says_that_the_service_is_away_and_joins_again(whole_stack: Stack) -> None:
    whole_stack.rooms.kill()
    wait_for(
        "the kiosk tries again",
        lambda: kiosk_state(whole_stack).get("state") in {"reconnecting", "joining", "error"},
        within_s=30,
    )
    assert fetch(f"{whole_stack.panel_url}/screen.png").startswith(b"\x89PNG")

    whole_stack.rooms.start()

    state = in_room(whole_stack)
    assert state["room"]["name"] == ROOM
