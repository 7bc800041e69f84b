"""The main job, end to end: a kiosk and a browser with the unmodified SDK meet in a room."""

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from twilio.request_validator import RequestValidator

from appliance.devices.cameras.frame_number import read_frame_number
from tests.support.browser import Application
from tests.support.callback_receiver import CallbackReceiver, ReceivedCallback
from tests.support.kiosk_in_room import alone_in_its_room, come_back
from tests.support.mqtt_listener import MqttListener
from tests.support.processes import wait_for
from tests.support.recorded_sound import read_wave, tone_level
from tests.support.sdk_participant import SdkParticipant
from tests.support.stack import KIOSK, ROOM, Stack, fetch, running_stack

pytestmark = [pytest.mark.browser, pytest.mark.broker]

CHROMIUM_BEEP_HZ = 400.0
"""Chromium's invented microphone beeps at this pitch, 20 ms long."""
TONE_HZ = 880
"""What the kiosk's microphone hears."""


KIOSK_IN_ROOM = f"""
[join]
mode = "always"
default_room = "{ROOM}"
[video]
source = "test"
width = 640
height = 360
[audio]
input = "virtual:tone:{TONE_HZ}"
output = "virtual:{{recorder}}"
[display]
mode = "dummy"
"""
SMALL = [320, 180, 15]


@pytest.fixture(scope="module")
def receiver() -> Iterator[CallbackReceiver]:
    with CallbackReceiver() as running:
        yield running


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, receiver: CallbackReceiver) -> Iterator[Stack]:
    """Broker, rooms service, kiosk in its room and panel, for all tests here."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        running.start_broker()
        running.start_rooms(f'[rooms.defaults]\nstatus_callback = "{receiver.url}"\n')
        running.start_kiosk(KIOSK_IN_ROOM.format(recorder=running.folder / "speaker.wav"))
        running.start_panel()
        yield running


@pytest.fixture
def whole_stack(stack: Stack) -> Stack:
    alone_in_its_room(stack)
    return stack


def joined_browser(stack: Stack, open_application: Callable[[], Application], identity: str = "anna") -> Application:
    page = open_application()
    how = {"options": {"dominantSpeaker": True}, "size": SMALL}
    page.join(token=stack.token(identity), service=stack.service, room=ROOM, **how)
    wait_for("the kiosk is in the browser's room", lambda: KIOSK in page.call("people"))
    return page


def kiosk_frame_number(page: Application) -> int | None:
    """Read the number that the kiosk's test card carries out of the picture that the browser shows."""
    picture = page.call("picture", KIOSK)
    if picture is None:
        return None
    gray = np.frombuffer(base64.b64decode(picture["gray"]), np.uint8)
    return read_frame_number(gray.reshape(picture["height"], picture["width"]))


def test_the_browser_sees_and_hears_the_kiosk(whole_stack: Stack, open_application: Callable[[], Application]) -> None:
    page = joined_browser(whole_stack, open_application)

    first = wait_for("a frame number is read from the picture", lambda: kiosk_frame_number(page))
    wait_for("more than 100 frames are decoded", lambda: page.call("decoded", KIOSK) > 100, within_s=40)
    later = wait_for("a later frame number is read", lambda: kiosk_frame_number(page))
    speaker = "window.app.room.dominantSpeaker?.identity ?? null"
    wait_for("the kiosk is who speaks", lambda: page.page.evaluate(speaker) == KIOSK)
    loudness = wait_for(
        "the kiosk is heard", lambda: [level for level in [page.call("hear", KIOSK)] if level and level["dbfs"] > -50]
    )

    assert later > first
    assert loudness[0]["dbfs"] > -50
    assert page.errors == []


def test_a_tone_from_the_kiosk_is_found_by_its_frequency(
    whole_stack: Stack, open_application: Callable[[], Application]
) -> None:
    page = joined_browser(whole_stack, open_application)

    def heard() -> float | None:
        level = page.call("hear", KIOSK)
        return float(level["frequency"]) if level and level["dbfs"] > -50 else None

    frequency = wait_for("the tone is heard", heard)

    assert frequency == pytest.approx(TONE_HZ, abs=15)


def test_the_kiosk_shows_and_plays_the_browser(whole_stack: Stack, open_application: Callable[[], Application]) -> None:
    speaker = whole_stack.folder / "speaker.wav"
    earlier = len(read_wave(speaker)[0])
    joined_browser(whole_stack, open_application)
    with whole_stack.control() as control:
        wait_for("the kiosk knows the browser", lambda: [p for p in control.state()["people"] if p["name"] == "anna"])
        wait_for("the kiosk knows how good its link is", lambda: control.state()["quality"]["score"])

    def picture() -> np.ndarray:
        image = Image.open(io.BytesIO(fetch(f"{whole_stack.panel_url}/screen.png"))).convert("RGB")
        return np.asarray(image, dtype=np.int16)

    def shows_the_fake_camera() -> bool:
        # Chromium's invented camera is a green field; nothing that we draw is.
        shown = picture()
        upper = shown[: shown.shape[0] * 3 // 4]
        green = (upper[..., 1] > upper[..., 0] + 40) & (upper[..., 1] > upper[..., 2] + 40)
        return bool(green.mean() > 0.2)

    wait_for("the screen shows the browser's camera", shows_the_fake_camera)
    first = picture()
    wait_for("the shown picture moves", lambda: bool((np.abs(picture() - first) > 60).any(axis=2).mean() > 0.001))
    wait_for(
        "the speaker played the browser's beep",
        lambda: tone_level(speaker, CHROMIUM_BEEP_HZ, window_s=0.02, after=earlier) > -40,
    )


def test_messages_go_both_ways(whole_stack: Stack, open_application: Callable[[], Application]) -> None:
    with SdkParticipant(whole_stack.service, whole_stack.token("paul"), ROOM) as paul:
        page = joined_browser(whole_stack, open_application)
        wait_for(
            "the browser has Paul's data track",
            lambda: [d for d in page.events("trackSubscribed") if d["kind"] == "data"],
        )
        wait_for("Paul has the browser's data track", lambda: paul.has_data_track_of("anna"))

        page.call("say", "hello, Paul")
        page.call("say", [1, 2, 255])
        paul.send("hello, Anna")

        wait_for("Paul got both", lambda: paul.messages == ["hello, Paul", bytes([1, 2, 255])])
        wait_for("Anna got hers", lambda: page.page.evaluate("window.app.messages") == ["hello, Anna"])


def test_the_mute_button_reaches_everyone(whole_stack: Stack, open_application: Callable[[], Application]) -> None:
    page = joined_browser(whole_stack, open_application)
    wait_for(
        "the browser receives the kiosk's sound",
        lambda: [d for d in page.events("trackSubscribed") if d["kind"] == "audio"],
    )
    with MqttListener(whole_stack.broker.port, f"room-kiosk/{KIOSK}/#") as mqtt, whole_stack.control() as control:
        control.tap("mute")

        wait_for(
            "trackDisabled in the browser",
            lambda: page.events("trackDisabled") == [{"identity": KIOSK, "kind": "audio", "name": "microphone"}],
        )
        wait_for("MQTT says muted", lambda: (mqtt.json(f"room-kiosk/{KIOSK}/state") or {}).get("mic") == "muted")
        wait_for("the mute lamp is lit", lambda: control.state()["lamps"]["mute"] == "solid")
        assert whole_stack.panel_state()["mic"] == "muted"

        control.tap("mute")
        wait_for("trackEnabled in the browser", lambda: page.events("trackEnabled") != [])
        wait_for("MQTT says live", lambda: (mqtt.json(f"room-kiosk/{KIOSK}/state") or {}).get("mic") == "live")


def test_the_leave_button_ends_the_stay_and_closes_the_devices(
    whole_stack: Stack, open_application: Callable[[], Application]
) -> None:
    page = joined_browser(whole_stack, open_application)
    with whole_stack.control() as control:
        wait_for(
            "camera and microphone are open", lambda: control.state()["mic_live"] and control.state()["camera_live"]
        )

        control.press("leave")

        wait_for(
            "the kiosk is gone in the browser", lambda: page.events("participantDisconnected") == [{"identity": KIOSK}]
        )
        wait_for("idle", lambda: control.state()["state"] == "idle")
        state = control.state()
        assert (state["mic_live"], state["camera_live"]) == (False, False)
        assert state["lamps"]["live"] == "off"


def test_callbacks_arrive_signed_over_http_and_over_mqtt(
    whole_stack: Stack, receiver: CallbackReceiver, open_application: Callable[[], Application]
) -> None:
    validator = RequestValidator(whole_stack.credentials["auth_token"])
    with MqttListener(whole_stack.broker.port, "room-kiosk-rooms/v1/+/rooms/+/events") as mqtt:
        with whole_stack.control() as control:
            control.press("leave")
            wait_for("the room is over", lambda: receiver.events()[-1:] == ["room-ended"])
            come_back(control)
        page = joined_browser(whole_stack, open_application)
        room = page.page.evaluate("app.room.sid")

        def received() -> list[ReceivedCallback]:
            return [callback for callback in receiver.received if callback.parameters["RoomSid"] == room]

        def events() -> list[str]:
            return [callback.event for callback in received()]

        def over_mqtt() -> list[dict[str, Any]]:
            told = [json.loads(message.payload) for message in mqtt.messages]
            return [event for event in told if event["data"]["RoomSid"] == room]

        wait_for("the browser's tracks are told", lambda: events().count("track-added") >= 5)
        with whole_stack.control() as control:
            control.tap("mute")
            wait_for("track-disabled is told", lambda: "track-disabled" in events())
            control.tap("mute")
            wait_for("track-enabled is told", lambda: "track-enabled" in events())
            control.press("leave")
        page.call("leave")
        wait_for("room-ended is told", lambda: "room-ended" in events())

        wait_for("MQTT told the end too", lambda: [each for each in over_mqtt() if each["type"] == "room-ended"])

    assert all(validator.validate(c.url, c.parameters, c.signature) for c in received())
    assert [int(c.parameters["SequenceNumber"]) for c in received()] == list(range(len(received())))
    assert set(events()) == {
        "room-created", "participant-connected", "track-added", "track-disabled", "track-enabled",
        "track-removed", "participant-disconnected", "room-ended",
    }  # fmt: skip
    by_id = {c.headers["I-Twilio-Idempotency-Token"]: c.parameters for c in received()}
    assert all(by_id[event["id"]] == event["data"] for event in over_mqtt())
    assert time.strptime(received()[0].parameters["Timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ")


def test_page_broker_and_socket_show_one_state(whole_stack: Stack) -> None:
    """Page, MQTT and control socket are views of one document."""
    with MqttListener(whole_stack.broker.port, f"room-kiosk/{KIOSK}/state") as mqtt, whole_stack.control() as control:
        wait_for("in the room", lambda: control.state()["state"] == "in_room")

        def same() -> bool:
            documents = [
                control.state(),
                whole_stack.panel_state(),
                mqtt.json(f"room-kiosk/{KIOSK}/state") or {},
            ]
            views = [{key: d.get(key) for key in ("rev", "state", "mic", "room")} for d in documents]
            return views[0] == views[1] == views[2]

        wait_for("all three show the same revision", same)
