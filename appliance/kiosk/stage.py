"""The stage does what the mind decided: rooms through the SDK, devices, screen. It decides nothing.

What takes long is started and comes back as a happening. Opening and closing take turns behind one door: whatever was
asked later finds the devices as the earlier left them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Protocol, Self

import av

from appliance.client.local_tracks import LocalTrack, LocalVideoTrack
from appliance.client.room import Room, RoomState
from appliance.clock import Clock
from appliance.devices.cameras.base import Camera, EncodedCamera
from appliance.devices.screens.base import SELF_SLOT, Screen
from appliance.devices.sound import Sound
from appliance.errors import ConfigurationError, MediaConnectionError, RoomError, SignalingConnectionDisconnectedError
from appliance.kiosk.access import Access
from appliance.kiosk.call import Call
from appliance.kiosk.capture import Capture, LiveLamp
from appliance.kiosk.effects import (
    CloseRoom,
    Effect,
    FlashMuteLamp,
    Forget,
    MoveButton,
    MuteMicrophone,
    OpenRoom,
    PlayCue,
    Remember,
    SetVolume,
    SwitchCamera,
)
from appliance.kiosk.inputs import Input, JoinFailed, RoomClosed
from appliance.kiosk.resume import TOUCH_S, Memory
from appliance.kiosk.scenes import call_layout
from appliance.kiosk.service_errors import UNREACHABLE
from appliance.kiosk.state import KioskState, Phase
from appliance.kiosk.tiles import sizes

log = logging.getLogger(__name__)

GOODBYE_S = 2.0
"""An orderly disconnect takes at most this long; then the devices are closed all the same (kiosk.md 3: 3 s)."""
USUAL_HEIGHT_PX = 1080
"""Of a screen while no display is connected."""
FIRST_MEDIA_S = 15.0
"""From being let in to the first packet out or in (kiosk.md 4, step 6)."""

Connect = Callable[[str, str, Sequence[LocalTrack]], Awaitable[Room]]
"""(access token, room name, tracks) → the room joined; raises RoomError."""


class FrontPanelHands(Protocol):
    """What the stage asks of the front panel."""

    def flash_mute(self) -> None: ...
    def move(self, button: str, pressed: bool) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What this kiosk has. `camera` and `screen` may be missing; `sound` copes with missing cards by itself."""

    sound: Sound
    has_microphone: bool
    has_speaker: bool = True
    camera: Camera | EncodedCamera | None = None
    picture_size: tuple[int, int] = (640, 360)
    screen: Screen | None = None
    lamp: LiveLamp


class Stage:
    """Satisfies `runner.Performer`. Use as `async with stage:`; leaving closes every device."""

    def __init__(
        self,
        devices: Devices,
        *,
        connect: Connect,
        access: Access,
        memory: Memory,
        clock: Clock,
        tell: Callable[[Input], None],
    ) -> None:
        self._devices, self._connect, self._access = devices, connect, access
        self._memory, self._clock, self._tell = memory, clock, tell
        self.front_panel: FrontPanelHands | None = None
        self._door = asyncio.Lock()
        self._joining: tuple[int, asyncio.Task[None]] | None = None
        self._call: Call | None = None
        self._own_slot: Callable[[av.VideoFrame], None] | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._capture = Capture(
            tasks=self._tasks,
            camera=self._devices.camera,
            sound=self._devices.sound,
            has_microphone=self._devices.has_microphone,
            picture_size=self._devices.picture_size,
            lamp=self._devices.lamp,
            tell=self._tell,
            self_view=self._show_ourselves,
        )
        self._heartbeat = self._tasks.create_task(self._touch_memory(), name="resume")
        return self

    async def __aexit__(self, *details: Any) -> None:
        self._heartbeat.cancel()
        try:
            if self._joining is not None:
                self._joining[1].cancel()
            async with self._door:
                await self._end_call()
                await self._capture.close()
        finally:
            await self._stack.__aexit__(*details)

    @property
    def call(self) -> Call | None:
        """The connection that stands, for figures and tests."""
        return self._call

    def perform(self, effect: Effect) -> None:
        """Start doing an effect; on the event loop."""
        match effect:
            case OpenRoom():
                self._cancel_joining()
                task = self._tasks.create_task(self._open(effect), name=f"join {effect.attempt}")
                self._joining = (effect.attempt, task)
            case CloseRoom(attempt):
                self._cancel_joining(attempt)
                self._tasks.create_task(self._close(attempt), name=f"leave {attempt}")
            case MuteMicrophone(muted):
                self._capture.mute(muted)
            case SwitchCamera(on):
                self._switch_camera(on)
            case SetVolume(percent):
                self._devices.sound.set_volume(percent)
            case PlayCue(name):
                self._devices.sound.play_cue(name)
            case Remember():
                self._memory.remember(effect, self._clock.now())
            case Forget():
                self._memory.forget()
            case FlashMuteLamp():
                if self.front_panel is not None:
                    self.front_panel.flash_mute()
            case MoveButton(button, pressed):
                if self.front_panel is not None:
                    self.front_panel.move(button, pressed)
            case _:
                raise AssertionError(f"not for the stage: {effect!r}")

    def look(self, state: KioskState) -> None:
        """Receive the pictures that the screen shows in this state, as large as it shows them, and no others.

        While the link is lost nothing of it is changed: what stands on the screen then passes.
        """
        if self._call is None or state.phase is not Phase.IN_ROOM:
            return
        screen = self._devices.screen
        if screen is None:
            self._call.look_at({})
            return
        wall, height_px = screen.wall, screen.health().size[1] or USUAL_HEIGHT_PX
        self._call.look_at(sizes(call_layout(state, wall), wall, height_px))

    def _switch_camera(self, on: bool) -> None:
        self._self_view(on)
        self._capture.switch_camera(on)

    def _self_view(self, on: bool) -> None:
        """Give our own picture a place on the screen, or take it away: no still picture stays behind."""
        screen = self._devices.screen
        if screen is None:
            return
        if on:
            self._own_slot = screen.slot(SELF_SLOT)
        else:
            self._own_slot = None
            screen.drop_slot(SELF_SLOT)

    def _show_ourselves(self, frame: av.VideoFrame) -> None:
        if self._own_slot is not None:
            self._own_slot(frame)

    def _cancel_joining(self, attempt: int | None = None) -> None:
        if self._joining is not None and attempt in (None, self._joining[0]):
            self._joining[1].cancel()
            self._joining = None

    async def _open(self, order: OpenRoom) -> None:
        async with self._door:
            try:
                await self._end_call()
                self._self_view(order.camera_on)
                await self._capture.open(muted=order.muted, camera_on=order.camera_on)
                call = await self._join(order)
            except (RoomError, ConfigurationError, OSError, ValueError) as error:
                code = error.code if isinstance(error, RoomError) else UNREACHABLE
                log.warning("attempt %d to join %s failed: %s (%d)", order.attempt, order.room_name, error, code)
                if not order.keep_devices:
                    await self._capture.close()
                self._tell(JoinFailed(attempt=order.attempt, code=code, message=str(error)))
            else:
                self._call = call
                call.begin()

    async def _join(self, order: OpenRoom) -> Call:
        token = order.token or self._access.token(order.room_name, order.identity)
        tracks = self._capture.new_tracks()
        room = await self._connect(token, order.room_name, tracks)
        call = Call(
            room,
            order.attempt,
            voices=self._devices.sound,
            slots=self._devices.screen,
            tell=self._tell,
            now=self._clock.now,
        )
        try:
            await _first_media(room, tracks, self._capture.camera_lost)
        except BaseException:
            await call.leave()
            raise
        return call

    async def _close(self, attempt: int) -> None:
        async with self._door:
            await self._capture.close()
            await self._end_call()
            self._self_view(False)
        self._tell(RoomClosed(attempt=attempt))

    async def _end_call(self) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        try:
            async with asyncio.timeout(GOODBYE_S):
                await call.leave()
        except TimeoutError:
            log.warning("attempt %d: the room did not say goodbye in %g s", call.attempt, GOODBYE_S)

    async def _touch_memory(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_S)
            self._memory.touch(self._clock.now())


async def _first_media(room: Room, tracks: Sequence[LocalTrack], camera_lost: asyncio.Event) -> None:
    """Wait until a packet has gone out or come in; with nothing to send, do not.

    Raises:
        MediaConnectionError: nothing flowed in time.
    """
    # Muted sound goes out as silence; a camera that is off sends nothing that could be waited for.
    pictures_only = all(isinstance(track, LocalVideoTrack) for track in tracks)
    if pictures_only and not any(isinstance(track, LocalVideoTrack) and track.is_enabled for track in tracks):
        return
    flows = asyncio.Event()

    def started(*_: object) -> None:
        flows.set()

    for track in tracks:
        track.on("started", started)
    room.on("track_started", started)
    room.on("disconnected", started)
    if any(getattr(track, "is_started", False) for track in tracks):
        flows.set()
    # Nor does a camera that opens and gives no picture: its trouble is told, and is no trouble of the room's.
    dark = asyncio.create_task(camera_lost.wait(), name="camera without a picture")
    if pictures_only:
        dark.add_done_callback(started)
    try:
        async with asyncio.timeout(FIRST_MEDIA_S):
            await flows.wait()
        if room.state is RoomState.DISCONNECTED:
            raise SignalingConnectionDisconnectedError("disconnected before media flowed")
    except TimeoutError:
        raise MediaConnectionError(f"no media in {FIRST_MEDIA_S:g} s") from None
    finally:
        dark.cancel()
        room.off("disconnected", started)
        room.off("track_started", started)
        for track in tracks:
            with suppress(ValueError):
                track.off("started", started)
