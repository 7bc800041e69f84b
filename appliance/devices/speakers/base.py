"""What a speaker promises. Blocking: only the sound thread writes."""

from contextlib import AbstractContextManager
from typing import Protocol

BUFFER_PERIODS = 3
"""Depth of the card's buffer: 60 ms (kiosk-processes.md 2)."""


class Speaker(Protocol):
    """Where mixed sound goes, one period at a time."""

    name: str

    underruns: int
    """Times the card ran dry since it was made; it recovered in place (kiosk.md 8)."""

    def open(self) -> AbstractContextManager[None]:
        """Claim the card; leaving closes it. Raise DeviceMissing or DeviceBusy, naming the device."""

    def write(self, pcm: bytes) -> None:
        """Hand over one period (as `Microphone.read` gives it); block while the card's buffer is full.

        Raises:
            DeviceLost: unplugged or stopped; for a dead sound server see `Microphone.read`.
        """

    def queued(self) -> int:
        """Return the samples that wait in the card's buffer to be heard; 0 when it ran dry."""

    def set_volume(self, percent: int) -> None:
        """Set 0-100, mapped to the card's range in dB, never raw (kiosk.md 8). Any thread."""
