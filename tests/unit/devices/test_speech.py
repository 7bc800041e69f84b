"""The virtual microphone's voice is something that meters and canceller take for speech."""

import numpy as np

from appliance.devices.microphones.speech import ROOM_DBFS, SPEECH_DBFS, speech
from appliance.devices.samples import dbfs


def levels() -> np.ndarray:
    sound = speech(6.0)
    return np.array([dbfs(part) for part in sound.reshape(-1, 960)])


def test_it_is_the_same_every_time_and_differs_by_seed() -> None:
    assert np.array_equal(speech(2.0), speech(2.0))
    assert not np.array_equal(speech(2.0), speech(2.0, seed=2))


def test_it_speaks_and_pauses_but_is_never_quite_silent() -> None:
    loud = levels()
    assert 0.3 < np.mean(loud > SPEECH_DBFS - 10) < 0.95
    assert np.mean(loud < ROOM_DBFS + 3) > 0.05
    assert loud.min() > -90


def test_it_never_clips() -> None:
    assert np.abs(speech(6.0).astype(int)).max() < 32767


def test_most_of_it_lies_where_voices_are() -> None:
    sound = speech(6.0)
    power = np.abs(np.fft.rfft(sound)) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / 48000)
    assert power[(hz > 80) & (hz < 4000)].sum() / power.sum() > 0.95
