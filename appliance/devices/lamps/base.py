"""What lamps promise. Rhythms are played by the caller; `live` is driven by whoever owns the capture devices."""

from contextlib import AbstractContextManager
from typing import Literal, Protocol

Lamp = Literal["mute", "live", "status"]
LAMPS: tuple[Lamp, ...] = ("mute", "live", "status")


class Lamps(Protocol):
    """The three lights of the front panel (kiosk.md 6)."""

    def open(self) -> AbstractContextManager[None]:
        """Claim the pins, all dark; leaving makes all dark. Raise DeviceMissing or DeviceBusy, naming the pin."""

    def show(self, lamp: Lamp, lit: bool, brightness: float = 1.0) -> None:
        """Light or darken one lamp; returns at once, any thread.

        Args:
            brightness: 0..1, of the lit lamp. `live` ignores it: nothing may dim the truth to dark (kiosk.md 6).
        """

    def read(self, lamp: Lamp) -> bool:
        """Return whether the pin is lit now, read back from the pin, not remembered."""
