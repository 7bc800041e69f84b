"""A camera made of software: a moving test card."""

import threading
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

from av import VideoFrame

from appliance.devices.cameras.base import CLOCK_RATE_HZ, FRAME_DEADLINE_S, CameraSettings
from appliance.devices.cameras.frame_number import read_frame_number
from appliance.devices.cameras.newest import Newest
from appliance.devices.cameras.test_card import TestCard
from appliance.devices.conversion import picture
from appliance.errors import DeviceBusy, DeviceLost, DeviceMissing

__all__ = ["VirtualCamera", "read_frame_number"]


class VirtualCamera:
    """Satisfies Camera. Draws on a thread of its own, evenly; a late one leaves frames out, as a sensor does."""

    def __init__(self, settings: CameraSettings, name: str = "Virtual camera") -> None:
        """Show `name` in the picture. The size is made even."""
        self.name = name
        self._width, self._height = settings.width_px // 2 * 2, settings.height_px // 2 * 2
        self._frames_per_second = settings.frames_per_second
        self._card: TestCard | None = None
        self._newest: Newest[VideoFrame] | None = None
        self._number = 0
        self._unplugged = False

    def open(self) -> AbstractAsyncContextManager[None]:
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        if self._unplugged:
            raise DeviceMissing(f"{self.name} is unplugged")
        if self._newest is not None:
            raise DeviceBusy(f"{self.name} is open already")
        newest = self._newest = Newest[VideoFrame]()
        closing = threading.Event()
        thread = threading.Thread(target=self._draw, args=(newest, closing), name=self.name, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._newest = None
            closing.set()
            thread.join()  # at most the drawing of one frame

    async def read(self) -> VideoFrame:
        if self._newest is None:
            raise DeviceLost(f"{self.name} is not open")
        return await self._newest.take(self.name, FRAME_DEADLINE_S)

    def unplug(self) -> None:
        """Behave as a camera whose cable was pulled, from any thread."""
        self._unplugged = True
        if self._newest is not None:
            self._newest.fail(DeviceLost(f"{self.name} was unplugged"))

    def plug_in(self) -> None:
        self._unplugged = False

    def _draw(self, newest: Newest[VideoFrame], closing: threading.Event) -> None:
        """Numbers go on from the last opening: a frame number is never shown twice."""
        self._card = self._card or TestCard(self._width, self._height, self.name)
        start, slot = time.monotonic(), 0
        while not self._unplugged:
            wait = start + slot / self._frames_per_second - time.monotonic()
            if closing.wait(max(0.0, wait)):
                return
            slot = max(slot, int((time.monotonic() - start) * self._frames_per_second))
            now = datetime.now()  # local time: people compare it with the clock on the wall
            clock = f"{now:%H:%M:%S}.{now.microsecond // 100_000}"
            planes = self._card.frame(self._number, clock, now.microsecond / 1e6)
            newest.put(picture(planes, slot * CLOCK_RATE_HZ // self._frames_per_second))
            self._number += 1
            slot += 1
