"""The level that a camera's SPS names."""

from appliance.devices.cameras.capture_worker import with_level

SPS_4_0 = b"\x00\x00\x00\x01\x67\x42\xc0\x28\xda\x01"
PPS = b"\x00\x00\x00\x01\x68\xce\x3c\x80"
IDR = b"\x00\x00\x01\x65\x88\x84\x00\x00\x03\x01\x67\x42\xc0\x28"


def test_a_level_above_the_negotiated_one_is_lowered() -> None:
    changed = with_level(SPS_4_0 + PPS + IDR, 31)
    assert changed[:8] == b"\x00\x00\x00\x01\x67\x42\xc0\x1f"
    assert changed[8:] == (SPS_4_0 + PPS + IDR)[8:]


def test_a_level_that_is_low_enough_stays() -> None:
    unit = SPS_4_0.replace(b"\x28", b"\x1e") + PPS + IDR
    assert with_level(unit, 31) == unit


def test_bytes_of_a_slice_that_look_like_an_sps_stay() -> None:
    unit = b"\x00\x00\x01\x41" + b"\x00\x00\x01\x67\x42\xc0\x28"
    assert with_level(unit, 31) == unit


def test_a_unit_cut_short_stays() -> None:
    for length in range(8):
        assert with_level(SPS_4_0[:length], 31) == SPS_4_0[:length]
