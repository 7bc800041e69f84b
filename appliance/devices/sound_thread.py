"""The loop of the sound thread: one turn every 20 ms, paced by the card.

    microphone ▶ echo ▶ gate ▶ Opus ▶ outgoing          voices ▶ decode ▶ mix + cues ▶ echo's reference ▶ speaker

Nobody waits for this thread and it waits for nobody but the cards. A device that fails is closed here and reported;
the rest goes on. Whoever watches `turns` may abandon the thread when a card call never returns.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from appliance.devices.claim import OpenDevice
from appliance.devices.echo import EchoCanceller
from appliance.devices.lateness import Lateness
from appliance.devices.microphones.base import Microphone
from appliance.devices.mixer import Limiter
from appliance.devices.opus import OpusEncoder
from appliance.devices.samples import (
    PERIOD_S,
    PERIOD_SAMPLES,
    QUIETEST_DBFS,
    SILENT_LEVEL,
    SILENT_PERIOD,
    Samples,
    audio_level,
    dbfs,
    samples_of,
)
from appliance.devices.speakers.base import Speaker
from appliance.devices.voice import Voice
from appliance.errors import DeviceError, DeviceLost

logger = logging.getLogger(__name__)

Part = Literal["microphone", "speaker"]

REAL_TIME_PRIORITY = 20
"""Above every normal thread, below the kernel's own at 50."""

NEARLY_DRY_SAMPLES = PERIOD_SAMPLES * 3 // 4
NEARLY_FULL_SAMPLES = PERIOD_SAMPLES * 5 // 2
"""Between these the speaker's clock agrees with the microphone's; beyond, a turn plays two periods or none."""

METER_EVERY_PERIODS = 5
"""Levels ten times a second are enough for people, and every calculation on a period lets go of the interpreter."""

AHEAD_PERIODS = 100
"""A card that delivers faster than time by 2 s is broken; at this priority it would also starve everything else."""

_announced_refusal = False


@dataclass(slots=True)
class Controls:
    """What reaches into the thread from outside, by single stores and appends; outlives a thread that got stuck."""

    muted: bool = True
    voices: dict[str, Voice] = field(default_factory=dict)
    cues: deque[Samples] = field(default_factory=deque)
    next_timestamp: int = 0


@dataclass(frozen=True, slots=True)
class OpusPacket:
    """20 ms of sound. `timestamp` counts samples at 48 kHz from the first packet, silence included.

    `level`: loudness of what was encoded in -dBov, 0 the loudest, 127 silence (RFC 6464, 3).
    """

    data: bytes
    timestamp: int
    level: int = SILENT_LEVEL


class SoundThread:
    """One run of the loop. A stuck one is left behind (`abandon`) and another takes its place."""

    def __init__(
        self,
        controls: Controls,
        *,
        encoder: OpusEncoder,
        echo: EchoCanceller | None,
        outgoing: Callable[[OpusPacket], None],
        delivering: Callable[[bool], None],
        lost: Callable[[Part, DeviceError], None],
        flowing: Callable[[], None],
        ended: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what is called on this thread.

        Args:
            delivering: True before a microphone's first sample goes anywhere, False after that microphone was closed.
            lost: a device failed; it is closed already.
            flowing: the first turn is done.
            ended: all devices are closed; not called by an abandoned thread.
        """
        self.lateness = Lateness()
        self.turns = 0
        self.waiting_for: Part | None = None
        self.real_time = False
        self.microphone_dbfs = QUIETEST_DBFS
        self.output_dbfs = QUIETEST_DBFS
        self.queued_samples = 0
        self.offered_microphones: deque[OpenDevice[Microphone]] = deque()
        self.offered_speakers: deque[OpenDevice[Speaker]] = deque()
        self.microphone: OpenDevice[Microphone] | None = None
        self.speaker: OpenDevice[Speaker] | None = None
        self._encoder, self._echo = encoder, echo
        self._controls = controls
        self._now = clock
        self._outgoing, self._delivering, self._lost = outgoing, delivering, lost
        self._flowing, self._ended = flowing, ended
        self._limiter = Limiter()
        self._stopping = False
        self._left_behind = threading.Event()
        self._delivered_once = False
        self._playing_cue: Samples | None = None
        self._clock = 0.0
        self._overruns = 0
        self._captured_since = 0.0
        self._captured = 0
        self._thread = threading.Thread(target=self._run, name="sound", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask for the end; `ended` is called when the devices are closed."""
        self._stopping = True

    def abandon(self) -> tuple[OpenDevice[Microphone] | None, OpenDevice[Speaker] | None]:
        """Leave the thread to itself: it ends without a word when the stuck call returns. Return what it can spare."""
        self._left_behind.set()
        self._stopping = True
        microphone, speaker = self.microphone, self.speaker
        if self.waiting_for == "microphone":
            self.speaker = None
            return None, speaker
        self.microphone = None
        return microphone, None

    def _run(self) -> None:
        self._become_real_time()
        self._clock = self._now()
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._close_devices()
            if not self._left_behind.is_set():
                self._ended()

    def _turn(self) -> None:
        self._accept_offers()
        captured = self._capture()
        if self._left_behind.is_set():
            return
        if self.microphone is not None:
            self.lateness.woke(self._now())
        for _ in range(self._periods_to_play()):
            self._play()
            if self._left_behind.is_set():
                return
        if captured is not None:
            self._send(captured)
        elif self._delivered_once:
            self._send_silence()
        if self.microphone is not None:
            self.lateness.ready(self._now())
        elif self.speaker is None:
            self._wait_for_clock()
        self.turns += 1
        if self.turns == 1:
            self._flowing()

    def _accept_offers(self) -> None:
        while self.offered_microphones:
            self.microphone = self.offered_microphones.popleft()
            self._overruns = self.microphone.device.overruns
            self._captured, self._captured_since = 0, self._now()
            self.lateness.gap()
        while self.offered_speakers:
            self.speaker = self.offered_speakers.popleft()
            self.lateness.gap()

    # --- in -----------------------------------------------------------------------------------------------------------

    def _capture(self) -> bytes | None:
        opened = self.microphone
        if opened is None:
            return None
        self.waiting_for = "microphone"
        try:
            pcm = opened.device.read()
            self._mistrust_haste(opened.device)
        except DeviceError as error:
            self._drop_microphone(error)
            return None
        if self._stopping:
            return None
        if opened.device.overruns != self._overruns:
            self._overruns = opened.device.overruns
            self.lateness.gap()
            if self._echo is not None:
                self._echo.gap()
        self._delivered_once = True
        if not opened.delivering:
            opened.delivering = True
            self._delivering(True)  # the light is on before the first sample goes anywhere (kiosk.md 6)
        return pcm

    def _mistrust_haste(self, microphone: Microphone) -> None:
        self._captured += 1
        if self._captured - (self._now() - self._captured_since) / PERIOD_S > AHEAD_PERIODS:
            raise DeviceLost(f"{microphone.name} runs faster than time")

    def _send(self, pcm: bytes) -> None:
        """Clean, gate, encode. The gate stands before the encoder: muted samples go nowhere (kiosk.md 19.3)."""
        if self._echo is not None:
            pcm = self._echo.cancel(pcm)
        if self.turns % METER_EVERY_PERIODS == 0:
            self.microphone_dbfs = dbfs(samples_of(pcm))
        if self._controls.muted:
            self._send_silence()
        else:
            self._encode(pcm, audio_level(samples_of(pcm)))

    def _send_silence(self) -> None:
        """A microphone that went away leaves silence, not a stream that stands still (kiosk.md 8, Hot-plug)."""
        self._encode(SILENT_PERIOD, SILENT_LEVEL)

    def _encode(self, pcm: bytes, level: int) -> None:
        timestamp = self._controls.next_timestamp
        self._controls.next_timestamp = timestamp + PERIOD_SAMPLES
        for packet in self._encoder.encode(pcm):
            self._outgoing(OpusPacket(packet, timestamp, level))

    # --- out ----------------------------------------------------------------------------------------------------------

    def _periods_to_play(self) -> int:
        """Return how many periods keep the speaker's buffer half full. Alone, the speaker paces us by itself."""
        opened = self.speaker
        if opened is None:
            return 1
        try:
            queued = opened.device.queued()
        except DeviceError as error:
            self._drop_speaker(error)
            return 1
        self.queued_samples = queued
        if self.microphone is None:
            return 1
        if queued > NEARLY_FULL_SAMPLES:
            return 0
        return 2 if queued < NEARLY_DRY_SAMPLES else 1

    def _play(self) -> None:
        parts = [period for voice in tuple(self._controls.voices.values()) if (period := voice.period()) is not None]
        cue = self._cue_period()
        if cue is not None:
            parts.append(cue)
        mixed = self._limiter.mix(parts)
        if self.turns % METER_EVERY_PERIODS == 0:
            self.output_dbfs = dbfs(mixed) if parts else QUIETEST_DBFS
        opened = self.speaker
        if opened is None:
            return
        pcm = mixed.astype("<i2").tobytes() if parts else SILENT_PERIOD
        if self._echo is not None:
            self._echo.played(pcm)
        if self.microphone is None:
            self.lateness.ready(self._now())
        self.waiting_for = "speaker"
        try:
            opened.device.write(pcm)
        except DeviceError as error:
            self._drop_speaker(error)
        if self.microphone is None:
            self.lateness.woke(self._now())

    def _cue_period(self) -> Samples | None:
        """Return the next 20 ms of the cue that sounds; one after the other, never two at once."""
        if self._playing_cue is None:
            if not self._controls.cues:
                return None
            self._playing_cue = self._controls.cues.popleft()
        period, rest = self._playing_cue[:PERIOD_SAMPLES], self._playing_cue[PERIOD_SAMPLES:]
        self._playing_cue = rest if len(rest) else None
        return np.pad(period, (0, PERIOD_SAMPLES - len(period)))

    # --- failing, ending ----------------------------------------------------------------------------------------------

    def _drop_microphone(self, error: DeviceError) -> None:
        self._close_microphone()
        self._lost("microphone", error)

    def _drop_speaker(self, error: DeviceError) -> None:
        opened, self.speaker = self.speaker, None
        if opened is not None:
            opened.close()
        self._lost("speaker", error)

    def _close_microphone(self) -> None:
        opened, self.microphone = self.microphone, None
        if opened is None:
            return
        opened.close()
        self.lateness.gap()
        self.microphone_dbfs = QUIETEST_DBFS
        if opened.delivering:
            self._delivering(False)  # device first, light second (kiosk.md 6)

    def _close_devices(self) -> None:
        self._close_microphone()
        opened, self.speaker = self.speaker, None
        if opened is not None:
            opened.close()
        for microphone in self.offered_microphones:
            microphone.close()
        for speaker in self.offered_speakers:
            speaker.close()

    def _wait_for_clock(self) -> None:
        """Without any card the turns go on, so that voices keep their place."""
        self.waiting_for = None
        self._clock = max(self._clock + PERIOD_S, self._now() - PERIOD_S)
        time.sleep(max(0.0, self._clock - self._now()))

    def _become_real_time(self) -> None:
        global _announced_refusal
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REAL_TIME_PRIORITY))
            self.real_time = True
        except (OSError, AttributeError) as error:
            if not _announced_refusal:
                _announced_refusal = True
                logger.warning("sound runs at normal priority: %s (the unit needs LimitRTPRIO=)", error)
