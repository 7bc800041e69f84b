"""Stands in for picamera2 0.3.38 where the OS has none: same names, arguments and threads, a camera made of numbers.

Its event thread ends on any exception, as the real one's does. Its H.264 is real, by libx264, through an encoder with
the real one's faults: `force_key_frame` raises in the event thread, and `bitrate` is read when it starts.
"""

# mypy: ignore-errors

import os
import threading
import time

import numpy as np

FAULT = os.environ.get("STANDIN_CAMERA_FAULT", "")
"""`none`: no camera; `busy`: another process has it; `hang_stop`: stop() never returns; `stall`: 20 frames, no more."""


class MappedArray:
    def __init__(self, request, stream):
        self._request, self._stream = request, stream

    def __enter__(self):
        self.array = self._request.arrays[self._stream]
        return self

    def __exit__(self, *_):
        return False


class Request:
    def __init__(self, arrays, stamp_ns):
        self.arrays, self._stamp_ns = arrays, stamp_ns
        self.holders = 1

    def acquire(self):
        self.holders += 1

    def release(self):
        assert self.holders > 0, "released more often than acquired"
        self.holders -= 1

    def get_metadata(self):
        return {"SensorTimestamp": self._stamp_ns}

    def make_buffer(self, name):
        return self.arrays[name].ravel().copy()


class Picamera2:
    @staticmethod
    def global_camera_info():
        return (
            [] if FAULT == "none" else [{"Num": 0, "Model": "standin", "Location": 2, "Rotation": 0, "Id": "/standin"}]
        )

    def __init__(self, camera_num=0):
        if FAULT == "busy":
            reason = RuntimeError("Failed to acquire camera: Device or resource busy")
            raise RuntimeError("Camera __init__ sequence did not complete.") from reason
        self._encoders, self._waiting = set(), []
        self._turn = threading.Condition()
        self._running = False
        self._number = 0

    def create_video_configuration(self, main=None, lores=None, controls=None, buffer_count=6):
        return {"main": main, "lores": lores, "controls": controls, "buffer_count": buffer_count}

    def configure(self, configuration):
        self._fps = configuration["controls"]["FrameRate"]
        self._streams = {}
        for name in ("main", "lores"):
            if configuration[name] is not None:
                width, height = configuration[name]["size"]
                # The ISP's lines are padded to 64 bytes, and it makes NV12 of what was asked for as YUV420.
                self._streams[name] = {"size": (width, height), "format": "NV12", "stride": (width + 63) // 64 * 64}

    def camera_configuration(self):
        return self._streams

    def start(self):
        self._running = True
        self._thread = threading.Thread(target=self._events, daemon=True)
        self._thread.start()

    def stop(self):
        if FAULT == "hang_stop":
            threading.Event().wait()
        self._running = False
        self._thread.join()

    def close(self):
        assert not self._running

    def start_encoder(self, encoder=None, output=None, pts=None, quality=None, name=None):
        if output is not None:
            encoder.output = output
        encoder.name = name
        encoder.width, encoder.height = self._streams[name]["size"]
        encoder.start()
        self._encoders = {*self._encoders, encoder}

    def stop_encoder(self, encoders=None):
        for encoder in list(self._encoders):
            encoder.stop()
        self._encoders = set()

    def capture_request(self):
        arrived = threading.Event()
        got = []
        with self._turn:
            self._waiting.append((arrived, got))
        arrived.wait()
        return got[0]

    def _events(self):
        due = time.monotonic()
        while self._running:
            due += 1 / self._fps
            time.sleep(max(0.0, due - time.monotonic()))
            self._number += 1
            if FAULT == "stall" and self._number > 20:
                continue
            request = Request(
                {name: self._picture(stream) for name, stream in self._streams.items()}, time.monotonic_ns()
            )
            for encoder in self._encoders:
                encoder.encode(encoder.name, request)
            with self._turn:
                waiting, self._waiting = self._waiting, []
            for arrived, got in waiting:
                request.acquire()
                got.append(request)
                arrived.set()
            request.release()

    def _picture(self, stream):
        """A vertical white bar that moves a pixel a frame, on grey; padding is black and must not be seen."""
        width, height = stream["size"]
        picture = np.zeros((height * 3 // 2, stream["stride"]), np.uint8)
        picture[:height, :width] = 90
        picture[:height, self._number % (width - 16) :][:, :16] = 235
        picture[height:, :width] = 128
        return picture
