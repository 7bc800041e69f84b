"""The sound of the kiosk: one thread that owns cards, voices, mixer, echo canceller and Opus both ways.

Only encoded packets and commands cross its border, by rings that nobody waits on (design.md 3).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from appliance.devices.microphones.base import Microphone
from appliance.devices.speakers.base import Speaker
from appliance.errors import DeviceError


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSettings:
    """How the sound thread works."""

    bitrate_bps: int = 40_000
    volume_percent: int = 70
    max_volume_percent: int = 100
    cues: bool = True
    period_deadline_s: float = 2.0
    """A period that takes longer means a dead card or sound server (kiosk.md 17: 2 s)."""


@dataclass(frozen=True, slots=True)
class OpusPacket:
    """20 ms of sound. `timestamp` counts samples at 48 kHz from the first packet, silence included."""

    data: bytes
    timestamp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFigures:
    """Measurements since `open`. Levels in dBFS, -120 for nothing; times in milliseconds."""

    microphone_dbfs: float
    output_dbfs: float
    periods: int
    overruns: int
    underruns: int
    playout_delay_ms: float
    lateness_p50_ms: float
    lateness_p99_ms: float
    lateness_max_ms: float
    real_time: bool


class EchoCanceller(Protocol):
    """Takes what the loudspeaker plays out of what the microphone hears."""

    def played(self, pcm: bytes) -> None:
        """One period that goes to the card now: all voices and cues, after volume."""

    def cancel(self, pcm: bytes) -> bytes:
        """One captured period; returns as many samples without the echo."""

    def gap(self) -> None:
        """Samples were lost on either card: what was learned about the delay no longer holds."""


class Sound:
    """Sound in and out of one kiosk. Every method returns at once but `open` and `close`."""

    on_capturing: Callable[[bool], None]
    """Called on the sound thread with True before the first sample leaves, with False after the device was closed."""
    on_lost: Callable[[str, DeviceError], None]
    """Called from any thread with `microphone` or `speaker`; the rest goes on, and the device is tried again."""
    on_found: Callable[[str], None]
    """Called from any thread when a lost device works again."""

    def __init__(
        self,
        microphone: Microphone | None,
        speaker: Speaker | None,
        settings: SoundSettings,
        echo: EchoCanceller | None = None,
    ) -> None: ...

    async def open(self, outgoing: Callable[[OpusPacket], None], *, muted: bool) -> None:
        """Open both cards and start the thread; return when sound flows.

        One device that is not there is reported by `on_lost`, and the other works alone.
        Args:
            outgoing: called on the sound thread every 20 ms while a microphone is open; return at once.
            muted: whether the gate is closed from the first sample on.
        Raises:
            DeviceMissing, DeviceBusy: neither device could be opened.
        """

    async def close(self) -> None:
        """Stop and close both cards; they are closed when this returns. Closing twice is fine."""

    def set_muted(self, muted: bool) -> None:
        """Close or open the gate before the encoder, from any thread: the next period's samples are discarded."""

    def add_voice(self, key: str) -> Callable[[bytes, int], None]:
        """Make a jitter ring and return its inlet: put(Opus payload, RTP timestamp), callable from any thread."""
        raise NotImplementedError

    def remove_voice(self, key: str) -> None:
        """Forget a voice; unknown keys are fine."""

    def play_cue(self, name: str) -> None:
        """Play joined, left, muted, unmuted, incoming, declined or error (look/README.md 5); never sent to the room."""

    def set_volume(self, percent: int) -> None:
        """Set 0-100 of what `max_volume_percent` allows."""

    @property
    def capturing(self) -> bool:
        """Whether a microphone is open and delivering."""
        raise NotImplementedError

    def figures(self) -> SoundFigures:
        raise NotImplementedError
