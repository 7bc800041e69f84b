"""RTCP packets, read and written (RFC 3550, 4585, 5104; REMB and transport-cc drafts). Pure.

Reading is tolerant: a compound is read part by part, a part that makes no sense is left out, the rest counts.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
TRANSPORT_FEEDBACK = 205
PAYLOAD_FEEDBACK = 206

MOST_PARTS = 64
"""Of one compound: a report on each of 50 participants' videos fits, hundreds of empty parts need no reading."""

_NACK = 1
_PLI = 1
_FIR = 4
_APPLICATION = 15
_CNAME = 1

_HEADER = struct.Struct("!BBH")
_TWO_SSRCS = struct.Struct("!II")
_SENDER_INFO = struct.Struct("!IQIII")
_REPORT = struct.Struct("!IIIIII")
_NACK_ITEM = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class SenderReport:
    """`ntp` is 32.32 fixed point seconds since 1900."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class ReceptionReport:
    """How one of our streams arrives. `fraction_lost` in 1/256; `delay_since_sr` in 1/65536 s (RFC 3550, 6.4.1)."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    last_sr: int
    delay_since_sr: int


@dataclass(frozen=True, slots=True)
class Nack:
    ssrc: int
    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """PLI, or FIR naming this SSRC: the difference means nothing to us."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class BitrateEstimate:
    """REMB: what the receiver believes it can take in all, in bit/s."""

    bitrate_bps: int
    ssrcs: tuple[int, ...]


Report = SenderReport | ReceptionReport | Nack | KeyframeRequest | BitrateEstimate


def read_compound(data: bytes) -> Iterator[Report]:
    """Yield what a decrypted RTCP datagram says, in order; what we do not use or cannot read is passed over."""
    position = 0
    for _ in range(MOST_PARTS):
        if position + 4 > len(data):
            return
        first, kind, words = _HEADER.unpack_from(data, position)
        end = position + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            return
        body = data[position + 4 : end]
        if first & 0x20 and body:
            body = body[: max(0, len(body) - body[-1])]
        yield from _read_part(kind, first & 0x1F, body)
        position = end


def _read_part(kind: int, count: int, body: bytes) -> Iterator[Report]:
    if kind == SENDER_REPORT and len(body) >= _SENDER_INFO.size:
        yield SenderReport(*_SENDER_INFO.unpack_from(body))
        yield from _read_reports(body, _SENDER_INFO.size, count)
    elif kind == RECEIVER_REPORT:
        yield from _read_reports(body, 4, count)
    elif kind == TRANSPORT_FEEDBACK and count == _NACK and len(body) >= 12:
        sequences = tuple(_read_nack(body))
        yield Nack(_TWO_SSRCS.unpack_from(body)[1], sequences)
    elif kind == PAYLOAD_FEEDBACK and len(body) >= 8:
        yield from _read_payload_feedback(count, body)


def _read_reports(body: bytes, position: int, count: int) -> Iterator[ReceptionReport]:
    for start in range(position, min(position + 24 * count, len(body) - 23), 24):
        ssrc, lost, highest, jitter, last_sr, delay = _REPORT.unpack_from(body, start)
        cumulative = lost & 0xFFFFFF
        if cumulative & 0x800000:
            cumulative -= 0x1000000
        yield ReceptionReport(ssrc, lost >> 24, cumulative, highest, jitter, last_sr, delay)


def _read_nack(body: bytes) -> Iterator[int]:
    for start in range(8, len(body) - 3, 4):
        first, following = _NACK_ITEM.unpack_from(body, start)
        yield first
        for bit in range(16):
            if following >> bit & 1:
                yield (first + bit + 1) & 0xFFFF


def _read_payload_feedback(kind: int, body: bytes) -> Iterator[Report]:
    if kind == _PLI:
        yield KeyframeRequest(_TWO_SSRCS.unpack_from(body)[1])
    elif kind == _FIR:
        for start in range(8, len(body) - 7, 8):
            yield KeyframeRequest(_TWO_SSRCS.unpack_from(body, start)[0])
    elif kind == _APPLICATION and body[8:12] == b"REMB" and len(body) >= 16:
        exponent, mantissa = body[13] >> 2, (body[13] & 3) << 16 | body[14] << 8 | body[15]
        named = body[16 : 16 + 4 * body[12]]
        ssrcs = struct.unpack(f"!{len(named) // 4}I", named[: len(named) // 4 * 4])
        yield BitrateEstimate(mantissa << exponent, ssrcs)


def _part(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def write_receiver_report(sender: int, reports: Sequence[ReceptionReport]) -> bytes:
    """Return one RR; at most 31 reports fit."""
    body = struct.pack("!I", sender)
    for report in reports[:31]:
        lost = max(-0x800000, min(report.lost, 0x7FFFFF)) & 0xFFFFFF
        body += _REPORT.pack(
            report.ssrc,
            report.fraction_lost << 24 | lost,
            report.highest_sequence & 0xFFFFFFFF,
            report.jitter & 0xFFFFFFFF,
            report.last_sr,
            report.delay_since_sr & 0xFFFFFFFF,
        )
    return _part(RECEIVER_REPORT, min(len(reports), 31), body)


def write_sender_report(report: SenderReport, cname: str) -> bytes:
    """Return an SR with its source's CNAME, the compound that RFC 3550, 6.1 asks for."""
    info = _SENDER_INFO.pack(
        report.ssrc,
        report.ntp,
        report.rtp_timestamp & 0xFFFFFFFF,
        report.packets & 0xFFFFFFFF,
        report.octets & 0xFFFFFFFF,
    )
    name = cname.encode()[:255]
    chunk = struct.pack("!IBB", report.ssrc, _CNAME, len(name)) + name + b"\0"
    return _part(SENDER_REPORT, 0, info) + _part(SOURCE_DESCRIPTION, 1, chunk + bytes(-len(chunk) % 4))


def write_nack(sender: int, media: int, sequences: Sequence[int]) -> bytes:
    """Return a generic NACK; `sequences` are 16-bit numbers in the order in which they were sent."""
    items: list[list[int]] = []
    for sequence in sequences:
        distance = (sequence - items[-1][0] - 1) & 0xFFFF if items else 0xFFFF
        if distance < 16:
            items[-1][1] |= 1 << distance
        else:
            items.append([sequence, 0])
    return _part(
        TRANSPORT_FEEDBACK, _NACK, _TWO_SSRCS.pack(sender, media) + b"".join(_NACK_ITEM.pack(*item) for item in items)
    )


def write_pli(sender: int, media: int) -> bytes:
    """Return a picture loss indication (RFC 4585, 6.3.1)."""
    return _part(PAYLOAD_FEEDBACK, _PLI, _TWO_SSRCS.pack(sender, media))


def write_remb(sender: int, bitrate_bps: int, ssrcs: Sequence[int]) -> bytes:
    """Return a receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03)."""
    exponent = max(0, bitrate_bps.bit_length() - 18)
    mantissa = bitrate_bps >> exponent
    head = struct.pack("!BBH", len(ssrcs), exponent << 2 | mantissa >> 16, mantissa & 0xFFFF)
    named = b"".join(struct.pack("!I", ssrc) for ssrc in ssrcs)
    return _part(PAYLOAD_FEEDBACK, _APPLICATION, _TWO_SSRCS.pack(sender, 0) + b"REMB" + head + named)
