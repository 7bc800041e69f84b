"""What is in recorded sound: levels at a pitch, the strongest pitch."""

import wave
from pathlib import Path

import numpy as np

from appliance.devices.samples import SAMPLE_RATE_HZ, Samples


def read_wave(path: Path) -> tuple[np.ndarray, int]:
    """Return mono samples in -1 … 1 and their rate; a file that is still being written is read as far as it goes."""
    if not path.exists() or path.stat().st_size <= 44:
        return np.zeros(0, np.float32), 48_000
    raw = path.read_bytes()
    with wave.open(str(path)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
    samples = np.frombuffer(raw[44 : 44 + (len(raw) - 44) // 2 * 2], "<i2").astype(np.float32) / 32768
    return samples[: len(samples) // channels * channels].reshape(-1, channels).mean(axis=1), rate


def tone_level(path: Path, frequency_hz: float, *, window_s: float = 0.1, after: int = 0) -> float:
    """Return the highest level of this pitch in any window, in dB below full scale; -200 where there is none.

    `after`: how many samples at the beginning do not count.
    """
    samples, rate = read_wave(path)
    samples = samples[after:]
    length = int(rate * window_s)
    if len(samples) < length:
        return -200.0
    windows = samples[: len(samples) // length * length].reshape(-1, length)
    wave_at = np.exp(-2j * np.pi * frequency_hz * np.arange(length) / rate) * np.hanning(length)
    amplitude = np.abs(windows @ wave_at) * 2 / np.hanning(length).sum()
    return float(20 * np.log10(max(amplitude.max(), 1e-10)))


def strongest_hz(samples: Samples) -> float:
    """Return the frequency with the most energy; the longer the samples, the finer (rate / length)."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * SAMPLE_RATE_HZ / len(samples))
