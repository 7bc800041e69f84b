"""VP8 payloads with the descriptor that Chromium writes (RFC 7741, 4.2)."""

import struct


def vp8_packet(
    picture: int,
    temporal: int,
    *,
    sync: bool,
    first: bool = True,
    key: bool = False,
    body: int = 0,
    size: tuple[int, int] = (320, 180),
) -> bytes:
    """Return a payload with 15 bits of picture id, TL0PICIDX and TID, as Chromium writes it."""
    descriptor = bytes([0x90 if first else 0x80, 0xE0]) + struct.pack(
        "!HB", picture & 0x7FFF | 0x8000, picture >> 2 & 255
    )
    head = b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", *size) if key else b"\x01"
    return descriptor + bytes([temporal << 6 | sync << 5]) + head + body.to_bytes(4, "big")
