"""Buttons on GPIO pins, as raw edges: gpiozero's own debounce ignores edges and loses releases (kiosk.md 5)."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import gpiozero

from appliance.devices.buttons.base import Edge
from appliance.devices.gpio import PinFactory, pin_error
from appliance.errors import DeviceLost


class GpioButtons:
    """Satisfies Buttons on any of gpiozero's factories."""

    def __init__(self, factory: PinFactory, pins: Mapping[str, int], *, active_low: bool = True) -> None:
        """Take BCM numbers by button name.

        Args:
            active_low: a button connects its pin to ground, and the internal pull-up is on (kiosk.md 5, the default).
        """
        self.names = tuple(pins)
        self._factory, self._pins, self._active_low = factory, dict(pins), active_low
        self._inputs: dict[str, Any] = {}

    def open(self, edge: Edge) -> AbstractContextManager[None]:
        return self._opened(edge)

    @contextmanager
    def _opened(self, edge: Edge) -> Iterator[None]:
        # gpiozero keeps weak references to callbacks: these live as long as the pins are claimed.
        callbacks: list[Callable[[float, int], None]] = []
        with ExitStack() as claimed:
            for name, number in self._pins.items():
                pin_input = self._claim(name, number)
                claimed.callback(pin_input.close)
                self._inputs[name] = pin_input
                callbacks.append(self._reporter(name, edge))
                pin_input.pin.edges, pin_input.pin.bounce = "both", None
                pin_input.pin.when_changed = callbacks[-1]
            claimed.callback(self._inputs.clear)
            for name in self.names:
                if self.pressed(name):
                    edge(name, True, time.monotonic())
            yield

    def pressed(self, button: str) -> bool:
        if button not in self._inputs:
            raise DeviceLost(f"button {button} is not open")
        return bool(self._inputs[button].pin.state) != self._active_low

    def _claim(self, name: str, number: int) -> Any:
        try:
            return gpiozero.InputDevice(number, pull_up=self._active_low, pin_factory=self._factory)
        except (gpiozero.GPIOZeroError, OSError) as error:
            raise pin_error(number, f"button {name}", error) from error

    def _reporter(self, name: str, edge: Edge) -> Callable[[float, int], None]:
        def changed(ticks: float, level: int) -> None:
            # Our own clock: gpiozero's ticks are the factory's, and differ from one to the other.
            edge(name, bool(level) != self._active_low, time.monotonic())

        return changed
