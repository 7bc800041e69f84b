"""What takes the loudspeaker's sound out of the microphone's. The sound thread calls it, 20 ms at a time."""

from typing import Protocol

from appliance.devices.samples import PERIOD_BYTES, SAMPLE_RATE_HZ
from appliance.errors import DeviceMissing

_FRAME_BYTES = PERIOD_BYTES // 2
_FRAME_SAMPLES = _FRAME_BYTES // 2


class EchoCanceller(Protocol):
    """Takes what the loudspeaker plays out of what the microphone hears."""

    def played(self, pcm: bytes) -> None:
        """One period that goes to the card now: all voices and cues (kiosk.md 8: what is really played)."""

    def cancel(self, pcm: bytes) -> bytes:
        """One captured period; returns as many samples without the echo."""

    def gap(self) -> None:
        """Samples were lost on either card: what was learned about the delay no longer holds."""


class LivekitEchoCanceller:
    """WebRTC's AEC3 with noise suppression and gain control, from livekit's wheel; frames of 10 ms.

    AEC3 finds the delay by itself (measured: the same at every hint), so a gap needs no more than time.
    """

    def __init__(self, *, noise_suppression: bool = True, auto_gain: bool = True) -> None:
        """Raise DeviceMissing where the extra `aec` is not installed."""
        try:
            from livekit.rtc import AudioFrame, AudioProcessingModule
        except ImportError as error:
            raise DeviceMissing("echo canceller: install room-kiosk[aec]") from error
        self._frame = AudioFrame
        self._module = AudioProcessingModule(
            echo_cancellation=True,
            noise_suppression=noise_suppression,
            auto_gain_control=auto_gain,
            high_pass_filter=True,
        )

    def played(self, pcm: bytes) -> None:
        for start in range(0, PERIOD_BYTES, _FRAME_BYTES):
            self._module.process_reverse_stream(self._of(pcm[start : start + _FRAME_BYTES]))

    def cancel(self, pcm: bytes) -> bytes:
        out = bytearray()
        for start in range(0, PERIOD_BYTES, _FRAME_BYTES):
            frame = self._of(pcm[start : start + _FRAME_BYTES])
            self._module.set_stream_delay_ms(0)
            self._module.process_stream(frame)
            out += bytes(frame.data)
        return bytes(out)

    def gap(self) -> None:
        pass

    def _of(self, pcm: bytes):  # type: ignore[no-untyped-def]  # livekit may not be installed
        return self._frame(bytearray(pcm), SAMPLE_RATE_HZ, 1, _FRAME_SAMPLES)
