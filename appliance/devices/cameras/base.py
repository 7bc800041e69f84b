"""What a camera promises: frames, or H.264 where the hardware encodes by itself."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from av import VideoFrame

FRAME_DEADLINE_S = 3.0
"""A camera that is silent for longer is lost (kiosk.md 8, Capture isolation)."""

CLOCK_RATE_HZ = 90_000
"""Unit of every video timestamp (RFC 3551, section 5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """What to ask a camera for; it may give less, and its frames tell what it gave.

    Args:
        device: a stable name (kiosk.md 8: CSI id, USB path or serial), or `auto`.
        bitrate_bps: what an encoding camera starts with.
        worker_command: argument vector that starts the capture worker; empty is the OS's own Python, which sees
            libcamera, with our worker file.
    """

    device: str = "auto"
    width_px: int = 1280
    height_px: int = 720
    frames_per_second: int = 30
    bitrate_bps: int = 1_500_000
    worker_command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedFrame:
    """One H.264 access unit.

    Args:
        data: Annex B with start codes; SPS and PPS stand before each IDR picture.
        pts_90k: capture time in 1/90000 s since the first frame; strictly grows.
        keyframe: whether decoding can begin here.
    """

    data: bytes
    pts_90k: int
    keyframe: bool


class Camera(Protocol):
    """A source of frames. Opening claims the hardware, leaving gives it back."""

    name: str
    """For people and for the test card: `Virtual camera`, `imx708`, …"""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Raise DeviceMissing or DeviceBusy, naming the device. May be entered again after it was left."""

    async def read(self) -> VideoFrame:
        """Wait for the next frame; one that nobody took is replaced by the newer.

        Returns:
            yuv420p, the settings' size or what the hardware made of it. `pts` counts 1/90000 s from the first frame
            and strictly grows; `time_base` is 1/90000.
        Raises:
            DeviceLost: no frame for FRAME_DEADLINE_S; open the camera again to go on.
        """


class EncodedCamera(Protocol):
    """A camera that encodes by itself: its pictures are never decoded on the way out."""

    name: str

    def open(self) -> AbstractAsyncContextManager[None]:
        """Raise DeviceMissing or DeviceBusy, naming the device. The first frame after it is a key frame."""

    async def read(self) -> EncodedFrame:
        """Wait for the next access unit, none left out: a gap would break the pictures after it.

        A reader that falls behind for so long that units were dropped gets a key frame next.
        Raises:
            DeviceLost: no frame for FRAME_DEADLINE_S, or the encoder ended; open the camera again to go on.
        """

    def request_keyframe(self) -> None:
        """Make a frame soon (within 500 ms, kiosk.md 2) a key frame. Any number of requests until then are one."""

    def set_bitrate(self, bitrate_bps: int) -> None:
        """Aim at this rate within 2 s (kiosk.md 2). Returns at once."""

    async def preview(self) -> VideoFrame | None:
        """Wait for the next small picture for the self view, some 5-10 a second.

        Returns:
            yuv420p as `Camera.read()` gives it, some 320x180; None where the camera has no second stream.
        Raises:
            DeviceLost: as `read()`.
        """
