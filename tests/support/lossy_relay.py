"""A UDP relay that loses, delays and reorders, always the same way for the same seed."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Self

Address = tuple[str, int]

_UDP_OCTETS = 28  # of the IPv4 and UDP headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What the relay does to each datagram: shares are 0 … 1, a reordered datagram comes `reorder_by_s` late.
    `jitter_s`: media comes up to so much later, at random; what is overtaken so is out of order.

    `down_bps`: what the way to the clients carries in all, as a thin line does: what comes faster waits, and is lost
    where it would wait longer than `queue_s`. It may be changed while the relay runs.

    `ways`: which directions lose, "up" from the clients, "down" to them.
    """

    loss: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    reorder: float = 0.0
    reorder_by_s: float = 0.02
    down_bps: float | None = None
    queue_s: float = 0.3
    ways: tuple[str, ...] = ("up", "down")


@dataclass(slots=True)
class _Counters:
    passed: int = 0
    lost: int = 0
    late: int = 0


@dataclass(slots=True)
class LossyRelay:
    """Stands before one UDP server; each client address gets a socket of its own towards the server.

    Only datagrams for which `subject_to` is true suffer, media by default (RFC 7983): a handshake that loses packets
    waits for seconds, which is not what these tests are about.
    """

    server: Address
    weather: Weather
    seed: int = 1
    subject_to: Callable[[bytes], bool] = lambda data: 127 < data[0] < 192
    spared: set[Address] = field(default_factory=set)
    up: _Counters = field(default_factory=_Counters)
    down: _Counters = field(default_factory=_Counters)
    _random: Random = field(default_factory=Random)
    _front: socket.socket | None = None
    _line_free_at: float = 0.0
    _backs: dict[Address, socket.socket] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self._random.seed(self.seed)
        self._front = self._socket()
        asyncio.get_running_loop().add_reader(self._front, self._from_client)
        return self

    async def __aexit__(self, *error: object) -> None:
        loop = asyncio.get_running_loop()
        for sock in (self._front, *self._backs.values()):
            if sock is not None:
                loop.remove_reader(sock)
                sock.close()
        self._front = None
        self._backs.clear()

    @property
    def address(self) -> Address:
        assert self._front is not None
        host, port = self._front.getsockname()
        return host, port

    def _socket(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # what is lost here is lost on purpose alone
        sock.bind(("127.0.0.1", 0))
        return sock

    def _from_client(self) -> None:
        assert self._front is not None
        data, client = self._front.recvfrom(4096)
        back = self._backs.get(client)
        if back is None:
            back = self._backs[client] = self._socket()
            asyncio.get_running_loop().add_reader(back, self._from_server, back, client)
        self._pass(data, back, self.server, self.up, client)

    def _from_server(self, back: socket.socket, client: Address) -> None:
        if self._front is not None:
            self._pass(back.recv(4096), self._front, client, self.down, client)

    @property
    def clients(self) -> set[Address]:
        """The addresses from which anything has come so far."""
        return set(self._backs)

    def _pass(self, data: bytes, sock: socket.socket, to: Address, counters: _Counters, client: Address) -> None:
        delay = self.weather.delay_s
        if self.subject_to(data) and client not in self.spared:
            loses = ("down" if counters is self.down else "up") in self.weather.ways
            if loses and self._random.random() < self.weather.loss:
                counters.lost += 1
                return
            if self._random.random() < self.weather.reorder:
                counters.late += 1
                delay += self.weather.reorder_by_s
            delay += self._random.random() * self.weather.jitter_s
            if counters is self.down and self.weather.down_bps is not None:
                now = asyncio.get_running_loop().time()
                waits = max(0.0, self._line_free_at - now)
                if waits > self.weather.queue_s:
                    counters.lost += 1
                    return
                self._line_free_at = now + waits + 8 * (len(data) + _UDP_OCTETS) / self.weather.down_bps
                delay += self._line_free_at - now
        counters.passed += 1
        if delay:
            asyncio.get_running_loop().call_later(delay, self._send, data, sock, to)
        else:
            self._send(data, sock, to)

    @staticmethod
    def _send(data: bytes, sock: socket.socket, to: Address) -> None:
        if sock.fileno() >= 0:
            sock.sendto(data, to)
