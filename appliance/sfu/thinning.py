"""Number a VP8 stream anew, so that a receiver sees one stream through changes of source and left out layers. Pure.

A receiver takes a gap of sequence numbers for a loss, and a gap of picture ids for a picture it has to wait for: where
upper temporal layers are left out, both are counted anew. And Chromium finds what a picture of a temporal layer refers
to by TL0PICIDX, in a table that it does not clear at a key frame: after a change to a source that counts from elsewhere
it stands still, without asking for anything, as soon as a number comes that the one before had used.
"""

from collections import deque

from appliance.sfu.history import MASK, SIZE
from appliance.sfu.vp8 import Numbers, Vp8Packet, numbers_of, read_packet, with_numbers

ALL_LAYERS = 3
"""The highest number that the two bits of TID can hold (RFC 7741, 4.2)."""

_NO_SHIFT = Numbers(0, 0)
_LARGEST_GAP = SIZE // 2
_REMEMBERED_PICTURES = SIZE  # as long as their packets can be asked for

Place = tuple[int, int, Numbers]
"""(index of the source, index of ours or -1 for what was left out, by how much its pictures' numbers are lowered)."""


class Thinner:
    """One source's packets towards one participant, from the packet after `highest_index` on.

    Before that, ours = source + `index_offset`; pictures' numbers are lowered by `shift` from the first packet on.
    `wanted` is the highest temporal layer to pass, and may be changed at any time: down holds from the next picture on,
    up from one that needs nothing that was left out.
    """

    __slots__ = (
        "_base_index",
        "_base_offset",
        "_first_shift",
        "_highest",
        "_left_out",
        "_limit",
        "_newest",
        "_offset",
        "_picture_passes",
        "_picture_timestamp",
        "_places",
        "_places_out",
        "_shift",
        "wanted",
    )

    def __init__(
        self, index_offset: int, highest_index: int, highest_timestamp: int, wanted: int, shift: Numbers = _NO_SHIFT
    ) -> None:
        self.wanted = wanted
        self._newest = b""  # the payload that went out last
        self._base_index = self._highest = highest_index
        self._base_offset = self._offset = index_offset
        self._first_shift = self._shift = shift
        self._limit = ALL_LAYERS
        self._picture_timestamp = highest_timestamp  # a picture that has begun to pass passes whole
        self._picture_passes = True
        self._left_out: deque[int] = deque(maxlen=_REMEMBERED_PICTURES)  # timestamps
        self._places: list[Place | None] = [None] * SIZE
        self._places_out: list[Place | None] = [None] * SIZE

    @property
    def highest_out(self) -> int:
        """Our number of the last packet that was given one."""
        return self._highest + self._offset

    def take(self, index: int, timestamp: int, payload: bytes) -> tuple[int, bytes] | None:
        """Return our index for a packet of the source and its payload for the participant; None: it is left out.

        Part of the packet path: what a packet does not need is not looked at.
        """
        highest = self._highest
        if index <= highest:
            return self._take_late(index, timestamp, payload)
        if 1 < index - highest <= _LARGEST_GAP:
            for missing in range(highest + 1, index):
                self._keep(missing)  # whether it would pass is not known: it gets a number, in case it still comes
        self._highest = index
        packet = None
        if timestamp != self._picture_timestamp:
            self._picture_timestamp = timestamp
            packet = read_packet(payload)
            self._picture_passes = packet is None or self._decide(packet, payload)
            if not self._picture_passes:
                self._shift = Numbers(self._shift.picture + 1, self._shift.base)
                self._left_out.append(timestamp)
        shift = self._shift
        if not self._picture_passes:
            self._offset -= 1
            self._places[index & MASK] = (index, -1, shift)
            return None
        ours = index + self._offset
        self._places[index & MASK] = self._places_out[ours & MASK] = (index, ours, shift)
        if shift != _NO_SHIFT:
            payload = self._dressed(packet or read_packet(payload), payload, shift)
        if payload:
            self._newest = payload
        return ours, payload

    @property
    def last_numbers(self) -> Numbers | None:
        """How our last picture is numbered, None before the first."""
        packet = read_packet(self._newest)
        return None if packet is None else numbers_of(self._newest, packet)

    def _take_late(self, index: int, timestamp: int, payload: bytes) -> tuple[int, bytes] | None:
        if index <= self._base_index:
            return index + self._base_offset, self._dressed(read_packet(payload), payload, self._first_shift)
        place = self._places[index & MASK]
        if place is None or place[0] != index or place[1] < 0:
            return None
        if timestamp in self._left_out:
            return place[1], b""  # its number was given away: an empty packet fills the hole
        return place[1], self._dressed(read_packet(payload), payload, place[2])

    def _decide(self, packet: Vp8Packet, payload: bytes) -> bool:
        begins_anew = packet.begins_frame and not payload[packet.body_at] & 1
        if self.wanted < self._limit or begins_anew:
            self._limit = self.wanted
        elif packet.is_sync and self._limit < packet.temporal == self._limit + 1 <= self.wanted:
            self._limit = packet.temporal
        return packet.temporal <= self._limit

    def _keep(self, index: int) -> None:
        place = (index, index + self._offset, self._shift)
        self._places[index & MASK] = self._places_out[place[1] & MASK] = place

    @staticmethod
    def _dressed(packet: Vp8Packet | None, payload: bytes, shift: Numbers) -> bytes:
        return payload if packet is None else with_numbers(payload, packet, shift)

    def find(self, sequence: int) -> int | None:
        """Return the source's index of the packet that has this 16-bit number of ours, None where that is forgotten."""
        distance = (self.highest_out - sequence) & 0xFFFF
        index = self.highest_out - distance
        if index <= self._base_index + self._base_offset:
            return index - self._base_offset
        place = self._places_out[index & MASK]
        return place[0] if place is not None and place[1] == index else None

    def again(self, index: int, timestamp: int, payload: bytes) -> bytes:
        """Return the payload of a packet that was found, as it went out the first time."""
        late = self._take_late(index, timestamp, payload)
        return b"" if late is None else late[1]


def shift_between(last: Numbers | None, first: Numbers | None) -> Numbers:
    """Return by how much to lower a source's numbers, so that its picture `first` follows our picture `last`."""
    if last is None or first is None:
        return _NO_SHIFT
    return Numbers((first.picture - last.picture - 1) & 0x7FFF, (first.base - last.base - 1) & 0xFF)
