"""What this kiosk captures: opening and closing of microphone and camera, and the truth about it.

One owner for both, so that the `live` lamp, the Line and `mic_live`/`camera_live` come from one place (kiosk.md 6).
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal, TypeGuard

import av

from appliance.client.local_tracks import EncodedAudioSource, LocalAudioTrack, LocalVideoTrack
from appliance.devices.cameras.base import Camera, EncodedCamera, EncodedFrame
from appliance.devices.lamps.base import Lamps
from appliance.devices.sound import Sound
from appliance.errors import DeviceBusy, DeviceError, DeviceLost, DeviceMissing
from appliance.kiosk.inputs import Capturing, DeviceFound, DeviceGone, Input

log = logging.getLogger(__name__)

REOPEN_S = (1.0, 2.0, 5.0, 10.0)
"""Waits before a lost camera is opened again; the last repeats (kiosk.md 17)."""
VIDEO_CLOCK_HZ = 90_000
WAITING_FRAMES = 60
"""Encoded frames that may wait for the sender; more, and it begins anew with a key frame."""
DARK_AFTER_S = 1.0
"""Without a frame for so long a black picture goes out, never a frozen one (kiosk.md 8, Hot-plug)."""

Part = Literal["microphone", "camera"]


class LiveLamp:
    """The `live` lamp: lit exactly while a capture device is open. Only the owners of the devices know when."""

    def __init__(self, lamps: Lamps | None) -> None:
        self._lamps = lamps
        self._open: set[Part] = set()
        self._lock = threading.Lock()  # sound tells from its own thread

    def tell(self, part: Part, live: bool) -> None:
        """Light before the first sample leaves, darken after the device is closed; any thread."""
        with self._lock:
            (self._open.add if live else self._open.discard)(part)
            if self._lamps is not None:
                self._lamps.show("live", bool(self._open), 1.0)

    def pulse(self, lit: bool) -> None:
        """Play the rhythm of talk-while-held; without capture the lamp stays dark."""
        with self._lock:
            if self._lamps is not None:
                self._lamps.show("live", lit and bool(self._open), 1.0)

    def settle(self) -> None:
        """End a rhythm: show the truth."""
        self.pulse(True)


class CameraTimeline:
    """Timestamps that grow on over closing and opening: each opening starts a camera's own count at 0 again."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._offset: int | None = None

    def reopened(self) -> None:
        self._offset = None

    def place(self, pts_90k: int) -> int:
        """Return the time of a frame on this timeline, in 1/90000 s."""
        if self._offset is None:
            self._offset = int((time.monotonic() - self._start) * VIDEO_CLOCK_HZ) - pts_90k
        return pts_90k + self._offset


class Pictures:
    """Satisfies VideoSource: the newest picture, or black where there is none."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._newest: av.VideoFrame | None = None
        self._arrived = asyncio.Event()
        self._start = time.monotonic()
        self._last_pts = -1

    def put(self, frame: av.VideoFrame) -> None:
        self._newest = frame
        self._arrived.set()

    async def read(self) -> av.VideoFrame:
        try:
            async with asyncio.timeout(DARK_AFTER_S):
                await self._arrived.wait()
            frame = self._newest
            assert frame is not None
            self._size = (frame.width, frame.height)
        except TimeoutError:
            frame = _black(self._size, self._last_pts + int(DARK_AFTER_S * VIDEO_CLOCK_HZ))
        self._arrived.clear()
        self._last_pts = frame.pts or 0
        return frame


class EncodedPictures:
    """Satisfies EncodedVideoSource: every access unit in order, or, after a jam, from the next key frame on."""

    def __init__(self, camera: EncodedCamera) -> None:
        self._camera = camera
        self._waiting: deque[EncodedFrame] = deque()
        self._arrived = asyncio.Event()
        self._needs_keyframe = True

    def put(self, frame: EncodedFrame) -> None:
        if len(self._waiting) >= WAITING_FRAMES:
            self._waiting.clear()
            self._needs_keyframe = True
            self._camera.request_keyframe()
        if self._needs_keyframe and not frame.keyframe:
            return
        self._needs_keyframe = False
        self._waiting.append(frame)
        self._arrived.set()

    async def read(self) -> EncodedFrame:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    def request_keyframe(self) -> None:
        self._camera.request_keyframe()

    def set_bitrate(self, bitrate_bps: int) -> None:
        self._camera.set_bitrate(bitrate_bps)


class Capture:
    """Microphone and camera of one kiosk, opened for a room and closed after it. Use inside a running loop.

    Args:
        tasks: where the camera's task lives, so that a bug in it ends the program.
        tell: takes happenings; callable from any thread.
        self_view: takes our own pictures, any thread.
    """

    def __init__(
        self,
        *,
        tasks: asyncio.TaskGroup,
        camera: Camera | EncodedCamera | None,
        sound: Sound,
        has_microphone: bool,
        picture_size: tuple[int, int],
        lamp: LiveLamp,
        tell: Callable[[Input], None],
        self_view: Callable[[av.VideoFrame], None],
    ) -> None:
        self._tasks = tasks
        self._camera, self._sound, self._lamp = camera, sound, lamp
        self._has_microphone = has_microphone
        self._tell, self._self_view = tell, self_view
        self._packets = EncodedAudioSource()
        self._pictures = _source_for(camera, picture_size)
        self._timeline = CameraTimeline()
        self._running: asyncio.Task[None] | None = None
        self._missing: set[Part | Literal["speaker"]] = set()
        self.camera_lost = asyncio.Event()
        """Set while the camera is wanted and gives nothing."""
        self._muted = True
        self._camera_on = False
        self._audio: LocalAudioTrack | None = None
        self._video: LocalVideoTrack | None = None
        sound.on_capturing = lambda live: self._show("microphone", live)
        sound.on_lost = self._lost
        sound.on_found = self._found

    async def open(self, *, muted: bool, camera_on: bool) -> None:
        """Open what shall be on; what is open already stays so. A device that fails is told of, and never raises."""
        self._muted, self._camera_on = muted, camera_on
        self._sound.set_muted(muted)
        if camera_on:
            self._start_camera()
        if not self._sound.is_open:
            await self._open_sound()

    async def _open_sound(self) -> None:
        before = self._missing & {"microphone", "speaker"}
        self._missing -= before
        try:
            await self._sound.open(self._packets.put, muted=self._muted)
        except DeviceError as error:
            self._lost("microphone", error)
            self._lost("speaker", error)
        except asyncio.CancelledError:
            self._missing |= before  # not known to work again
            raise
        for part in before - self._missing:
            self._found(part)

    def _lost(self, part: Part | Literal["speaker"], error: DeviceError) -> None:
        """Tell that a device does not serve; any thread."""
        self._missing.add(part)
        self._tell(DeviceGone(what=part, issue=_issue(part, error), message=str(error)))

    def _found(self, part: Part | Literal["speaker"]) -> None:
        self._missing.discard(part)
        self._tell(DeviceFound(part))

    def new_tracks(self) -> list[LocalAudioTrack | LocalVideoTrack]:
        """Return tracks for a new connection, switched as the room shall find them."""
        tracks: list[LocalAudioTrack | LocalVideoTrack] = []
        self._audio = self._video = None
        if self._has_microphone:
            self._audio = LocalAudioTrack(self._packets, name="microphone")
            self._audio.enable(not self._muted)
            tracks.append(self._audio)
        if self._pictures is not None:
            self._video = LocalVideoTrack(self._pictures, name="camera")
            self._video.enable(self._camera_on)
            tracks.append(self._video)
        return tracks

    def mute(self, muted: bool) -> None:
        """Silence from the next period on; the gate closes before anybody is told, and opens after."""
        self._muted = muted
        if muted:
            self._sound.set_muted(True)
        if self._audio is not None:
            self._audio.enable(not muted)
        if not muted:
            self._sound.set_muted(False)

    def switch_camera(self, on: bool) -> None:
        """Open or close the sensor; within 1 s it is done (kiosk.md 8)."""
        self._camera_on = on
        if self._video is not None:
            self._video.enable(on)
        if on:
            self._start_camera()
        elif self._running is not None:
            self._running.cancel()

    async def close(self) -> None:
        """Close every capture device; they are closed when this returns. Closing twice is fine.

        A microphone that hangs in its driver is the exception: it stays live, and lit, until the driver lets go.
        """
        self._camera_on, self._audio, self._video = False, None, None
        running = self._running
        if running is not None:
            running.cancel()
        await self._sound.close()  # its thread told that the microphone is closed, before this returns
        if running is not None:
            await asyncio.wait([running])

    def _show(self, part: Part, live: bool) -> None:
        self._lamp.tell(part, live)
        self._tell(Capturing(what=part, live=live))

    def _start_camera(self) -> None:
        if self._camera is None:
            return
        before = self._running
        if before is not None and not before.done() and not before.cancelling():
            return
        self._running = self._tasks.create_task(self._run_camera(self._camera, before), name="camera")

    async def _run_camera(self, camera: Camera | EncodedCamera, before: asyncio.Task[None] | None) -> None:
        """Read as long as the camera is wanted; reopen what is lost."""
        if before is not None and not before.done():
            await asyncio.wait([before])
        self.camera_lost.clear()  # it may give pictures this time
        failures = 0
        while True:
            try:
                await self._read_camera(camera)
            except DeviceError as error:
                log.warning("camera %s: %s", camera.name, error)
                failures = failures if "camera" in self._missing else 0
                self._lost("camera", error)
                self.camera_lost.set()
            await asyncio.sleep(REOPEN_S[min(failures, len(REOPEN_S) - 1)])
            failures += 1

    async def _read_camera(self, camera: Camera | EncodedCamera) -> None:
        self._timeline.reopened()
        try:
            async with camera.open():
                self._show("camera", True)
                async with asyncio.TaskGroup() as tasks:
                    if _encodes(camera):
                        tasks.create_task(self._read_preview(camera), name="camera preview")
                    while True:
                        frame = await camera.read()
                        if "camera" in self._missing:
                            self._found("camera")
                            self.camera_lost.clear()
                        self._take(frame)
        except ExceptionGroup as group:
            lost = group.subgroup(DeviceError)
            if lost is None or group.split(DeviceError)[1] is not None:
                raise
            raise _first(lost) from None
        finally:
            self._show("camera", False)

    def _take(self, frame: av.VideoFrame | EncodedFrame) -> None:
        if isinstance(frame, av.VideoFrame):
            frame.pts = self._timeline.place(frame.pts or 0)
            self._self_view(frame)
            assert isinstance(self._pictures, Pictures)
            self._pictures.put(frame)
            return
        assert isinstance(self._pictures, EncodedPictures)
        placed = self._timeline.place(frame.pts_90k)
        self._pictures.put(EncodedFrame(data=frame.data, pts_90k=placed, keyframe=frame.keyframe))

    async def _read_preview(self, camera: EncodedCamera) -> None:
        while (picture := await camera.preview()) is not None:
            self._self_view(picture)


def _encodes(camera: Camera | EncodedCamera) -> TypeGuard[EncodedCamera]:
    return hasattr(camera, "request_keyframe")


def _source_for(camera: Camera | EncodedCamera | None, size: tuple[int, int]) -> Pictures | EncodedPictures | None:
    if camera is None:
        return None
    return EncodedPictures(camera) if _encodes(camera) else Pictures(size)


def _issue(part: str, error: DeviceError) -> str:
    """Name the issue of kiosk/issues.py for a device's error."""
    prefix = {"microphone": "mic", "camera": "camera", "speaker": "speaker"}[part]
    if part == "camera" and isinstance(error, DeviceBusy):
        return "camera_busy"
    if part == "camera" and isinstance(error, DeviceLost) and not isinstance(error, DeviceMissing):
        return "camera_stalled"
    return f"{prefix}_absent"


def _first(group: BaseExceptionGroup[DeviceError]) -> DeviceError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, DeviceError)
    return found


def _black(size: tuple[int, int], pts: int) -> av.VideoFrame:
    frame = av.VideoFrame(*size, "yuv420p")
    for plane, value in zip(frame.planes, (16, 128, 128), strict=True):  # black in video range (BT.601)
        plane.update(bytes([value]) * plane.buffer_size)
    frame.pts = pts
    return frame
