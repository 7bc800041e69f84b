"""Every echo canceller takes the loudspeaker out of the microphone, and leaves a voice in it."""

import numpy as np
import pytest

from appliance.devices.echo import EchoCanceller, LivekitEchoCanceller
from appliance.devices.microphones.speech import speech
from appliance.devices.samples import PERIOD_SAMPLES, SAMPLE_RATE_HZ, Samples, dbfs, samples_of
from appliance.errors import DeviceMissing

ECHO_DELAY_SAMPLES = 60 * SAMPLE_RATE_HZ // 1000
ECHO_GAIN = 0.4
SECONDS = 12


def livekit() -> EchoCanceller:
    try:
        return LivekitEchoCanceller(noise_suppression=False, auto_gain=False)
    except DeviceMissing as error:
        pytest.skip(str(error))


@pytest.fixture(params=[livekit])
def canceller(request: pytest.FixtureRequest) -> EchoCanceller:
    made: EchoCanceller = request.param()
    return made


def through(canceller: EchoCanceller, far: Samples, near: Samples) -> tuple[Samples, Samples]:
    """Return what the microphone hears and what is left of it, period by period."""
    late = np.concatenate([np.zeros(ECHO_DELAY_SAMPLES, np.int16), far])[: len(far)]
    heard = (late * ECHO_GAIN + near).astype(np.int16)
    left = []
    for start in range(0, len(far) - PERIOD_SAMPLES + 1, PERIOD_SAMPLES):
        canceller.played(far[start : start + PERIOD_SAMPLES].tobytes())
        left.append(samples_of(canceller.cancel(heard[start : start + PERIOD_SAMPLES].tobytes())))
    return heard, np.concatenate(left)


def test_what_the_speaker_plays_is_gone_after_a_few_seconds(canceller: EchoCanceller) -> None:
    far = speech(SECONDS, seed=1)
    heard, left = through(canceller, far, np.zeros(len(far), np.int16))
    settled = slice(6 * SAMPLE_RATE_HZ, SECONDS * SAMPLE_RATE_HZ)
    assert dbfs(heard[settled]) - dbfs(left[settled]) > 20


def test_a_voice_alone_passes(canceller: EchoCanceller) -> None:
    near = speech(SECONDS, seed=2)
    heard, left = through(canceller, np.zeros(len(near), np.int16), near)
    settled = slice(3 * SAMPLE_RATE_HZ, SECONDS * SAMPLE_RATE_HZ)
    assert dbfs(left[settled]) == pytest.approx(dbfs(heard[settled]), abs=3)


def test_periods_keep_their_length(canceller: EchoCanceller) -> None:
    assert len(canceller.cancel(bytes(1920))) == 1920
    canceller.gap()
