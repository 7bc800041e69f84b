"""The embedded engine: all rooms of one service on one UDP port, in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from random import Random
from secrets import SystemRandom
from time import monotonic
from typing import Self

from appliance.errors import room_error
from appliance.media_engine import (
    Listener,
    MediaEngine,
    PeerConnectionState,
    PublishedTrack,
    ReceivingWishes,
    RoomMediaPolicy,
)
from appliance.sfu.connection import Connection, ConnectionEvents
from appliance.sfu.peer import Peer
from appliance.sfu.port import MediaPort, open_sockets, own_addresses
from appliance.sfu.pressure import Pressure
from appliance.sfu.rota import Rota
from appliance.sfu.router import Router
from appliance.sfu.transport import Certificate, make_certificate
from appliance.sids import ParticipantSid, RoomSid, TrackSid

logger = logging.getLogger(__name__)

TICK_S = 0.05
_AT_ONCE_S = 0.0005
"""After so long of everybody's turns packets are looked for again: a room of ten took 7 ms for one round of them, and
whatever came meanwhile waited."""
_CLOSE_LIMIT_S = 5.0
_NO_WISHES = ReceivingWishes()


class EmbeddedEngine:
    """Satisfies MediaEngine. Made by `open`, ended by `close`."""

    def __init__(self, port: MediaPort, certificate: Certificate) -> None:
        self._port = port
        self._certificate = certificate
        self._random: Random = SystemRandom()
        self._routers: dict[RoomSid, Router] = {}
        self._peers: dict[Peer, RoomSid] = {}
        self._rota = Rota(TICK_S)
        self._pressure = Pressure()
        self._ticking: asyncio.TimerHandle | None = None
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        hosts: Sequence[str] = ("0.0.0.0", "::"),
        port: int = 0,
        advertised_addresses: Sequence[str] = (),
        certificate: Certificate | None = None,
    ) -> Self:
        """Bind the port and begin to serve.

        Args:
            hosts: addresses to bind; an IPv6 one is left out on a machine without IPv6.
            port: UDP; 0 takes a free one, to be read from `port`.
            advertised_addresses: what clients are told to send to, best first; the host's own where none is given.
            certificate: for DTLS; made anew where none is given.

        Raises:
            ConfigurationError: the port cannot be had.
        """
        sockets = open_sockets(hosts, port)
        families = {":" in sock.getsockname()[0] for sock in sockets}
        bound = [sock.getsockname()[0] for sock in sockets]
        wildcard = any(host in ("0.0.0.0", "::") for host in bound)
        default = own_addresses() if wildcard else bound
        addresses = [address for address in advertised_addresses or default if (":" in address) in families]
        media_port = MediaPort(sockets, addresses or bound)
        media_port.start()
        logger.info("media on port %d/udp, advertised as %s", media_port.number, ", ".join(addresses))
        return cls(media_port, certificate or make_certificate())

    @property
    def port(self) -> int:
        """The UDP port that all media uses."""
        return self._port.number

    @property
    def packets_forwarded(self) -> int:
        return self._port.path.forwarded

    def join(
        self,
        room_sid: RoomSid,
        participant_sid: ParticipantSid,
        policy: RoomMediaPolicy,
        listener: Listener,
        *,
        tracks: Sequence[PublishedTrack],
        receive: frozenset[TrackSid],
        peer_connections: Sequence[PeerConnectionState],
        wishes: ReceivingWishes = _NO_WISHES,
        channels: frozenset[str] = frozenset(),
        layer_hints: bool = False,
    ) -> Peer:
        """Take a participant in (see MediaEngine)."""
        if self._is_closed:
            raise room_error(53305)
        now = monotonic()
        router = self._routers.get(room_sid)
        if router is None:
            router = self._routers[room_sid] = Router(self._pressure)
            self._rota.enter(router.listen, now)
        peer = Peer(
            participant_sid,
            router,
            policy,
            listener,
            self._connect,
            monotonic,
            self._left,
            layer_hints=layer_hints,
        )
        self._peers[peer] = room_sid
        self._rota.enter(peer.tick, now)
        router.enter(peer)
        peer.publish(tracks)
        peer.allot(wishes)
        peer.data.open_channels(channels)
        peer.receive(receive)
        peer.describe(peer_connections)
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        return peer

    def _connect(self, policy: RoomMediaPolicy, events: ConnectionEvents) -> Connection:
        return Connection(self._port, self._certificate, policy, events, self._random)

    def _tick(self) -> None:
        """Give a turn to those whose it is, in portions: between two of them packets are forwarded."""
        began = now = monotonic()
        if self._pressure.look(self._port.path.shed, now):
            logger.warning("this machine has no time for all pictures: they become smaller, some are left out")
        try:
            while now - began < _AT_ONCE_S and (turn := self._rota.take(now)) is not None:
                turn(now)
                now = monotonic()
        finally:  # whoever's turn fails, the others have theirs
            wait_s = self._rota.wait_s(now)
            self._ticking = None if wait_s is None else asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _left(self, peer: Peer) -> None:
        """A participant's media has ended; a room that is empty is forgotten."""
        self._rota.leave(peer.tick)
        room_sid = self._peers.pop(peer, None)
        if room_sid is not None and self._routers[room_sid].is_empty:
            self._rota.leave(self._routers.pop(room_sid).listen)

    async def close(self) -> None:
        """End all participants and give the port back. Closing twice is fine."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            async with asyncio.timeout(_CLOSE_LIMIT_S):
                await asyncio.gather(*(peer.close() for peer in list(self._peers)))
        except TimeoutError:
            logger.warning("not every participant could be ended within %.0f s", _CLOSE_LIMIT_S)
        if self._ticking is not None:
            self._ticking.cancel()
        self._port.close()


_satisfies: type[MediaEngine] = EmbeddedEngine  # checked by mypy
