"""Sound like speech, made of numbers: syllables of three formants in phrases with pauses. Pure, always the same.

Levels and spectrum are near those of a voice, so that meters, gates, Opus and echo cancellers meet
what they are made for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.devices.samples import FULL_SCALE, SAMPLE_RATE_HZ, Samples, gain_of_db

SPEECH_DBFS = -24.0
"""Root mean square while it speaks: someone at a desk, half a metre from a microphone."""

ROOM_DBFS = -66.0
"""A quiet room is never silent, and a real card never gives zeros."""

LONGEST_HARMONIC_HZ = 4000.0

# First three formants in Hz of a e i o u, a man's voice (Peterson and Barney, 1952, rounded).
_VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
_FORMANT_WIDTH_HZ = (90.0, 110.0, 170.0)
_FORMANT_GAIN = (1.0, 0.5, 0.25)


@dataclass(frozen=True, slots=True)
class _Syllable:
    start_s: float
    length_s: float
    pitch_hz: float
    vowel: int
    hissing: bool


def speech(seconds: float, seed: int = 1) -> Samples:
    """Return some seconds that can be repeated without a click: they begin and end in a pause."""
    random = np.random.default_rng(seed)
    out = random.normal(0.0, 1.0, round(seconds * SAMPLE_RATE_HZ)) * FULL_SCALE * gain_of_db(ROOM_DBFS)
    for syllable in _syllables(seconds, random):
        sound = _spoken(syllable, random)
        start = round(syllable.start_s * SAMPLE_RATE_HZ)
        out[start : start + len(sound)] += sound
    samples: Samples = np.clip(out, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return samples


def _syllables(seconds: float, random: np.random.Generator) -> list[_Syllable]:
    """Return phrases of 4 to 8 syllables whose pitch falls, as in a statement."""
    syllables: list[_Syllable] = []
    now = 0.2
    while True:
        count = int(random.integers(4, 9))
        for place in range(count):
            length = float(random.uniform(0.12, 0.24))
            if now + length > seconds - 0.2:
                return syllables
            pitch = 135.0 * (1.12 - 0.3 * place / count) * float(random.uniform(0.96, 1.04))
            syllables.append(_Syllable(now, length, pitch, int(random.integers(5)), bool(random.random() < 0.3)))
            now += length + float(random.uniform(0.02, 0.08))
        now += float(random.uniform(0.35, 0.7))


def _spoken(syllable: _Syllable, random: np.random.Generator) -> NDArray[np.float64]:
    moments = np.arange(round(syllable.length_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    glide = 1.0 - 0.06 * moments / syllable.length_s
    phase = 2 * np.pi * np.cumsum(syllable.pitch_hz * glide) / SAMPLE_RATE_HZ
    harmonics = np.arange(1, int(LONGEST_HARMONIC_HZ / syllable.pitch_hz) + 1)
    gains = _formants(harmonics * syllable.pitch_hz, _VOWELS[syllable.vowel]) / np.sqrt(harmonics)
    voiced = gains @ np.sin(np.outer(harmonics, phase) + random.uniform(0, 2 * np.pi, (len(harmonics), 1)))
    envelope = np.sin(np.pi * moments / syllable.length_s) ** 0.7
    sound = voiced * envelope
    sound *= FULL_SCALE * gain_of_db(SPEECH_DBFS) / np.sqrt(np.mean(sound**2))
    if syllable.hissing:
        hiss = np.diff(random.normal(0.0, 1.0, len(moments) + 1)) * np.clip(1 - moments / 0.06, 0, 1)
        sound += hiss * FULL_SCALE * gain_of_db(SPEECH_DBFS - 10)
    return np.asarray(sound, np.float64)


def _formants(hz: NDArray[np.floating], vowel: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return the gain of a vowel at each frequency: one resonance for each formant."""
    gain = np.full(len(hz), 0.02)
    for centre, width, height in zip(vowel, _FORMANT_WIDTH_HZ, _FORMANT_GAIN, strict=True):
        gain += height / (1.0 + ((hz - centre) / width) ** 2)
    return gain
