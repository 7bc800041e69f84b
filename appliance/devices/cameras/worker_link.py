"""The kiosk's end of the capture worker: starts the process, asks with a deadline, hands over what comes, kills it.

A thread reads the socket: pictures are large, and the event loop has packets to move. Nothing here waits for the worker
longer than a deadline; one that misses it is killed, and the camera counts as lost.
"""

import asyncio
import json
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from av import VideoFrame

from appliance.devices.cameras import capture_worker
from appliance.devices.cameras.base import EncodedFrame
from appliance.devices.cameras.newest import Newest
from appliance.devices.conversion import picture_of_buffer, yuv420p
from appliance.errors import DeviceError, DeviceLost, DeviceMissing

logger = logging.getLogger(__name__)

EXCHANGE_DEADLINE_S = 3.0
"""kiosk.md 8, Capture isolation."""

START_DEADLINE_S = 15.0
"""For the first answer: the interpreter and libcamera come from a cold SD card."""

UNITS_WAITING = 90
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024

PREVIEW_SIZE = (320, 180)

WORKER_FILE = Path(capture_worker.__file__)
OS_PYTHON = "/usr/bin/python3"


class WorkerLink:
    """One worker process. Make it, `start`, `ask`, read `units` or `pictures`, `stop`; never used again after that."""

    def __init__(self, command: tuple[str, ...]) -> None:
        """Take the command that runs the worker; empty is the OS's Python with our file."""
        self._command = command or (OS_PYTHON, str(WORKER_FILE))
        self.main = Newest[VideoFrame]()
        self.preview = Newest[VideoFrame]()
        self.units = Units(self.request_keyframe)
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._writing = threading.Lock()
        self._first_us: int | None = None
        self._reader: threading.Thread | None = None

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start the process. Raise DeviceMissing where its program is not there."""
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        ours.settimeout(None)
        try:
            self._process = await asyncio.create_subprocess_exec(*self._command, stdin=theirs.fileno(), stdout=2)
        except OSError as error:
            ours.close()
            raise DeviceMissing(f"capture worker: cannot run {self._command[0]}: {error}") from error
        finally:
            theirs.close()
        self._socket = ours
        self._reader = threading.Thread(target=self._read, args=(ours,), name="capture worker", daemon=True)
        self._reader.start()

    async def ask(self, do: str, deadline_s: float = EXCHANGE_DEADLINE_S, **values: object) -> Mapping[str, Any]:
        """Return the worker's answer. Raise DeviceLost where none comes in time, DeviceMissing where it refuses."""
        self._answer = self._loop.create_future()
        self._send({"do": do, **values})
        try:
            async with asyncio.timeout(deadline_s):
                answer = await self._answer
        except TimeoutError:
            raise DeviceLost(f"capture worker: no answer to {do} within {deadline_s:g} s") from None
        finally:
            self._answer = None
        if not answer.get("ok"):
            raise DeviceMissing(f"camera: {do} failed: {answer.get('error')}")
        return answer

    def request_keyframe(self) -> None:
        self._send({"do": "keyframe"})

    def set_bitrate(self, bitrate_bps: int) -> None:
        self._send({"do": "bitrate", "bps": bitrate_bps})

    async def stop(self, *, politely: bool) -> None:
        """End the process; it is gone, and so is its hold on the camera, when this returns."""
        process, connection = self._process, self._socket
        if process is None or connection is None:
            return
        if politely and process.returncode is None:
            with suppress(DeviceError):
                await self.ask("close")
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # wakes the reader
        if self._reader is not None:
            await asyncio.to_thread(self._reader.join)
        connection.close()
        self._process = self._socket = None

    def _send(self, request: Mapping[str, object]) -> None:
        """Write a small request. Requests fit the socket's buffer; a worker that reads none of them is stopped soon."""
        connection = self._socket
        if connection is None:
            return
        data = capture_worker.message(capture_worker.JSON, json.dumps(request).encode())
        with self._writing, suppress(OSError):  # that the worker is gone shows in what it no longer sends
            connection.send(data, socket.MSG_DONTWAIT)

    def _read(self, connection: socket.socket) -> None:
        why = "the worker ended"
        try:
            while (arrived := capture_worker.read_message(connection)) is not None:
                self._take(*arrived)
        except (OSError, ValueError) as error:
            why = str(error)
        lost = DeviceLost(f"camera: {why}")
        for stream in (self.main, self.preview, self.units):
            stream.fail(lost)
        self._answered({"ok": False, "error": why})

    def _take(self, kind: bytes, body: bytearray) -> None:
        if kind == capture_worker.JSON:
            self._answered(json.loads(body))
        elif kind == capture_worker.ACCESS_UNIT:
            time_us, keyframe = capture_worker.UNIT.unpack_from(body)
            data = bytes(memoryview(body)[capture_worker.UNIT.size :])
            self.units.put(EncodedFrame(data=data, pts_90k=time_us * 9 // 100, keyframe=bool(keyframe)))
        elif kind == capture_worker.FRAME:
            time_us, stream, form, width, height, stride = capture_worker.PICTURE.unpack_from(body)
            if self._first_us is None:
                self._first_us = time_us
            frame = picture_of_buffer(
                memoryview(body)[capture_worker.PICTURE.size :],
                pixel_format=capture_worker.FORMATS[form],
                width=width,
                height=height,
                stride=stride,
                pts_90k=(time_us - self._first_us) * 9 // 100,
            )
            if stream == capture_worker.PREVIEW:
                self.preview.put(_small(frame))
            else:
                self.main.put(frame)

    def _answered(self, answer: dict[str, Any]) -> None:
        def resolve() -> None:
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(answer)

        with suppress(RuntimeError):  # the loop closed first
            self._loop.call_soon_threadsafe(resolve)


def _small(frame: VideoFrame) -> VideoFrame:
    """Return a preview no wider than PREVIEW_SIZE: a camera may have made something else of what was asked for."""
    width, height = PREVIEW_SIZE
    if frame.width <= width:
        return frame
    return yuv420p(frame.reformat(width=width, height=height), frame.pts or 0)


class Units:
    """Access units in order. When the reader falls behind, all that wait go, and the next one is a key frame."""

    def __init__(self, request_keyframe: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._request_keyframe = request_keyframe
        self._waiting: deque[EncodedFrame] = deque()
        self._arrived = asyncio.Event()
        self._failure: DeviceError | None = None
        self._skipping = False

    def put(self, unit: EncodedFrame) -> None:
        """Add a unit, on the link's thread."""
        if len(self._waiting) >= UNITS_WAITING:
            self._waiting.clear()
            self._skipping = True
            self._request_keyframe()
        if self._skipping and not unit.keyframe:
            return
        self._skipping = False
        self._waiting.append(unit)
        self._wake()

    def fail(self, error: DeviceError) -> None:
        self._failure = error
        self._wake()

    async def take(self, name: str, deadline_s: float) -> EncodedFrame:
        """Wait for the next unit. Raise DeviceLost, naming the device, where none comes in time."""
        try:
            async with asyncio.timeout(deadline_s):
                while not self._waiting:
                    if self._failure is not None:
                        raise self._failure
                    self._arrived.clear()
                    if not self._waiting and self._failure is None:
                        await self._arrived.wait()
        except TimeoutError:
            raise DeviceLost(f"{name}: nothing for {deadline_s:g} s") from None
        return self._waiting.popleft()

    def _wake(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived.set)
