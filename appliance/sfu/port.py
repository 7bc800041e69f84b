"""The UDP port: sockets, who is where, and everything that arrives and is not media."""

from __future__ import annotations

import errno
import logging
import secrets
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psutil

from appliance.errors import ConfigurationError
from appliance.sfu.forwarding import Address, PacketPath
from appliance.sfu.media_loop import add_media_reader, remove_media_reader
from appliance.sfu.stun import binding_success, named_user, read_binding_request
from appliance.sfu.transport import Handshakes

if TYPE_CHECKING:
    from appliance.sfu.connection import Connection

logger = logging.getLogger(__name__)

SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
_TRIES_FOR_ONE_PORT = 20
_MOST_ADDRESSES = 16


def own_addresses() -> list[str]:
    """Return the host's addresses that others can reach, IPv4 first; the loopback ones where there is nothing else."""
    found: list[str] = []
    loopback: list[str] = []
    for interface in psutil.net_if_addrs().values():
        for entry in interface:
            if entry.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            if entry.address.startswith("127.") or entry.address == "::1":
                loopback.append(entry.address)
            elif not entry.address.lower().startswith("fe80:"):
                found.append(entry.address)
    return sorted(found or loopback, key=lambda address: ":" in address)[:_MOST_ADDRESSES]


def open_sockets(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Bind one UDP socket for each host, all on the same port; `port` 0 finds one that is free on all.

    An IPv6 host on a machine without IPv6 is left out as long as another host remains.

    Raises:
        ConfigurationError: naming host and port, where a socket cannot be bound.
    """
    for _ in range(_TRIES_FOR_ONE_PORT):
        sockets: list[socket.socket] = []
        wanted = port
        try:
            for host in hosts:
                try:
                    sockets.append(_open_socket(host, wanted))
                except OSError as error:
                    if ":" in host and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL) and len(hosts) > 1:
                        continue
                    raise
                wanted = sockets[-1].getsockname()[1]
        except OSError as error:
            for opened in sockets:
                opened.close()
            if port == 0 and error.errno == errno.EADDRINUSE:
                continue
            raise ConfigurationError([f"media port {host}:{wanted}/udp cannot be opened: {error.strerror}"]) from error
        if not sockets:
            raise ConfigurationError(["media port: none of the hosts exists on this machine"])
        return sockets
    raise ConfigurationError(["media port: no port is free on all hosts"])


def _open_socket(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class MediaPort:
    """All participants of an engine behind one UDP port."""

    def __init__(self, sockets: Sequence[socket.socket], addresses: Sequence[str]) -> None:
        self._sockets = list(sockets)
        self._connections: dict[str, Connection] = {}  # by our user fragment
        self.handshakes = Handshakes()
        self.path = PacketPath(self)
        self.number: int = self._sockets[0].getsockname()[1]
        self.candidates = tuple((address, self.number) for address in addresses)

    def start(self) -> None:
        """Begin to read, on the running loop."""
        for sock in self._sockets:
            add_media_reader(sock, self.path.receive)

    def new_credentials(self, connection: Connection) -> tuple[str, str]:
        """Return a user fragment and a password under which this connection is found from now on."""
        ufrag = secrets.token_hex(4)
        while ufrag in self._connections:
            ufrag = secrets.token_hex(4)
        self._connections[ufrag] = connection
        return ufrag, secrets.token_hex(12)

    def forget_credentials(self, ufrag: str) -> None:
        """Answer no check under this user fragment any more."""
        self._connections.pop(ufrag, None)

    def other_datagram(self, data: bytes, address: Address, sock: socket.socket) -> None:
        """Take a STUN check or a DTLS record (RFC 7983, 7); all else is dropped."""
        if not data:
            return
        if data[0] < 4:
            self._check_arrived(data, address, sock)
        elif 19 < data[0] < 64 and (connection := self.path.connections.get(address)) is not None:
            connection.dtls_arrived(data, address, sock)

    def _check_arrived(self, data: bytes, address: Address, sock: socket.socket) -> None:
        connection = self._connections.get(named_user(data) or "")
        if connection is None or not connection.may_check() or (request := read_binding_request(data)) is None:
            return  # silently: whoever does not know the password learns nothing
        password = connection.password_of(request.local_ufrag)
        if password is None or not request.is_authentic(password):
            return
        answer = binding_success(request.transaction_id, (address[0], address[1]), password)
        try:
            sock.sendto(answer, address)
        except OSError:
            return
        if self.path.connections.get(address) is not connection:
            self._learn(address, connection)
        connection.checked(address, sock, nominated=request.nominates)

    def _learn(self, address: Address, connection: Connection) -> None:
        connections = self.path.connections
        others = [a for a, owner in connections.items() if owner is connection and a != connection.address]
        for stale in others[: max(0, len(others) + 2 - _MOST_ADDRESSES)]:
            del connections[stale]
        self.path.connections[address] = connection

    def forget(self, connection: Connection) -> None:
        """Route nothing to this connection any more."""
        for table in (self._connections, self.path.connections):
            for key in [key for key, owner in table.items() if owner is connection]:
                del table[key]  # type: ignore[arg-type]

    def close(self) -> None:
        """Give the port back."""
        for sock in self._sockets:
            remove_media_reader(sock)
            sock.close()
        self._sockets.clear()
