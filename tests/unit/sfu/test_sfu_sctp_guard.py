"""SCTP packets that would stop us are told from those that would not."""

import struct
from contextlib import suppress

import pytest
from aiortc.rtcsctptransport import (
    AbortChunk,
    DataChunk,
    HeartbeatChunk,
    InitChunk,
    ReconfigChunk,
    SackChunk,
    parse_packet,
    serialize_packet,
)
from google_crc32c import value as crc32c
from hypothesis import given
from hypothesis import strategies as st

from appliance.sfu.sctp_guard import MOST_ACKNOWLEDGED_IN_GAPS, is_sound


def packet(*chunks: tuple[int, bytes]) -> bytes:
    return with_checksum(
        b"".join(
            struct.pack("!BBH", kind, 0, 4 + len(value)) + value + bytes(-len(value) % 4) for kind, value in chunks
        )
    )


def with_checksum(chunks: bytes) -> bytes:
    return bytes(8) + struct.pack("<L", crc32c(bytes(12) + chunks)) + chunks


def sack(*gaps: tuple[int, int]) -> tuple[int, bytes]:
    return 3, struct.pack("!LLHH", 1, 1, len(gaps), 0) + b"".join(struct.pack("!HH", *gap) for gap in gaps)


def test_what_aiortc_writes_is_sound() -> None:
    init, data, beat, abort, reset, acknowledged = (
        InitChunk(),
        DataChunk(),
        HeartbeatChunk(),
        AbortChunk(),
        ReconfigChunk(),
        SackChunk(),
    )
    init.params = [(0xC000, b""), (0x8008, b"\xc0\x82")]
    data.tsn, data.stream_id, data.protocol, data.user_data = 1, 1, 51, b"hello"
    beat.params = [(1, b"now")]
    reset.params = [(13, bytes(14))]
    acknowledged.gaps = [(2, 3), (5, 900)]

    for chunk in (init, data, beat, abort, reset, acknowledged):
        assert is_sound(serialize_packet(5000, 5000, 1, chunk))


@pytest.mark.parametrize("kind", [4, 5, 6, 9, 130])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_parameter_too_short_for_its_own_head_is_not(kind: int, size: int) -> None:
    assert not is_sound(packet((kind, struct.pack("!HH", 13, 4) + struct.pack("!HH", 13, size))))


def test_nor_in_what_opens_an_association() -> None:
    assert is_sound(packet((1, bytes(16))))
    assert not is_sound(packet((1, bytes(16) + bytes(4))))


def test_nor_behind_another_chunk() -> None:
    assert not is_sound(packet((11, b""), (0, bytes(13)), (4, bytes(8))))


def test_an_acknowledgement_of_more_than_can_be_under_way_is_not() -> None:
    assert is_sound(packet(sack((1, MOST_ACKNOWLEDGED_IN_GAPS))))
    assert not is_sound(packet(sack(*[(0, 65535)] * 200)))
    assert not is_sound(packet((3, struct.pack("!LLHH", 1, 1, 9, 0))))


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=80)), max_size=6), st.binary(max_size=3))
def test_what_is_sound_aiortc_reads_to_the_end(chunks: list[tuple[int, bytes]], rest: bytes) -> None:
    data = with_checksum(packet(*chunks)[12:] + rest)
    if chunks and is_sound(data):
        with suppress(struct.error):  # a chunk shorter than its kind has to be: refused, which is an end too
            assert len(parse_packet(data)[3]) <= len(chunks)
