"""Many voices become one output that never clips hard. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.devices.samples import FULL_SCALE, PERIOD_SAMPLES, Samples, gain_of_db

CEILING = FULL_SCALE * gain_of_db(-1.0)
"""Loudest output: a dB below full scale leaves room for what a card's own filter adds."""

KNEE = FULL_SCALE * gain_of_db(-3.0)
"""Above this single peaks bend instead of breaking, in the few samples before the gain has come down."""

RELEASE_DB_PER_PERIOD = 0.2
"""10 dB a second: slower than speech, so that its loudness does not pump."""

_ATTACK_SAMPLES = 48

Float = NDArray[np.float32]


class Limiter:
    """Adds sounds; turns the sum down within a millisecond where it grows too loud, and back up slowly."""

    def __init__(self) -> None:
        self._gain = 1.0

    def mix(self, parts: Sequence[Samples]) -> Samples:
        """Return the sum of periods of 960 samples, |sample| <= CEILING; silence for none."""
        if not parts:
            self._gain = min(1.0, self._gain * gain_of_db(RELEASE_DB_PER_PERIOD))
            return np.zeros(PERIOD_SAMPLES, np.int16)
        if len(parts) == 1 and self._gain == 1.0 and parts[0].min() > -KNEE and parts[0].max() < KNEE:
            return parts[0]  # one person speaks: the common case, and nothing to calculate
        total: Float = np.sum(parts, axis=0, dtype=np.float32)
        peak = float(np.max(np.abs(total)))
        wanted = min(1.0, CEILING / peak) if peak > 0 else 1.0
        before = self._gain
        self._gain = wanted if wanted < before else min(wanted, before * gain_of_db(RELEASE_DB_PER_PERIOD))
        if before == self._gain == 1.0:
            return bent(total)
        ramp = np.full(len(total), self._gain, np.float32)
        ramp[:_ATTACK_SAMPLES] = np.linspace(before, self._gain, _ATTACK_SAMPLES, dtype=np.float32)
        return bent(total * ramp)


def bent(samples: Float) -> Samples:
    """Return the samples with those above KNEE pressed below CEILING, smoothly."""
    size = np.abs(samples)
    if float(size.max(initial=0.0)) <= KNEE:
        return samples.astype(np.int16)
    room = CEILING - KNEE
    pressed = KNEE + room * np.tanh((size - KNEE) / room)
    return (np.sign(samples) * np.where(size > KNEE, pressed, size)).astype(np.int16)
