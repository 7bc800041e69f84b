"""Keep one outgoing stream continuous while its source comes, goes and changes. Pure."""

from dataclasses import dataclass
from random import Random

SEQUENCE_MASK = 0xFFFF
TIMESTAMP_MASK = 0xFFFFFFFF

Numbers = tuple[int, int]
"""(index, timestamp): the sequence number extended beyond 16 bits, and the RTP timestamp modulo 2^32."""

LARGEST_DISAGREEMENT_S = 2.0


def same_moment(old: tuple[int, int], new: tuple[int, int], timestamp: int, clock_rate: int) -> int:
    """Return what `timestamp`, of one layer of a picture, is called in another layer.

    `old` and `new` are (NTP time in 32.32 s, RTP timestamp) of the last sender report of the other and of this layer,
    whose moments the publisher takes from one clock (RFC 3550, 6.4.1).
    """
    since_report = ((timestamp - new[1] + 0x80000000) & TIMESTAMP_MASK) - 0x80000000
    between = (new[0] - old[0]) * clock_rate >> 32
    return (old[1] + between + since_report) & TIMESTAMP_MASK


@dataclass(slots=True)
class Rewriter:
    """Offsets from a source's numbers to ours: ours = source + offset.

    Indices only grow: libsrtp refuses to protect what lies far behind, and a receiver takes a step back for a
    duplicate. Packets of the source before `first_index` have no place in our numbering and are not sent.

    `next_index` is the number to go on with; times are seconds on the caller's clock.
    """

    clock_rate: int
    next_index: int
    next_timestamp: int
    index_offset: int = 0
    timestamp_offset: int = 0
    first_index: int = 0

    @classmethod
    def fresh(cls, clock_rate: int, random: Random) -> "Rewriter":
        """Begin in the lower half of the sequence space (libsrtp cannot see a wrap before the first packet)."""
        return cls(clock_rate, random.randrange(1, 0x8000), random.getrandbits(32))

    def switch(self, source: Numbers, last_sent: Numbers | None, elapsed_s: float, aligned: int | None = None) -> None:
        """Go on with `source` as the next packet after `last_sent` (our numbers), sent `elapsed_s` ago.

        The timestamp moves on by the time that passed, so that a receiver's clock estimate stays true. Where `aligned`
        is known, the timestamp that the moment of `source` has in our numbering (`same_moment`), it takes that: so
        pictures stay with their sound. It never stays or steps back, since two pictures of one timestamp would be one.
        """
        index, timestamp = source
        if last_sent is not None:
            self.next_index = last_sent[0] + 1
            step = max(1, round(elapsed_s * self.clock_rate))
            if aligned is not None:
                exact = ((aligned - last_sent[1] + 0x80000000) & TIMESTAMP_MASK) - 0x80000000
                # The publisher's reports tell more than the network's delay, unless they are of another clock.
                if abs(exact - step) < LARGEST_DISAGREEMENT_S * self.clock_rate:
                    step = max(1, exact)
            self.next_timestamp = (last_sent[1] + step) & TIMESTAMP_MASK
        self.index_offset = self.next_index - index
        self.timestamp_offset = (self.next_timestamp - timestamp) & TIMESTAMP_MASK
        self.first_index = index

    def outgoing(self, source: Numbers) -> Numbers | None:
        """Return our numbers for a packet of the source, None for one that lies before the switch."""
        index, timestamp = source
        if index < self.first_index:
            return None
        return index + self.index_offset, (timestamp + self.timestamp_offset) & TIMESTAMP_MASK
