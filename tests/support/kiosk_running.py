"""A kiosk whose stage answers at once: the real runner and machine, no devices and no rooms service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

from appliance.kiosk.effects import CloseRoom, Effect, MoveButton, MuteMicrophone, OpenRoom
from appliance.kiosk.inputs import Booted, Capturing, RoomClosed, RoomConnected
from appliance.kiosk.rules import Rules
from appliance.kiosk.runner import Kiosk
from appliance.kiosk.state import Device, KioskState, Phase
from appliance.system_clock import SystemClock
from tests.support.conditions import until
from tests.support.kiosk_story import ANNA


class ObedientStage:
    """Satisfies Performer: every room opens, every device works."""

    def __init__(self, kiosk: Kiosk) -> None:
        self._kiosk = kiosk
        self.done: list[Effect] = []
        self.answers = True
        """Whether rooms open; without, joining goes on."""

    def perform(self, effect: Effect) -> None:
        self.done.append(effect)
        match effect:
            case OpenRoom(attempt=attempt, room_name=room) if self.answers:
                self._kiosk.submit(Capturing(what="microphone", live=True))
                self._kiosk.submit(
                    RoomConnected(attempt=attempt, name=room, sid="RM1", participant_sid="PA0", people=(ANNA,))
                )
            case CloseRoom(attempt):
                self._kiosk.submit(Capturing(what="microphone", live=False))
                self._kiosk.submit(RoomClosed(attempt=attempt))

    def mutes(self) -> list[bool]:
        return [effect.muted for effect in self.done if isinstance(effect, MuteMicrophone)]

    def moves(self) -> list[tuple[str, bool]]:
        return [(effect.button, effect.pressed) for effect in self.done if isinstance(effect, MoveButton)]


@asynccontextmanager
async def running_kiosk(
    rules: Rules | None = None, device: Device | None = None
) -> AsyncIterator[tuple[Kiosk, ObedientStage]]:
    """Run a kiosk that is idle."""
    device = device or Device(id="hall-2", name="Hall 2", default_room="lobby", front_panel="virtual")
    state = replace(KioskState(), device=device, rules=rules or Rules(default_room="lobby"))
    kiosk = Kiosk(state, SystemClock(), Random(1))
    stage = ObedientStage(kiosk)
    kiosk.perform_with(stage)
    running = asyncio.create_task(kiosk.run())
    kiosk.submit(Booted(display="on"))
    await until("idle", lambda: kiosk.state.phase is Phase.IDLE)
    stage.done.clear()
    try:
        yield kiosk, stage
    finally:
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()
