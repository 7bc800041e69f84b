"""The main job with real drivers: picamera2 on libcamera's virtual pipeline, ALSA on a sound server of our own.

Drivers and libraries are those of a Raspberry Pi; only sensor and sound card are invented. Figures go to the log:
`pytest --log-cli-level=INFO -m "hardware or sound_server" tests/e2e`.
"""

import base64
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil
import pytest

from appliance.devices.microphones.virtual import tone
from appliance.devices.samples import dbfs
from tests.support.browser import Application
from tests.support.device_capture_workers import real_picamera2_missing, real_worker
from tests.support.device_pulse import MICROPHONE, SPEAKER, PulseServer, pulse_missing, pulse_server
from tests.support.kiosk_in_room import alone_in_its_room
from tests.support.processes import wait_for
from tests.support.recorded_sound import strongest_hz
from tests.support.stack import KIOSK, ROOM, Stack, running_stack

logger = logging.getLogger(__name__)

KIOSK_IN_ROOM = f"""
[join]
mode = "always"
default_room = "{ROOM}"
[display]
mode = "dummy"
"""
CAMERA = f"""
[video]
source = "auto"
worker_command = {json.dumps(real_worker())}
[audio]
input = "virtual"
output = "virtual"
"""
SOUND_CARD = f"""
[video]
source = "none"
[audio]
input = "pcm:{MICROPHONE}"
output = "pcm:{SPEAKER}"
"""

FRAMES_BETWEEN_KEY_FRAMES = 300
"""What the camera's encoder does by itself: one in 10 s at 30 frames a second."""

SPOKEN_HZ, PLAYED_HZ = 700.0, 1100.0
SILENCE_DBFS = -80.0


def joined(stack: Stack, page: Application, identity: str, **more: Any) -> Application:
    page.join(token=stack.token(identity), service=stack.service, room=ROOM, **more)
    wait_for("the kiosk is in the browser's room", lambda: KIOSK in page.call("people"))
    return page


def cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


# --- the camera -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def camera_kiosk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if why := real_picamera2_missing():
        pytest.skip(why)
    with running_stack(tmp_path_factory.mktemp("camera")) as running:
        running.start_rooms()
        running.start_kiosk(KIOSK_IN_ROOM + CAMERA)
        assert running.kiosk.ready["devices"]["camera"] == "csi:0"
        yield running


@pytest.fixture
def camera_stack(camera_kiosk: Stack) -> Stack:
    alone_in_its_room(camera_kiosk)
    return camera_kiosk


def workers(stack: Stack) -> list[psutil.Process]:
    """Return the processes that hold the camera."""
    found = []
    for child in psutil.Process(stack.kiosk.pid).children(recursive=True):
        try:
            if any("device_virtual_pipeline" in word for word in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def gray_picture(page: Application) -> np.ndarray:
    picture = wait_for("the browser shows a picture", lambda: page.call("picture", KIOSK))
    gray = np.frombuffer(base64.b64decode(picture["gray"]), np.uint8)
    return gray.reshape(picture["height"], picture["width"]).astype(np.int16)


def received(page: Application) -> dict[str, Any]:
    """Return what the browser counts for the kiosk's video."""
    figures = wait_for("the browser receives the kiosk's video", lambda: page.call("received", KIOSK))
    assert isinstance(figures, dict)
    return figures


@pytest.mark.measuring
@pytest.mark.hardware
@pytest.mark.browser
def test_the_browser_decodes_the_camera_s_own_h264(
    camera_stack: Stack, open_application: Callable[[], Application]
) -> None:
    page = open_application()
    before_join = time.monotonic()
    joined(camera_stack, page, "anna", media=False)
    wait_for("a first picture", lambda: page.call("decoded", KIOSK) > 0)
    first_picture_s = time.monotonic() - before_join
    kiosk, [worker] = psutil.Process(camera_stack.kiosk.pid), workers(camera_stack)
    started, frames, used = time.monotonic(), received(page)["framesDecoded"], (cpu_s(kiosk), cpu_s(worker))
    earlier = gray_picture(page)

    wait_for("more than 100 frames are decoded", lambda: received(page)["framesDecoded"] > 100, within_s=40)

    span_s, figures = time.monotonic() - started, received(page)
    assert figures["codec"] == "video/H264"
    assert (figures["frameWidth"], figures["frameHeight"]) == (1280, 720)
    assert earlier.std() > 10
    wait_for("the picture moves", lambda: (np.abs(gray_picture(page) - earlier) > 60).mean() > 0.01)
    assert page.errors == []
    logger.info(
        "camera: first picture %.2f s after join, %.1f frames/s decoded, kiosk %.0f %%, worker %.0f %% of a core; %s",
        first_picture_s,
        (figures["framesDecoded"] - frames) / span_s,
        100 * (cpu_s(kiosk) - used[0]) / span_s,
        100 * (cpu_s(worker) - used[1]) / span_s,
        figures,
    )


@pytest.mark.measuring
@pytest.mark.hardware
@pytest.mark.browser
def test_who_joins_later_is_given_a_key_frame_of_the_camera(
    camera_stack: Stack, open_application: Callable[[], Application]
) -> None:
    page, later = open_application(), open_application()
    joined(camera_stack, page, "anna", media=False)
    wait_for("the first browser has a picture", lambda: page.call("decoded", KIOSK) > 0)
    before = received(page)

    started = time.monotonic()
    joined(camera_stack, later, "bert", media=False)
    wait_for("the second browser has a picture", lambda: later.call("decoded", KIOSK) > 0)
    logger.info("camera: a second browser had a picture %.2f s after its join", time.monotonic() - started)

    after = wait_for(
        "the first browser got the key frame too",
        lambda: [seen for seen in [received(page)] if seen["keyFramesDecoded"] > before["keyFramesDecoded"]],
    )[0]
    assert after["framesDecoded"] < FRAMES_BETWEEN_KEY_FRAMES, "too slow here to tell a requested key frame"


@pytest.mark.measuring
@pytest.mark.hardware
@pytest.mark.browser
def test_leaving_ends_the_capture_worker(camera_stack: Stack, open_application: Callable[[], Application]) -> None:
    page = joined(camera_stack, open_application(), "anna", media=False)
    wait_for("a first picture", lambda: page.call("decoded", KIOSK) > 0)
    [worker] = workers(camera_stack)
    with camera_stack.control() as control:
        control.press("leave")

        wait_for("idle", lambda: control.state()["state"] == "idle")
        assert not worker.is_running()
        assert workers(camera_stack) == []
        assert control.state()["camera_live"] is False
        assert control.state()["lamps"]["live"] == "off"


@pytest.mark.measuring
@pytest.mark.hardware
@pytest.mark.browser
def test_the_picture_returns_after_the_worker_was_killed(
    camera_stack: Stack, open_application: Callable[[], Application]
) -> None:
    page = joined(camera_stack, open_application(), "anna", media=False)
    wait_for("a first picture", lambda: page.call("decoded", KIOSK) > 0)
    [worker] = workers(camera_stack)

    worker.kill()
    killed = time.monotonic()
    with camera_stack.control() as control:
        wait_for("the kiosk says so", lambda: not control.state()["camera_live"])
        wait_for("another worker has the camera", lambda: [one for one in workers(camera_stack) if one != worker])
        before = received(page)["framesDecoded"]
        wait_for("the picture goes on", lambda: received(page)["framesDecoded"] > before + 10)
        logger.info("camera: pictures again %.2f s after kill -9 of the worker", time.monotonic() - killed)
        state = wait_for("the camera is live", lambda: [s for s in [control.state()] if s["camera_live"]])[0]
    earlier = gray_picture(page)
    wait_for("the picture moves", lambda: (np.abs(gray_picture(page) - earlier) > 60).mean() > 0.01)
    assert state["state"] == "in_room"
    assert state["issues"] == []


@pytest.mark.measuring
@pytest.mark.hardware
def test_the_worker_ends_with_a_kiosk_that_is_killed(camera_stack: Stack) -> None:
    [worker] = wait_for("the camera is open", lambda: workers(camera_stack))
    with camera_stack.control() as control:
        wait_for("the camera is live", lambda: control.state()["camera_live"])

    camera_stack.kiosk.kill()

    wait_for("the worker is gone", lambda: not worker.is_running())


# --- sound ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_sound_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PulseServer]:
    if why := pulse_missing():
        pytest.skip(why)
    with pulse_server(tmp_path_factory.mktemp("pulse")) as server:
        yield server


@pytest.fixture
def sound_server(one_sound_server: PulseServer) -> Iterator[PulseServer]:
    yield one_sound_server
    one_sound_server.thaw()


@pytest.fixture(scope="module")
def sound_kiosk(one_sound_server: PulseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("sound")) as running:
        running.start_rooms()
        running.start_kiosk(KIOSK_IN_ROOM + SOUND_CARD)
        yield running


@pytest.fixture
def sound_stack(sound_kiosk: Stack) -> Stack:
    alone_in_its_room(sound_kiosk)
    return sound_kiosk


def hears(page: Application, pitch_hz: float) -> bool:
    """Tell whether this is the loudest pitch that the browser hears of the kiosk, well above silence."""
    level = page.call("hear", KIOSK)
    return bool(level) and level["dbfs"] > -50 and level["frequency"] == pytest.approx(pitch_hz, abs=15)


def log_sound(stack: Stack, what: str) -> None:
    with stack.control() as control:
        logger.info("sound, %s: %s", what, control.ask(get="health")["result"]["sound"])


@pytest.mark.sound_server
@pytest.mark.browser
def test_a_tone_at_the_microphone_is_heard_in_the_browser_until_muted(
    sound_stack: Stack, sound_server: PulseServer, open_application: Callable[[], Application]
) -> None:
    page = joined(sound_stack, open_application(), "anna", media=False)
    with sound_server.playing(tone(SPOKEN_HZ, 90.0)), sound_stack.control() as control:
        wait_for("the browser hears the microphone", lambda: hears(page, SPOKEN_HZ))
        log_sound(sound_stack, "speaking")

        control.tap("mute")
        wait_for("muted", lambda: control.state()["mic"] == "muted")
        wait_for("silence in the browser", lambda: page.call("hear", KIOSK)["dbfs"] < SILENCE_DBFS)
        # The plug-in tells the server of playback with the first period that is written.
        both = ["source-outputs", "sink-inputs"]
        wait_for("both are open", lambda: sound_server.streams_of(sound_stack.kiosk.pid) == both)

        control.tap("mute")
        wait_for("the browser hears the microphone again", lambda: hears(page, SPOKEN_HZ))


@pytest.mark.sound_server
@pytest.mark.browser
def test_the_browser_s_tone_comes_out_of_the_speaker(
    sound_stack: Stack, sound_server: PulseServer, open_application: Callable[[], Application]
) -> None:
    page = joined(sound_stack, open_application(), "anna", media=False)

    page.call("publishTone", PLAYED_HZ)

    def loud() -> np.ndarray | None:
        heard = sound_server.heard(0.5)
        return heard if dbfs(heard) > -40 else None

    wait_for("the speaker plays", lambda: loud() is not None)
    heard = sound_server.heard(2.0)
    assert strongest_hz(heard) == pytest.approx(PLAYED_HZ, abs=5)
    logger.info("sound, speaker's own level: %.1f dBFS", dbfs(heard))
    log_sound(sound_stack, "playing")


@pytest.mark.sound_server
@pytest.mark.browser
def test_leaving_closes_microphone_and_speaker(
    sound_stack: Stack, sound_server: PulseServer, open_application: Callable[[], Application]
) -> None:
    joined(sound_stack, open_application(), "anna", media=False)
    with sound_stack.control() as control:
        wait_for("the microphone is live", lambda: control.state()["mic_live"])
        # The plug-in tells the server of playback with the first period that is written.
        both = ["source-outputs", "sink-inputs"]
        wait_for("both are open", lambda: sound_server.streams_of(sound_stack.kiosk.pid) == both)

        control.press("leave")

        wait_for("idle", lambda: control.state()["state"] == "idle")
        assert sound_server.streams_of(sound_stack.kiosk.pid) == []
        assert control.state()["mic_live"] is False
        assert control.state()["lamps"]["live"] == "off"


@pytest.mark.sound_server
@pytest.mark.browser
def test_the_light_tells_of_a_microphone_that_a_hanging_sound_server_holds(
    sound_stack: Stack, sound_server: PulseServer, open_application: Callable[[], Application]
) -> None:
    page = joined(sound_stack, open_application(), "anna", media=False)
    with sound_stack.control() as control:
        wait_for("the microphone is live", lambda: control.state()["mic_live"])
        sound_server.freeze()

        control.press("leave")

        wait_for("the kiosk is gone in the browser", lambda: KIOSK not in page.call("people"))
        wait_for("idle", lambda: control.state()["state"] == "idle")
        held = control.state()
        assert (held["mic_live"], held["lamps"]["live"]) == (True, "solid")

        sound_server.thaw()
        wait_for("the microphone is closed", lambda: not control.state()["mic_live"])
        wait_for("the light is off", lambda: control.state()["lamps"]["live"] == "off")
        wait_for("nothing is open", lambda: sound_server.streams_of(sound_stack.kiosk.pid) == [])


@pytest.mark.sound_server
@pytest.mark.browser
def test_sound_returns_after_the_sound_server_stood_still(
    sound_stack: Stack, sound_server: PulseServer, open_application: Callable[[], Application]
) -> None:
    page = joined(sound_stack, open_application(), "anna", media=False)
    with sound_server.playing(tone(SPOKEN_HZ, 90.0)), sound_stack.control() as control:
        wait_for("the browser hears the microphone", lambda: hears(page, SPOKEN_HZ))

        sound_server.freeze()
        wait_for("the kiosk says so", lambda: "mic_absent" in control.state()["issues"])
        sound_server.thaw()

        wait_for("the microphone is back", lambda: control.state()["issues"] == [])
        wait_for("the browser hears the microphone again", lambda: hears(page, SPOKEN_HZ))
        assert control.state()["state"] == "in_room"
