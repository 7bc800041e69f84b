"""A speaker made of software: a meter, and a recorder into a WAV file, at a card's pace."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import numpy as np

from appliance.devices.samples import (
    PERIOD_S,
    PERIOD_SAMPLES,
    QUIETEST_DBFS,
    SAMPLE_RATE_HZ,
    Samples,
    dbfs,
    samples_of,
    volume_gain,
)
from appliance.devices.speakers.base import BUFFER_PERIODS
from appliance.devices.speakers.wav_file import WavFile
from appliance.errors import DeviceBusy, DeviceLost, DeviceMissing

REMEMBERED_S = 5.0


class VirtualSpeaker:
    """Satisfies Speaker. Its clock plays a period every 20 ms out of a buffer of three."""

    def __init__(self, record_to: Path | None = None) -> None:
        """Record all that is played, silence included, where a path is given."""
        self.name = "Virtual speaker"
        self.underruns = 0
        self._record_to = record_to
        self._recorder: WavFile | None = None
        self._recent: deque[bytes] = deque(maxlen=round(REMEMBERED_S / PERIOD_S))
        self._gain = 1.0
        self._open = False
        self._unplugged = False
        self._empty_at = 0.0

    def open(self) -> AbstractContextManager[None]:
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        if self._unplugged:
            raise DeviceMissing(f"{self.name} is unplugged")
        if self._open:
            raise DeviceBusy(f"{self.name} is open already")
        with ExitStack() as files:
            if self._record_to is not None:
                try:
                    self._recorder = files.enter_context(WavFile(self._record_to))
                except OSError as error:
                    raise DeviceMissing(f"{self.name} cannot record: {error}") from error
            self._open, self._empty_at = True, 0.0
            try:
                yield
            finally:
                self._open, self._recorder = False, None

    def write(self, pcm: bytes) -> None:
        while (wait := self._empty_at - time.monotonic() - (BUFFER_PERIODS - 1) * PERIOD_S) > 0:
            if self._unplugged or not self._open:
                break
            time.sleep(min(wait, 0.1))
        if self._unplugged or not self._open:
            raise DeviceLost(f"{self.name} was unplugged")
        now = time.monotonic()
        if self._empty_at and now > self._empty_at:
            self.underruns += 1
        self._empty_at = max(self._empty_at, now) + PERIOD_S
        gain = self._gain
        if gain != 1.0:
            pcm = (samples_of(pcm) * gain).astype("<i2").tobytes()
        self._recent.append(pcm)
        if self._recorder is not None:
            self._recorder.write(pcm)

    def queued(self) -> int:
        return max(0, round((self._empty_at - time.monotonic()) * SAMPLE_RATE_HZ))

    def set_volume(self, percent: int) -> None:
        self._gain = volume_gain(percent)

    def unplug(self) -> None:
        """Behave as a card whose plug was pulled, from any thread."""
        self._unplugged = True

    def plug_in(self) -> None:
        self._unplugged = False

    def recent(self, seconds: float) -> Samples:
        """Return what was played last, at most 5 s, at the volume it was played."""
        periods = list(self._recent)[-round(seconds / PERIOD_S) :]
        return samples_of(b"".join(periods)) if periods else np.zeros(0, np.int16)

    def level_dbfs(self, seconds: float = 0.5) -> float:
        """Return the level of what was played last."""
        heard = self.recent(seconds)
        return dbfs(heard) if len(heard) >= PERIOD_SAMPLES else QUIETEST_DBFS
