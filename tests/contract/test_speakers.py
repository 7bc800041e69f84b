"""Every speaker keeps the promises of devices/speakers/base.py."""

import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.devices.microphones.virtual import tone
from appliance.devices.samples import PERIOD_BYTES, PERIOD_SAMPLES, Samples, dbfs
from appliance.devices.speakers.base import BUFFER_PERIODS, Speaker
from appliance.devices.speakers.virtual import VirtualSpeaker
from appliance.errors import DeviceBusy, DeviceLost, DeviceMissing
from tests.support.device_pulse import SPEAKER, PulseServer, pulse_missing, pulse_server
from tests.support.recorded_sound import strongest_hz

TONE_HZ = 440.0
Bench = tuple[Speaker, Callable[[float], Samples]]


@pytest.fixture(scope="module")
def pulse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PulseServer]:
    if why := pulse_missing():
        pytest.skip(why)
    with pulse_server(tmp_path_factory.mktemp("pulse")) as server:
        yield server


@pytest.fixture
def virtual_speaker() -> Bench:
    speaker = VirtualSpeaker()

    def heard(seconds: float) -> Samples:
        time.sleep(seconds)
        return speaker.recent(seconds)

    return speaker, heard


@pytest.fixture
def alsa_speaker(pulse: PulseServer) -> Bench:
    from appliance.devices.speakers.alsa import AlsaSpeaker

    return AlsaSpeaker(f"pcm:{SPEAKER}"), pulse.heard


@pytest.fixture(params=["virtual_speaker", pytest.param("alsa_speaker", marks=pytest.mark.sound_server)])
def bench(request: pytest.FixtureRequest) -> Bench:
    found: Bench = request.getfixturevalue(request.param)
    return found


class Playing:
    """Writes a tone over and over, on a thread, as the sound thread would."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker, self._ending = speaker, threading.Event()
        self._pcm = tone(TONE_HZ).tobytes()
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        place = 0
        while not self._ending.is_set():
            self._speaker.write(self._pcm[place : place + PERIOD_BYTES])
            place = (place + PERIOD_BYTES) % len(self._pcm)

    def __enter__(self) -> "Playing":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ending.set()
        self._thread.join(10)


def heard_tone(heard: Callable[[float], Samples]) -> Samples:
    """Return a second in which the tone sounds all through; a sound server needs a while to begin."""
    deadline = time.monotonic() + 15
    while True:
        samples = heard(1.0)
        parts = [dbfs(part) for part in np.array_split(samples, 10)]
        if len(samples) > 40000 and min(parts) > -60:
            return samples
        assert time.monotonic() < deadline, f"no even sound: {parts}"


def test_what_is_written_is_played_at_its_level(bench: Bench) -> None:
    speaker, heard = bench
    with speaker.open(), Playing(speaker):
        samples = heard_tone(heard)
    assert strongest_hz(samples) == pytest.approx(TONE_HZ, abs=3)
    assert dbfs(samples) == pytest.approx(-20, abs=1)


def test_half_the_volume_is_24_db_less(bench: Bench) -> None:
    speaker, heard = bench
    with speaker.open():
        speaker.set_volume(50)
        with Playing(speaker):
            samples = heard_tone(heard)
    assert dbfs(samples) == pytest.approx(-44, abs=1)


def test_writing_goes_at_the_pace_of_time(bench: Bench) -> None:
    speaker, _ = bench
    with speaker.open():
        start = time.monotonic()
        for _ in range(50):
            speaker.write(bytes(PERIOD_BYTES))
        assert time.monotonic() - start > (50 - 2 * BUFFER_PERIODS) * 0.02 - 0.1


def test_it_tells_how_much_waits(bench: Bench) -> None:
    speaker, _ = bench
    with speaker.open():
        for _ in range(BUFFER_PERIODS):
            speaker.write(bytes(PERIOD_BYTES))
        assert 0 < speaker.queued() <= (BUFFER_PERIODS + 1) * PERIOD_SAMPLES


def test_a_speaker_that_ran_dry_says_so_and_plays_on(bench: Bench) -> None:
    speaker, heard = bench
    with speaker.open():
        for _ in range(20):
            speaker.write(bytes(PERIOD_BYTES))
        time.sleep(0.6)  # given: ten times what its buffer holds
        with Playing(speaker):
            samples = heard_tone(heard)
    assert speaker.underruns >= 1
    assert strongest_hz(samples) == pytest.approx(TONE_HZ, abs=3)


def test_it_can_be_opened_again_and_a_closed_one_is_lost(bench: Bench) -> None:
    speaker, _ = bench
    for _ in range(2):
        with speaker.open():
            speaker.write(bytes(PERIOD_BYTES))
    with pytest.raises(DeviceLost):
        speaker.write(bytes(PERIOD_BYTES))


def test_an_alsa_device_that_is_not_there_is_missing_by_name() -> None:
    from appliance.devices.speakers.alsa import AlsaSpeaker

    with pytest.raises(DeviceMissing, match="NoSuchCard"), AlsaSpeaker("NoSuchCard").open():
        pass


# --- what only the virtual one can show ---


def test_the_virtual_one_is_busy_while_open_and_lost_when_unplugged() -> None:
    speaker = VirtualSpeaker()
    with speaker.open():
        with pytest.raises(DeviceBusy), speaker.open():
            pass
        speaker.unplug()
        with pytest.raises(DeviceLost):
            speaker.write(bytes(PERIOD_BYTES))
    with pytest.raises(DeviceMissing), speaker.open():
        pass


def test_the_recording_can_be_read_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    speaker = VirtualSpeaker(path)
    with speaker.open():
        for _ in range(60):
            speaker.write(tone(TONE_HZ)[:PERIOD_SAMPLES].tobytes())
        with wave.open(str(path)) as growing:
            assert growing.getnframes() >= 48000
    with wave.open(str(path)) as done:
        assert (done.getnframes(), done.getframerate(), done.getnchannels()) == (60 * PERIOD_SAMPLES, 48000, 1)


def test_a_place_that_cannot_be_written_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DeviceMissing, match="record"), VirtualSpeaker(tmp_path / "no" / "heard.wav").open():
        pass
