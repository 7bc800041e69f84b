"""One participant: its exchanges of descriptions, what it publishes, what it receives."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ParamSpec

from appliance.errors import RemoteProtocolError
from appliance.media_engine import (
    Connected,
    Description,
    DescriptionType,
    Happening,
    Listener,
    Lost,
    LoudestSpeaker,
    Negotiate,
    PeerConnectionState,
    PeerFailed,
    PeerFigures,
    PublishedTrack,
    ReceivingWishes,
    RoomMediaPolicy,
    TrackFailed,
    TrackFlowing,
    TrackKind,
)
from appliance.sfu.allotment import Allotment
from appliance.sfu.allowance import Allowance
from appliance.sfu.connection import Connection, ConnectionEvents
from appliance.sfu.data_relay import DataRelay
from appliance.sfu.description import LocalSection, read_description
from appliance.sfu.layer_hints import LayerHints
from appliance.sfu.own_channels import OwnChannels
from appliance.sfu.patience import Patience, Verdict
from appliance.sfu.producer import Producer
from appliance.sfu.router import Router
from appliance.sfu.subscriptions import NO_CODEC, Subscriptions
from appliance.sfu.transport import SecureTransport
from appliance.sids import ParticipantSid, TrackSid

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")

LINGER_S = 2.0
"""A connection that the client is told to close is ended a little later: DTLS must not tell it first (4.7)."""

_OFFERS = (2.0, 40.0)
"""Of the client, per second and at once: reading the largest takes a tenth of a second of everybody's time."""


@dataclass(slots=True, kw_only=True)
class _Offer:
    """Our offer that has no answer yet."""

    revision: int
    sdp: str
    described: tuple[LocalSection, ...]


class Peer:
    """Satisfies MediaPeer.

    One exchange of descriptions at a time; the client's first offer is answered before anything is offered; while an
    offer of ours is open the client's are ignored, it makes them again (signaling.md 4.4). What is wanted changes at
    any time; `_settle` brings it about as soon as no exchange runs.
    """

    def __init__(
        self,
        sid: ParticipantSid,
        router: Router,
        policy: RoomMediaPolicy,
        listener: Listener,
        connect: Callable[[RoomMediaPolicy, ConnectionEvents], Connection],
        now: Callable[[], float],
        on_close: Callable[[Peer], None],
        *,
        layer_hints: bool = False,
    ) -> None:
        self.sid = sid
        self._router = router
        self._policy = policy
        self._listener = listener
        self._connect = connect
        self._now = now
        self._on_close = on_close
        self._layer_hints = LayerHints(self._emit) if layer_hints else None
        self._allotment = Allotment(self._emit, lambda: router.loudest, router.pressure)
        self._loop = asyncio.get_running_loop()
        self._published: dict[TrackSid, Producer] = {}
        self._failed: set[TrackSid] = set()
        self._subscriptions = Subscriptions(router, self._published.__contains__)
        self._connection: Connection | None = None
        self._relay = DataRelay(self._published_data, router.add)
        self._own_channels = OwnChannels(self._emit, self.tracks_changed)
        self._pc_id = ""
        self._closed_ids: set[str] = set()
        self._asked_id = ""
        self._revision = 0
        self._answer: Description | None = None
        self._offer: _Offer | None = None
        self._described_sections = 0
        self._is_settling = False
        self._is_closed = False
        self._was_connected = False
        self._patience = Patience(now())
        self._offers_allowed = Allowance(*_OFFERS)
        self._over = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    # --- MediaPeer

    def publish(self, tracks: Sequence[PublishedTrack]) -> None:
        known = {track.sid: track for track in tracks}
        for sid in [sid for sid in self._published if sid not in known]:
            producer = self._published.pop(sid)
            self._router.remove(producer)
            producer.unbind()
        for track in tracks:
            producer = self._published.setdefault(track.sid, Producer(track, self.sid, self._flows))
            producer.track = track
            producer.on_codec = self._router.codec_changed
        self._bind_publications()

    def receive(self, tracks: frozenset[TrackSid]) -> None:
        self._subscriptions.wanted = tracks
        self.tracks_changed()

    def allot(self, wishes: ReceivingWishes) -> None:
        self._allotment.wish(wishes)

    def layers_reset(self, track: TrackSid) -> None:
        if self._layer_hints is not None:
            self._layer_hints.repeat(track)

    @property
    def unusable(self) -> frozenset[TrackKind]:
        kinds = frozenset[str]() if self._connection is None else self._connection.sections.unusable_kinds
        return frozenset(TrackKind(kind) for kind in kinds)

    @property
    def data(self) -> OwnChannels:
        return self._own_channels

    def describe(self, states: Sequence[PeerConnectionState]) -> None:
        replies = [reply for state in states if (reply := self._described(state)) is not None]
        if replies:
            self._announce(*replies)

    def went_away(self) -> None:
        self._patience.went_away()

    def resync(self, states: Sequence[PeerConnectionState]) -> tuple[PeerConnectionState, ...]:
        if not self._pc_id:
            self._ask_for_offer(states)
        if states and self._connection is not None and self._pc_id not in {state.id for state in states}:
            self._client_closed(self._pc_id)  # it lists all that it has: the farewell went down with a socket (2.9)
        before = self._answer
        replies = [reply for state in states if (reply := self._described(state, again=True)) is not None]
        if self._connection is not None and self._answer is before and self._patience.is_silent(self._now()):
            self._abandon()
            self._announce()  # what it had is unsubscribed before the new connection brings it again
        self._patience.came_back(self._now())
        if self._connection is None:
            return (self._request_for_offer(),) if self._asked_id else ()
        if self._offer is not None:
            self._patience.offered(self._now())
            offer = Description(type=DescriptionType.OFFER, revision=self._offer.revision, sdp=self._offer.sdp)
            return (PeerConnectionState(id=self._pc_id, description=offer),)
        return tuple(replies[-1:]) or (PeerConnectionState(id=self._pc_id),)

    def _ask_for_offer(self, states: Sequence[PeerConnectionState]) -> None:
        """Want a new peer connection of the client; what it names is of a time that we know nothing of (2.9)."""
        self._asked_id = self._asked_id or secrets.token_hex(16)
        self._closed_ids.update(state.id for state in states if state.id != self._asked_id)

    def _request_for_offer(self) -> PeerConnectionState:
        asked = Description(type=DescriptionType.CREATE_OFFER, revision=1)
        return PeerConnectionState(id=self._asked_id, description=asked)

    def figures(self) -> PeerFigures:
        connection = self._connection
        return PeerFigures(
            connected=connection is not None and connection.is_ready,
            address=None if connection is None or connection.address is None else str(connection.address[0]),
            rtt_s=None if connection is None else connection.rtt_s,
            published={sid: producer.figures() for sid, producer in self._published.items()},
            packets_forwarded=0 if connection is None else connection.packets_sent,
            links={} if connection is None else connection.links,
        )

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._over.set()
            self._router.leave(self)
            self._on_close(self)
            self.publish(())
            self._hang_up()
        await asyncio.gather(*self._closing)

    # --- what the client says

    def _described(self, state: PeerConnectionState, *, again: bool = False) -> PeerConnectionState | None:
        """Take one state of the client and return what is to be answered, None for nothing.

        `again`: the client repeats its last description, since the answer to it may have been lost (2.9).
        """
        description = state.description
        if self._is_closed or description is None or state.id in self._closed_ids:
            return None  # candidates alone: a lite agent does not need them
        if description.type is DescriptionType.CLOSE:
            self._client_closed(state.id)
            return None
        try:
            if description.type is DescriptionType.OFFER:
                return self._offered(state.id, description, again=again)
            if description.type is DescriptionType.ANSWER and state.id == self._pc_id:
                self._answered(description)
        except RemoteProtocolError as error:
            logger.warning("%s: %s refused: %s", self.sid, description.type, error)
            self._emit(PeerFailed(code=53403, message=str(error)))
        return None

    def _client_closed(self, pc_id: str) -> None:
        self._closed_ids.add(pc_id)
        if pc_id == self._asked_id:
            self._asked_id = ""  # the client gave up on it, and offers by another one
        if pc_id == self._pc_id:
            self._hang_up()

    def _offered(self, pc_id: str, offer: Description, *, again: bool) -> PeerConnectionState | None:
        if (self._connection is not None and pc_id != self._pc_id) or self._asked_id not in ("", pc_id):
            logger.warning("%s: offer on a second peer connection ignored", self.sid)
            return None
        if self._connection is not None and (self._offer is not None or offer.revision <= self._revision):
            repeated = again and self._answer is not None and offer.revision == self._answer.revision
            return PeerConnectionState(id=pc_id, description=self._answer) if repeated else None
        if not self._offers_allowed.take(self._now()):
            raise RemoteProtocolError("offers come faster than anybody needs to make them")
        description = read_description(offer.sdp or "")
        if self._connection is None:
            self._pick_up(pc_id)
        connection = self._connection
        assert connection is not None
        if connection.apply_offer(description):
            self._patience.replaced(self._now())
        self._revision = offer.revision
        self._subscriptions.displace_what_is_not_taken(connection)
        self._subscriptions.drop_unwanted(connection)
        self._subscriptions.place(connection, self._relay, in_answer=True)
        sdp, described = connection.describe(setup="passive")
        self._completed(described)
        self._answer = Description(type=DescriptionType.ANSWER, revision=offer.revision, sdp=sdp)
        return PeerConnectionState(id=pc_id, description=self._answer)

    def _answered(self, answer: Description) -> None:
        offer, connection = self._offer, self._connection
        if offer is None or connection is None or answer.revision != offer.revision:
            return
        connection.apply_answer(read_description(answer.sdp or ""))
        self._offer = None
        self._patience.answered()
        self._completed(offer.described)

    def _completed(self, described: tuple[LocalSection, ...]) -> None:
        """An exchange is through: both sides know these sections now."""
        connection = self._connection
        assert connection is not None
        connection.sections.exchange_completed(described)
        self._described_sections = len(described)
        for section in connection.sections:
            if section.is_refused:
                self._subscriptions.refused(section, connection)
        self._go_live()
        self._bind_publications()
        self.tracks_changed()

    # --- the connection

    def _pick_up(self, pc_id: str) -> None:
        self._pc_id = pc_id
        self._asked_id = ""
        self._patience.replaced(self._now())
        self._revision = 0
        made: Connection | None = None

        def of_this_one(take: Callable[Arguments, None]) -> Callable[Arguments, None]:
            # One that was given up goes on for a while; what comes of it says nothing of the one in its place.
            def if_it_lives(*arguments: Arguments.args, **named: Arguments.kwargs) -> None:
                if made is self._connection:
                    take(*arguments, **named)

            return if_it_lives

        made = self._connection = self._connect(
            self._policy,
            ConnectionEvents(
                ready=of_this_one(self._ready),
                ended=of_this_one(self._ended),
                streams_found=of_this_one(self._bind_publications),
                data_ready=of_this_one(self._data_ready),
                channel_opened=of_this_one(self._relay.channel_opened),
            ),
        )

    def _replace(self) -> None:
        """Have the client close its peer connection and make another, in one message (signaling.md 4.7)."""
        states: list[PeerConnectionState] = []
        if self._connection is not None:
            close = Description(type=DescriptionType.CLOSE, revision=self._revision + 1)
            states.append(PeerConnectionState(id=self._pc_id, description=close))
            self._abandon()
        self._asked_id = self._asked_id or secrets.token_hex(16)
        self._patience.replaced(self._now())
        self._announce(*states, self._request_for_offer())

    def _abandon(self) -> None:
        """Give the connection up for another one that the client is to make."""
        self._closed_ids.add(self._pc_id)
        self._asked_id = secrets.token_hex(16)
        self._hang_up(linger_s=LINGER_S)

    def _hang_up(self, linger_s: float = 0.0) -> None:
        """End the connection; what is published and wanted stays for the next one."""
        connection, self._connection = self._connection, None
        self._subscriptions.displace_all(connection)
        self._allotment.close()
        self._offer = self._answer = None
        self._described_sections = 0
        self._own_channels.transport_gone()
        self._relay.close()
        self._relay = DataRelay(self._published_data, self._router.add)
        for producer in self._published.values():
            self._router.remove(producer)
            producer.unbind()
        if connection is not None:
            task = self._loop.create_task(self._end(connection, linger_s), name=f"close {self.sid}")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _end(self, connection: Connection, linger_s: float) -> None:
        if linger_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(linger_s):
                    await self._over.wait()
        await connection.close()

    def _data_ready(self, transport: SecureTransport) -> None:
        self._relay.transport_ready(transport)
        self._own_channels.transport_ready(transport)

    def _ready(self) -> None:
        if not self._was_connected:
            self._was_connected = True
            self._emit(Connected())
        self._go_live()

    def _ended(self, reason: str) -> None:
        logger.info("%s: %s", self.sid, reason)
        if self._connection is not None and not self._connection.is_ready:
            self._emit(PeerFailed(code=53407, message=reason))
        # A client that replaces its peer connection closes DTLS first, so this alone is not the end: silence will be.

    def tick(self, now: float) -> None:
        """Do what is due; called by the engine about every 50 ms."""
        connection = self._connection
        if connection is not None:
            connection.tick(now)
            self._allotment.tick(connection, self._subscriptions.consumers.values(), now)
            if self._layer_hints is not None:
                self._layer_hints.tick(self._published.values(), now)
            if connection.address is not None:
                self._patience.heard(connection.heard_at)
        silent_s = now - self._patience.heard_at
        match self._patience.judge(now):
            case Verdict.REPLACE:
                logger.warning("%s: a new peer connection is asked for, heard %.0f s ago", self.sid, silent_s)
                self._replace()
            case Verdict.LOST:
                self._emit(Lost(reason=f"silent for {silent_s:.0f} s"))
            case Verdict.GIVE_UP:
                self._emit(PeerFailed(code=53402, message="offers are never answered"))
            case Verdict.WAIT:
                pass

    # --- what it publishes

    def _published_data(self, label: str) -> Producer | None:
        for producer in self._published.values():
            if producer.track.kind is TrackKind.DATA and producer.track.client_id == label:
                return producer
        return None

    def _flows(self, track: PublishedTrack) -> None:
        self._emit(TrackFlowing(track_sid=track.sid))

    def _bind_publications(self) -> None:
        """Join what is published to what arrives, by the client's id of each (signaling.md 3.1)."""
        sections = [] if self._connection is None else [s for s in self._connection.sections if s.remote.client_sends]
        for producer in self._published.values():
            track = producer.track
            if track.kind is TrackKind.DATA:
                self._relay.bind(track.client_id)
                continue
            section = next(
                (s for s in sections if s.kind == track.kind.value and s.remote.track_id == track.client_id), None
            )
            if section is None or section.is_barred:
                self._router.remove(producer)
                producer.unbind()
            elif section.is_rejected:
                self._track_failed(track)
            else:
                producer.bind(section.streams)
                self._router.add(producer)

    def _track_failed(self, track: PublishedTrack) -> None:
        if track.sid not in self._failed:
            self._failed.add(track.sid)
            self._emit(TrackFailed(track_sid=track.sid, code=NO_CODEC[0], message=NO_CODEC[1]))

    # --- what it receives

    def tracks_changed(self) -> None:
        """Look again at what is wanted, once, when the present turn of the loop is over."""
        if not self._is_settling and not self._is_closed:
            self._is_settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        self._is_settling = False
        connection = self._connection
        if self._is_closed or connection is None:
            return
        self._subscriptions.drop_unwanted(connection)
        if self._offer is not None or self._answer is None:
            self._announce()
            return
        self._subscriptions.place(connection, self._relay, in_answer=False)
        sections = connection.sections
        if self._own_channels.need_transport and sections.lacks_data:
            sections.add_data()
        if len(sections.all) > self._described_sections or any(section.needs_offer for section in sections):
            self._announce(self._make_offer(connection))
        else:
            self._announce()

    def _make_offer(self, connection: Connection) -> PeerConnectionState:
        sdp, described = connection.describe(setup="actpass")
        self._revision += 1
        self._offer = _Offer(revision=self._revision, sdp=sdp, described=described)
        self._patience.offered(self._now())
        description = Description(type=DescriptionType.OFFER, revision=self._revision, sdp=sdp)
        return PeerConnectionState(id=self._pc_id, description=description)

    def loudest_changed(self, loudest: ParticipantSid | None) -> None:
        self._emit(LoudestSpeaker(participant_sid=loudest))
        self._allotment.hurry()

    def _go_live(self) -> None:
        connection = self._connection
        if connection is not None and connection.is_ready and self._subscriptions.go_live(connection):
            self._allotment.hurry()

    # --- telling

    def _announce(self, *states: PeerConnectionState) -> None:
        """Send descriptions and, where they changed, the subscriptions."""
        changed = self._subscriptions.take_change()
        if states or changed is not None:
            self._emit(Negotiate(peer_connections=states, subscriptions=changed))

    def _emit(self, happening: Happening) -> None:
        """Tell the listener, never from inside one of its own calls."""
        self._loop.call_soon(self._deliver, happening)

    def _deliver(self, happening: Happening) -> None:
        if not self._is_closed:
            self._listener(happening)
