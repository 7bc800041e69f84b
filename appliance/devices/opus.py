"""Opus both ways by PyAV's libopus: 48 kHz, mono, 20 ms (RFC 6716, RFC 7587)."""

from fractions import Fraction

import av
import numpy as np
from av import AudioCodecContext, AudioFrame

from appliance.devices.samples import PERIOD_SAMPLES, SAMPLE_RATE_HZ, Samples
from appliance.devices.voices import opus_samples


class OpusEncoder:
    """One outgoing stream. Not for two threads at once."""

    def __init__(self, bitrate_bps: int, *, fec: bool = True) -> None:
        """Make an encoder for speech; with `fec`, each packet also holds a rough copy of the one before it."""
        codec = av.CodecContext.create("libopus", "w")
        assert isinstance(codec, AudioCodecContext)
        codec.sample_rate, codec.layout, codec.format = SAMPLE_RATE_HZ, "mono", "s16"
        codec.bit_rate, codec.time_base = bitrate_bps, Fraction(1, SAMPLE_RATE_HZ)
        codec.options = {
            "application": "voip",
            "frame_duration": "20",
            "vbr": "constrained",
            "fec": "1" if fec else "0",
            "packet_loss": "10" if fec else "0",
        }
        self._codec = codec
        self._next_pts = 0

    def encode(self, pcm: bytes) -> list[bytes]:
        """Take one period, return the packets that are ready: one."""
        frame = AudioFrame(format="s16", layout="mono", samples=PERIOD_SAMPLES)
        frame.planes[0].update(pcm)
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, self._next_pts, self._codec.time_base
        self._next_pts += PERIOD_SAMPLES
        return [bytes(packet) for packet in self._codec.encode(frame)]


class OpusDecoder:
    """One incoming stream."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "r")
        assert isinstance(codec, AudioCodecContext)
        codec.sample_rate, codec.layout, codec.format = SAMPLE_RATE_HZ, "mono", "s16"
        self._codec = codec

    def decode(self, payload: bytes) -> Samples | None:
        """Return mono samples, or None for a payload that is no Opus packet; a stereo one is mixed down."""
        if opus_samples(payload) == 0:
            return None  # an empty or malformed packet would end libav's stream for good
        try:
            frames = self._codec.decode(av.Packet(payload))
        except av.FFmpegError:
            return None
        parts = [_mono(frame) for frame in frames]
        return np.concatenate(parts) if parts else None


def _mono(frame: AudioFrame) -> Samples:
    samples = frame.to_ndarray()
    channels = len(frame.layout.channels)
    flat = samples.reshape(-1, channels)
    if channels == 1:
        return np.asarray(flat[:, 0], np.int16)
    return np.asarray(flat.mean(axis=1), np.int16)
