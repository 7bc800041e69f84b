"""Sound as the devices hand it around, and its units. Pure.

Signed 16 bit, little endian, mono, 48 kHz, in periods of 20 ms.
"""

import math

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 48_000
PERIOD_SAMPLES = 960
PERIOD_S = PERIOD_SAMPLES / SAMPLE_RATE_HZ
PERIOD_BYTES = PERIOD_SAMPLES * 2
SILENT_PERIOD = bytes(PERIOD_BYTES)
FULL_SCALE = 32768.0
QUIETEST_DBFS = -120.0
SILENT_LEVEL = 127  # -dBov, the quietest that RFC 6464 knows

Samples = NDArray[np.int16]


def samples_of(pcm: bytes) -> Samples:
    """Return a read-only view of signed 16 bit samples."""
    return np.frombuffer(pcm, dtype=np.dtype("<i2"))


def dbfs(samples: NDArray[np.int16] | NDArray[np.float32]) -> float:
    """Return the root mean square in dB below full scale; a full-scale square wave has 0, silence -120."""
    if len(samples) == 0:
        return QUIETEST_DBFS
    mean_square = float(np.mean(np.square(samples, dtype=np.float64))) / FULL_SCALE**2
    return max(QUIETEST_DBFS, 10 * float(np.log10(mean_square + 1e-30)))


def audio_level(samples: Samples) -> int:
    """Return the loudness of a period in -dBov, 0 to 127 (RFC 6464, 3), by every second of its samples.

    Half of them have the same mean power, and arrays of up to 500 elements are worked off without letting go of the
    interpreter, which another thread might then keep for longer than a period.
    """
    half = samples[::2].astype(np.int32)
    mean_square = float(np.add.reduce(half * half, dtype=np.int64)) / max(1, len(half)) / FULL_SCALE**2
    if mean_square == 0:
        return SILENT_LEVEL
    return min(SILENT_LEVEL, max(0, round(-10 * math.log10(mean_square))))


def gain_of_db(db: float) -> float:
    """Return the linear factor."""
    return float(10.0 ** (db / 20.0))


def volume_gain(percent: int, range_db: float = 48.0) -> float:
    """Return the linear factor of a volume: 100 is 1.0, 1 is `range_db` below it, 0 is nothing (kiosk.md 8, Levels)."""
    if percent <= 0:
        return 0.0
    return gain_of_db(-range_db * (1 - min(percent, 100) / 100))


def downmix(pcm: bytes, channels: int) -> bytes:
    """Return the mean of interleaved channels (kiosk.md 8: a stereo card is downmixed)."""
    if channels == 1:
        return pcm
    mixed: Samples = samples_of(pcm).reshape(-1, channels).mean(axis=1).astype("<i2")
    return mixed.tobytes()


def upmix(pcm: bytes, channels: int) -> bytes:
    """Return the samples on every one of interleaved channels."""
    return pcm if channels == 1 else np.repeat(samples_of(pcm), channels).tobytes()


def resampled(samples: Samples, from_hz: int, to_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """Return the samples at another rate, by straight lines between them: for files and tests, not for live sound."""
    if from_hz == to_hz:
        return samples
    moments = np.arange(round(len(samples) * to_hz / from_hz)) * (from_hz / to_hz)
    straight: Samples = np.interp(moments, np.arange(len(samples)), samples).astype(np.int16)
    return straight
