"""A media engine that moves nothing but negotiates as a real one: answers, offers, subscriptions, revisions."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from appliance.media_engine import (
    ChannelClosed,
    ChannelMessage,
    ChannelOpened,
    Description,
    DescriptionType,
    Happening,
    Listener,
    Negotiate,
    PeerConnectionState,
    PeerFigures,
    PublishedTrack,
    ReceivingWishes,
    RoomMediaPolicy,
    Subscription,
    TrackKind,
)
from appliance.sids import ParticipantSid, RoomSid, TrackSid

NOTHING_SAID = ReceivingWishes()


@dataclass
class FakeData:
    """Satisfies DataPeer. Channels open in a later turn; `sent` holds what was written, by label, oldest first."""

    say: Callable[[Happening], None]
    wanted: frozenset[str] = frozenset()
    open: set[str] = field(default_factory=set)
    spent: set[str] = field(default_factory=set)
    sent: list[tuple[str, str]] = field(default_factory=list)

    def open_channels(self, labels: frozenset[str]) -> None:
        self.wanted = labels
        self.open &= labels
        self.spent &= labels
        for label in sorted(labels - self.open - self.spent):
            self.open.add(label)
            self.say(ChannelOpened(label=label))

    def send(self, label: str, text: str) -> None:
        if label in self.open:
            self.sent.append((label, text))

    def write(self, label: str, text: str) -> None:
        """Let the client write on a channel."""
        assert label in self.open, f"{label} is not open"
        self.say(ChannelMessage(label=label, text=text))

    def close(self) -> None:
        """Let every channel die, as with the peer connection that carries them."""
        for label in sorted(self.open):
            self.spent.add(label)
            self.say(ChannelClosed(label=label))
        self.open.clear()

    def texts(self, label: str) -> list[str]:
        return [text for to, text in self.sent if to == label]


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
    layer_hints: bool = False
    unusable: frozenset[TrackKind] = frozenset()
    allotted: list[ReceivingWishes] = field(default_factory=list)
    resets: list[TrackSid] = field(default_factory=list)
    measured: PeerFigures = field(default_factory=PeerFigures)
    _count: int = 0
    data: FakeData = field(init=False)

    def __post_init__(self) -> None:
        self.data = FakeData(self.say)

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
        return self.measured

    def allot(self, wishes: ReceivingWishes) -> None:
        self.allotted.append(wishes)

    def layers_reset(self, track: TrackSid) -> None:
        self.resets.append(track)

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
        wishes: ReceivingWishes = NOTHING_SAID,
        channels: frozenset[str] = frozenset(),
        layer_hints: bool = False,
    ) -> FakePeer:
        others = self.peers.setdefault(room_sid, [])
        room = others[0].room if others else {}
        peer = FakePeer(participant_sid, listener, room, wanted=receive, peers=others, layer_hints=layer_hints)
        others.append(peer)
        if self.before_answer:
            self.before_answer(peer)
        peer.describe(peer_connections)
        peer.publish(tracks)
        peer.allot(wishes)
        peer.data.open_channels(channels)
        return peer

    def peer(self, sid: str) -> FakePeer:
        """Return the living peer of this participant."""
        return next(peer for peers in self.peers.values() for peer in peers if peer.participant_sid == sid)

    async def close(self) -> None:
        for peers in self.peers.values():
            for peer in list(peers):
                await peer.close()
