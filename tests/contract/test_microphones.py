"""Every microphone keeps the promises of devices/microphones/base.py."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.devices.microphones.base import Microphone
from appliance.devices.microphones.virtual import VirtualMicrophone, tone
from appliance.devices.samples import PERIOD_BYTES, dbfs, samples_of
from appliance.devices.speakers.wav_file import WavFile
from appliance.errors import DeviceBusy, DeviceError, DeviceLost, DeviceMissing
from tests.support.device_pulse import MICROPHONE, PulseServer, pulse_missing, pulse_server
from tests.support.recorded_sound import strongest_hz

TONE_HZ = 1000.0


@pytest.fixture(scope="module")
def pulse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PulseServer]:
    if why := pulse_missing():
        pytest.skip(why)
    with pulse_server(tmp_path_factory.mktemp("pulse")) as server:
        yield server


@pytest.fixture
def virtual_microphone() -> VirtualMicrophone:
    return VirtualMicrophone(f"tone:{TONE_HZ}")


@pytest.fixture
def alsa_microphone(pulse: PulseServer) -> Iterator[Microphone]:
    from appliance.devices.microphones.alsa import AlsaMicrophone

    with pulse.playing(tone(TONE_HZ, 30.0)):
        yield AlsaMicrophone(f"pcm:{MICROPHONE}")


@pytest.fixture(
    params=["virtual_microphone", pytest.param("alsa_microphone", marks=pytest.mark.sound_server)],
)
def microphone(request: pytest.FixtureRequest) -> Microphone:
    found: Microphone = request.getfixturevalue(request.param)
    return found


def heard_tone(microphone: Microphone) -> bytes:
    """Return half a second once the tone is there; a sound server lets the first periods pass in silence."""
    deadline = time.monotonic() + 10
    while dbfs(samples_of(microphone.read())) < -40:
        assert time.monotonic() < deadline, "no sound arrived"
    return b"".join(microphone.read() for _ in range(25))


def test_a_period_is_20_ms_of_16_bit_mono(microphone: Microphone) -> None:
    with microphone.open():
        assert {len(microphone.read()) for _ in range(10)} == {PERIOD_BYTES}


def test_it_hears_what_sounds_at_its_level(microphone: Microphone) -> None:
    with microphone.open():
        samples = samples_of(heard_tone(microphone))
    assert strongest_hz(samples) == pytest.approx(TONE_HZ, abs=3)
    assert dbfs(samples) == pytest.approx(-20, abs=1)


def test_it_never_delivers_faster_than_time(microphone: Microphone) -> None:
    with microphone.open():
        for _ in range(50):  # what waited in buffers while it opened comes at once
            microphone.read()
        start = time.monotonic()
        for _ in range(50):
            microphone.read()
        assert time.monotonic() - start > 0.7


def test_it_can_be_opened_again_after_it_was_closed(microphone: Microphone) -> None:
    for _ in range(2):
        with microphone.open():
            microphone.read()


def test_reading_a_closed_one_is_lost(microphone: Microphone) -> None:
    with microphone.open():
        microphone.read()
    with pytest.raises(DeviceLost):
        microphone.read()


def test_an_alsa_device_that_is_not_there_is_missing_by_name() -> None:
    from appliance.devices.microphones.alsa import AlsaMicrophone

    with pytest.raises(DeviceMissing, match="NoSuchCard"), AlsaMicrophone("NoSuchCard").open():
        pass


# --- what only the virtual one can show ---


def test_the_virtual_one_can_be_unplugged_in_the_middle_of_a_read() -> None:
    microphone = VirtualMicrophone("silence")
    with microphone.open():
        microphone.read()
        outcome: list[DeviceError] = []

        def read_on() -> None:
            try:
                while True:
                    microphone.read()
            except DeviceError as error:
                outcome.append(error)

        reader = threading.Thread(target=read_on)
        reader.start()
        microphone.unplug()
        reader.join(5)
    assert isinstance(outcome[0], DeviceLost)
    with pytest.raises(DeviceMissing), microphone.open():
        pass


def test_the_virtual_one_is_busy_while_open() -> None:
    microphone = VirtualMicrophone("silence")
    with microphone.open(), pytest.raises(DeviceBusy), microphone.open():
        pass


def test_a_reader_that_was_away_is_told_of_the_gap() -> None:
    microphone = VirtualMicrophone("silence")
    with microphone.open():
        microphone.read()
        time.sleep(0.2)  # given: longer than the card's buffer of 80 ms
        microphone.read()
    assert microphone.overruns == 1


def test_the_virtual_one_plays_a_wav_file_over_and_over(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with WavFile(path) as file:
        file.write(tone(440, 0.4).tobytes())
    microphone = VirtualMicrophone(str(path))
    with microphone.open():
        samples = samples_of(b"".join(microphone.read() for _ in range(30)))
    assert strongest_hz(samples) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("spoil", [lambda path: None, lambda path: path.write_bytes(b"no wave")])
def test_a_wav_file_that_cannot_be_read_is_missing_by_name(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "broken.wav"
    spoil(path)
    with pytest.raises(DeviceMissing, match=r"broken\.wav"), VirtualMicrophone(str(path)).open():
        pass
