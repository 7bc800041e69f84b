"""What an SCTP packet may hold (RFC 9260, 3), looked at before aiortc reads it. Pure.

aiortc 1.16 reads a parameter of length 0 for ever, and follows a selective acknowledgement number by number: one packet
of a client that has keys would stop everybody's media, or hold it up for seconds.
"""

import struct

_COMMON_HEADER_SIZE = 12
_SACK = 3
_PARAMETERS_BEGIN = {1: 16, 2: 16, 4: 0, 5: 0, 6: 0, 9: 0, 130: 0}
"""Of INIT, INIT ACK, HEARTBEAT and its ACK, ABORT, ERROR, RE-CONFIG: where parameters begin in the chunk's value."""

MOST_ACKNOWLEDGED_IN_GAPS = 16_384
"""More packets than our window lets be under way."""

_CHUNK = struct.Struct("!BBH")
_TWO_SHORTS = struct.Struct("!HH")
_SACK_HEAD = struct.Struct("!LLHH")


def is_sound(packet: bytes) -> bool:
    """Tell whether every chunk and parameter has a length it can have, and no acknowledgement spans too much."""
    position = _COMMON_HEADER_SIZE
    while position + _CHUNK.size <= len(packet):
        kind, _, size = _CHUNK.unpack_from(packet, position)
        if size < _CHUNK.size or position + size > len(packet):
            return False
        value = packet[position + _CHUNK.size : position + size]
        begin = _PARAMETERS_BEGIN.get(kind)
        if begin is not None and not _are_parameters(value[begin:]):
            return False
        if kind == _SACK and not _is_acknowledgement(value):
            return False
        position += size + -size % 4
    return True


def _are_parameters(value: bytes) -> bool:
    position = 0
    while position + _TWO_SHORTS.size <= len(value):
        _, size = _TWO_SHORTS.unpack_from(value, position)
        if size < _TWO_SHORTS.size:
            return False
        position += size + -size % 4
    return True


def _is_acknowledgement(value: bytes) -> bool:
    if len(value) < _SACK_HEAD.size:
        return False
    _, _, gaps, duplicates = _SACK_HEAD.unpack_from(value)
    if len(value) < _SACK_HEAD.size + 4 * (gaps + duplicates):
        return False
    spans = (_TWO_SHORTS.unpack_from(value, _SACK_HEAD.size + 4 * place) for place in range(gaps))
    spanned: int = sum(max(0, last - first + 1) for first, last in spans)
    return spanned <= MOST_ACKNOWLEDGED_IN_GAPS
