"""Buttons and lamps on gpiozero's pins of software: from a finger to the machine and back to the light."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.devices.buttons.virtual import VirtualButtons
from appliance.devices.gpio import software_factory
from appliance.devices.lamps.virtual import VirtualLamps
from appliance.kiosk.capture import LiveLamp
from appliance.kiosk.inputs import Join
from appliance.kiosk.runner import Kiosk
from appliance.kiosk.state import Phase
from appliance.surfaces.front_panel import ButtonEvent, FrontPanel
from tests.support.conditions import until
from tests.support.kiosk_running import ObedientStage, running_kiosk
from tests.support.kiosk_story import AUTOMATION, FINGER


class Plate:
    """A front panel that can be touched and looked at."""

    def __init__(self, kiosk: Kiosk, stage: ObedientStage, *, lamp_test_s: float = 0.0) -> None:
        self.kiosk, self.stage = kiosk, stage
        factory = software_factory()
        self.buttons = VirtualButtons({"mute": 17, "leave": 27}, factory)
        self.lamps = VirtualLamps({"mute": 22, "live": 23, "status": 24}, factory)
        self.live = LiveLamp(self.lamps)
        self.panel = FrontPanel(self.buttons, self.lamps, self.live, pressable=self.buttons, lamp_test_s=lamp_test_s)
        self.events: list[ButtonEvent] = []
        self.panel.on_button(self.events.append)

    async def press(self, button: str, seconds: float = 0.1) -> None:
        self.panel.move(button, True)
        await asyncio.sleep(seconds)  # a finger takes its time
        self.panel.move(button, False)

    async def bouncing_press(self, button: str) -> None:
        """Press as worn contacts do."""
        for level in (True, False, True, False, True):
            self.panel.move(button, level)
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.1)
        for level in (False, True, False):
            self.panel.move(button, level)
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.1)

    def lit(self, lamp: str) -> bool:
        return self.lamps.read(lamp)  # type: ignore[arg-type]

    def kinds(self, button: str) -> list[str]:
        return [event.event_type for event in self.events if event.button == button]


@asynccontextmanager
async def a_plate() -> AsyncIterator[Plate]:
    """A plate, the kiosk idle."""
    async with running_kiosk() as (kiosk, stage):
        plate = Plate(kiosk, stage)
        task = asyncio.create_task(plate.panel.run(kiosk))
        await until("open", plate.panel.opened.is_set)
        try:
            yield plate
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()


async def test_mute_mutes_on_the_press_and_lights_the_lamp() -> None:
    async with a_plate() as plate:
        await plate.kiosk.command(Join(), FINGER)
        await until("in the room", lambda: plate.kiosk.state.phase is Phase.IN_ROOM)
        plate.panel.move("mute", True)
        await until("muted", lambda: plate.stage.mutes() == [True])
        await until("lit", lambda: plate.lit("mute"))
        plate.panel.move("mute", False)
        await until("released", lambda: plate.kinds("mute") == ["press", "release"])
        assert plate.stage.mutes() == [True]
        await plate.press("mute")
        await until("live again", lambda: plate.stage.mutes() == [True, False])
        await until("dark", lambda: not plate.lit("mute"))


async def test_bouncing_contacts_press_once() -> None:
    async with a_plate() as plate:
        await plate.kiosk.command(Join(), FINGER)
        await until("in the room", lambda: plate.kiosk.state.phase is Phase.IN_ROOM)
        for _ in range(3):
            await plate.bouncing_press("mute")
        await until("all felt", lambda: plate.kinds("mute") == ["press", "release"] * 3)
        assert plate.stage.mutes() == [True, False, True]


async def test_leave_held_in_idle_joins_as_somebody_in_the_room() -> None:
    async with a_plate() as plate:
        plate.panel.move("leave", True)
        await until("joined", lambda: plate.kiosk.state.phase is Phase.IN_ROOM)
        plate.panel.move("leave", False)
        assert plate.kiosk.state.origin == "button"
        assert plate.kiosk.state.mic == "live"
        await until("status", lambda: plate.lit("status"))
        await until("told", lambda: plate.kinds("leave") == ["press", "hold", "release"])
        assert plate.events[1] == ButtonEvent("leave", "hold", "room.join", "done")


async def test_leave_pressed_in_a_room_leaves() -> None:
    async with a_plate() as plate:
        await plate.kiosk.command(Join(), AUTOMATION)
        await until("in the room", lambda: plate.kiosk.state.phase is Phase.IN_ROOM)
        await plate.press("leave")
        await until("left", lambda: plate.kiosk.state.phase is Phase.IDLE)
        assert plate.kiosk.state.reason == "asked"


async def test_a_press_that_does_nothing_is_told_all_the_same() -> None:
    async with a_plate() as plate:
        await plate.press("leave")
        await until("told", lambda: plate.kinds("leave") == ["press", "release"])
        assert plate.events[0] == ButtonEvent("leave", "press", None, "none")


async def test_mute_in_idle_flashes_its_lamp() -> None:
    async with a_plate() as plate:
        plate.panel.flash_mute()
        await until("lit", lambda: plate.lit("mute"))
        await until("dark again", lambda: not plate.lit("mute"))


async def test_no_rhythm_can_hide_an_open_device_for_good_nor_show_one_that_is_closed() -> None:
    async with a_plate() as plate:
        plate.live.pulse(True)
        assert not plate.lit("live")
        plate.live.tell("microphone", True)
        plate.live.pulse(False)
        plate.live.settle()
        assert plate.lit("live")
        plate.live.tell("camera", True)
        plate.live.tell("microphone", False)
        assert plate.lit("live")
        plate.live.tell("camera", False)
        assert not plate.lit("live")


async def test_lamps_are_dark_at_the_end() -> None:
    async with a_plate() as plate:
        await plate.kiosk.command(Join(), FINGER)
        await until("status", lambda: plate.lit("status"))
        lamps = plate.lamps
    with lamps.open():
        assert not any(lamps.read(lamp) for lamp in ("mute", "live", "status"))


async def test_three_flashes_at_boot_test_the_lamps_but_never_show_a_device_as_open() -> None:
    async with running_kiosk() as (kiosk, stage):
        plate = Plate(kiosk, stage, lamp_test_s=0.6)
        task = asyncio.create_task(plate.panel.run(kiosk))
        seen_lit = False
        try:
            await until("open", plate.panel.opened.is_set)
            for _ in range(60):
                seen_lit = seen_lit or (plate.lit("mute") and plate.lit("status"))
                assert not plate.lit("live")
                await asyncio.sleep(0.01)
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert seen_lit
