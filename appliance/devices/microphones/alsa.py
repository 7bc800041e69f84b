"""A microphone through ALSA: USB, or whatever a sound server offers as a PCM."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager

from appliance.devices.alsa import AlsaStream
from appliance.devices.samples import PERIOD_BYTES, downmix
from appliance.devices.sound_cards import pcm_name
from appliance.errors import DeviceLost


class AlsaMicrophone:
    """Satisfies Microphone."""

    def __init__(self, setting: str) -> None:
        """Take a card's id, or an ALSA name such as `plughw:CARD=Speakerphone,DEV=0`."""
        self.name = pcm_name(setting)
        self.overruns = 0
        self._stream: AlsaStream | None = None
        self._waiting = bytearray()

    def open(self) -> AbstractContextManager[None]:
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        with closing(AlsaStream(self.name, capture=True)) as stream:
            self._stream = stream
            self._waiting.clear()
            try:
                yield
            finally:
                if self._stream is stream:  # one that was left behind must not close its successor
                    self._stream = None

    def read(self) -> bytes:
        stream = self._stream
        if stream is None:
            raise DeviceLost(f"{self.name} is not open")
        while len(self._waiting) < PERIOD_BYTES:
            data = stream.read()
            if data is None:
                self.overruns += 1
                continue
            self._waiting += downmix(data, stream.channels)
        period = bytes(self._waiting[:PERIOD_BYTES])
        del self._waiting[:PERIOD_BYTES]
        return period
