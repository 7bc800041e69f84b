"""What a datagram of somebody unknown costs the engine, beside a packet that it forwards to one.

Real sockets on loopback, one process; the kinds take turns in shuffled order, in batches as the packet path takes them.
"""

import gc
import secrets
import socket
import statistics
import struct
import time
import tracemalloc
from collections.abc import Callable
from random import Random
from typing import Any

from appliance.media_engine import PublishedTrack, TrackKind
from appliance.sfu.consumer import Consumer
from appliance.sfu.forwarding import PACKETS_PER_WAKE
from appliance.sfu.producer import Producer
from appliance.sids import new_track_sid
from tests.bench.report import markdown, record
from tests.support.sfu_harness import Harness, Participant, write_rtp

BATCHES = 250
FORWARDED = "RTP packet, forwarded to one"


def check(name: bytes, *, attributes: int = 0) -> bytes:
    """Return a connectivity check for somebody, with a signature made up, and so many attributes of no meaning."""
    body = struct.pack("!HH", 0x8000, 0) * attributes
    body += struct.pack("!HH", 6, len(name)) + name + bytes(-len(name) % 4)
    body += struct.pack("!HH", 8, 20) + secrets.token_bytes(20)
    return struct.pack("!HHI12s", 1, len(body), 0x2112A442, secrets.token_bytes(12)) + body


class Table:
    """An engine on a real socket, a publisher, its subscriber, and a stranger."""

    def __init__(self) -> None:
        self.engine, self.inside, self.outside = (self._socket() for _ in range(3))
        harness: Any = Harness()
        harness.socket = self.engine
        self.path = harness.port.path
        self.alice, self.bob = harness.participants(2)
        for person in (self.alice, self.bob):
            person.connection.address = self.inside.getsockname()
        self.path.connections.clear()
        self.path.connections[self.inside.getsockname()] = self.alice.connection
        self._subscribe(self.bob)
        self._sequence = 0

    @staticmethod
    def _socket() -> socket.socket:
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        found.bind(("127.0.0.1", 0))
        found.setblocking(False)
        return found

    def _subscribe(self, bob: Participant) -> None:
        track = PublishedTrack(sid=new_track_sid(), client_id="x", kind=TrackKind.VIDEO)
        producer = Producer(track, "PA", lambda _: None)
        producer.bind(self.alice.connection.sections.all[1].streams)
        section = bob.connection.sections.all[1]
        section.consumer = consumer = Consumer(producer, "s1")
        consumer.slot = bob.connection.new_slot(section)
        consumer.go_live()

    def media(self) -> bytes:
        self._sequence += 1
        packet = write_rtp(96, self._sequence, self._sequence * 500, 2001, b"\x10\x00" + bytes(1048))
        return bytes(self.alice._tx.protect(packet))

    def take(self, datagrams: list[bytes], sender: socket.socket) -> float:
        """Let the engine take them, and return the CPU time that it took, in seconds."""
        target = self.engine.getsockname()
        for datagram in datagrams:
            sender.sendto(datagram, target)
        began = time.thread_time()
        self.path.receive(self.engine)
        taken = time.thread_time() - began
        for drained in (self.inside, self.outside):
            try:
                while True:
                    drained.recv(4096)
            except BlockingIOError:
                pass
        return taken

    def close(self) -> None:
        for opened in (self.engine, self.inside, self.outside):
            opened.close()


def measured(batches: int = BATCHES) -> dict[str, list[float]]:
    """Return the CPU seconds of a datagram of each kind, one figure a batch."""
    table = Table()
    known = f"{table.alice.connection._ufrag}:them".encode()
    media = write_rtp(96, 1, 1, 2001, bytes(1050))
    kinds: dict[str, tuple[Callable[[], bytes], socket.socket]] = {
        FORWARDED: (table.media, table.inside),
        "RTP, unknown address": (lambda: media, table.outside),
        "RTP, known address, not authentic": (lambda: media, table.inside),
        "DTLS, unknown address": (lambda: b"\x16\xfe\xfd" + bytes(200), table.outside),
        "STUN, unknown user": (lambda: check(b"somebody:them"), table.outside),
        "STUN, unknown user, 300 attributes": (lambda: check(b"somebody:them", attributes=300), table.outside),
        "STUN, known user, wrong password": (lambda: check(known), table.outside),
        "noise": (lambda: b"\xff" + bytes(600), table.outside),
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    random = Random(1)
    gc.disable()
    try:
        for number in range(batches):
            names = list(kinds)
            random.shuffle(names)
            for name in names:
                make, sender = kinds[name]
                taken = table.take([make() for _ in range(PACKETS_PER_WAKE)], sender)
                if number >= batches // 10:
                    times[name].append(taken / PACKETS_PER_WAKE)
    finally:
        gc.enable()
        table.close()
    return times


def grown() -> int:
    """Return how many bytes more the engine holds after 10 000 datagrams of strangers."""
    table = Table()
    random = Random(2)

    def flood(count: int) -> None:
        for _ in range(count):
            kind = random.choice(
                [check(random.randbytes(4).hex().encode() + b":x"), b"\x16" + random.randbytes(99), b"\x80"]
            )
            table.take([kind + (b"" if kind[0] == 0 else random.randbytes(40))], table.outside)

    flood(1000)
    gc.collect()
    tracemalloc.start()
    try:
        flood(10)
        before, _ = tracemalloc.get_traced_memory()
        flood(10_000)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        table.close()


def run(*, seconds: float, write: bool) -> None:
    """Measure each kind of datagram, and what 10 000 of them leave behind."""
    times = {name: statistics.median(taken) for name, taken in measured().items()}
    peer = times[FORWARDED]
    rows = [[name, f"{taken * 1e6:.1f}", f"{taken / peer:.2f}"] for name, taken in times.items()]
    text = markdown(["datagram", "CPU µs", "to forwarding one packet"], rows)
    record("junk", f"{text}\n\n10 000 datagrams of strangers left {grown()} bytes behind.", write=write)
