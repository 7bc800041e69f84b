"""One remote voice in the sound thread: its jitter ring, its decoder, and the samples left over between periods."""

import numpy as np

from appliance.devices.opus import OpusDecoder
from appliance.devices.samples import PERIOD_SAMPLES, Samples
from appliance.devices.voices import Do, JitterRing, crossfaded, made_up


class Voice:
    """`ring.put` is for any thread, everything else for the sound thread."""

    def __init__(self) -> None:
        self.ring = JitterRing()
        self._decoder = OpusDecoder()
        self._left = np.zeros(0, np.int16)
        self._last = np.zeros(PERIOD_SAMPLES, np.int16)
        self._made_up = 0

    def period(self) -> Samples | None:
        """Return the next 960 samples, or None for silence."""
        heard = False
        while len(self._left) < PERIOD_SAMPLES:
            sound = self._next()
            if sound is None:
                if not heard and not len(self._left):
                    return None
                sound = np.zeros(PERIOD_SAMPLES, np.int16)
            heard = True
            self._left = np.concatenate([self._left, sound])
        period, self._left = self._left[:PERIOD_SAMPLES], self._left[PERIOD_SAMPLES:]
        self._last = period
        return period

    def _next(self) -> Samples | None:
        """Return what the ring gives next, None for silence."""
        step = self.ring.take()
        if step.do is Do.SILENCE:
            return None
        decoded = None
        if step.do is not Do.CONCEAL:
            decoded = self._decoder.decode(step.payload)
            if step.do is Do.MERGE:
                following = self._decoder.decode(step.merged_into)
                decoded = following if decoded is None or following is None else crossfaded(decoded, following)
        if decoded is None:
            self._made_up += 1
            return made_up(self._last, self._made_up - 1)
        if self._made_up:
            decoded = crossfaded(made_up(self._last, self._made_up), decoded)
            self._made_up = 0
        return decoded
