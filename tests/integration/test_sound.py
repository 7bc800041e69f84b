"""The sound of a kiosk, whole: cards, thread, Opus both ways, and what happens when a card goes."""

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from appliance.devices.microphones.base import Microphone
from appliance.devices.microphones.virtual import VirtualMicrophone
from appliance.devices.opus import OpusDecoder
from appliance.devices.samples import Samples, dbfs
from appliance.devices.sound import OpusPacket, Sound, SoundSettings
from appliance.devices.speakers.base import Speaker
from appliance.devices.speakers.virtual import VirtualSpeaker
from appliance.errors import DeviceError, DeviceMissing, LocalProtocolError
from tests.support import conditions
from tests.support.device_sound_faults import (
    FaultyMicrophone,
    HangingMicrophone,
    HangingSpeaker,
    LateSpeaker,
    NeverOpeningSpeaker,
)
from tests.support.recorded_sound import strongest_hz

SETTINGS = SoundSettings(volume_percent=100)


@dataclass
class Room:
    """The other side: keeps what the kiosk sends, and can send it back to it."""

    packets: list[OpusPacket] = field(default_factory=list)
    echo_to: Callable[[bytes, int], None] | None = None

    def receive(self, packet: OpusPacket) -> None:
        self.packets.append(packet)
        if self.echo_to is not None:
            self.echo_to(packet.data, packet.timestamp)

    def heard(self, newest: int = 25) -> Samples:
        decoder = OpusDecoder()
        sound = [decoder.decode(packet.data) for packet in self.packets[-newest:]]
        return np.concatenate([part for part in sound[2:] if part is not None])


@dataclass
class Told:
    """What the sound told, in order."""

    happenings: list[str] = field(default_factory=list)

    def watch(self, sound: Sound) -> None:
        sound.on_capturing = lambda capturing: self.happenings.append("light on" if capturing else "light off")
        sound.on_lost = lambda part, error: self.happenings.append(f"lost {part}")
        sound.on_found = lambda part: self.happenings.append(f"found {part}")


async def until(condition: Callable[[], bool], what: str) -> None:
    await conditions.until(what, condition)


@asynccontextmanager
async def opened(
    microphone: Microphone | None, speaker: Speaker | None, *, muted: bool = False, settings: SoundSettings = SETTINGS
) -> AsyncIterator[tuple[Sound, Room, Told]]:
    sound, room, told = Sound(microphone, speaker, settings), Room(), Told()
    told.watch(sound)
    await sound.open(room.receive, muted=muted)
    try:
        yield sound, room, told
    finally:
        await sound.close()


async def test_the_room_hears_the_microphone_and_the_speaker_plays_the_room() -> None:
    speaker = VirtualSpeaker()
    async with opened(VirtualMicrophone("tone:1000"), speaker) as (sound, room, _):
        room.echo_to = sound.add_voice("someone")
        await until(lambda: len(room.packets) > 40, "packets")
        await until(lambda: speaker.level_dbfs() > -25, "sound from the speaker")
        await until(lambda: strongest_hz(speaker.recent(0.5)) == pytest.approx(1000, abs=5), "1 kHz")
    assert strongest_hz(room.heard()) == pytest.approx(1000, abs=5)
    assert dbfs(room.heard()) == pytest.approx(-20, abs=1)


async def test_two_voices_are_heard_together() -> None:
    speaker = VirtualSpeaker()
    low, high = VirtualMicrophone("tone:400"), VirtualMicrophone("tone:1600")
    async with opened(low, speaker) as (sound, room, _), opened(high, None) as (_, other, _):
        room.echo_to, other.echo_to = sound.add_voice("low"), sound.add_voice("high")

        def both() -> bool:
            heard = speaker.recent(0.5)
            if len(heard) < 24000:
                return False
            spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
            return bool(min(spectrum[200], spectrum[800]) > 1e7 and spectrum[500] < 1e6)  # bins of 2 Hz

        await until(both, "400 and 1600 Hz together")


async def test_muting_is_silence_and_the_stream_goes_on() -> None:
    async with opened(VirtualMicrophone("tone:1000"), VirtualSpeaker()) as (sound, room, _):
        await until(lambda: len(room.packets) > 20, "packets")
        sound.set_muted(True)
        muted_from = len(room.packets) + 1
        await until(lambda: len(room.packets) > muted_from + 30, "packets while muted")
        assert dbfs(room.heard()) < -80
        assert sound.capturing
        sound.set_muted(False)
        await until(lambda: dbfs(room.heard(10)) > -25, "sound after unmuting")
    stamps = [packet.timestamp for packet in room.packets]
    assert stamps == list(range(0, 960 * len(stamps), 960))


async def test_opened_muted_not_a_single_packet_holds_sound() -> None:
    async with opened(VirtualMicrophone("tone:1000"), None, muted=True) as (_, room, _):
        await until(lambda: len(room.packets) > 30, "packets")
    assert dbfs(room.heard(len(room.packets))) < -80


async def test_the_light_is_on_before_the_first_packet_and_off_after_closing() -> None:
    order: list[str] = []
    sound = Sound(VirtualMicrophone("silence"), None, SETTINGS)
    sound.on_capturing = lambda capturing: order.append(f"light {capturing}")
    await sound.open(lambda packet: order.append("packet"), muted=False)
    await until(lambda: "packet" in order, "a packet")
    await sound.close()
    assert order[0] == "light True"
    assert order[-1] == "light False"
    assert not sound.capturing


async def test_closing_twice_is_fine_and_it_can_be_opened_again() -> None:
    sound, room = Sound(VirtualMicrophone("silence"), VirtualSpeaker(), SETTINGS), Room()
    for _ in range(2):
        await sound.open(room.receive, muted=False)
        with pytest.raises(LocalProtocolError):
            await sound.open(room.receive, muted=False)
        await sound.close()
        await sound.close()


async def test_without_a_microphone_the_room_is_still_heard() -> None:
    microphone, speaker = VirtualMicrophone("tone:500"), VirtualSpeaker()
    microphone.unplug()
    async with (
        opened(microphone, speaker) as (sound, room, told),
        opened(VirtualMicrophone("tone:1000"), None) as (_, other, _),
    ):
        other.echo_to = sound.add_voice("someone")
        await until(lambda: speaker.level_dbfs() > -25, "sound from the speaker")
        assert told.happenings == ["lost microphone"]
        assert not sound.capturing
        assert room.packets == []


async def test_without_a_speaker_the_room_still_hears_us() -> None:
    speaker = VirtualSpeaker()
    speaker.unplug()
    async with opened(VirtualMicrophone("tone:1000"), speaker) as (sound, room, told):
        sound.add_voice("someone")
        await until(lambda: len(room.packets) > 20, "packets")
        assert "lost speaker" in told.happenings


async def test_without_any_device_opening_says_why() -> None:
    microphone, speaker = VirtualMicrophone("silence"), VirtualSpeaker()
    microphone.unplug()
    speaker.unplug()
    with pytest.raises(DeviceMissing, match="unplugged"):
        await Sound(microphone, speaker, SETTINGS).open(lambda packet: None, muted=False)
    with pytest.raises(DeviceMissing):
        await Sound(None, None, SETTINGS).open(lambda packet: None, muted=False)


async def test_a_microphone_that_comes_back_stays_muted() -> None:
    microphone = VirtualMicrophone("tone:1000")
    async with opened(microphone, VirtualSpeaker(), muted=True) as (sound, room, told):
        await until(lambda: sound.capturing, "capturing")
        microphone.unplug()
        await until(lambda: "lost microphone" in told.happenings, "lost")
        assert told.happenings == ["light on", "light off", "lost microphone"]
        sent = len(room.packets)
        await until(lambda: len(room.packets) > sent + 20, "silence in its place")
        microphone.plug_in()
        await until(lambda: told.happenings[-1] == "light on", "capturing again")
        sent = len(room.packets)
        await until(lambda: len(room.packets) > sent + 20, "packets")
        assert dbfs(room.heard()) < -80
    assert "found microphone" in told.happenings


async def test_a_speaker_that_comes_back_plays_on() -> None:
    speaker = VirtualSpeaker()
    async with opened(VirtualMicrophone("tone:1000"), speaker) as (sound, room, told):
        room.echo_to = sound.add_voice("someone")
        await until(lambda: speaker.level_dbfs() > -25, "sound")
        speaker.unplug()
        await until(lambda: told.happenings[-1] == "lost speaker", "lost")
        sent = len(room.packets)
        await until(lambda: len(room.packets) > sent + 10, "the microphone goes on")
        speaker.plug_in()
        await until(lambda: told.happenings[-1] == "found speaker", "found")
        speaker.recent(5)
        await until(lambda: strongest_hz(speaker.recent(0.4)) == pytest.approx(1000, abs=5), "sound again")


async def test_a_microphone_that_hangs_takes_nothing_else_with_it() -> None:
    microphone, speaker = HangingMicrophone(), VirtualSpeaker()
    settings = SoundSettings(volume_percent=100, period_deadline_s=0.75)
    async with (
        opened(microphone, speaker, settings=settings) as (sound, _, told),
        opened(VirtualMicrophone("tone:1000"), None) as (_, other, _),
    ):
        other.echo_to = sound.add_voice("someone")
        await until(lambda: speaker.level_dbfs() > -25, "sound")
        microphone.hang.set()
        await until(lambda: "lost microphone" in told.happenings, "lost")
        assert sound.capturing, "it is still open: the light has to tell"
        played = sound.turns
        await until(lambda: sound.turns > played + 25, "the speaker goes on")
        microphone.hang.clear()
        await until(lambda: told.happenings[-1] == "found microphone", "a new one")
        played = sound.turns
        await until(lambda: sound.turns > played + 10, "the new one delivers")
        microphone.let_go.set()
        await until(microphone.closed.is_set, "the old one closed")
        assert told.happenings == ["light on", "lost microphone", "found microphone"], "one of them was always open"
    assert microphone.openings == 2
    assert told.happenings[-1] == "light off"
    assert not sound.capturing


async def test_closing_does_not_wait_for_a_microphone_that_hangs() -> None:
    microphone = HangingMicrophone()
    settings = SoundSettings(period_deadline_s=0.5)
    async with opened(microphone, VirtualSpeaker(), settings=settings) as (sound, _, told):
        await until(lambda: sound.capturing, "capturing")
        microphone.hang.set()
        await until(microphone.stuck.is_set, "stuck in its driver")
    assert sound.capturing
    microphone.let_go.set()
    await until(microphone.closed.is_set, "closed when the driver lets go")
    await until(lambda: told.happenings[-1] == "light off", "light off")


async def test_a_microphone_closed_beside_a_speaker_that_hangs_is_dark() -> None:
    microphone, speaker = HangingMicrophone(), HangingSpeaker()
    settings = SoundSettings(period_deadline_s=0.5)
    async with opened(microphone, speaker, settings=settings) as (sound, _, told):
        await until(lambda: sound.capturing, "capturing")
        speaker.hang.set()
        await until(speaker.stuck.is_set, "stuck in its driver")
    await until(lambda: told.happenings[-1] == "light off", "light off")
    assert microphone.closed.is_set()
    assert not sound.capturing
    speaker.let_go.set()
    await until(speaker.closed.is_set, "closed when the driver lets go")


async def test_opening_that_was_given_up_leaves_no_microphone_open_and_can_be_tried_again() -> None:
    microphone, speaker = HangingMicrophone(), LateSpeaker()
    sound, told, interval_s = Sound(microphone, speaker, SETTINGS), Told(), sys.getswitchinterval()
    told.watch(sound)
    opening = asyncio.create_task(sound.open(lambda packet: None, muted=False))
    await until(lambda: microphone.openings == 1, "the microphone is open")

    opening.cancel()
    await asyncio.wait([opening])

    await until(microphone.closed.is_set, "closed")
    assert not sound.is_open
    assert sys.getswitchinterval() == interval_s
    assert told.happenings == []
    speaker.may_open.set()
    await until(speaker.closed.is_set, "what opens late is closed as well")
    await sound.open(lambda packet: None, muted=False)
    await until(lambda: sound.capturing, "capturing")
    await sound.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_bug_on_the_sound_thread_closes_the_cards_and_sound_starts_again() -> None:
    microphone = FaultyMicrophone()
    async with opened(microphone, VirtualSpeaker()) as (sound, _, told):
        await until(lambda: sound.capturing, "capturing")
        microphone.fail.set()
        await until(lambda: "lost microphone" in told.happenings, "lost")
        assert "light off" in told.happenings
        await until(lambda: told.happenings.count("light on") == 2, "capturing again")
        await until(lambda: "found speaker" in told.happenings, "the speaker too")


async def test_a_speaker_that_never_opens_is_missing_and_closed_when_it_does() -> None:
    speaker = NeverOpeningSpeaker()
    async with opened(VirtualMicrophone("silence"), speaker) as (_, room, told):
        assert "lost speaker" in told.happenings
        await until(lambda: len(room.packets) > 5, "packets")
        speaker.let_go.set()
        await until(speaker.closed.is_set, "closed at once: nobody waits for it")


async def test_cues_are_played_and_never_sent() -> None:
    speaker = VirtualSpeaker()
    async with opened(VirtualMicrophone("silence"), speaker) as (sound, room, _):
        await until(lambda: len(room.packets) > 5, "packets")
        sound.play_cue("joined")
        await until(lambda: speaker.level_dbfs(0.1) > -40, "the cue")
        await until(lambda: speaker.level_dbfs(0.1) < -100, "its end")
    assert dbfs(room.heard(len(room.packets))) < -80
    with pytest.raises(KeyError):
        sound.play_cue("fanfare")


async def test_volume_is_heard_and_bounded() -> None:
    speaker = VirtualSpeaker()
    settings = SoundSettings(volume_percent=100, max_volume_percent=50)
    async with opened(VirtualMicrophone("tone:1000"), speaker, settings=settings) as (sound, room, _):
        room.echo_to = sound.add_voice("someone")
        await until(lambda: speaker.level_dbfs() == pytest.approx(-44, abs=1), "half of the range: 24 dB less")
        sound.set_volume(0)
        await until(lambda: speaker.level_dbfs() == -120, "nothing")


async def test_a_removed_voice_is_not_heard_any_more() -> None:
    speaker = VirtualSpeaker()
    async with opened(VirtualMicrophone("tone:1000"), speaker) as (sound, room, _):
        room.echo_to = sound.add_voice("someone")
        await until(lambda: speaker.level_dbfs() > -25, "sound")
        sound.remove_voice("someone")
        sound.remove_voice("someone")
        await until(lambda: speaker.level_dbfs() < -100, "silence")


async def test_figures_tell_levels_voices_and_lateness() -> None:
    async with opened(VirtualMicrophone("tone:1000"), VirtualSpeaker()) as (sound, room, _):
        room.echo_to = sound.add_voice("someone")
        await until(lambda: sound.figures().output_dbfs > -25, "sound")
        await until(lambda: sound.figures().periods > 50, "periods")
        figures = sound.figures()
        assert figures.microphone_dbfs == pytest.approx(-20, abs=0.5)
        assert figures.voices == 1
        assert 0 < figures.lateness_p50_ms <= figures.lateness_p99_ms <= figures.lateness_max_ms
        assert 20 <= figures.playout_delay_ms <= 300
    assert sound.figures().periods == 0


async def test_the_loop_may_stand_still_and_sound_goes_on() -> None:
    """Sound is not on the event loop: blocking the loop leaves no hole (kiosk-processes.md 3)."""
    speaker = VirtualSpeaker()
    async with opened(VirtualMicrophone("tone:1000"), speaker) as (sound, room, told):
        room.echo_to = sound.add_voice("someone")
        await until(lambda: sound.turns > 20, "turns")
        before = sound.turns
        threading.Event().wait(1.0)  # given: the loop is blocked, the interpreter lock free
        assert sound.turns - before > 30
        await asyncio.sleep(0.6)
        assert [one for one in told.happenings if one.startswith("lost")] == []


async def test_a_refused_priority_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.devices import sound_thread

    def refuse(*_: object) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(sound_thread.os, "sched_setscheduler", refuse)
    monkeypatch.setattr(sound_thread, "_announced_refusal", False)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            async with opened(VirtualMicrophone("silence"), None) as (sound, _, _):
                assert not sound.figures().real_time
    assert len([record for record in caplog.records if "normal priority" in record.message]) == 1


async def test_the_error_names_the_device() -> None:
    errors: list[DeviceError] = []
    microphone = VirtualMicrophone("silence")
    sound = Sound(microphone, VirtualSpeaker(), SETTINGS)
    sound.on_lost = lambda part, error: errors.append(error)
    await sound.open(lambda packet: None, muted=False)
    microphone.unplug()
    await until(lambda: bool(errors), "an error")
    await sound.close()
    assert "Virtual microphone" in str(errors[0])
