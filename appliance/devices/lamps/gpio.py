"""LEDs on GPIO pins."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import gpiozero

from appliance.devices.gpio import PinFactory, pin_error
from appliance.devices.lamps.base import Lamp
from appliance.errors import DeviceLost

LEAST_BRIGHTNESS = 0.02
"""A lit lamp is never dark, whatever its brightness (kiosk.md 6: a 2 % flash is the faintest there is)."""


class GpioLamps:
    """Satisfies Lamps on any of gpiozero's factories. `live` has no dimmer: it is on or off."""

    def __init__(self, factory: PinFactory, pins: Mapping[Lamp, int], *, active_high: bool = True) -> None:
        """Take BCM numbers; a lamp without a pin is shown nowhere."""
        self._factory, self._pins, self._active_high = factory, dict(pins), active_high
        self._outputs: dict[Lamp, Any] = {}
        self._turn = threading.Lock()

    def open(self) -> AbstractContextManager[None]:
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        with ExitStack() as claimed:
            for lamp, number in self._pins.items():
                output = self._claim(lamp, number)
                claimed.callback(output.close)
                claimed.callback(output.off)
                self._outputs[lamp] = output
            claimed.callback(self._forget)
            yield

    def _forget(self) -> None:
        with self._turn:
            self._outputs.clear()

    def show(self, lamp: Lamp, lit: bool, brightness: float = 1.0) -> None:
        with self._turn:
            output = self._outputs.get(lamp)
            if output is None:
                return
            if lamp == "live":
                output.value = int(lit)
            else:
                output.value = max(LEAST_BRIGHTNESS, min(1.0, brightness)) if lit else 0.0

    def read(self, lamp: Lamp) -> bool:
        if lamp not in self._pins:
            return False
        output = self._outputs.get(lamp)
        if output is None:
            raise DeviceLost(f"lamp {lamp} is not open")
        return bool(output.value > 0)  # gpiozero asks the pin

    def _claim(self, lamp: Lamp, number: int) -> Any:
        kind = gpiozero.DigitalOutputDevice if lamp == "live" else gpiozero.PWMOutputDevice
        try:
            return kind(number, active_high=self._active_high, initial_value=0, pin_factory=self._factory)
        except (gpiozero.GPIOZeroError, OSError) as error:
            raise pin_error(number, f"lamp {lamp}", error) from error
