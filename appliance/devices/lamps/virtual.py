"""Lamps without GPIO: the same code on pins of software, for the virtual front panel and for tests."""

from collections.abc import Mapping

from appliance.devices.gpio import PinFactory, software_factory
from appliance.devices.lamps.base import Lamp
from appliance.devices.lamps.gpio import GpioLamps


class VirtualLamps(GpioLamps):
    """Satisfies Lamps."""

    def __init__(self, pins: Mapping[Lamp, int], factory: PinFactory = None, *, active_high: bool = True) -> None:
        """Share `factory` with the virtual buttons, or have one of their own."""
        super().__init__(factory or software_factory(), pins, active_high=active_high)
