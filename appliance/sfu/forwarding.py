"""The straight line a packet takes: one function in, from the socket to every subscriber; nothing awaits, nothing logs.

All of it is `PacketPath.receive`, on purpose in one piece: a call per step would cost as much as the steps
(media-engine.md 2, 4.5), and a backend in C or with batched system calls replaces the whole function, not parts.
What is not plain media (STUN, DTLS, RTCP, an SSRC or payload type not seen before) leaves it for the slow side.
"""

from __future__ import annotations

import socket
import struct
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from appliance.sfu.history import MASK, Entry
from appliance.sfu.rewriter import SEQUENCE_MASK, TIMESTAMP_MASK
from appliance.sfu.transport import (
    BUFFER_SIZE,
    TRAILER_SIZE,
    PacketBuffer,
    srtp_protect,
    srtp_protect_rtcp,
    srtp_unprotect,
    srtp_unprotect_rtcp,
)

if TYPE_CHECKING:
    from appliance.sfu.connection import Connection
    from appliance.sfu.consumer import OutSlot

Address = tuple[str, int] | tuple[str, int, int, int]
"""A socket address as the operating system gives it, IPv4 or IPv6."""

LARGEST_PAYLOAD = BUFFER_SIZE - TRAILER_SIZE - 128
"""Bytes; what is larger has no room behind a header of ours, and came by no path on the Internet."""

PACKETS_PER_WAKE = 32
"""So many packets are taken before the event loop gets its turn again."""

BEHIND_S = 0.1
"""A socket that is not emptied for so long brings more than we have time for: pictures are thrown away as they come,
before anything is done for them, so that sound, handshakes and reports get through."""
_PAUSE_S = 0.05
"""Nobody woke us for so long: nothing was left after all, or the whole machine stood still, and what has come since is
made up for."""

_RTP = struct.Struct("!BBHII")
_TWO_SHORTS = struct.Struct("!HH")
_ONE_BYTE_PROFILE = 0xBEDE


class SlowSide(Protocol):
    """Takes what is not plain media."""

    def other_datagram(self, data: bytes, address: Address, sock: socket.socket) -> None: ...


class PacketPath:
    """Buffers and counters of one engine's packet path.

    `connections` maps the address that STUN authenticated to the participant there: nothing else routes media.
    """

    def __init__(self, slow_side: SlowSide) -> None:
        self.connections: dict[Address, Connection] = {}
        self.forwarded = 0
        self.received = 0
        self.dropped = 0
        self.shed = 0
        self._behind: dict[socket.socket, tuple[float, float]] = {}  # not emptied since, last seen so
        self._slow_side = slow_side
        self._tx = tx = PacketBuffer()
        rx = PacketBuffer()
        self._at_hand = (rx.view, rx.memory, rx.length, tx.view, tx.memory, tx.length, self.connections)

    def receive(self, sock: socket.socket) -> bool:
        """Take up to 32 datagrams from the socket and forward the media in them.

        True where there was nothing but media to forward, so that no task or timer of the event loop can have changed.
        """
        forwarded = 0
        plain = True
        unpack = _RTP.unpack_from
        rx, rx_memory, rx_length, tx, tx_memory, tx_length, connections = self._at_hand
        recvfrom_into = sock.recvfrom_into
        behind = self._behind.get(sock)
        sheds = False
        if behind is not None:
            woken_at = monotonic()
            if woken_at - behind[1] > _PAUSE_S:
                behind = None
            else:
                sheds = woken_at - behind[0] > BEHIND_S
        for _ in range(PACKETS_PER_WAKE):
            try:
                size, address = recvfrom_into(rx)
            except BlockingIOError:
                self._behind.pop(sock, None)
                break
            except OSError:  # an ICMP error of an earlier send; the next datagram is unharmed
                continue
            flags, marker, sequence, timestamp, ssrc = unpack(rx)  # RTP's header is never encrypted
            if size < 12 or not 127 < flags < 192:
                self._slow_side.other_datagram(bytes(rx[:size]), address, sock)
                plain = False
                continue
            connection = connections.get(address)
            if connection is None or connection.srtp_receive is None:
                self.dropped += 1
                continue
            now = monotonic()
            rx_length[0] = size
            if 191 < marker < 224:
                if srtp_unprotect_rtcp(connection.srtp_receive, rx_memory, rx_length):
                    self.dropped += 1
                    continue
                connection.heard_at = now
                connection.rtcp_arrived(bytes(rx[: rx_length[0]]), now)
                plain = False
                continue

            if sheds and (stream := connection.streams.get(ssrc)) is not None and stream.is_shed(marker & 0x7F):
                self.shed += 1
                continue

            # --- decrypt and read the header (RFC 3550, 5.1)
            if srtp_unprotect(connection.srtp_receive, rx_memory, rx_length):
                self.dropped += 1
                continue
            connection.heard_at = now
            self.received += 1
            end = rx_length[0]
            stream = connection.streams.get(ssrc)
            if stream is None:
                plain = False
                stream = connection.unknown_ssrc(bytes(rx[:end]))
                if stream is None:
                    self.dropped += 1
                    continue
            start = 12 + ((flags & 0x0F) << 2)
            if flags & 0x10:
                profile, words = _TWO_SHORTS.unpack_from(rx, start)
                position = start + 4
                start = position + (words << 2)
                if profile == _ONE_BYTE_PROFILE and start <= end:
                    transport_cc_id, audio_level_id = connection.transport_cc_id, connection.audio_level_id
                    while position < start:
                        head = rx[position]
                        identifier = head >> 4
                        if identifier == transport_cc_id:
                            connection.arrived((rx[position + 1] << 8 | rx[position + 2], now))
                        elif identifier == audio_level_id:
                            stream.level = rx[position + 1] & 0x7F
                        position += (head & 0x0F) + 2 if head else 1
            if flags & 0x20:
                end -= rx[end - 1]
            if start > end:
                self.dropped += 1
                continue
            payload_type = marker & 0x7F
            marker &= 0x80

            # --- a retransmission becomes the packet that was lost (RFC 4588, 4); the rest of RTX is probing
            base = stream.resends
            if base is not None:
                stream.received += 1
                if end - start < 2:
                    continue
                sequence = rx[start] << 8 | rx[start + 1]
                start += 2
                stream = base
                index = stream.highest_index - ((stream.highest_index - sequence) & SEQUENCE_MASK)
                if index not in stream.wanted:
                    continue  # a probe: it has been here before
            else:
                if payload_type != stream.payload_type:
                    plain = False
                    if not stream.payload_type_changed(payload_type, sequence):
                        self.dropped += 1
                        continue
                # --- extend the sequence number, find losses (RFC 3550, A.1), measure jitter (A.8)
                distance = (sequence - stream.highest_index) & SEQUENCE_MASK
                index = stream.highest_index + distance
                if distance >= 0x8000:
                    index -= 0x10000
            if index > stream.highest_index:
                if index != stream.highest_index + 1:
                    plain = False
                    stream.jumped(index, now)
                stream.highest_index = index
                if timestamp != stream.highest_timestamp:  # the packets of one frame leave one by one: no jitter
                    stream.highest_timestamp = timestamp
                    transit = int(now * stream.clock_rate) - timestamp
                    variation = transit - stream.transit
                    stream.transit = transit
                    # Nor is a new origin of the publisher's timestamps.
                    if -900_000 < variation < 900_000:
                        stream.jitter += (abs(variation) - stream.jitter) * 0.0625
            elif stream.wanted.pop(index, None) is None:
                continue  # twice, or too late for anybody
            count = end - start
            if count > LARGEST_PAYLOAD:
                self.dropped += 1
                continue
            payload = bytes(rx[start:end])
            stream.last_at = now
            stream.received += 1
            stream.bytes += count
            if stream.kept is not None:
                entry: Entry = (index, marker, timestamp, payload)
                stream.kept[index & MASK] = entry
            if stream.pending:
                plain = False
                stream.admit(index, timestamp, payload, now)

            # --- to each subscriber, under its own numbers
            send_time = int(now * 262144) & 0xFFFFFF  # 6.18 fixed point seconds
            send_high, send_low = send_time >> 16, send_time & 0xFFFF
            for slot in stream.outs:
                if index < slot.first_index:
                    continue
                thinner = slot.thinner
                if thinner is None:
                    number, sent, size = index + slot.index_offset, payload, count
                else:  # upper temporal layers are left out: numbers change from packet to packet
                    thinned = thinner.take(index, timestamp, payload)
                    if thinned is None:
                        continue
                    number, sent = thinned
                    size = len(sent)
                slot.pack_header(
                    tx,
                    0,
                    0x90,
                    marker | slot.payload_type,
                    number & SEQUENCE_MASK,
                    (timestamp + slot.timestamp_offset) & TIMESTAMP_MASK,
                    slot.ssrc,
                    slot.extension,
                    send_high,
                    send_low,
                )
                body = slot.header_size
                total = body + size
                tx[body:total] = sent
                tx_length[0] = total
                receiver = slot.connection
                if srtp_protect(receiver.srtp_send, tx_memory, tx_length):
                    continue
                try:
                    receiver.sendto(tx[: tx_length[0]], receiver.address)
                except OSError:  # the socket's buffer is full: lost, as on any link that is full
                    self.dropped += 1
                    continue
                slot.packets += 1
                slot.octets += size
                forwarded += 1
        else:
            seen_at = monotonic()
            self._behind[sock] = (behind[0] if behind is not None else seen_at, seen_at)
        self.forwarded += forwarded
        return plain

    def resend(self, slot: OutSlot, entry: Entry, sequence: int, offset_timestamp: int, now: float) -> None:
        """Send a kept packet again, as RTX where the participant knows it; `sequence` is what it calls the packet."""
        _, marker, timestamp, payload = entry
        connection = slot.connection
        tx = self._tx.view
        body = slot.header_size
        if slot.rtx_payload_type is not None:
            payload_type, number, ssrc = slot.rtx_payload_type, slot.rtx_sequence & SEQUENCE_MASK, slot.rtx_ssrc
            slot.rtx_sequence += 1
            payload = sequence.to_bytes(2, "big") + payload
        else:
            payload_type, number, ssrc = slot.payload_type, sequence, slot.ssrc
        total = body + len(payload)
        if payload_type < 0 or connection.srtp_send is None or total > BUFFER_SIZE - TRAILER_SIZE:
            return
        send_time = int(now * 262144) & 0xFFFFFF
        slot.pack_header(
            tx,
            0,
            0x90,
            marker | payload_type,
            number,
            (timestamp + offset_timestamp) & TIMESTAMP_MASK,
            ssrc,
            slot.extension,
            send_time >> 16,
            send_time & 0xFFFF,
        )
        tx[body:total] = payload
        self._tx.length[0] = total
        if srtp_protect(connection.srtp_send, self._tx.memory, self._tx.length) == 0:
            self._send(connection, self._tx.length[0])

    def send_padding(self, slot: OutSlot, size: int, now: float) -> bool:
        """Send `size` bytes of padding, 1 … 255, on the slot's stream of retransmissions, where it has one."""
        connection = slot.connection
        total = slot.header_size + size
        if slot.rtx_payload_type is None or connection.srtp_send is None:
            return False
        send_time = int(now * 262144) & 0xFFFFFF
        slot.pack_header(
            self._tx.view,
            0,
            0xB0,
            slot.rtx_payload_type,
            slot.rtx_sequence & SEQUENCE_MASK,
            0,
            slot.rtx_ssrc,
            slot.extension,
            send_time >> 16,
            send_time & 0xFFFF,
        )
        slot.rtx_sequence += 1
        self._tx.view[slot.header_size : total] = bytes(size - 1) + bytes([size])
        self._tx.length[0] = total
        if srtp_protect(connection.srtp_send, self._tx.memory, self._tx.length):
            return False
        self._send(connection, self._tx.length[0])
        return True

    def send_rtcp(self, connection: Connection, data: bytes) -> None:
        """Encrypt and send an RTCP packet."""
        if connection.srtp_send is None or len(data) > BUFFER_SIZE - TRAILER_SIZE:
            return
        self._tx.view[: len(data)] = data
        self._tx.length[0] = len(data)
        if srtp_protect_rtcp(connection.srtp_send, self._tx.memory, self._tx.length) == 0:
            self._send(connection, self._tx.length[0])

    def _send(self, connection: Connection, size: int) -> None:
        try:
            connection.sendto(self._tx.view[:size], connection.address)
        except OSError:
            self.dropped += 1
