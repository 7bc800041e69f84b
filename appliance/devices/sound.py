"""The sound of the kiosk: one thread that owns cards, voices, mixer, echo canceller and Opus both ways.

Only encoded packets and commands cross its border, by rings that nobody waits on. This file is the side
that the event loop sees: it opens cards, watches the thread, abandons it when a card call never returns, and tries lost
cards again. The loop of the thread is in `sound_thread`.
"""

import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from appliance.devices.claim import OpenDevice, claimed
from appliance.devices.cues import cue
from appliance.devices.echo import EchoCanceller
from appliance.devices.microphones.base import Microphone
from appliance.devices.opus import OpusEncoder
from appliance.devices.samples import PERIOD_S, QUIETEST_DBFS, SAMPLE_RATE_HZ
from appliance.devices.sound_thread import Controls, OpusPacket, Part, SoundThread
from appliance.devices.speakers.base import Speaker
from appliance.devices.voice import Voice
from appliance.errors import DeviceError, DeviceLost, DeviceMissing, LocalProtocolError

__all__ = ["EchoCanceller", "OpusPacket", "Sound", "SoundFigures", "SoundSettings"]

logger = logging.getLogger(__name__)

RETRY_S = 2.0
"""A card is used again within 5 s of coming back (kiosk.md 8, Hot-plug)."""

WATCH_EVERY_S = 0.25

SWITCH_INTERVAL_S = 0.001
"""Every call that lets go of the interpreter may wait this long to get it back beside a busy thread, and a period of
six voices makes ten of them: Python's own 5 ms would not fit into 20 (kiosk-processes.md 3, E, and 4)."""

CUES_WAITING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSettings:
    """How the sound thread works."""

    bitrate_bps: int = 40_000
    fec: bool = True
    volume_percent: int = 60
    max_volume_percent: int = 100
    cues: bool = True
    period_deadline_s: float = 2.0
    """A period that takes longer means a dead card or sound server (kiosk.md 17: 2 s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFigures:
    """Measurements since `open`. Levels in dBFS, -120 for nothing; lateness in milliseconds over the last minute.

    Lateness: from the moment the card was due to wake the thread until the period was ready (kiosk-processes.md 3).
    """

    microphone_dbfs: float = QUIETEST_DBFS
    output_dbfs: float = QUIETEST_DBFS
    periods: int = 0
    overruns: int = 0
    underruns: int = 0
    voices: int = 0
    lost_packets: int = 0
    playout_delay_ms: float = 0.0
    lateness_p50_ms: float = 0.0
    lateness_p99_ms: float = 0.0
    lateness_max_ms: float = 0.0
    real_time: bool = False


class Sound:
    """Sound in and out of one kiosk. Every method returns at once but `open` and `close`.

    A microphone that hangs in its driver stays `capturing` until that driver lets go: the light tells that it is open.
    """

    on_capturing: Callable[[bool], None]
    """Called on the sound thread with True before the first sample leaves, with False after the device was closed."""
    on_lost: Callable[[Part, DeviceError], None]
    """Called on the event loop with `microphone` or `speaker`; the rest goes on, and the device is tried again."""
    on_found: Callable[[Part], None]
    """Called on the event loop when a lost device works again."""

    def __init__(
        self,
        microphone: Microphone | None,
        speaker: Speaker | None,
        settings: SoundSettings,
        echo: EchoCanceller | None = None,
    ) -> None:
        """Take the devices; None where the kiosk has none of the kind. Nothing is opened before `open`."""
        self.on_capturing = lambda capturing: None
        self.on_lost = lambda part, error: None
        self.on_found = lambda part: None
        self._microphone, self._speaker = microphone, speaker
        self._settings, self._echo = settings, echo
        self._controls = Controls()
        self._volume_percent = settings.volume_percent
        self._thread: SoundThread | None = None
        self._outgoing: Callable[[OpusPacket], None] = lambda packet: None
        self._ended = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._retries: dict[Part, asyncio.Task[None]] = {}
        self._switch_interval_s = sys.getswitchinterval()
        self._open_microphones = 0
        self._counting = threading.Lock()
        self._counted_from = (0, 0)

    async def open(self, outgoing: Callable[[OpusPacket], None], *, muted: bool) -> None:
        """Open both cards and start the thread; return when sound flows.

        One device that is not there is reported by `on_lost`, and the other works alone. Cancelled, nothing is open.

        Args:
            outgoing: called on the sound thread every 20 ms while a microphone is open; return at once.
            muted: whether the gate is closed from the first sample on.
        Raises:
            DeviceMissing, DeviceBusy: neither device could be opened.
        """
        if self._thread is not None:
            raise LocalProtocolError("sound is open already")
        self._controls.muted, self._outgoing = muted, outgoing
        self._controls.next_timestamp = 0
        # A full collection holds the GIL for longer than a card's buffer lasts (kiosk-processes.md 4, Collector).
        gc.collect()
        gc.freeze()
        self._switch_interval_s = sys.getswitchinterval()
        sys.setswitchinterval(min(self._switch_interval_s, SWITCH_INTERVAL_S))
        try:
            microphone, speaker = await self._claim_both()
        except asyncio.CancelledError:
            self._let_go_of_interpreter()
            raise
        problems: list[tuple[Part, DeviceError]] = []
        if isinstance(microphone, DeviceError):
            problems.append(("microphone", microphone))
        if isinstance(speaker, DeviceError):
            problems.append(("speaker", speaker))
        if not isinstance(microphone, OpenDevice) and not isinstance(speaker, OpenDevice):
            self._let_go_of_interpreter()
            raise problems[0][1] if problems else DeviceMissing("no microphone and no speaker are configured")
        self._counted_from = self._xruns()
        flowing = self._start(
            microphone if isinstance(microphone, OpenDevice) else None,
            speaker if isinstance(speaker, OpenDevice) else None,
        )
        self._watcher = asyncio.create_task(self._watch(), name="sound watch")
        for part, error in problems:
            self._report_lost(part, error)
        try:
            async with asyncio.timeout(self._settings.period_deadline_s):
                await flowing.wait()
        except TimeoutError:
            pass  # the watch finds out which card stands still
        except asyncio.CancelledError:
            await self.close()
            raise

    async def _claim_both(
        self,
    ) -> tuple[OpenDevice[Microphone] | DeviceError | None, OpenDevice[Speaker] | DeviceError | None]:
        """Open both cards at once; when cancelled, neither stays open: nobody would know of it, nor the light."""
        microphone, speaker = (
            asyncio.create_task(claimed(self._microphone)),
            asyncio.create_task(claimed(self._speaker)),
        )
        try:
            return await asyncio.gather(microphone, speaker)
        except asyncio.CancelledError:
            for late in await asyncio.gather(microphone, speaker, return_exceptions=True):
                if isinstance(late, OpenDevice):
                    late.close()
            raise

    async def close(self) -> None:
        """Stop and close both cards; they are closed when this returns. Closing twice is fine.

        A card that hangs in its driver is left behind; if it is the microphone, that counts as `capturing` until then.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        tasks = [task for task in (self._watcher, *self._retries.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._retries.clear()
        self._watcher = None
        thread.stop()
        try:
            async with asyncio.timeout(self._settings.period_deadline_s):
                await self._ended.wait()
        except TimeoutError:
            self._leave_behind(thread)
        self._controls.voices.clear()
        self._controls.cues.clear()
        self._let_go_of_interpreter()

    def _let_go_of_interpreter(self) -> None:
        gc.unfreeze()
        sys.setswitchinterval(self._switch_interval_s)

    def set_muted(self, muted: bool) -> None:
        """Close or open the gate before the encoder, from any thread: the next period's samples are discarded."""
        self._controls.muted = muted

    def add_voice(self, key: str) -> Callable[[bytes, int], None]:
        """Make a jitter ring and return its inlet: put(Opus payload, RTP timestamp), callable from any thread."""
        voice = Voice()
        self._controls.voices[key] = voice
        return voice.ring.put

    def remove_voice(self, key: str) -> None:
        """Forget a voice; unknown keys are fine."""
        self._controls.voices.pop(key, None)

    def play_cue(self, name: str) -> None:
        """Play joined, left, muted, unmuted, incoming, declined or error (look/README.md 5); never sent to the room.

        Nothing sounds while sound is closed, with `cues` off, or when four wait already. KeyError: no such cue.
        """
        samples = cue(name)
        if self._settings.cues and self._thread is not None and len(self._controls.cues) < CUES_WAITING:
            self._controls.cues.append(samples)

    def set_volume(self, percent: int) -> None:
        """Set 0-100 of what `max_volume_percent` allows."""
        self._volume_percent = max(0, min(100, percent))
        if self._speaker is not None:
            self._speaker.set_volume(round(self._volume_percent * self._settings.max_volume_percent / 100))

    @property
    def is_open(self) -> bool:
        """Whether the thread runs, with whatever devices it has."""
        return self._thread is not None

    @property
    def muted(self) -> bool:
        return self._controls.muted

    @property
    def capturing(self) -> bool:
        """Whether a microphone is open and has delivered."""
        return self._open_microphones > 0

    @property
    def turns(self) -> int:
        """Periods done since the thread started: grows by 50 a second while sound is open; for the watchdog."""
        return self._thread.turns if self._thread is not None else 0

    def figures(self) -> SoundFigures:
        """Return what was measured; zeros while closed."""
        thread = self._thread
        if thread is None:
            return SoundFigures()
        overruns, underruns = self._xruns()
        voices = list(self._controls.voices.values())
        waiting = max((voice.ring.waiting for voice in voices), default=0)
        return SoundFigures(
            microphone_dbfs=thread.microphone_dbfs,
            output_dbfs=thread.output_dbfs,
            periods=thread.turns,
            overruns=overruns - self._counted_from[0],
            underruns=underruns - self._counted_from[1],
            voices=len(voices),
            lost_packets=sum(voice.ring.lost for voice in voices),
            playout_delay_ms=1000 * (waiting * PERIOD_S + thread.queued_samples / SAMPLE_RATE_HZ),
            lateness_p50_ms=thread.lateness.percentile_ms(0.5),
            lateness_p99_ms=thread.lateness.percentile_ms(0.99),
            lateness_max_ms=1000 * thread.lateness.worst_s,
            real_time=thread.real_time,
        )

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _start(self, microphone: OpenDevice[Microphone] | None, speaker: OpenDevice[Speaker] | None) -> asyncio.Event:
        """Start a thread with these devices; return the event of its first turn."""
        loop = asyncio.get_running_loop()
        flowing, ended = asyncio.Event(), asyncio.Event()

        def soon(event: asyncio.Event) -> Callable[[], None]:
            def tell() -> None:
                with suppress(RuntimeError):  # the loop closed first: nobody waits any more
                    loop.call_soon_threadsafe(event.set)

            return tell

        def lost(part: Part, error: DeviceError) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._report_lost, part, error)

        thread = SoundThread(
            self._controls,
            encoder=OpusEncoder(self._settings.bitrate_bps, fec=self._settings.fec),
            echo=self._echo,
            outgoing=self._outgoing,
            delivering=self._count_microphone,
            lost=lost,
            flowing=soon(flowing),
            ended=soon(ended),
        )
        if microphone is not None:
            thread.offered_microphones.append(microphone)
        if speaker is not None:
            self.set_volume(self._volume_percent)
            thread.offered_speakers.append(speaker)
        self._thread, self._ended = thread, ended
        thread.start()
        return flowing

    def _count_microphone(self, delivering: bool) -> None:
        """Count on the sound thread: one that was left behind may still hold its microphone beside a new one."""
        with self._counting:
            self._open_microphones += 1 if delivering else -1
            told = self._open_microphones == (1 if delivering else 0)
        if told:
            self.on_capturing(delivering)

    async def _watch(self) -> None:
        """Notice a thread that stands still or ended; only ticks that came in time count, or our own stall would."""
        loop = asyncio.get_running_loop()
        seen, still_s = (self._thread, -1), 0.0
        while True:
            before = loop.time()
            await asyncio.sleep(WATCH_EVERY_S)
            thread = self._thread
            assert thread is not None  # close() cancels us first
            if (thread, thread.turns) != seen:
                seen, still_s = (thread, thread.turns), 0.0
            elif loop.time() - before < 2 * WATCH_EVERY_S:
                still_s += WATCH_EVERY_S
            if still_s >= self._settings.period_deadline_s or not thread.alive:
                self._replace(thread)
                still_s = 0.0

    def _replace(self, thread: SoundThread) -> None:
        part = thread.waiting_for
        microphone, speaker = thread.abandon()
        logger.error("sound stood still at the %s; another thread goes on without it", part or "mixer")
        self._start(microphone, speaker)
        if microphone is None and self._microphone is not None:
            self._report_lost("microphone", DeviceLost(f"{self._microphone.name}: no sound for 2 s"))
        if speaker is None and self._speaker is not None:
            self._report_lost("speaker", DeviceLost(f"{self._speaker.name}: no sound taken for 2 s"))

    def _leave_behind(self, thread: SoundThread) -> None:
        logger.error("sound does not close: stuck at the %s", thread.waiting_for)

        def close(opened: OpenDevice[Microphone] | OpenDevice[Speaker]) -> None:
            opened.close()
            if opened.delivering:
                self._count_microphone(False)

        for opened in thread.abandon():
            if opened is not None:
                threading.Thread(target=close, args=(opened,), name="sound close", daemon=True).start()

    def _report_lost(self, part: Part, error: DeviceError) -> None:
        logger.warning("%s lost: %s", part, error)
        self.on_lost(part, error)
        if self._thread is not None and part not in self._retries:
            self._retries[part] = asyncio.create_task(self._retry(part), name=f"{part} retry")

    async def _retry(self, part: Part) -> None:
        """Try a lost device until it opens, then hand it to the thread; the gate stays as it is (kiosk.md 19.4)."""
        while True:
            await asyncio.sleep(RETRY_S)
            microphone = await claimed(self._microphone) if part == "microphone" else None
            speaker = await claimed(self._speaker) if part == "speaker" else None
            thread = self._thread
            assert thread is not None  # close() cancels us first
            if isinstance(microphone, OpenDevice):
                thread.offered_microphones.append(microphone)
            elif isinstance(speaker, OpenDevice):
                self.set_volume(self._volume_percent)
                thread.offered_speakers.append(speaker)
            else:
                continue
            break
        del self._retries[part]
        logger.info("%s is back", part)
        self.on_found(part)

    def _xruns(self) -> tuple[int, int]:
        return (
            self._microphone.overruns if self._microphone is not None else 0,
            self._speaker.underruns if self._speaker is not None else 0,
        )
