"""From names in the settings to devices, with a reason that people understand."""

import subprocess
import sys
from pathlib import Path

import pytest

from appliance.devices import catalog, sound_cards
from appliance.devices.cameras.pi import PiCamera, PiEncodedCamera
from appliance.devices.cameras.usb import UsbCamera
from appliance.devices.cameras.virtual import VirtualCamera
from appliance.devices.microphones.virtual import VirtualMicrophone
from appliance.devices.settings import AudioSettings, ButtonSettings, LedSettings, VideoSettings
from appliance.devices.speakers.virtual import VirtualSpeaker
from tests.support.device_capture_workers import standin_worker
from tests.support.device_pulse import pulse_missing, pulse_server

NO_MODULE = ("false",)
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def no_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without sound cards and without a default device."""
    nothing = tmp_path / "asound.conf"
    nothing.write_text("")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(nothing))
    monkeypatch.setattr(sound_cards, "PROC_ASOUND", tmp_path)


# --- cameras ---


async def test_a_camera_module_comes_first_and_encodes_by_itself() -> None:
    found = await catalog.find_camera(VideoSettings(worker_command=standin_worker()))
    assert isinstance(found.device, PiEncodedCamera)
    assert "standin" in found.reason


async def test_software_encoding_takes_frames_from_the_module() -> None:
    found = await catalog.find_camera(VideoSettings(encoder="software", worker_command=standin_worker()))
    assert isinstance(found.device, PiCamera)
    async with found.device.open():
        assert (await found.device.read()).width == 1280


async def test_without_any_camera_auto_is_none_and_says_why() -> None:
    found = await catalog.find_camera(VideoSettings(worker_command=NO_MODULE))
    assert found.device is None
    assert "no camera module" in found.reason


async def test_auto_or_virtual_falls_back_to_the_test_card() -> None:
    settings = VideoSettings(source="auto_or_virtual", width=640, height=360, worker_command=NO_MODULE)
    found = await catalog.find_camera(settings, "Lobby")
    assert isinstance(found.device, VirtualCamera)
    assert found.name == "Virtual camera"  # "Lobby" is what its picture says
    async with found.device.open():
        assert (await found.device.read()).height == 360


@pytest.mark.parametrize(
    ("source", "kind"), [("test", VirtualCamera), ("csi:1", PiEncodedCamera), ("usb:/dev/video9", UsbCamera)]
)
async def test_a_named_camera_is_taken_without_looking_for_others(source: str, kind: type) -> None:
    found = await catalog.find_camera(VideoSettings(source=source, worker_command=("/no-such-program",)))
    assert isinstance(found.device, kind)
    assert source in found.reason


async def test_no_camera_can_be_wanted() -> None:
    assert (await catalog.find_camera(VideoSettings(source="none"))).device is None


# --- sound ---


async def test_without_sound_cards_auto_is_none_and_says_why(no_sound: None) -> None:
    microphone = await catalog.find_microphone(AudioSettings())
    speaker = await catalog.find_speaker(AudioSettings())
    assert microphone.device is None
    assert speaker.device is None
    assert "default" in microphone.reason


async def test_auto_or_virtual_falls_back_to_virtual_sound(no_sound: None) -> None:
    settings = AudioSettings(input="auto_or_virtual", output="auto_or_virtual")
    assert isinstance((await catalog.find_microphone(settings)).device, VirtualMicrophone)
    assert isinstance((await catalog.find_speaker(settings)).device, VirtualSpeaker)


@pytest.mark.sound_server
async def test_auto_finds_what_the_system_calls_default(tmp_path: Path) -> None:
    if why := pulse_missing():
        pytest.skip(why)
    with pulse_server(tmp_path):
        microphone = await catalog.find_microphone(AudioSettings())
        speaker = await catalog.find_speaker(AudioSettings())
        assert microphone.device is not None
        assert (microphone.name, speaker.name) == ("default", "default")
        with microphone.device.open():
            assert len(microphone.device.read()) == 1920


async def test_virtual_sound_by_name(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    settings = AudioSettings(input="virtual:tone:440", output=f"virtual:{path}")
    microphone, speaker = await catalog.find_microphone(settings), await catalog.find_speaker(settings)
    assert "tone:440" in microphone.name
    assert speaker.device is not None
    with speaker.device.open():
        assert path.exists()


async def test_no_sound_can_be_wanted() -> None:
    settings = AudioSettings(input="none", output="none")
    assert (await catalog.find_microphone(settings)).device is None
    assert (await catalog.find_speaker(settings)).device is None


def test_sound_settings_come_from_the_table() -> None:
    made = catalog.sound_settings(AudioSettings(volume=30, max_volume=80, bitrate_kbps=24, cues=False))
    assert (made.volume_percent, made.max_volume_percent, made.bitrate_bps, made.cues) == (30, 80, 24_000, False)


# --- front panel ---


def test_a_virtual_front_panel_is_pressed_and_lit_on_shared_pins() -> None:
    panel = catalog.find_front_panel(ButtonSettings(), LedSettings(), "virtual")
    assert panel.kind == "virtual"
    assert panel.buttons is not None
    assert panel.lamps is not None
    edges: list[tuple[str, bool]] = []
    with panel.lamps.open(), panel.buttons.open(lambda name, pressed, at: edges.append((name, pressed))):
        panel.buttons.press("leave")  # type: ignore[attr-defined]
        panel.lamps.show("live", True)
        assert panel.lamps.read("live")
    assert edges == [("leave", True)]


def test_where_nothing_can_be_written_gpio_is_missing_and_says_why() -> None:
    pytest.importorskip("lgpio", reason="lgpio is not installed")
    load = "from appliance.devices.gpio import chip_factory; chip_factory()"

    ended = subprocess.run(
        [sys.executable, "-c", load],
        cwd="/proc",
        env={"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "DeviceMissing: GPIO: lgpio needs a working directory" in ended.stderr


def test_where_there_is_no_gpio_auto_is_none_and_auto_or_virtual_virtual() -> None:
    panel = catalog.find_front_panel(ButtonSettings(), LedSettings(), "auto")
    if panel.kind == "gpio":
        pytest.skip("this machine has GPIO")
    assert panel.kind == "none"
    assert "GPIO" in panel.reason
    assert catalog.find_front_panel(ButtonSettings(), LedSettings(), "auto_or_virtual").kind == "virtual"
