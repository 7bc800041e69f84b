"""A USB camera: PyAV on V4L2, Motion JPEG or whatever else the camera gives."""

import errno
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import av
from av import VideoFrame

from appliance.devices.cameras.base import CLOCK_RATE_HZ, FRAME_DEADLINE_S, CameraSettings
from appliance.devices.cameras.newest import Newest
from appliance.devices.conversion import yuv420p
from appliance.errors import DeviceBusy, DeviceError, DeviceLost, DeviceMissing

logger = logging.getLogger(__name__)

BY_PATH = Path("/dev/v4l/by-path")
INPUT_FORMATS = ("mjpeg", "yuyv422", "h264", None)
"""Tried in turn: JPEG fits 720p30 through USB 2, raw pictures do not; None takes the driver's own choice."""

CLOSE_DEADLINE_S = 1.0


def usb_cameras(folder: Path = BY_PATH) -> list[str]:
    """Return the device paths of USB cameras, by the socket they are plugged into: these stay."""
    return sorted(str(path) for path in folder.glob("*-usb-*-video-index0")) if folder.is_dir() else []


class UsbCamera:
    """Satisfies Camera. A thread reads and decodes; one that hangs in the driver is left behind."""

    def __init__(self, settings: CameraSettings) -> None:
        """Take the path of the device, best below /dev/v4l/by-id or by-path; `auto` is the first one there."""
        self.name = settings.device
        self._settings = settings
        self._newest: Newest[VideoFrame] | None = None

    def open(self) -> AbstractAsyncContextManager[None]:
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        if self._newest is not None:
            raise DeviceBusy(f"{self.name} is open already")
        device = self._device()
        newest = self._newest = Newest[VideoFrame]()
        closing = threading.Event()
        reader = threading.Thread(target=self._read, args=(device, newest, closing), name=self.name, daemon=True)
        reader.start()
        try:
            # The first frame is the proof; a camera that opens and gives none is as good as absent.
            newest.put(await newest.take(f"camera {self.name}", FRAME_DEADLINE_S))
            yield
        finally:
            self._newest = None
            closing.set()
            reader.join(CLOSE_DEADLINE_S)
            if reader.is_alive():
                logger.error("camera %s does not close: its driver hangs", self.name)

    async def read(self) -> VideoFrame:
        if self._newest is None:
            raise DeviceLost(f"{self.name} is not open")
        return await self._newest.take(f"camera {self.name}", FRAME_DEADLINE_S)

    def _device(self) -> str:
        device = self.name if self.name != "auto" else next(iter(usb_cameras()), "")
        if not Path(device).exists():
            raise DeviceMissing(f"camera {self.name}: not plugged in")
        return device

    def _read(self, device: str, newest: Newest[VideoFrame], closing: threading.Event) -> None:
        try:
            with self._container(device) as container:
                start = time.monotonic()
                last = -1
                for frame in container.decode(video=0):
                    if closing.is_set():
                        return
                    last = max(last + 1, round((time.monotonic() - start) * CLOCK_RATE_HZ))
                    newest.put(yuv420p(frame, last))
            raise DeviceLost(f"camera {self.name}: no more pictures")
        except DeviceError as error:
            newest.fail(error)
        except (av.FFmpegError, OSError) as error:
            newest.fail(DeviceLost(f"camera {self.name}: {error}"))

    def _container(self, device: str) -> av.container.InputContainer:
        """Open the device. Raise DeviceMissing or DeviceBusy."""
        refused: Exception | None = None
        for input_format in INPUT_FORMATS:
            options = {
                "video_size": f"{self._settings.width_px}x{self._settings.height_px}",
                "framerate": str(self._settings.frames_per_second),
            }
            if input_format is None:
                options = {}
            else:
                options["input_format"] = input_format
            try:
                return av.open(device, format="v4l2", options=options)
            except (av.FFmpegError, OSError) as error:
                refused = error
                if getattr(error, "errno", None) == errno.EBUSY:
                    raise DeviceBusy(f"camera {self.name}: held by another process") from error
        raise DeviceMissing(f"camera {self.name}: {refused}") from refused
