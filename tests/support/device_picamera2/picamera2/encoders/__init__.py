"""The stand-in's LibavH264Encoder, under the name that a Pi 5 gives it."""

# mypy: ignore-errors

import collections
import threading
from fractions import Fraction

import av

from picamera2 import MappedArray


class LibavH264Encoder:
    def __init__(self, bitrate=None, repeat=True, iperiod=30, framerate=30, qp=None, profile=None):
        self.bitrate, self.iperiod, self.framerate, self.profile = bitrate, iperiod, framerate, profile
        self._lock = threading.Lock()
        self._running = False
        self.firsttimestamp = None
        self._use_hw = False
        self._request_release_delay = 1
        self._key_frames_requested = self._key_frames_generated = 0
        self._av_input_format = "nv12"

    use_hw = property(lambda self: self._use_hw)

    def start(self, quality=None):
        with self._lock:
            self._running, self.firsttimestamp = True, None
            self.output.start()
            self._start()

    def stop(self):
        with self._lock:
            self._running = False
            for packet in self._stream.encode():
                self.outputframe(bytes(packet), packet.is_keyframe, timestamp=packet.pts, packet=packet)
            while self._request_release_queue:
                self._request_release_queue.popleft().release()
            self._container.close()
            self.output.stop()

    def encode(self, stream, request):
        with self._lock:
            if self._running:
                self._encode(stream, request)

    def force_key_frame(self):
        self._key_frames_requested += 1

    def outputframe(self, frame, keyframe=True, timestamp=None, packet=None, audio=False):
        self.output.outputframe(frame, keyframe, timestamp, packet, audio)

    def _timestamp(self, request):
        stamp = request.get_metadata()["SensorTimestamp"] // 1000
        if self.firsttimestamp is None:
            self.firsttimestamp = stamp
            return 0
        return stamp - self.firsttimestamp

    def _start(self):
        self._container = av.open("/dev/null", "w", format="null")
        self._stream = self._container.add_stream("libx264", rate=self.framerate)
        codec = self._stream.codec_context
        codec.width, codec.height, codec.pix_fmt = self.width, self.height, "yuv420p"
        codec.bit_rate, codec.gop_size, codec.time_base = self.bitrate, self.iperiod, Fraction(1, 1000000)
        codec.options["preset"], codec.options["tune"] = "ultrafast", "zerolatency"
        self._request_release_queue = collections.deque()

    def _encode(self, stream, request):
        request.acquire()
        self._request_release_queue.append(request)
        with MappedArray(request, stream) as mapped:
            frame = av.VideoFrame.from_numpy_buffer(mapped.array, format=self._av_input_format, width=self.width)
            frame.pts = self._timestamp(request)
            if self._key_frames_requested > self._key_frames_generated:
                self._key_frames_generated += 1
                frame.pict_type = "I"  # as the real one does: a TypeError
            for packet in self._stream.encode(frame):
                self.outputframe(bytes(packet), packet.is_keyframe, timestamp=packet.pts, packet=packet)
        while len(self._request_release_queue) > self._request_release_delay:
            self._request_release_queue.popleft().release()


H264Encoder = LibavH264Encoder
