"""The connectivity checks an ICE-lite agent has to answer (RFC 8445, RFC 8489). Pure.

Only binding requests are read and only success responses are written: a lite agent never checks, so it never sends a
request and never needs to read a response.
"""

import hmac
import ipaddress
import struct
from binascii import crc32
from dataclasses import dataclass

MAGIC_COOKIE = 0x2112A442
HEADER_SIZE = 20

BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101

USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
XOR_MAPPED_ADDRESS = 0x0020
USE_CANDIDATE = 0x0025
FINGERPRINT = 0x8028

INTEGRITY_SIZE = 20
FINGERPRINT_XOR = 0x5354554E

MOST_ATTRIBUTES = 16
"""Browsers send eight: a datagram of hundreds of empty ones, from anybody, must cost no more than another."""

_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """A connectivity check that is well formed but not yet authenticated.

    `local_ufrag` is ours: USERNAME is "ours:theirs" as the checking side writes it (RFC 8445, 7.2.2).
    """

    transaction_id: bytes
    local_ufrag: str
    remote_ufrag: str
    nominates: bool
    signed_part: bytes
    integrity: bytes

    def is_authentic(self, password: str) -> bool:
        """Tell whether MESSAGE-INTEGRITY was made with our password (RFC 8489, 14.5)."""
        return hmac.compare_digest(hmac.digest(password.encode(), self.signed_part, "sha1"), self.integrity)


def named_user(data: bytes) -> str | None:
    """Return our user fragment that a check names, None where it names none.

    It is all that is read for a stranger: checks of users that do not exist must cost next to nothing.
    """
    if len(data) < HEADER_SIZE + 4:
        return None
    position = HEADER_SIZE
    for _ in range(MOST_ATTRIBUTES):
        if position + 4 > len(data):
            return None
        attribute, size = _ATTRIBUTE.unpack_from(data, position)
        if attribute == USERNAME:
            return data[position + 4 : position + 4 + size].partition(b":")[0].decode("latin-1")
        position += 4 + size + (-size % 4)
    return None


def read_binding_request(data: bytes) -> BindingRequest | None:
    """Return the check in this datagram, or None for anything else: a lite agent drops it silently."""
    if len(data) < HEADER_SIZE or len(data) % 4:
        return None
    kind, body_size, cookie, transaction_id = _HEADER.unpack_from(data)
    if kind != BINDING_REQUEST or cookie != MAGIC_COOKIE or body_size != len(data) - HEADER_SIZE:
        return None
    username = b""
    nominates = False
    position = HEADER_SIZE
    for _ in range(MOST_ATTRIBUTES):
        if position + 4 > len(data):
            return None
        attribute, size = _ATTRIBUTE.unpack_from(data, position)
        value = data[position + 4 : position + 4 + size]
        if len(value) < size:
            return None
        if attribute == USERNAME:
            username = value
        elif attribute == USE_CANDIDATE:
            nominates = True
        elif attribute == MESSAGE_INTEGRITY:
            # What follows the integrity is not covered by it and must not be believed (RFC 8489, 14.5).
            return _request(transaction_id, username, nominates, data, position, value)
        position += 4 + size + (-size % 4)
    return None


def _request(
    transaction_id: bytes, username: bytes, nominates: bool, data: bytes, position: int, integrity: bytes
) -> BindingRequest | None:
    local, colon, remote = username.partition(b":")
    if not colon or not local or len(integrity) != INTEGRITY_SIZE:
        return None
    # The integrity is computed as if it were the last attribute, so the length field counts up to its end.
    length_field = struct.pack("!H", position - HEADER_SIZE + 4 + INTEGRITY_SIZE)
    try:
        return BindingRequest(
            transaction_id=transaction_id,
            local_ufrag=local.decode("ascii"),
            remote_ufrag=remote.decode("ascii"),
            nominates=nominates,
            signed_part=data[0:2] + length_field + data[4:position],
            integrity=integrity,
        )
    except UnicodeDecodeError:
        return None


def binding_success(transaction_id: bytes, address: tuple[str, int], password: str) -> bytes:
    """Return the answer to a check that came from `address` (host, port), signed with our password."""
    mapped = _xor_address(address, transaction_id)
    body = _ATTRIBUTE.pack(XOR_MAPPED_ADDRESS, len(mapped)) + mapped
    signed = _header(transaction_id, len(body) + 4 + INTEGRITY_SIZE) + body
    integrity = hmac.digest(password.encode(), signed, "sha1")
    body += _ATTRIBUTE.pack(MESSAGE_INTEGRITY, INTEGRITY_SIZE) + integrity
    covered = _header(transaction_id, len(body) + 8) + body
    return covered + _ATTRIBUTE.pack(FINGERPRINT, 4) + struct.pack("!I", crc32(covered) ^ FINGERPRINT_XOR)


def _header(transaction_id: bytes, body_size: int) -> bytes:
    return _HEADER.pack(BINDING_SUCCESS, body_size, MAGIC_COOKIE, transaction_id)


def _xor_address(address: tuple[str, int], transaction_id: bytes) -> bytes:
    host = ipaddress.ip_address(address[0].partition("%")[0])
    pad = struct.pack("!I", MAGIC_COOKIE) + transaction_id
    packed = bytes(a ^ b for a, b in zip(host.packed, pad, strict=False))
    family = 1 if host.version == 4 else 2
    return struct.pack("!BBH", 0, family, address[1] ^ (MAGIC_COOKIE >> 16)) + packed
