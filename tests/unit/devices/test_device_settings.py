"""What kiosk.toml may say about devices."""

import pytest

from appliance.devices.settings import ButtonSettings, LedSettings, VideoSettings


def test_the_defaults_are_in_order() -> None:
    assert not list(VideoSettings().problems())
    assert not list(ButtonSettings().problems())
    assert not list(LedSettings().problems())


@pytest.mark.parametrize("source", ["auto", "auto_or_virtual", "csi:0", "usb:/dev/video0", "test", "none"])
def test_known_sources_are_taken(source: str) -> None:
    assert not list(VideoSettings(source=source).problems())


@pytest.mark.parametrize("source", ["", "csi:", "csi:left", "usb:", "webcam", "test:1"])
def test_unknown_sources_are_told(source: str) -> None:
    assert next(problem.key for problem in VideoSettings(source=source).problems()) == "source"


def test_an_odd_size_is_told() -> None:
    assert [problem.key for problem in VideoSettings(width=641, height=361).problems()] == ["width", "height"]


def test_a_pin_used_twice_is_told_with_the_other_use() -> None:
    (problem,) = ButtonSettings(leave_pin=17).problems()
    assert problem.key == "leave_pin"
    assert "mute_pin" in problem.rule
