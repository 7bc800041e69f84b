"""Buttons without GPIO: the same code on pins of software, pressed by the panel, a test or a script."""

from collections.abc import Mapping
from typing import Any

from appliance.devices.buttons.gpio import GpioButtons
from appliance.devices.gpio import PinFactory, software_factory
from appliance.errors import DeviceMissing


class VirtualButtons(GpioButtons):
    """Satisfies Buttons. All of the path is real but the finger."""

    def __init__(self, pins: Mapping[str, int], factory: PinFactory = None, *, active_low: bool = True) -> None:
        """Share `factory` with the virtual lamps, or have one of their own."""
        super().__init__(factory or software_factory(), pins, active_low=active_low)

    def press(self, button: str) -> None:
        """Drive the pin as a pressed button would; DeviceMissing for a name that is not wired, DeviceLost if closed."""
        self._drive(button, True)

    def release(self, button: str) -> None:
        self._drive(button, False)

    def _drive(self, button: str, pressed: bool) -> None:
        if button not in self.names:
            raise DeviceMissing(f"no button {button} here, but {', '.join(self.names)}")
        self.pressed(button)  # raises where the pins are not claimed
        pin: Any = self._inputs[button].pin
        if pressed != self._active_low:
            pin.drive_high()
        else:
            pin.drive_low()
