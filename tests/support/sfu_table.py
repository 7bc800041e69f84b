"""A room of the engine whose members are written by hand: their end of the wire is a list, no network is there."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from appliance.media_engine import (
    Description,
    DescriptionType,
    Happening,
    Negotiate,
    PeerConnectionState,
    PublishedTrack,
    RoomMediaPolicy,
    TrackKind,
)
from appliance.sfu.connection import Connection
from appliance.sfu.peer import Peer
from appliance.sfu.pressure import Pressure
from appliance.sfu.router import Router
from appliance.sids import ParticipantSid, TrackSid, new_track_sid
from tests.support.sfu_harness import CERTIFICATE, CHROMIUM_OFFER, Harness

NO_TRACKS = CHROMIUM_OFFER.replace("a=sendrecv", "a=recvonly")
AUDIO = PublishedTrack(sid=new_track_sid(), client_id="aud-a", kind=TrackKind.AUDIO)
VIDEO = PublishedTrack(sid=new_track_sid(), client_id="vid-a", kind=TrackKind.VIDEO)


def state(kind: str, revision: int, sdp: str | None = None, pc: str = "pc") -> PeerConnectionState:
    return PeerConnectionState(id=pc, description=Description(type=DescriptionType(kind), revision=revision, sdp=sdp))


@dataclass
class Table:
    """A room and its members on a network of lists."""

    harness: Harness = field(default_factory=Harness)
    router: Router = field(default_factory=lambda: Router(Pressure()))
    now: float = 0.0

    def seat(self, name: str, policy: RoomMediaPolicy | None = None) -> "Seat":
        seat = Seat(name)
        seat.peer = Peer(
            ParticipantSid(name),
            self.router,
            policy or RoomMediaPolicy(),
            seat.happenings.append,
            lambda policy, events: Connection(self.harness.port, CERTIFICATE, policy, events, Random(1)),
            lambda: self.now,
            lambda peer: None,
        )
        self.router.enter(seat.peer)
        return seat


@dataclass
class Seat:
    name: str
    happenings: list[Happening] = field(default_factory=list)
    peer: Peer = field(init=False)

    async def told(self) -> list[Happening]:
        """Return and forget what was told, when the loop has come to rest."""
        for _ in range(6):
            await asyncio.sleep(0)
        told, self.happenings[:] = list(self.happenings), []
        return told

    async def negotiated(self) -> Negotiate:
        [happening] = await self.told()
        assert isinstance(happening, Negotiate)
        return happening

    def join(
        self, tracks: Sequence[PublishedTrack] = (), want: Sequence[TrackSid] = (), offer: str = NO_TRACKS
    ) -> None:
        self.peer.publish(tracks)
        self.peer.receive(frozenset(want))
        self.peer.describe((state("offer", 1, offer),))


def sections(negotiate: Negotiate) -> list[str]:
    """Return the sections of the one description in it."""
    [entry] = negotiate.peer_connections
    assert entry.description is not None
    assert entry.description.sdp is not None
    return re.split(r"\r\n(?=m=)", entry.description.sdp)[1:]


def answer_to(negotiate: Negotiate, direction: str = "recvonly") -> PeerConnectionState:
    """Answer an offer as a browser would: our directions turned round, in the new sections `direction`."""
    [entry] = negotiate.peer_connections
    assert entry.description is not None
    turned = {"sendonly": direction, "recvonly": "sendonly", "sendrecv": "sendrecv", "inactive": "inactive"}
    lines = [
        "a=" + turned[line[2:]] if line[2:] in turned else line
        for line in (entry.description.sdp or "").split("\r\n")
        if not line.startswith(("a=ssrc", "a=msid:", "a=candidate"))
    ]
    return state("answer", entry.description.revision, "\r\n".join(lines))
