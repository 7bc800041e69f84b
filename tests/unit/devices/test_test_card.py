"""The virtual camera's picture, and the number that can be read out of it."""

import numpy as np
import pytest

from appliance.devices.cameras.frame_number import bits_of, read_frame_number, row_of
from appliance.devices.cameras.test_card import TestCard

SIZES = [(1280, 720), (640, 360), (320, 180), (1920, 1080), (640, 480)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("number", [0, 1, 12345, 0xFFFFFF, 0xA5A5A5])
def test_the_number_is_read_back_at_every_size(width: int, height: int, number: int) -> None:
    card = TestCard(width, height, "Test camera")
    planes = card.frame(number, "12:34:56.7", 0.5)
    assert planes.shape == (height * 3 // 2, width)
    assert read_frame_number(planes[:height]) == number


def test_numbers_start_again_after_24_bits() -> None:
    assert bits_of(1 << 24) == bits_of(0)


def test_every_number_differs_from_its_successor_in_more_than_one_block() -> None:
    for number in range(2000):
        changed = sum(a != b for a, b in zip(bits_of(number), bits_of(number + 1), strict=True))
        assert changed >= 2


def test_a_picture_without_a_number_gives_none() -> None:
    assert read_frame_number(np.full((720, 1280), 128, np.uint8)) is None
    assert read_frame_number(np.random.default_rng(1).integers(0, 256, (720, 1280), np.uint8)) is None


def test_a_single_wrong_block_gives_none_and_no_wrong_number() -> None:
    for block in range(32):
        planes = TestCard(640, 360, "x").frame(777, "00:00:00.0", 0.0)[:360]
        left = 64 + block * 16
        planes[20:48, left : left + 16] = 255 - planes[20:48, left : left + 16]
        assert read_frame_number(planes) is None


def test_a_dim_and_noisy_picture_is_still_read() -> None:
    planes = TestCard(640, 360, "x").frame(4711, "00:00:00.0", 0.0)[:360].astype(float)
    noise = np.random.default_rng(2).normal(0, 12, planes.shape)
    assert read_frame_number(np.clip(planes * 0.5 + 40 + noise, 0, 255).astype(np.uint8)) == 4711


def test_a_half_covered_row_gives_none() -> None:
    planes = TestCard(640, 360, "x").frame(4711, "00:00:00.0", 0.0)[:360]
    planes[:, 320:] = 128
    assert read_frame_number(planes) is None


def test_the_row_is_as_wide_as_its_place() -> None:
    for width in (320, 322, 638, 1000, 1280):
        assert len(row_of(5, width)) == round(0.9 * width) - round(0.1 * width)


def test_consecutive_frames_differ_in_digits_blocks_and_bar_alone() -> None:
    card = TestCard(640, 360, "x")
    first, second = (card.frame(number, f"12:00:00.{number}", number / 10)[:360] for number in (1, 2))
    changed = np.argwhere(first != second)
    rows = set(changed[:, 0])
    assert rows
    assert not any(round(0.66 * 360) < row < round(0.93 * 360) for row in rows)  # the colours stand still
