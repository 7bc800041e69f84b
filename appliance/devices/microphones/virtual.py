"""A microphone made of software: speech-like sound, a tone, or a WAV file, at a card's pace."""

import logging
import time
import wave
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from appliance.devices.microphones.speech import speech
from appliance.devices.samples import (
    FULL_SCALE,
    PERIOD_BYTES,
    PERIOD_S,
    PERIOD_SAMPLES,
    SAMPLE_RATE_HZ,
    Samples,
    downmix,
    gain_of_db,
    resampled,
    samples_of,
)
from appliance.errors import DeviceBusy, DeviceLost, DeviceMissing

logger = logging.getLogger(__name__)

CARD_BUFFER_PERIODS = 4
"""What a card holds for a reader that is late; then it loses samples and says so."""

SPEECH_S = 12.0
TONE_DBFS = -20.0
TONE_S = 1.0
"""A whole number of waves of any whole number of Hz fits, so it repeats without a click."""


class VirtualMicrophone:
    """Satisfies Microphone. What it plays is repeated for ever."""

    def __init__(self, sound: str = "speech") -> None:
        """Choose `speech`, `tone:HZ` (-20 dBFS), `silence`, or the path of a WAV file (16 bit, any rate, channels)."""
        self.name = f"Virtual microphone ({Path(sound).name})"
        self.overruns = 0
        self._sound = sound
        self._samples = b""
        self._open = False
        self._unplugged = False
        self._next = 0
        self._due = 0.0

    def open(self) -> AbstractContextManager[None]:
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        if self._unplugged:
            raise DeviceMissing(f"{self.name} is unplugged")
        if self._open:
            raise DeviceBusy(f"{self.name} is open already")
        self._samples = self._samples or _whole_periods(_sound(self._sound))
        self._next, self._due, self._open = 0, time.monotonic(), True
        try:
            yield
        finally:
            self._open = False

    def read(self) -> bytes:
        self._due += PERIOD_S
        while (wait := self._due - time.monotonic()) > 0:
            if self._unplugged or not self._open:
                break
            time.sleep(min(wait, 0.1))
        if self._unplugged or not self._open:
            raise DeviceLost(f"{self.name} was unplugged")
        if -wait > CARD_BUFFER_PERIODS * PERIOD_S:
            self.overruns += 1
            lost = int(-wait / PERIOD_S)
            self._due += lost * PERIOD_S
            self._next = (self._next + lost * PERIOD_BYTES) % len(self._samples)
        period = self._samples[self._next : self._next + PERIOD_BYTES]
        self._next = (self._next + PERIOD_BYTES) % len(self._samples)
        return period

    def unplug(self) -> None:
        """Behave as a card whose plug was pulled, from any thread."""
        self._unplugged = True

    def plug_in(self) -> None:
        self._unplugged = False


def _sound(name: str) -> Samples:
    if name == "speech":
        return speech(SPEECH_S)
    if name == "silence":
        return np.zeros(SAMPLE_RATE_HZ, np.int16)
    if name.startswith("tone:"):
        return tone(float(name.removeprefix("tone:")))
    return wav_samples(Path(name))


def tone(hz: float, seconds: float = TONE_S, level_dbfs: float = TONE_DBFS) -> Samples:
    """Return a sine whose root mean square is `level_dbfs`."""
    peak = FULL_SCALE * gain_of_db(level_dbfs) * np.sqrt(2)
    moments = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    sine: Samples = (np.sin(2 * np.pi * hz * moments) * peak).astype(np.int16)
    return sine


def wav_samples(path: Path) -> Samples:
    """Return a WAV file as mono samples at 48 kHz. Raise DeviceMissing, naming the file, where it cannot serve."""
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            pcm = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise DeviceMissing(f"virtual microphone: cannot read {path}: {error}") from error
    if width != 2 or not pcm:
        raise DeviceMissing(f"virtual microphone: {path} is empty or not of 16 bit")
    return resampled(samples_of(downmix(pcm[: len(pcm) - len(pcm) % (2 * channels)], channels)), rate)


def _whole_periods(samples: Samples) -> bytes:
    missing = -len(samples) % PERIOD_SAMPLES
    return np.concatenate([samples, np.zeros(missing, np.int16)]).astype("<i2").tobytes()
