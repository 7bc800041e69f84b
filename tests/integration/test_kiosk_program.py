"""The kiosk as a process, with virtual devices, in a real rooms service's room."""

import json
import math
import os
import signal
import subprocess
import time
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.control_client import ControlClient
from tests.support.mqtt_listener import MqttListener
from tests.support.processes import Program, appliance, wait_for
from tests.support.stack import KIOSK, ROOM, Stack, running_stack

VIRTUAL = f"""
[join]
default_room = "{ROOM}"
[video]
source = "test"
width = 320
height = 180
fps = 10
[audio]
input = "virtual:tone:880"
output = "virtual:{{recorder}}"
[display]
mode = "dummy"
"""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running_stack(tmp_path) as running:
        try:
            yield running
        finally:
            print(running.logs())  # noqa: T201  pytest shows it beside a failure


@pytest.fixture
def kiosk(stack: Stack) -> Stack:
    """A rooms service and an idle kiosk."""
    stack.start_rooms()
    stack.start_kiosk(VIRTUAL.format(recorder=stack.folder / "speaker.wav"))
    return stack


def in_state(stack: Stack, **expected: Any) -> dict[str, Any]:
    with stack.control() as control:
        return wait_for(
            f"the kiosk is {expected}",
            lambda: (lambda state: state if expected.items() <= state.items() else {})(control.state()),
            within_s=30,
        )


def join_by_hand(stack: Stack) -> dict[str, Any]:
    """Hold the leave button as somebody at the device would."""
    with stack.control() as control:
        control.press("leave")
        wait_for("the hold is felt", lambda: control.state()["state"] != "idle", within_s=10)
        control.press("leave", "release")
    return in_state(stack, state="in_room")


def tap(stack: Stack, button: str) -> None:
    with stack.control() as control:
        control.tap(button)


def test_holding_leave_joins_with_open_devices_and_pressing_it_closes_them(kiosk: Stack) -> None:
    idle = in_state(kiosk, state="idle")
    assert (idle["mic_live"], idle["camera_live"], idle["lamps"]["live"]) == (False, False, "off")

    joined = join_by_hand(kiosk)
    live = in_state(kiosk, mic_live=True, camera_live=True)
    assert (joined["room"]["name"], joined["origin"], joined["mic"], joined["camera"]) == (
        ROOM,
        "button",
        "live",
        "live",
    )
    assert live["lamps"]["live"] == "solid"

    tap(kiosk, "leave")
    closed = in_state(kiosk, state="idle", mic_live=False, camera_live=False)
    assert closed["lamps"] == {"mute": "off", "live": "off", "status": "off"}


def test_whoever_joins_from_the_command_line_is_muted_and_dark(kiosk: Stack) -> None:
    answer = subprocess.run(
        [*appliance("ctl", "--socket", str(kiosk.folder / "control.sock")), "join"],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(answer.stdout) == {"room": ROOM, "state": "in_room"}
    state = in_state(kiosk, state="in_room")
    assert (state["mic"], state["camera"], state["camera_live"]) == ("muted", "off", False)
    with kiosk.control() as control:
        assert control.do("mic.unmute")["error"]["code"] == "policy_denied"
        assert control.do("camera.on")["error"]["code"] == "policy_denied"


def test_asking_for_what_is_so_already_is_answered_at_once(kiosk: Stack) -> None:
    def ctl(verb: str) -> str:
        command = [*appliance("ctl", "--socket", str(kiosk.folder / "control.sock")), verb]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    assert json.loads(ctl("leave")) == {"state": "idle"}
    ctl("join")

    assert json.loads(ctl("join")) == {"room": ROOM, "state": "in_room"}


@pytest.mark.broker
def test_the_broker_joins_mutes_and_leaves_and_every_command_is_answered(stack: Stack) -> None:
    stack.start_broker()
    stack.start_rooms()
    stack.start_kiosk(VIRTUAL.format(recorder=stack.folder / "speaker.wav"))
    answers_to = "room-kiosk/reply/here"

    with MqttListener(stack.broker.port, f"room-kiosk/{KIOSK}/#", answers_to) as mqtt:
        wait_for("online", lambda: mqtt.last(f"room-kiosk/{KIOSK}/status") == b"online")

        def asked(command: str, **expected: Any) -> dict[str, Any]:
            identity = f"{command} {len(mqtt.messages)}"
            mqtt.publish(f"room-kiosk/{KIOSK}/command/{command}", {"id": identity, "response_topic": answers_to})
            in_state(stack, **expected)

            def last_answer() -> dict[str, Any]:
                found: list[dict[str, Any]] = [json.loads(m.payload) for m in mqtt.messages if m.topic == answers_to]
                ours = [answer for answer in found if answer["id"] == identity and "accepted" not in answer]
                return ours[0] if ours else {}

            return wait_for(f"{command} is answered", last_answer)

        assert asked("room.join", state="in_room", mic="muted")["result"] == {"room": ROOM, "state": "in_room"}
        assert asked("mic.unmute", mic="muted")["error"]["code"] == "policy_denied"
        assert asked("mic.mute", mic="muted")["result"] == {"mic": "muted"}
        assert asked("room.leave", state="idle", mic_live=False)["result"] == {"state": "idle"}


def test_killed_in_a_room_it_comes_back_into_it_muted_as_it_was(kiosk: Stack) -> None:
    join_by_hand(kiosk)
    tap(kiosk, "mute")
    in_state(kiosk, mic="muted")

    kiosk.kiosk.kill(signal.SIGKILL)
    kiosk.kiosk.start()

    back = in_state(kiosk, state="in_room")
    assert (back["room"]["name"], back["mic"], back["camera"], back["reason"]) == (ROOM, "muted", "live", "joined")


def test_killed_when_idle_it_stays_idle(kiosk: Stack) -> None:
    join_by_hand(kiosk)
    tap(kiosk, "leave")
    in_state(kiosk, state="idle")
    kiosk.kiosk.kill(signal.SIGKILL)
    kiosk.kiosk.start()
    assert in_state(kiosk, state="idle")["reason"] == "started"


def test_told_to_stop_it_leaves_the_room_and_is_gone_within_three_seconds(kiosk: Stack) -> None:
    join_by_hand(kiosk)
    began = time.monotonic()
    kiosk.kiosk.kill(signal.SIGTERM)
    took_s = time.monotonic() - began
    process = kiosk.kiosk.process
    assert process is not None
    assert process.returncode == 0
    assert took_s < 5  # 3 s, and room for a crowded machine
    wait_for("the service has seen it go", lambda: "participant-disconnected" in kiosk.rooms.tail())
    assert not os.path.exists(kiosk.folder / "control.sock")


def test_a_rooms_service_that_dies_and_comes_back_is_joined_again_muted_as_before(kiosk: Stack) -> None:
    join_by_hand(kiosk)
    tap(kiosk, "mute")
    in_state(kiosk, mic="muted")

    kiosk.rooms.kill(signal.SIGKILL)
    lost = in_state(kiosk, state="reconnecting")
    assert lost["mic"] == "muted"
    kiosk.rooms.start()

    back = in_state(kiosk, state="in_room")
    assert (back["mic"], back["camera"]) == ("muted", "live")


def test_a_service_that_is_not_there_is_said_and_joined_when_it_comes(stack: Stack) -> None:
    stack.start_rooms()
    stack.start_kiosk(VIRTUAL.format(recorder=stack.folder / "speaker.wav"))
    stack.rooms.kill(signal.SIGKILL)
    with stack.control() as control:
        assert control.do("room.join")["ok"]
        wait_for("the kiosk says so", lambda: control.state()["reason"] == "service_unreachable")
        assert control.state()["state"] == "joining"
    stack.rooms.start()
    in_state(stack, state="in_room")


def test_two_kiosks_see_each_other_and_hear_the_tone(kiosk: Stack, tmp_path: Path) -> None:
    join_by_hand(kiosk)
    recording = tmp_path / "second.wav"
    text = kiosk.kiosk_configuration(VIRTUAL.format(recorder=recording))
    for ours, theirs in (
        (f'id = "{KIOSK}"', 'id = "hall-3"'),
        ("control.sock", "second.sock"),
        ('/kiosk"', '/second"'),
    ):
        assert ours in text
        text = text.replace(ours, theirs)
    configuration = tmp_path / "second.toml"
    configuration.write_text(text.replace("[join]", '[join]\nmode = "always"'))
    ready = str(tmp_path / "second.ready.json")
    arguments = appliance("kiosk", "--config", str(configuration), "--ready-file", ready)
    with Program("second", arguments, tmp_path) as second:
        assert second.running
        with ControlClient(tmp_path / "second.sock") as control:
            person = wait_for(
                "hall-2 is there with sound and picture",
                lambda: [each for each in control.state()["people"] if each["camera"] == "on"],
            )[0]
            assert (person["name"], person["microphone"]) == (KIOSK, "on")
        wait_for("the tone is heard", lambda: _loudest_tone(recording, 880) > 20 * _loudest_tone(recording, 1700) > 0)


def _loudest_tone(path: Path, frequency: float) -> float:
    """Return the power of a frequency in the recording's last second (Goertzel)."""
    with wave.open(str(path)) as sound:
        rate = sound.getframerate()
        samples = array("h", sound.readframes(sound.getnframes()))[-rate:]
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    return last * last + before * before - coefficient * last * before


def test_a_configuration_that_cannot_be_used_is_told_whole_and_ends_with_78(tmp_path: Path) -> None:
    path = tmp_path / "kiosk.toml"
    path.write_text(
        '[rooms_service]\nurl = "ftp://x"\nauth = "command"\n[video]\nfps = 99\n[mqtt]\npasword_file = "x"\n'
    )
    for verb in ("kiosk", "check-config"):
        ended = subprocess.run(appliance(verb, "--config", str(path)), capture_output=True, timeout=60, check=False)
        told = ended.stderr.decode()
        assert ended.returncode == 78
        expected = ("kiosk.toml:2", "kiosk.toml:5", "video.fps", "did you mean mqtt.password_file")
        assert [part for part in expected if part not in told] == []


def _end_of(verb: str, configuration: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(appliance(verb, "--config", str(configuration)), capture_output=True, timeout=60, check=False)


def test_a_missing_configuration_ends_with_66(tmp_path: Path) -> None:
    ended = _end_of("check-config", tmp_path / "none.toml")
    assert ended.returncode == 66


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "key.json"
    secret.write_text('{"account_sid":"AC1","api_key_sid":"SK1","api_key_secret":"canary-secret"}')
    secret.chmod(0o644)
    path = tmp_path / "kiosk.toml"
    path.write_text(f'[rooms_service]\nurl = "https://x.example"\ncredentials_file = "{secret}"\n')
    ended = subprocess.run(
        appliance("check-config", "--config", str(path)), capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 78
    assert b"readable by others" in ended.stderr
    assert b"canary-secret" not in ended.stdout + ended.stderr
