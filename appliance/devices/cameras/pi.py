"""A Raspberry Pi camera module: picamera2 in the capture worker, as frames or as H.264 that the Pi encoded itself."""

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from av import VideoFrame

from appliance.devices.cameras.base import FRAME_DEADLINE_S, CameraSettings, EncodedFrame
from appliance.devices.cameras.worker_link import PREVIEW_SIZE, START_DEADLINE_S, WorkerLink
from appliance.errors import DeviceBusy, DeviceError, DeviceLost, DeviceMissing

logger = logging.getLogger(__name__)

BITRATE_STEP = 0.1
"""Smaller changes are not worth a key frame (media-engine.md 7)."""


async def camera_modules(worker_command: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    """Return number and model of every camera module; none where picamera2 is not installed."""
    link = WorkerLink(worker_command)
    try:
        await link.start()
        answer = await link.ask("list", START_DEADLINE_S)
        return [(int(number), str(model)) for number, model in answer["cameras"]]
    except DeviceError as error:
        logger.info("no camera module: %s", error)
        return []
    finally:
        await link.stop(politely=False)


class _PiModule:
    """Opening and closing of a module, the same for frames and for H.264. A new worker process for each opening."""

    _mode: str

    def __init__(self, settings: CameraSettings) -> None:
        """Take `csi:<n>` as the device's name; `auto` is the first module."""
        self.name = settings.device if settings.device.startswith("csi:") else "csi:0"
        self._number = int(self.name.removeprefix("csi:"))
        self._settings = settings
        self._link: WorkerLink | None = None

    @property
    def worker_process_id(self) -> int | None:
        """Process id of the worker while the camera is open; for the watchdog and for tests."""
        return self._link.process_id if self._link is not None else None

    def open(self) -> AbstractAsyncContextManager[None]:
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        if self._link is not None:
            raise DeviceBusy(f"camera {self.name} is open already")
        link = self._link = WorkerLink(self._settings.worker_command)
        politely = False
        try:
            await link.start()
            await self._set_up(link)
            politely = True
            yield
        except DeviceLost:
            politely = False  # whoever does not answer is not asked once more
            raise
        finally:
            self._link = None
            await link.stop(politely=politely)

    async def _set_up(self, link: WorkerLink) -> None:
        settings = self._settings
        try:
            opened = await link.ask("open", START_DEADLINE_S, camera=self._number)
            await link.ask(
                "start",
                mode=self._mode,
                width=settings.width_px,
                height=settings.height_px,
                fps=settings.frames_per_second,
                bitrate=settings.bitrate_bps,
                preview=PREVIEW_SIZE,
            )
        except DeviceMissing as error:
            if "busy" in str(error).lower() or "in use" in str(error).lower():
                raise DeviceBusy(f"camera {self.name}: {error}") from error
            raise
        logger.info("camera %s is %s", self.name, opened["model"])

    async def preview(self) -> VideoFrame | None:
        """Wait for the next picture of the small stream."""
        return await self._opened_link().preview.take(f"camera {self.name}", FRAME_DEADLINE_S)

    def _opened_link(self) -> WorkerLink:
        if self._link is None:
            raise DeviceLost(f"camera {self.name} is not open")
        return self._link


class PiCamera(_PiModule):
    """Satisfies Camera."""

    _mode = "frames"

    async def read(self) -> VideoFrame:
        return await self._opened_link().main.take(f"camera {self.name}", FRAME_DEADLINE_S)


class PiEncodedCamera(_PiModule):
    """Satisfies EncodedCamera."""

    _mode = "h264"

    def __init__(self, settings: CameraSettings) -> None:
        super().__init__(settings)
        self._bitrate_bps = settings.bitrate_bps

    def open(self) -> AbstractAsyncContextManager[None]:
        self._bitrate_bps = self._settings.bitrate_bps  # what a new worker starts with
        return super().open()

    async def read(self) -> EncodedFrame:
        return await self._opened_link().units.take(f"camera {self.name}", FRAME_DEADLINE_S)

    def request_keyframe(self) -> None:
        if self._link is not None:
            self._link.request_keyframe()

    def set_bitrate(self, bitrate_bps: int) -> None:
        if self._link is None or abs(bitrate_bps - self._bitrate_bps) < self._bitrate_bps * BITRATE_STEP:
            return
        self._bitrate_bps = bitrate_bps
        self._link.set_bitrate(bitrate_bps)
