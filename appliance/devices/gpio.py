"""Pin factories for buttons and lamps: the chip's through lgpio, or pins of software."""

from typing import Any

import gpiozero
from gpiozero.pins.mock import MockFactory, MockPWMPin

from appliance.errors import DeviceBusy, DeviceError, DeviceMissing

PinFactory = Any
"""gpiozero's `Factory`; the library has no types."""


def chip_factory() -> PinFactory:
    """Return the factory of the Pi's own pins. Raise DeviceMissing where there is no GPIO chip or no lgpio."""
    try:
        import lgpio
        from gpiozero.pins.lgpio import LGPIOFactory
    except ImportError as error:
        raise DeviceMissing(f"GPIO: lgpio is not installed ({error})") from error
    except OSError as error:  # as it is loaded, lgpio makes a pipe in the working directory
        raise DeviceMissing(f"GPIO: lgpio needs a working directory that it may write in ({error})") from error
    try:
        return LGPIOFactory()
    except (lgpio.error, gpiozero.GPIOZeroError, OSError) as error:
        raise DeviceMissing(f"GPIO: no chip to use ({error})") from error


def software_factory() -> PinFactory:
    """Return a factory of pins that exist in memory only; a pin can be driven as a finger would."""
    return MockFactory(pin_class=MockPWMPin)


def pin_error(pin: int, use: str, error: Exception) -> DeviceError:
    """Return our error for one of gpiozero's."""
    kind = DeviceBusy if isinstance(error, gpiozero.GPIOPinInUse) else DeviceMissing
    return kind(f"GPIO {pin} for {use}: {error}")
