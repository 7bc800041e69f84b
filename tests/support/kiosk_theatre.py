"""The stage of a kiosk with everything on it made of memory: devices, room, screen, lamps."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from appliance.client.local_tracks import LocalTrack
from appliance.kiosk.access import Access
from appliance.kiosk.capture import LiveLamp
from appliance.kiosk.effects import OpenRoom
from appliance.kiosk.inputs import (
    Input,
    PeopleChanged,
)
from appliance.kiosk.resume import Memory
from appliance.kiosk.settings import RoomsServiceSettings
from appliance.kiosk.stage import Devices, Stage
from appliance.kiosk.state import KioskState, Phase, RoomView
from appliance.system_clock import SystemClock
from tests.support.conditions import until
from tests.support.kiosk_fakes import FakeCamera, FakeLamps, FakeRoom, FakeScreen, FakeSound
from tests.support.kiosk_story import of_kind

TOKEN = "header.claims.signature"


class Theatre:
    """A stage with everything on it made of memory."""

    def __init__(self) -> None:
        self.sound, self.camera, self.screen, self.lamps = FakeSound(), FakeCamera(), FakeScreen(), FakeLamps()
        self.room = FakeRoom()
        self.told: list[Input] = []
        self.tracks: Sequence[LocalTrack] = ()
        self.refuse: Exception | None = None
        self.slow: asyncio.Event | None = None
        self.connects = 0
        self.has_microphone = self.flows = self.has_screen = True

    async def connect(self, token: str, room: str, tracks: Sequence[LocalTrack]) -> Any:
        self.connects += 1
        self.tracks = tracks
        if self.slow is not None:
            await self.slow.wait()
        if self.refuse is not None:
            raise self.refuse
        if tracks and self.flows:
            asyncio.get_running_loop().call_soon(cast(Any, tracks[0]).emit, "started", tracks[0])
        return self.room

    @asynccontextmanager
    async def stage(self) -> AsyncIterator[Stage]:
        devices = Devices(
            sound=cast(Any, self.sound),
            has_microphone=self.has_microphone,
            camera=self.camera,
            screen=cast(Any, self.screen) if self.has_screen else None,
            lamp=LiveLamp(self.lamps),
        )
        settings = RoomsServiceSettings(url="https://rooms.example", auth="command")
        clock = SystemClock()
        stage = Stage(
            devices,
            connect=self.connect,
            access=Access(settings, "hall-2", clock.now),
            memory=Memory(Path("/nonexistent/resume.json"), enabled=False),
            clock=clock,
            tell=self.told.append,
        )
        async with stage:
            yield stage

    async def heard(self, kind: type[Any], count: int = 1) -> Any:
        await until(f"{count} {kind.__name__}", lambda: len(of_kind(self.told, kind)) >= count)
        return of_kind(self.told, kind)[-1]


def in_room(theatre: Theatre, phase: Phase = Phase.IN_ROOM, spotlight: str | None = None) -> KioskState:
    """The state that follows from what was told last of people."""
    people = of_kind(theatre.told, PeopleChanged)[-1].people
    return KioskState(phase=phase, room=RoomView(name="lobby", people=people, spotlight=spotlight))


def order(attempt: int = 1, **changes: Any) -> OpenRoom:
    order = OpenRoom(attempt=attempt, room_name="lobby", muted=False, camera_on=True, token=TOKEN)
    return replace(order, **changes)
