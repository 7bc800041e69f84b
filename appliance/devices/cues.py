"""The sounds that tell what happened (look/README.md 5). Pure; never sent to the room.

Up is open, down is closed, three is trouble.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np

from appliance.devices.samples import FULL_SCALE, SAMPLE_RATE_HZ, Samples, gain_of_db

PEAK_DBFS = -18.0
NOTE_S = 0.06
FADE_IN_S = 0.005
FADE_OUT_S = 0.04
OCTAVE_PART = 0.25
"""The octave above, softly, makes a sine audible on small loudspeakers."""

INCOMING_EVERY_S = 2.0
"""How often the caller plays `incoming` while it lasts."""

_HZ = {"E4": 329.63, "A4": 440.00, "G4": 392.00, "D5": 587.33, "G5": 783.99}

CUES: Mapping[str, tuple[str, ...]] = {
    "joined": ("G4", "D5"),
    "left": ("D5", "G4"),
    "muted": ("A4", "E4"),
    "unmuted": ("E4", "A4"),
    "incoming": ("G4", "D5", "G5"),
    "declined": ("D5", "D5", "G4"),
    "error": ("E4", "E4", "E4"),
}


@cache
def cue(name: str) -> Samples:
    """Return a cue's samples at 48 kHz; KeyError for a name that is not in CUES.

    Notes follow each other every 60 ms, each with 5 ms in; the last one rings for 40 ms more.
    """
    notes = CUES[name]
    step = round(NOTE_S * SAMPLE_RATE_HZ)
    out = np.zeros(step * len(notes) + round(FADE_OUT_S * SAMPLE_RATE_HZ), np.float64)
    for place, note in enumerate(notes):
        tone = _note(_HZ[note])
        out[place * step : place * step + len(tone)] += tone
    out *= FULL_SCALE * gain_of_db(PEAK_DBFS) / np.max(np.abs(out))
    samples = out.astype(np.int16)
    samples.flags.writeable = False
    return samples


def _note(hz: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    length = NOTE_S + FADE_OUT_S
    moments = np.arange(round(length * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    envelope = np.minimum(1.0, moments / FADE_IN_S) * np.clip((length - moments) / FADE_OUT_S, 0.0, 1.0)
    wave = np.sin(2 * np.pi * hz * moments) + OCTAVE_PART * np.sin(4 * np.pi * hz * moments)
    return np.asarray(wave * envelope, np.float64)
