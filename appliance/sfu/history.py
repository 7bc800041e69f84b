"""Packets kept for resending. Pure."""

SIZE = 512
"""Packets kept per stream, about 3 s of 1.5 Mbit/s video. A power of two: the place of a packet is `index & MASK`."""
MASK = SIZE - 1

Entry = tuple[int, int, int, bytes]
"""(index, marker bit as 0 or 128, timestamp, payload); the index is the sequence number, extended (RFC 3550, A.1)."""


class History:
    """The last packets of one stream, by index.

    `entries` is written in place by the packet path, which has no time for a call.
    """

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[Entry | None] = [None] * SIZE

    def keep(self, entry: Entry) -> None:
        """Store a packet over the one that was kept SIZE packets ago."""
        self.entries[entry[0] & MASK] = entry

    def find(self, index: int) -> Entry | None:
        """Return the packet of this index, or None where it never came or was overwritten."""
        entry = self.entries[index & MASK]
        return entry if entry is not None and entry[0] == index else None

    def find_sequence(self, sequence: int, newest: int) -> Entry | None:
        """Return the packet with this 16-bit sequence number that lies nearest to the index `newest`."""
        distance = (newest - sequence) & 0xFFFF
        return self.find(newest - distance if distance < 0x8000 else newest + 0x10000 - distance)
