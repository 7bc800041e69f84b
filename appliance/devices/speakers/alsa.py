"""A speaker through ALSA: USB, HDMI, or whatever a sound server offers as a PCM."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager

from appliance.devices.alsa import AlsaStream, CardVolume
from appliance.devices.samples import samples_of, upmix, volume_gain
from appliance.devices.sound_cards import card_of, pcm_name
from appliance.errors import DeviceLost, DeviceMissing

logger = logging.getLogger(__name__)


class AlsaSpeaker:
    """Satisfies Speaker. Without a volume control of the card's own, samples are scaled."""

    def __init__(self, setting: str) -> None:
        """Take a card's id, or an ALSA name such as `plughw:CARD=Speakerphone,DEV=0`."""
        self.name = pcm_name(setting)
        self.underruns = 0
        self._stream: AlsaStream | None = None
        self._volume: CardVolume | None = None
        self._percent = 100
        self._gain = 1.0

    def open(self) -> AbstractContextManager[None]:
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        with ExitStack() as claimed:
            stream = claimed.enter_context(closing(AlsaStream(self.name, capture=False)))
            self._stream, self._volume = stream, None
            card = card_of(self.name)
            if card is not None:
                try:
                    self._volume = claimed.enter_context(closing(CardVolume(card)))
                except DeviceMissing as error:
                    logger.info("%s; samples are scaled instead", error)
            self.set_volume(self._percent)
            try:
                yield
            finally:
                if self._stream is stream:  # one that was left behind must not close its successor
                    self._stream, self._volume = None, None

    def write(self, pcm: bytes) -> None:
        stream = self._opened_stream()
        gain = self._gain
        if gain != 1.0:
            pcm = (samples_of(pcm) * gain).astype("<i2").tobytes()
        frames = upmix(pcm, stream.channels)
        if not stream.write(frames):
            self.underruns += 1
            stream.write(frames)  # the stream was prepared again and takes it now

    def queued(self) -> int:
        return self._opened_stream().queued()

    def set_volume(self, percent: int) -> None:
        self._percent = percent
        volume = self._volume
        if volume is None:
            self._gain = volume_gain(percent)
        else:
            self._gain = 1.0
            volume.set(percent)

    def _opened_stream(self) -> AlsaStream:
        if self._stream is None:
            raise DeviceLost(f"{self.name} is not open")
        return self._stream
