"""What a kiosk captures and what its light says about it, with devices that misbehave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from appliance.devices.lamps.virtual import VirtualLamps
from appliance.devices.microphones.base import Microphone
from appliance.devices.sound import Sound, SoundSettings
from appliance.devices.speakers.base import Speaker
from appliance.devices.speakers.virtual import VirtualSpeaker
from appliance.kiosk.capture import Capture, LiveLamp
from appliance.kiosk.inputs import Capturing, Input
from tests.support.conditions import until
from tests.support.device_sound_faults import HangingMicrophone, LateSpeaker

PINS = {"mute": 22, "live": 23, "status": 24}


@dataclass
class Bench:
    """A capture, its lamp, and what it told."""

    capture: Capture
    lamps: VirtualLamps
    told: list[Input] = field(default_factory=list)

    @property
    def lit(self) -> bool:
        return self.lamps.read("live")

    def microphone_told(self) -> list[bool]:
        return [said.live for said in self.told if isinstance(said, Capturing) and said.what == "microphone"]


@asynccontextmanager
async def capturing_with(microphone: Microphone, speaker: Speaker) -> AsyncIterator[Bench]:
    told: list[Input] = []
    lamps = VirtualLamps(PINS)
    with lamps.open():
        async with asyncio.TaskGroup() as tasks:
            capture = Capture(
                tasks=tasks,
                camera=None,
                sound=Sound(microphone, speaker, SoundSettings(period_deadline_s=0.5)),
                has_microphone=True,
                picture_size=(640, 360),
                lamp=LiveLamp(lamps),
                tell=told.append,
                self_view=lambda frame: None,
            )
            try:
                yield Bench(capture, lamps, told)
            finally:
                await capture.close()


async def test_the_light_is_on_while_the_microphone_is_open_and_off_when_closing_returns() -> None:
    async with capturing_with(HangingMicrophone(), VirtualSpeaker()) as bench:
        assert not bench.lit
        await bench.capture.open(muted=False, camera_on=False)
        await until("lit", lambda: bench.lit)

        await bench.capture.close()

        assert not bench.lit
        assert bench.microphone_told() == [True, False]


async def test_the_light_stays_on_until_the_driver_lets_the_microphone_go() -> None:
    microphone = HangingMicrophone()
    async with capturing_with(microphone, VirtualSpeaker()) as bench:
        await bench.capture.open(muted=False, camera_on=False)
        await until("lit", lambda: bench.lit)
        microphone.hang.set()
        await until("stuck in its driver", microphone.stuck.is_set)

        await bench.capture.close()

        assert bench.lit, "the microphone is still open"
        assert bench.microphone_told() == [True]
        microphone.let_go.set()
        await until("dark", lambda: not bench.lit)
        assert microphone.closed.is_set()
        assert bench.microphone_told() == [True, False]


async def test_after_a_join_that_was_given_up_the_next_one_has_a_microphone() -> None:
    microphone, speaker = HangingMicrophone(), LateSpeaker()
    async with capturing_with(microphone, speaker) as bench:
        first = asyncio.create_task(bench.capture.open(muted=False, camera_on=False))
        await until("the microphone is open", lambda: microphone.openings == 1)
        first.cancel()
        await asyncio.wait([first])
        speaker.may_open.set()

        await bench.capture.open(muted=False, camera_on=False)

        await until("lit", lambda: bench.lit)
