"""Pixel formats: from what cameras give to what encoders and the screen take. No I/O."""

from fractions import Fraction

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

VIDEO_TIME_BASE = Fraction(1, 90_000)

Plane = NDArray[np.uint8]


def picture(planes: Plane, pts_90k: int) -> VideoFrame:
    """Return a yuv420p frame.

    Args:
        planes: uint8 of shape (height * 3 // 2, width), Y above U above V.
        pts_90k: time in 1/90000 s.
    """
    frame = VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.pts, frame.time_base = pts_90k, VIDEO_TIME_BASE
    return frame


def picture_of_buffer(
    data: bytes | bytearray | memoryview, *, pixel_format: str, width: int, height: int, stride: int, pts_90k: int
) -> VideoFrame:
    """Return a yuv420p frame of what a camera's buffer holds; padding at the end of its lines is left out.

    Args:
        pixel_format: `NV12` (Y, then U and V interleaved) or `YUV420` (Y, U, V), libcamera's names.
        stride: bytes per line of Y.
    Raises:
        ValueError: another format, or a buffer of another size.
    """
    lines = np.frombuffer(data, np.uint8)[: stride * height * 3 // 2].reshape(height * 3 // 2, stride)
    if pixel_format == "NV12":
        return _stamped(VideoFrame.from_ndarray(np.ascontiguousarray(lines[:, :width]), format="nv12"), pts_90k)
    if pixel_format != "YUV420":
        raise ValueError(f"pixel format {pixel_format}: neither NV12 nor YUV420")
    if stride == width:
        return picture(lines, pts_90k)
    chroma = lines[height:].reshape(height, stride // 2)[:, : width // 2]
    return picture(np.concatenate([lines[:height, :width], chroma.reshape(height // 2, width)]), pts_90k)


def _stamped(frame: VideoFrame, pts_90k: int) -> VideoFrame:
    converted = frame if frame.format.name == "yuv420p" else frame.reformat(format="yuv420p")
    converted.pts, converted.time_base = pts_90k, VIDEO_TIME_BASE
    return converted


def yuv420p(frame: VideoFrame, pts_90k: int) -> VideoFrame:
    """Return the frame in yuv420p with this time, converted where it is not."""
    return _stamped(frame, pts_90k)


def luma(frame: VideoFrame) -> Plane:
    """Return the Y plane as uint8 of shape (height, width), a copy."""
    plane = frame.planes[0]
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    picture: Plane = lines[: frame.height, : frame.width].copy()
    return picture
