"""The sound thread's turns, without a thread: a card's clock made of numbers."""

from contextlib import ExitStack

import numpy as np
import pytest

from appliance.devices.claim import OpenDevice
from appliance.devices.opus import OpusDecoder, OpusEncoder
from appliance.devices.samples import PERIOD_S, PERIOD_SAMPLES, SAMPLE_RATE_HZ, audio_level, dbfs, samples_of
from appliance.devices.sound_thread import Controls, OpusPacket, SoundThread
from appliance.devices.voice import Voice
from appliance.errors import DeviceError, DeviceLost


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class ClockedMicrophone:
    """Each read moves the clock on by a period."""

    name, overruns = "clocked microphone", 0

    def __init__(self, clock: Clock, period_s: float = PERIOD_S) -> None:
        self._clock, self._period_s = clock, period_s
        self.fails = False
        self._samples = (np.sin(2 * np.pi * 500 * np.arange(PERIOD_SAMPLES) / SAMPLE_RATE_HZ) * 9000).astype("<i2")

    def open(self) -> ExitStack:
        return ExitStack()

    def read(self) -> bytes:
        if self.fails:
            raise DeviceLost("unplugged")
        self._clock.now += self._period_s
        return self._samples.tobytes()


class ClockedSpeaker:
    """Plays by a clock of its own, `speed` times as fast as the other."""

    name = "clocked speaker"

    def __init__(self, clock: Clock, speed: float) -> None:
        self._clock, self._speed, self._start = clock, speed, clock.now
        self._written, self.underruns, self.blocked = 0, 0, 0

    def open(self) -> ExitStack:
        return ExitStack()

    def write(self, pcm: bytes) -> None:
        if self._written and self.queued() == 0:
            self.underruns += 1
            self._start, self._written = self._clock.now, 0
        if self.queued() > 3 * PERIOD_SAMPLES:
            self.blocked += 1
        if not self._written:
            self._start = self._clock.now
        self._written += PERIOD_SAMPLES

    def queued(self) -> int:
        played = (self._clock.now - self._start) * SAMPLE_RATE_HZ * self._speed
        return max(0, self._written - int(played))

    def set_volume(self, percent: int) -> None:
        pass


class NoEncoder(OpusEncoder):
    """For thousands of turns in which nobody listens to what goes out."""

    def encode(self, pcm: bytes) -> list[bytes]:
        return []


class Bench:
    """A SoundThread that is never started, with what it tells."""

    def __init__(
        self, speed: float = 1.0, period_s: float = PERIOD_S, encoder: type[OpusEncoder] = OpusEncoder
    ) -> None:
        self.clock = Clock()
        self.told: list[object] = []
        self.packets: list[OpusPacket] = []
        self.controls = Controls(muted=False)
        self.thread = SoundThread(
            self.controls,
            encoder=encoder(40_000),
            echo=None,
            outgoing=self.packet,
            delivering=lambda delivering: self.told.append(("delivering", delivering)),
            lost=self.lost,
            flowing=lambda: None,
            ended=lambda: None,
            clock=self.clock,
        )
        self.microphone = ClockedMicrophone(self.clock, period_s)
        self.speaker = ClockedSpeaker(self.clock, speed)
        claim = ExitStack()
        claim.callback(lambda: self.told.append("microphone closed"))
        self.thread.offered_microphones.append(OpenDevice(self.microphone, claim))
        self.thread.offered_speakers.append(OpenDevice(self.speaker, ExitStack()))

    def packet(self, packet: OpusPacket) -> None:
        if not self.packets:
            self.told.append("first packet")
        self.packets.append(packet)

    def lost(self, part: str, error: DeviceError) -> None:
        self.told.append(("lost", part))

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.thread._turn()

    def heard(self) -> float:
        """Level of the newest packets, decoded."""
        decoder = OpusDecoder()
        sound = [decoder.decode(packet.data) for packet in self.packets[-10:]]
        return dbfs(np.concatenate([part for part in sound[3:] if part is not None]))


def test_the_light_is_on_before_the_first_sample_leaves() -> None:
    bench = Bench()
    bench.turn(3)
    assert bench.told[:2] == [("delivering", True), "first packet"]


def test_the_light_goes_off_after_the_device_is_closed() -> None:
    bench = Bench()
    bench.turn(3)
    bench.microphone.fails = True
    bench.turn()
    assert bench.told[-3:] == ["microphone closed", ("delivering", False), ("lost", "microphone")]


def test_a_closed_gate_sends_silence_in_the_same_turn() -> None:
    bench = Bench()
    bench.turn(20)
    assert bench.heard() > -20
    bench.controls.muted = True
    bench.turn(20)
    assert bench.heard() < -80


def test_every_packet_tells_how_loud_it_is_and_a_closed_gate_is_silence() -> None:
    bench = Bench()
    bench.turn(10)
    loud = {packet.level for packet in bench.packets}
    bench.controls.muted = True
    bench.turn(10)
    bench.microphone.fails = True
    bench.turn(10)
    bench.microphone.fails = False

    assert loud == {round(-dbfs(samples_of(bench.microphone.read())))}
    assert {packet.level for packet in bench.packets[10:]} == {127}


@pytest.mark.parametrize(("amplitude", "level"), [(0, 127), (1, 90), (327, 40), (32767, 0)])
def test_the_audio_level_is_that_of_rfc_6464(amplitude: int, level: int) -> None:
    square = np.where(np.arange(PERIOD_SAMPLES) % 48 < 24, amplitude, -amplitude).astype(np.int16)
    assert audio_level(square) == level


def test_timestamps_count_every_period_also_while_muted_and_unplugged() -> None:
    bench = Bench()
    bench.turn(5)
    bench.controls.muted = True
    bench.turn(5)
    bench.microphone.fails = True
    bench.turn(5)
    assert [packet.timestamp for packet in bench.packets] == [960 * place for place in range(15)]
    assert bench.heard() < -80


@pytest.mark.parametrize("speed", [0.999, 1.001, 1.0])
def test_a_speaker_with_another_clock_neither_runs_dry_nor_full(speed: float) -> None:
    bench = Bench(speed, encoder=NoEncoder)
    bench.turn(50)
    bench.speaker.underruns = bench.speaker.blocked = 0
    bench.turn(15_000)  # five minutes: 0.3 s of sound apart
    assert bench.speaker.underruns == 0
    assert bench.speaker.blocked == 0


def test_a_voice_survives_the_speakers_drift_with_a_short_delay() -> None:
    bench = Bench(speed=0.99, encoder=NoEncoder)
    voice = bench.controls.voices["v"] = Voice()
    encoder = OpusEncoder(40_000)
    tone = (np.sin(2 * np.pi * 500 * np.arange(PERIOD_SAMPLES) / SAMPLE_RATE_HZ) * 9000).astype("<i2").tobytes()
    waiting = []
    for number in range(1_000):
        for payload in encoder.encode(tone):
            voice.ring.put(payload, number * 960)
        bench.turn()
        waiting.append(voice.ring.waiting)
    assert max(waiting[200:]) <= 5
    assert voice.ring.lost == 0


def test_a_card_that_runs_faster_than_time_is_lost_instead_of_starving_the_rest() -> None:
    bench = Bench(period_s=0.0001)
    bench.turn(200)
    assert ("lost", "microphone") in bench.told


def test_a_cue_is_heard_here_and_not_in_the_room() -> None:
    bench = Bench()
    bench.controls.muted = True
    bench.controls.cues.append(np.full(PERIOD_SAMPLES * 3, 4000, np.int16))
    bench.turn(1)
    assert bench.thread.output_dbfs > -25
    bench.turn(30)
    assert bench.heard() < -80
    assert bench.thread.output_dbfs == -120
