"""What a microphone promises. Blocking: only the sound thread reads."""

from contextlib import AbstractContextManager
from typing import Protocol


class Microphone(Protocol):
    """A source of sound, one period at a time, at the pace of its own clock."""

    name: str

    overruns: int
    """Gaps counted since it was made; the card recovered in place (kiosk.md 8)."""

    def open(self) -> AbstractContextManager[None]:
        """Claim the card; leaving closes it. Raise DeviceMissing or DeviceBusy, naming the device."""

    def read(self) -> bytes:
        """Block until one period was captured.

        Returns:
            960 samples (20 ms at 48 kHz), mono, signed 16 bit, little endian: 1920 bytes.
        Raises:
            DeviceLost: unplugged or stopped. A dead sound server may instead block for ever: the caller keeps
                a deadline of its own and abandons the thread.
        """
