"""Pixel formats and sample rates."""

import numpy as np
import pytest

from appliance.devices.conversion import luma, picture, picture_of_buffer, yuv420p
from appliance.devices.samples import dbfs, downmix, resampled, samples_of, upmix
from tests.support.recorded_sound import strongest_hz


def test_a_picture_keeps_its_luma_and_its_time() -> None:
    planes = np.random.default_rng(1).integers(0, 256, (54, 48), np.uint8)
    frame = picture(planes, 4500)
    assert (frame.width, frame.height, frame.format.name, frame.pts) == (48, 36, "yuv420p", 4500)
    assert frame.time_base == pytest.approx(1 / 90000)
    assert np.array_equal(luma(frame), planes[:36])


@pytest.mark.parametrize("stride", [48, 64])
def test_a_camera_buffer_loses_its_padding(stride: int) -> None:
    lines = np.full((54, stride), 255, np.uint8)
    content = np.random.default_rng(2).integers(0, 200, (36, 48), np.uint8)
    lines[:36, :48] = content
    lines[36:] = 90
    for pixel_format in ("NV12", "YUV420"):
        frame = picture_of_buffer(
            lines.tobytes(), pixel_format=pixel_format, width=48, height=36, stride=stride, pts_90k=7
        )
        assert np.array_equal(luma(frame), content)
        assert frame.format.name == "yuv420p"
        chroma = np.frombuffer(bytes(frame.planes[1]), np.uint8).reshape(-1, frame.planes[1].line_size)
        assert set(chroma[:18, :24].ravel()) == {90}


def test_nv12_colours_land_in_their_planes() -> None:
    lines = np.full((54, 48), 100, np.uint8)
    lines[36:, 0::2], lines[36:, 1::2] = 60, 200
    frame = picture_of_buffer(lines.tobytes(), pixel_format="NV12", width=48, height=36, stride=48, pts_90k=0)
    u, v = (np.frombuffer(bytes(plane), np.uint8)[0] for plane in frame.planes[1:])
    assert (u, v) == (60, 200)


def test_an_unknown_pixel_format_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="MJPEG"):
        picture_of_buffer(bytes(54 * 48), pixel_format="MJPEG", width=48, height=36, stride=48, pts_90k=0)


def test_a_frame_in_yuv420p_is_not_converted_again() -> None:
    frame = picture(np.zeros((54, 48), np.uint8), 1)
    assert yuv420p(frame, 2) is frame
    assert frame.pts == 2


def test_stereo_becomes_its_mean_and_back_to_both_sides() -> None:
    assert samples_of(downmix(np.array([100, 300, -50, 50], "<i2").tobytes(), 2)).tolist() == [200, 0]
    assert samples_of(upmix(np.array([7, -7], "<i2").tobytes(), 2)).tolist() == [7, 7, -7, -7]


def test_a_resampled_tone_keeps_its_frequency() -> None:
    tone = (np.sin(2 * np.pi * 600 * np.arange(16000) / 16000) * 8000).astype(np.int16)
    assert strongest_hz(resampled(tone, 16000)) == pytest.approx(600, abs=2)


def test_levels_are_below_full_scale_in_decibels() -> None:
    assert dbfs(np.full(100, -32768, np.int16)) == pytest.approx(0, abs=0.01)
    assert dbfs(np.zeros(100, np.int16)) == -120
    assert dbfs(np.zeros(0, np.int16)) == -120
