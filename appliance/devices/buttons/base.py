"""What buttons promise: raw edges with the time they came. Debounce and meaning are decided elsewhere."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

Edge = Callable[[str, bool, float], None]
"""(name, pressed, monotonic seconds)"""


class Buttons(Protocol):
    """The keys of the front panel."""

    @property
    def names(self) -> Sequence[str]:
        """Configured buttons: `mute`, `leave`, and `join` or `privacy` where wired (kiosk.md 5)."""

    def open(self, edge: Edge) -> AbstractContextManager[None]:
        """Claim the pins and report every change of level, contact bounce included.

        Args:
            edge: called with name, pressed and the monotonic time in seconds, on a thread of the driver: return soon.
                Buttons that are down already are reported as pressed before this returns from entering.
        Raises:
            DeviceMissing: no GPIO here. DeviceBusy: a pin is taken.
        """

    def pressed(self, button: str) -> bool:
        """Return the level of now, read from the pin."""
