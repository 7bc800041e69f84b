"""Mixing never clips hard; cues are what look/README.md 5 says."""

import numpy as np
import pytest

from appliance.devices.cues import CUES, cue
from appliance.devices.mixer import CEILING, KNEE, Limiter
from appliance.devices.samples import FULL_SCALE, PERIOD_SAMPLES, Samples, dbfs, volume_gain
from tests.support.recorded_sound import strongest_hz


def sine(hz: float, peak: float, periods: int = 1) -> Samples:
    return (np.sin(2 * np.pi * hz * np.arange(PERIOD_SAMPLES * periods) / 48000) * peak).astype(np.int16)


def test_one_voice_of_common_loudness_passes_unchanged() -> None:
    voice = sine(500, 9000)
    assert np.array_equal(Limiter().mix([voice]), voice)


def test_two_voices_are_added() -> None:
    one, other = sine(500, 5000), sine(800, 4000)
    assert np.array_equal(Limiter().mix([one, other]), one + other)


def test_nobody_is_silence() -> None:
    assert not Limiter().mix([]).any()


def test_six_loud_voices_stay_below_the_ceiling_from_the_first_sample_on() -> None:
    limiter = Limiter()
    for _ in range(20):
        mixed = limiter.mix([sine(300 + 70 * place, 30000) for place in range(6)])
        assert np.abs(mixed.astype(int)).max() <= CEILING


def test_a_limited_sine_stays_a_sine_instead_of_a_square() -> None:
    limiter = Limiter()
    for _ in range(3):
        mixed = limiter.mix([sine(500, 30000), sine(500, 30000)])
    spectrum = np.abs(np.fft.rfft(mixed * np.hanning(len(mixed))))
    fundamental, third = spectrum[10], spectrum[30]  # bins of 50 Hz
    assert third < fundamental * 10 ** (-30 / 20)


def test_loudness_comes_back_slowly_after_a_shout() -> None:
    limiter = Limiter()
    limiter.mix([sine(500, 32000), sine(500, 32000)])
    soft = sine(500, 4000)
    levels = [dbfs(limiter.mix([soft])) for _ in range(60)]
    assert levels == sorted(levels)
    assert max(np.diff(levels)) < 1.0
    assert levels[-1] == pytest.approx(dbfs(soft), abs=0.1)
    assert soft.max() < KNEE


@pytest.mark.parametrize("name", CUES)
def test_a_cue_peaks_at_minus_18_dbfs_and_begins_and_ends_in_silence(name: str) -> None:
    samples = cue(name)
    assert 20 * np.log10(np.abs(samples.astype(int)).max() / FULL_SCALE) == pytest.approx(-18, abs=0.05)
    assert abs(int(samples[0])) < 30
    assert abs(int(samples[-1])) < 30
    assert len(samples) == 48000 * (0.06 * len(CUES[name]) + 0.04)


def test_joined_rises_from_g4_to_d5() -> None:
    samples = cue("joined")
    assert strongest_hz(samples[:2400]) == pytest.approx(392, abs=15)
    assert strongest_hz(samples[-2880:]) == pytest.approx(587, abs=15)


def test_mute_and_unmute_differ_in_direction() -> None:
    assert CUES["muted"] == tuple(reversed(CUES["unmuted"]))


def test_volume_is_straight_in_decibels_and_zero_is_nothing() -> None:
    assert volume_gain(100) == 1.0
    assert volume_gain(50) == pytest.approx(10 ** (-24 / 20))
    assert volume_gain(0) == 0.0
