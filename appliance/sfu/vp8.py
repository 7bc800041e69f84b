"""VP8 as it travels in RTP: the payload descriptor and the head of a key frame (RFC 7741, 4.2 and 4.3). Pure."""

from typing import NamedTuple

from appliance.media_engine import Dimensions

_START_CODE = b"\x9d\x01\x2a"


class Vp8Packet(NamedTuple):
    """What the descriptor of one packet says.

    `picture_at` and `base_at` are the places of the picture id, of 7 or 15 bits, and of TL0PICIDX, which counts the
    pictures of the base layer; 0 where there is none.
    `temporal` is the temporal layer, 0 the base and 0 where none is told; `is_sync`: this picture needs the base layer
    alone. `body_at` is where the frame's bytes begin.
    """

    begins_frame: bool
    picture_at: int
    picture_bits: int
    base_at: int
    temporal: int
    is_sync: bool
    body_at: int


def read_packet(payload: bytes) -> Vp8Packet | None:
    """Return what the descriptor says, None where the payload ends within it."""
    size = len(payload)
    if size < 2:
        return None
    first = payload[0]
    picture_at = picture_bits = base_at = temporal = 0
    is_sync = False
    position = 1
    if first & 0x80:
        extended = payload[1]
        position = 2
        if extended & 0x80 and position < size:
            picture_at = position
            picture_bits = 15 if payload[position] & 0x80 else 7
            position += 2 if picture_bits == 15 else 1
        if extended & 0x40:
            base_at = position
            position += 1
        if extended & 0x30:
            if extended & 0x20 and position < size:
                temporal = payload[position] >> 6
                is_sync = bool(payload[position] & 0x20)
            position += 1
    if position >= size:
        return None
    return Vp8Packet(first & 0x17 == 0x10, picture_at, picture_bits, base_at, temporal, is_sync, position)


def temporal_layer(payload: bytes) -> int:
    """Return `temporal` of `read_packet`, in a third of the time; 0 also where the payload ends too soon."""
    if len(payload) < 2 or not payload[0] & 0x80:
        return 0
    extended = payload[1]
    if not extended & 0x20:
        return 0
    position = 2
    if extended & 0x80 and position < len(payload):
        position += 2 if payload[position] & 0x80 else 1
    if extended & 0x40:
        position += 1
    return payload[position] >> 6 if position < len(payload) else 0


def keyframe_size(payload: bytes) -> Dimensions | None:
    """Return the size of the picture that begins here; None for all but the first packet of a key frame."""
    if not payload or not payload[0] & 0x10:  # most packets: they begin no partition
        return None
    packet = read_packet(payload)
    if packet is None or not packet.begins_frame or payload[packet.body_at] & 1:
        return None
    head = payload[packet.body_at : packet.body_at + 10]
    if len(head) < 10 or head[3:6] != _START_CODE:
        return None
    width, height = int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    return Dimensions(width=width, height=height) if width and height else None


class Numbers(NamedTuple):
    """A picture id and a TL0PICIDX, or by how much they are lowered."""

    picture: int
    base: int


def numbers_of(payload: bytes, packet: Vp8Packet) -> Numbers | None:
    """Return how a packet numbers its picture, None where it has no picture id. What has no TL0PICIDX has 0."""
    at = packet.picture_at
    if not at:
        return None
    picture = payload[at] if packet.picture_bits == 7 else int.from_bytes(payload[at : at + 2], "big") & 0x7FFF
    return Numbers(picture, payload[packet.base_at] if packet.base_at else 0)


def with_numbers(payload: bytes, packet: Vp8Packet, shift: Numbers) -> bytes:
    """Return the payload with its numbers counted lower, modulo their width."""
    at = packet.picture_at
    if not at or shift == (0, 0):
        return payload
    changed = bytearray(payload)
    if packet.picture_bits == 7:
        changed[at] = (payload[at] - shift.picture) & 0x7F
    else:
        number = (int.from_bytes(payload[at : at + 2], "big") - shift.picture) & 0x7FFF | 0x8000
        changed[at : at + 2] = number.to_bytes(2, "big")
    if packet.base_at:
        changed[packet.base_at] = (payload[packet.base_at] - shift.base) & 0xFF
    return bytes(changed)
