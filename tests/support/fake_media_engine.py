"""A media engine that moves nothing but negotiates as a real one: answers, offers, subscriptions, revisions."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from appliance.media_engine import (
    Description,
    DescriptionType,
    Happening,
    Listener,
    Negotiate,
    PeerConnectionState,
    PeerFigures,
    PublishedTrack,
    RoomMediaPolicy,
    Subscription,
)
from appliance.sids import ParticipantSid, RoomSid, TrackSid


@dataclass
class FakePeer:
    """Satisfies MediaPeer. Says everything in a later turn of the loop, as an engine elsewhere would."""

    participant_sid: ParticipantSid
    listener: Listener
    room: dict[TrackSid, "FakePeer"]
    wanted: frozenset[TrackSid] = frozenset()
    published: tuple[PublishedTrack, ...] = ()
    given: tuple[Subscription, ...] = ()
    revisions: dict[str, int] = field(default_factory=dict)
    outstanding: dict[str, Description] = field(default_factory=dict)
    closed: bool = False
    away: bool = False
    asked: str = ""
    peers: "list[FakePeer]" = field(default_factory=list)
    _count: int = 0

    def publish(self, tracks: Sequence[PublishedTrack]) -> None:
        for track in self.published:
            self.room.pop(track.sid, None)
        self.published = tuple(tracks)
        self.room.update({track.sid: self for track in tracks})
        for peer in self.peers:
            peer.give()

    def receive(self, tracks: frozenset[TrackSid]) -> None:
        self.wanted = tracks
        self.give()

    def describe(self, states: Sequence[PeerConnectionState]) -> None:
        answers = tuple(filter(None, (self._take(state) for state in states)))
        if answers:
            self.say(Negotiate(peer_connections=answers))

    def went_away(self) -> None:
        self.away = True

    def resync(self, states: Sequence[PeerConnectionState]) -> tuple[PeerConnectionState, ...]:
        self.away = False
        if not self.revisions:
            self.asked = self.asked or f"new-{self.participant_sid[-4:]}"
            again = Description(type=DescriptionType.CREATE_OFFER, revision=1)
            return (PeerConnectionState(id=self.asked, description=again),)
        seen = {state.id: state.description.revision for state in states if state.description}
        answers = {state.id: self._take(state) for state in states if seen.get(state.id, 0) > self.revisions[state.id]}
        living = (PeerConnectionState(id=key, description=self.outstanding.get(key)) for key in self.revisions)
        return tuple(answers.get(state.id) or state for state in living)

    def figures(self) -> PeerFigures:
        return PeerFigures()

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.publish(())
            self.peers.remove(self)

    # --- how it negotiates ---

    def _take(self, state: PeerConnectionState) -> PeerConnectionState | None:
        description = state.description
        if not description:
            return None
        if description.type is DescriptionType.ANSWER:
            self.outstanding.pop(state.id, None)
            return None
        if state.id in self.outstanding:
            return None  # the client is polite and will offer again
        self.revisions[state.id] = description.revision
        return _described(state.id, DescriptionType.ANSWER, description.revision)

    def give(self) -> None:
        """Offer what is wanted and there, where that is not what is given already."""
        there = sorted(sid for sid in self.wanted if sid in self.room and self.room[sid] is not self)
        if self.closed or there == [subscription.track_sid for subscription in self.given]:
            return
        known = {subscription.track_sid: subscription for subscription in self.given}
        self.given = tuple(known.get(sid) or self._subscription(sid) for sid in there)
        offers = []
        for key in self.revisions:
            self.revisions[key] += 1
            offer = _described(key, DescriptionType.OFFER, self.revisions[key])
            assert offer.description
            self.outstanding[key] = offer.description
            offers.append(offer)
        self.say(Negotiate(peer_connections=tuple(offers), subscriptions=self.given))

    def _subscription(self, sid: TrackSid) -> Subscription:
        self._count += 1
        return Subscription(track_sid=sid, id=f"s-{self.participant_sid[-4:]}-{self._count}")

    def say(self, happening: Happening) -> None:
        asyncio.get_running_loop().call_soon(lambda: None if self.closed else self.listener(happening))


def _described(key: str, kind: DescriptionType, revision: int) -> PeerConnectionState:
    return PeerConnectionState(id=key, description=Description(type=kind, revision=revision, sdp=f"{kind} {revision}"))


@dataclass
class FakeMediaEngine:
    """Satisfies MediaEngine. `before_answer`, if set, is called with every first answer before it is given."""

    peers: dict[RoomSid, list[FakePeer]] = field(default_factory=dict)
    before_answer: Callable[[FakePeer], None] | None = None

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
    ) -> FakePeer:
        others = self.peers.setdefault(room_sid, [])
        room = others[0].room if others else {}
        peer = FakePeer(participant_sid, listener, room, wanted=receive, peers=others)
        others.append(peer)
        if self.before_answer:
            self.before_answer(peer)
        peer.describe(peer_connections)
        peer.publish(tracks)
        return peer

    def peer(self, sid: str) -> FakePeer:
        """Return the living peer of this participant."""
        return next(peer for peers in self.peers.values() for peer in peers if peer.participant_sid == sid)

    async def close(self) -> None:
        for peers in self.peers.values():
            for peer in list(peers):
                await peer.close()
