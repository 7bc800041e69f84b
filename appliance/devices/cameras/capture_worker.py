"""The capture worker: picamera2 in a process of its own, so that a camera call that hangs can be killed.

One file, run by the operating system's Python (3.11 to 3.13) with its picamera2 and libcamera; nothing of ours is
imported. File descriptor 0 is one end of a Unix stream socket pair; both ways go frames of

    kind (1 byte)  length (4 bytes, big-endian)  body

    J   JSON     requests to the worker, {"do": …}; answers, {"done": …, "ok": …, "error": …}
    U   one H.264 access unit, Annex B:  time (8 bytes, microseconds)  key frame (1 byte)  unit
    F   a picture:  time (8)  stream (1: 0 main, 1 preview)  format (1: NV12, YUV420)  width (2) height (2) stride (4)

Requests, each answered but `keyframe` and `bitrate`:

    list                                     -> cameras: [[number, model], …]
    open camera                              -> model
    start mode (h264 | frames) width height fps bitrate preview (width, height or null)   -> main, preview: size, format
    keyframe · bitrate bps
    close                                    -> and the process ends

The worker ends when the socket closes, however its parent ended.
"""

import json
import os
import queue
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

HEADER = struct.Struct(">cI")
UNIT = struct.Struct(">qB")
PICTURE = struct.Struct(">qBBHHI")
JSON, ACCESS_UNIT, FRAME = b"J", b"U", b"F"
MAIN, PREVIEW = 0, 1
FORMATS = ("NV12", "YUV420")
LONGEST_BODY = 16 * 1024 * 1024

UNITS_WAITING = 60
"""Two seconds; a parent that falls further behind gets a key frame when it reads again."""

PREVIEW_EVERY_S = 0.125
KEYFRAME_EVERY_S = 10.0
BITRATE_EVERY_S = 1.5
"""Every change may cost a key frame, and must show within 2 s (kiosk.md 2)."""

VBV_S = 0.5
"""Half a second's bits bound a key frame: nobody paces the packets it becomes (media-engine.md 7)."""

LEVEL_3_1 = 31
MACROBLOCKS_A_SECOND_3_1 = 108_000
"""1280x720 at 30 (H.264, table A-1): the level of the profile that is negotiated, 42e01f (kiosk.md 2)."""


def read_exactly(connection: socket.socket, size: int) -> bytearray | None:
    """Return `size` bytes, or None where the stream ended."""
    body = bytearray(size)
    view, filled = memoryview(body), 0
    while filled < size:
        count = connection.recv_into(view[filled:])
        if count == 0:
            return None
        filled += count
    return body


def read_message(connection: socket.socket) -> tuple[bytes, bytearray] | None:
    """Return (kind, body), or None where the stream ended. Raise ValueError for a body beyond LONGEST_BODY."""
    header = read_exactly(connection, HEADER.size)
    if header is None:
        return None
    kind, length = HEADER.unpack(header)
    if length > LONGEST_BODY:
        raise ValueError(f"a message of {length} bytes")
    body = read_exactly(connection, length)
    return None if body is None else (kind, body)


def message(kind: bytes, *parts: bytes) -> bytes:
    """Return the bytes of one message."""
    return b"".join((HEADER.pack(kind, sum(len(part) for part in parts)), *parts))


def with_level(unit: bytes, level: int) -> bytes:
    """Return an access unit whose SPS names at most this level_idc (H.264, 7.3.2.1.1: third byte after the NAL header).

    A Pi's encoder says 4.0 whatever it encodes; a receiver that negotiated 3.1 may refuse that.
    """
    at = unit.find(b"\x00\x00\x01")
    while at >= 0 and at + 6 < len(unit):
        kind = unit[at + 3] & 0x1F
        if kind == 7 and unit[at + 6] > level:
            changed = bytearray(unit)
            changed[at + 6] = level
            return bytes(changed)
        if kind in (1, 5):
            break  # slices come last; no SPS follows
        at = unit.find(b"\x00\x00\x01", at + 3)
    return unit


class Outbox:
    """Messages on their way to the parent. Never blocks the camera's threads; the newest picture replaces the older."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ready = threading.Condition()
        self._answers: list[bytes] = []
        self._units: list[bytes] = []
        self._pictures: dict[int, bytes] = {}
        self.skipping = False
        threading.Thread(target=self._send, name="outbox", daemon=True).start()

    def answer(self, **values: object) -> None:
        with self._ready:
            self._answers.append(message(JSON, json.dumps(values).encode()))
            self._ready.notify()

    def unit(self, data: bytes, keyframe: bool, time_us: int) -> bool:
        """Queue an access unit; return False when the parent is so far behind that a key frame has to come first."""
        with self._ready:
            if len(self._units) >= UNITS_WAITING:
                self._units.clear()
                self.skipping = True
            if self.skipping and not keyframe:
                return False
            self.skipping = False
            self._units.append(message(ACCESS_UNIT, UNIT.pack(time_us, bool(keyframe)), data))
            self._ready.notify()
        return True

    def picture(self, stream: int, data: bytes, time_us: int, configuration: dict[str, Any]) -> None:
        width, height = configuration["size"]
        form = FORMATS.index(configuration["format"])
        head = PICTURE.pack(time_us, stream, form, width, height, configuration["stride"])
        with self._ready:
            self._pictures[stream] = message(FRAME, head, data)
            self._ready.notify()

    def _send(self) -> None:
        while True:
            with self._ready:
                while not (self._answers or self._units or self._pictures):
                    self._ready.wait()
                waiting = [*self._answers, *self._units, *self._pictures.values()]
                self._answers, self._units, self._pictures = [], [], {}
            try:
                for data in waiting:
                    self._connection.sendall(data)
            except OSError:
                os._exit(0)  # the parent is gone


def encoder_class(worker: "Worker") -> Any:
    """Return picamera2's H.264 encoder for this board, mended; its time goes on when it is started again."""
    from picamera2.encoders import H264Encoder

    class Continuous(H264Encoder):  # type: ignore[misc]  # the OS's picamera2 has no types
        firsttimestamp: int | None

        def _timestamp(self, request: Any) -> int:
            if self.firsttimestamp is None:
                self.firsttimestamp = worker.first_timestamp
            time_us: int = super()._timestamp(request)
            worker.first_timestamp = self.firsttimestamp
            return time_us

    if not hasattr(H264Encoder, "use_hw"):
        return Continuous

    import av
    from picamera2 import MappedArray

    class Software(Continuous):
        """picamera2's LibavH264Encoder, on a Pi 5: key frames on request, bounded, in slices instead of late frames."""

        _key_frames_requested: int
        _key_frames_generated: int

        def _start(self) -> None:
            super()._start()
            codec = self._stream.codec_context
            codec.thread_type, codec.thread_count = "SLICE", 2
            codec.options["maxrate"] = str(self.bitrate)
            codec.options["bufsize"] = str(int(self.bitrate * VBV_S))
            codec.options["forced-idr"] = "1"

        def _encode(self, stream: Any, request: Any) -> None:
            # picamera2 sets pict_type to "I"; PyAV wants its enumeration, and the TypeError ends the event thread.
            request.acquire()
            self._request_release_queue.append(request)
            with MappedArray(request, stream) as mapped:
                frame = av.VideoFrame.from_numpy_buffer(mapped.array, format=self._av_input_format, width=self.width)
                frame.pts = self._timestamp(request)
                if self._key_frames_requested > self._key_frames_generated:
                    self._key_frames_generated = self._key_frames_requested
                    frame.pict_type = av.video.frame.PictureType.I
                for packet in self._stream.encode(frame):
                    self.outputframe(bytes(packet), packet.is_keyframe, timestamp=packet.pts, packet=packet)
            while len(self._request_release_queue) > self._request_release_delay:
                self._request_release_queue.popleft().release()

    return Software


def output_class() -> Any:
    """Return an Output of picamera2 that hands access units to the outbox."""
    from picamera2.outputs import Output

    class ToOutbox(Output):  # type: ignore[misc]  # as above
        def __init__(self, outbox: Outbox, level: int | None, late: Callable[[], None]) -> None:
            super().__init__()
            self._outbox, self._level, self._late = outbox, level, late

        def outputframe(
            self, frame: Any, keyframe: bool = True, timestamp: int = 0, packet: Any = None, audio: bool = False
        ) -> None:
            # An exception here would end picamera2's event thread: nothing in it can raise but by a bug of ours.
            unit = bytes(frame) if self._level is None else with_level(bytes(frame), self._level)
            if not self._outbox.unit(unit, keyframe, timestamp):
                self._late()

    return ToOutbox


def told(error: BaseException) -> str:
    """Return what went wrong and why: picamera2 hides libcamera's reason behind "sequence did not complete"."""
    reasons = [f"{type(error).__name__}: {error}"]
    while (cause := error.__cause__ or error.__context__) is not None:
        reasons.append(str(cause))
        error = cause
    return "; because: ".join(reasons)


class Worker:
    """One camera, driven by requests one after the other; each may hang, and then we are killed."""

    def __init__(self, connection: socket.socket) -> None:
        self._outbox = Outbox(connection)
        self._requests: queue.Queue[dict[str, Any]] = queue.Queue()
        self._camera: Any = None
        self._encoder: Any = None
        self._stopping = threading.Event()
        self._wanted_bitrate: int | None = None
        self._bitrate_changed_at = 0.0
        self.first_timestamp: int | None = None
        threading.Thread(target=self._listen, args=(connection,), name="requests", daemon=True).start()

    def run(self) -> None:
        """Serve until told to close."""
        while True:
            request = self._next_request()
            if request is None:
                self._change_bitrate()
                continue
            do = request.pop("do")
            try:
                answer = getattr(self, "do_" + do)(**request)
            except Exception as error:  # noqa: BLE001  # whatever a driver raises is the answer; the parent decides
                self._outbox.answer(done=do, ok=False, error=told(error))
                continue
            if answer is not None:
                self._outbox.answer(done=do, ok=True, **answer)
            if do == "close":
                time.sleep(0.05)  # the answer leaves on a thread of its own; nobody needs us beyond that
                return

    def _listen(self, connection: socket.socket) -> None:
        """Take requests on a thread of its own, so that the parent's end is noticed while a camera call hangs."""
        try:
            while True:
                arrived = read_message(connection)
                if arrived is None:
                    break
                self._requests.put(json.loads(arrived[1]))
        except (OSError, ValueError):
            pass  # a parent that died with unread data gives ECONNRESET; either way nobody is in charge any more
        os._exit(0)

    def _next_request(self) -> dict[str, Any] | None:
        due = None
        if self._wanted_bitrate is not None:
            due = max(0.0, self._bitrate_changed_at + BITRATE_EVERY_S - time.monotonic())
        try:
            return self._requests.get(timeout=due)
        except queue.Empty:
            return None

    # --- requests ----------------------------------------------------------------------------------------------------

    def do_list(self) -> dict[str, Any]:
        from picamera2 import Picamera2

        return {"cameras": [[camera["Num"], camera["Model"]] for camera in Picamera2.global_camera_info()]}

    def do_open(self, camera: int) -> dict[str, Any]:
        from picamera2 import Picamera2

        known = {info["Num"]: info["Model"] for info in Picamera2.global_camera_info()}
        if camera not in known:
            raise LookupError(f"no camera {camera} among {sorted(known)}")
        self._camera = Picamera2(camera)
        return {"model": known[camera]}

    def do_start(
        self, mode: str, width: int, height: int, fps: int, bitrate: int, preview: list[int] | None
    ) -> dict[str, Any]:
        lores = None if preview is None else {"size": tuple(preview), "format": "YUV420"}
        self._camera.configure(
            self._camera.create_video_configuration(
                main={"size": (width, height), "format": "YUV420"},
                lores=lores,
                controls={"FrameRate": fps},
                buffer_count=6,
            )
        )
        main = self._described("main")  # the camera may have made something else of it
        small = None if lores is None else self._described("lores")
        if mode == "h264":
            self._start_encoder(main["size"], fps, bitrate)
        self._camera.start()
        if mode == "frames":
            self._follow("main", MAIN, main, 0.0)
        if small is not None:
            self._follow("lores", PREVIEW, small, PREVIEW_EVERY_S)
        return {"main": main, "preview": small}

    def do_keyframe(self) -> None:
        if self._encoder is not None:
            self._encoder.force_key_frame()

    def do_bitrate(self, bps: int) -> None:
        self._wanted_bitrate = bps
        self._change_bitrate()

    def do_close(self) -> dict[str, Any]:
        self._stopping.set()
        if self._camera is not None:
            if self._encoder is not None:
                self._camera.stop_encoder()
            self._camera.stop()
            self._camera.close()
        return {}

    # --- camera ------------------------------------------------------------------------------------------------------

    def _described(self, stream: str) -> dict[str, Any]:
        configuration = self._camera.camera_configuration()[stream]
        return {key: configuration[key] for key in ("size", "format", "stride")}

    def _start_encoder(self, size: tuple[int, int], fps: int, bitrate: int) -> None:
        width, height = size
        macroblocks = (width + 15) // 16 * ((height + 15) // 16) * fps
        level = LEVEL_3_1 if macroblocks <= MACROBLOCKS_A_SECOND_3_1 else None
        kind = encoder_class(self)
        software = hasattr(kind, "use_hw")
        self._encoder = kind(
            bitrate=bitrate,
            repeat=True,
            iperiod=int(fps * KEYFRAME_EVERY_S),
            framerate=fps,
            profile=None if software else "constrained baseline",  # libx264's ultrafast gives nothing else
        )
        output = output_class()(self._outbox, level, self.do_keyframe)
        self._camera.start_encoder(self._encoder, output, name="main")

    def _change_bitrate(self) -> None:
        """Apply the newest wish; where the encoder can't while it runs, it starts anew with a key frame, in 3 ms."""
        wanted = self._wanted_bitrate
        if wanted is None or time.monotonic() < self._bitrate_changed_at + BITRATE_EVERY_S:
            return
        self._wanted_bitrate, self._bitrate_changed_at = None, time.monotonic()
        if self._encoder is None or self._encoder.bitrate == wanted:
            return
        self._encoder.bitrate = wanted
        if not self._changed_in_hardware(wanted):
            self._camera.stop_encoder(self._encoder)
            self._camera.start_encoder(self._encoder, name="main")

    def _changed_in_hardware(self, bitrate: int) -> bool:
        """Set a V4L2 encoder's rate while it runs; return False where that is impossible."""
        device = getattr(self._encoder, "vd", None)
        if device is None:
            return False
        import fcntl

        import videodev2  # type: ignore[import-not-found]  # comes with picamera2

        control = videodev2.v4l2_control()
        control.id, control.value = videodev2.V4L2_CID_MPEG_VIDEO_BITRATE, bitrate
        try:
            fcntl.ioctl(device, videodev2.VIDIOC_S_CTRL, control)
        except OSError:
            return False
        return True

    def _follow(self, name: str, stream: int, configuration: dict[str, Any], every_s: float) -> None:
        """Copy a stream's pictures to the outbox, at most one per `every_s`."""

        def follow() -> None:
            due = 0.0
            while not self._stopping.is_set():
                request = self._camera.capture_request()
                try:
                    now = time.monotonic()
                    if now >= due:
                        due = now + every_s
                        time_us = request.get_metadata()["SensorTimestamp"] // 1000
                        self._outbox.picture(stream, request.make_buffer(name).tobytes(), time_us, configuration)
                finally:
                    request.release()
                if every_s:
                    self._stopping.wait(max(0.0, due - time.monotonic()))

        threading.Thread(target=follow, name=name, daemon=True).start()


def end_with_parent() -> None:
    """Ask the kernel to end us with our parent: libcamera may hang where no end of file is seen."""
    import ctypes

    set_parent_death_signal = 1  # PR_SET_PDEATHSIG, linux/prctl.h
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def main() -> None:
    """Serve the socket on file descriptor 0."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who closes us
    end_with_parent()
    connection = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # libraries print; only messages belong on the socket
    Worker(connection).run()
    sys.stderr.flush()
    os._exit(0)  # picamera2's threads may not end


if __name__ == "__main__":
    main()
