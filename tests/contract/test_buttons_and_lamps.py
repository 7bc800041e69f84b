"""Buttons and lamps keep their promises, on pins of software and on a Pi's."""

from collections.abc import Callable

import pytest

from appliance.devices.buttons.base import Buttons
from appliance.devices.buttons.gpio import GpioButtons
from appliance.devices.buttons.virtual import VirtualButtons
from appliance.devices.gpio import chip_factory, software_factory
from appliance.devices.lamps.base import LAMPS, Lamp, Lamps
from appliance.devices.lamps.gpio import GpioLamps
from appliance.devices.lamps.virtual import VirtualLamps
from appliance.errors import DeviceBusy, DeviceLost, DeviceMissing

BUTTON_PINS = {"mute": 17, "leave": 27}
LAMP_PINS: dict[Lamp, int] = {"mute": 22, "live": 23, "status": 24}

Edges = list[tuple[str, bool]]


def recorder() -> tuple[Edges, list[float], Callable[[str, bool, float], None]]:
    edges: Edges = []
    times: list[float] = []

    def edge(name: str, pressed: bool, at: float) -> None:
        edges.append((name, pressed))
        times.append(at)

    return edges, times, edge


def chip_lamps() -> Lamps:
    try:
        return GpioLamps(chip_factory(), LAMP_PINS)
    except DeviceMissing as error:
        pytest.skip(str(error))


def chip_buttons() -> Buttons:
    try:
        return GpioButtons(chip_factory(), BUTTON_PINS)
    except DeviceMissing as error:
        pytest.skip(str(error))


@pytest.fixture(params=[lambda: VirtualLamps(LAMP_PINS), pytest.param(chip_lamps, marks=pytest.mark.hardware)])
def lamps(request: pytest.FixtureRequest) -> Lamps:
    made: Lamps = request.param()
    return made


@pytest.fixture(params=[lambda: VirtualButtons(BUTTON_PINS), pytest.param(chip_buttons, marks=pytest.mark.hardware)])
def buttons(request: pytest.FixtureRequest) -> Buttons:
    made: Buttons = request.param()
    return made


# --- lamps ---


def test_lamps_start_dark_and_show_what_they_are_told(lamps: Lamps) -> None:
    with lamps.open():
        assert [lamps.read(lamp) for lamp in LAMPS] == [False] * 3
        for lamp in LAMPS:
            lamps.show(lamp, True, 0.5)
            assert lamps.read(lamp)
            lamps.show(lamp, False)
            assert not lamps.read(lamp)


def test_nothing_dims_a_lit_lamp_to_dark(lamps: Lamps) -> None:
    with lamps.open():
        for lamp in LAMPS:
            lamps.show(lamp, True, 0.0)
            assert lamps.read(lamp)


def test_lamps_can_be_opened_again_and_showing_on_closed_ones_does_nothing(lamps: Lamps) -> None:
    for _ in range(2):
        with lamps.open():
            lamps.show("live", True)
    lamps.show("live", True)
    with pytest.raises(DeviceLost):
        lamps.read("live")


def test_lamps_are_dark_when_left() -> None:
    factory = software_factory()
    lamps = VirtualLamps(LAMP_PINS, factory)
    states = []
    with lamps.open():
        pins = [factory.pin(number) for number in LAMP_PINS.values()]
        for lamp in LAMPS:
            lamps.show(lamp, True)
    states = [pin.states[-1].state for pin in pins]
    assert [bool(state) for state in states] == [False] * 3


def test_active_low_lamps_read_back_the_same() -> None:
    lamps = VirtualLamps(LAMP_PINS, active_high=False)
    with lamps.open():
        assert not lamps.read("live")
        lamps.show("live", True)
        assert lamps.read("live")


# --- buttons ---


def test_buttons_that_nobody_presses_are_not_pressed(buttons: Buttons) -> None:
    edges, _, edge = recorder()
    with buttons.open(edge):
        assert [buttons.pressed(name) for name in buttons.names] == [False, False]
    assert edges == []


def test_buttons_can_be_opened_again_and_a_closed_one_is_lost(buttons: Buttons) -> None:
    _, _, edge = recorder()
    for _ in range(2):
        with buttons.open(edge):
            pass
    with pytest.raises(DeviceLost):
        buttons.pressed("mute")


def test_every_edge_of_a_bounce_is_reported_in_order() -> None:
    buttons = VirtualButtons(BUTTON_PINS)
    edges, times, edge = recorder()
    with buttons.open(edge):
        for _ in range(5):
            buttons.press("mute")
            buttons.release("mute")
        buttons.press("leave")
        assert buttons.pressed("leave")
    assert edges == [("mute", True), ("mute", False)] * 5 + [("leave", True)]
    assert times == sorted(times)


def test_pressing_twice_is_one_edge() -> None:
    buttons = VirtualButtons(BUTTON_PINS)
    edges, _, edge = recorder()
    with buttons.open(edge):
        buttons.press("mute")
        buttons.press("mute")
    assert edges == [("mute", True)]


def test_buttons_to_the_positive_side_work_the_same() -> None:
    buttons = VirtualButtons(BUTTON_PINS, active_low=False)
    edges, _, edge = recorder()
    with buttons.open(edge):
        buttons.press("mute")
        buttons.release("mute")
    assert edges == [("mute", True), ("mute", False)]


def test_an_unknown_or_closed_button_cannot_be_pressed() -> None:
    buttons = VirtualButtons(BUTTON_PINS)
    with pytest.raises(DeviceLost):
        buttons.press("mute")
    with pytest.raises(DeviceMissing, match="mute, leave"):
        buttons.press("join")


def test_a_pin_that_a_lamp_has_is_busy_for_a_button() -> None:
    factory = software_factory()
    lamps, buttons = VirtualLamps(LAMP_PINS, factory), VirtualButtons({"mute": 22}, factory)
    _, _, edge = recorder()
    with lamps.open(), pytest.raises(DeviceBusy, match="22"), buttons.open(edge):
        pass
    with buttons.open(edge):  # nothing stays claimed after the refusal
        pass
