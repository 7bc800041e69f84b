"""What ALSA's microphone and speaker have in common: opening a stream through pyalsaaudio, and its errors."""

import logging
from typing import Any

from appliance.devices.samples import PERIOD_SAMPLES, SAMPLE_RATE_HZ
from appliance.devices.speakers.base import BUFFER_PERIODS
from appliance.errors import DeviceBusy, DeviceError, DeviceLost, DeviceMissing

try:
    import alsaaudio
except ImportError:  # the extra `kiosk` compiles it; a laptop may do without
    alsaaudio = None

logger = logging.getLogger(__name__)

EPIPE = -32
"""pyalsaaudio 0.11 returns it for an overrun or underrun, having prepared the stream again (kiosk.md 8)."""

CARD_PERIODS = BUFFER_PERIODS + 1
"""One more than is kept full, so that a write right after the wake-up does not wait."""

_CHANNELS = (1, 2)


class AlsaStream:
    """One open PCM. Blocking; samples of 16 bit at 48 kHz, with as many channels as the card insists on."""

    def __init__(self, pcm: str, *, capture: bool) -> None:
        """Open it. Raise DeviceMissing or DeviceBusy, naming the device."""
        if alsaaudio is None:
            raise DeviceMissing(f"{pcm}: pyalsaaudio is not installed (room-kiosk[kiosk])")
        self.name = pcm
        self._pcm = self._open(alsaaudio.PCM_CAPTURE if capture else alsaaudio.PCM_PLAYBACK)
        info = self._pcm.info()
        self.channels = int(info["channels"])
        self.buffer_samples = int(info["buffer_size"])
        if info["rate"] != SAMPLE_RATE_HZ:
            self.close()
            raise DeviceMissing(f"{pcm}: offers {info['rate']} Hz, not {SAMPLE_RATE_HZ}")

    def _open(self, direction: int) -> Any:
        refused: Exception | None = None
        for channels in _CHANNELS:
            try:
                return alsaaudio.PCM(
                    direction,
                    alsaaudio.PCM_NORMAL,
                    device=self.name,
                    rate=SAMPLE_RATE_HZ,
                    channels=channels,
                    format=alsaaudio.PCM_FORMAT_S16_LE,
                    periodsize=PERIOD_SAMPLES,
                    periods=CARD_PERIODS,
                )
            except alsaaudio.ALSAAudioError as error:
                refused = error
        assert refused is not None
        raise _at_opening(self.name, refused) from refused

    def read(self) -> bytes | None:
        """Block for some frames; return them, or None for an overrun."""
        frames, data = self._called(self._pcm.read)
        if frames == EPIPE:
            return None
        if frames < 0:
            raise DeviceLost(f"{self.name}: read failed with {frames}")
        return bytes(data[: frames * self.channels * 2])

    def write(self, data: bytes) -> bool:
        """Block until the card took all frames; return False for an underrun, when nothing was taken."""
        while data:
            frames = self._called(self._pcm.write, data)
            if frames == EPIPE:
                return False
            if frames < 0:
                raise DeviceLost(f"{self.name}: write failed with {frames}")
            data = data[frames * self.channels * 2 :]
        return True

    def queued(self) -> int:
        """Return the frames that a playback stream has not played yet."""
        available = self._called(self._pcm.avail)
        return max(0, self.buffer_samples - available) if available >= 0 else 0

    def close(self) -> None:
        self._pcm.close()

    def _called(self, call: Any, *arguments: object) -> Any:
        try:
            return call(*arguments)
        except (alsaaudio.ALSAAudioError, OSError) as error:
            raise DeviceLost(f"{self.name}: {error}") from error


class CardVolume:
    """A card's own volume control, in dB."""

    NAMES = ("PCM", "Speaker", "Headset", "Headphone", "Master", "Digital", "HDMI")
    RANGE_DB = 48.0

    def __init__(self, card: str) -> None:
        """Raise DeviceMissing where the card has no control that we know."""
        if alsaaudio is None:
            raise DeviceMissing(f"{card}: pyalsaaudio is not installed")
        device = f"hw:CARD={card}"
        try:
            names = [name for name in self.NAMES if name in alsaaudio.mixers(device=device)]
            if not names:
                raise DeviceMissing(f"{card}: no volume control")
            self._mixer = alsaaudio.Mixer(names[0], device=device)
            self._least, self._most = self._mixer.getrange(units=alsaaudio.VOLUME_UNITS_DB)
        except alsaaudio.ALSAAudioError as error:
            raise DeviceMissing(f"{card}: no volume control ({error})") from error

    def set(self, percent: int) -> None:
        """Set 0-100 as a straight line in dB over the upper 48 dB of the card; 0 is its lowest."""
        wanted = self._most - self.RANGE_DB * (1 - percent / 100)
        decibels = self._least if percent <= 0 else max(self._least, wanted)
        try:
            self._mixer.setvolume(round(decibels), units=alsaaudio.VOLUME_UNITS_DB)
        except alsaaudio.ALSAAudioError as error:
            logger.warning("volume: %s", error)

    def close(self) -> None:
        self._mixer.close()


def _at_opening(pcm: str, error: Exception) -> DeviceError:
    busy = "busy" in str(error).lower()  # pyalsaaudio gives the text alone
    return (DeviceBusy if busy else DeviceMissing)(f"{pcm}: {error}")
