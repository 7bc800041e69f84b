"""Sizes read from key frames."""

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.media_engine import Dimensions
from appliance.sfu.picture_size import picture_size


def units_of(width: int, height: int, profile: str = "baseline") -> list[bytes]:
    """Return the NAL units of one picture, as x264 makes them."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.options = {"profile": profile, "preset": "ultrafast", "tune": "zerolatency"}
    frame = av.VideoFrame.from_ndarray(np.full((height * 3 // 2, width), 128, np.uint8), format="yuv420p")
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    return [
        unit.rstrip(b"\x00")
        for unit in data.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01")
        if unit
    ]


@pytest.mark.parametrize(("width", "height"), [(320, 180), (640, 360), (1280, 720), (1920, 1080), (642, 362)])
@pytest.mark.parametrize("profile", ["baseline", "high"])
def test_an_h264_parameter_set_tells_the_size_with_its_cropping(width: int, height: int, profile: str) -> None:
    units = units_of(width, height, profile)
    sps = next(unit for unit in units if unit[0] & 0x1F == 7)
    together = b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units[:2])

    assert picture_size("H264", sps) == Dimensions(width=width, height=height)
    assert picture_size("H264", together) == Dimensions(width=width, height=height)
    assert all(picture_size("H264", unit) is None for unit in units if unit[0] & 0x1F != 7)


def test_sound_has_no_size() -> None:
    assert picture_size("opus", b"\x67\x42\xe0\x1f") is None


@given(st.sampled_from(["VP8", "H264"]), st.binary(max_size=40), st.booleans())
def test_no_payload_breaks_it(codec: str, payload: bytes, is_sps: bool) -> None:
    size = picture_size(codec, b"\x67" + payload if is_sps else payload)
    assert size is None or (size.width > 0 and size.height > 0)
