"""Applies what was decided to what runs: the store, the media engine, and the sockets of everybody concerned.

Everything here happens in one turn of the event loop; only the store's commit is waited for, by who wants to.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from appliance.clock import Clock
from appliance.errors import (
    ParticipantDuplicateIdentityError,
    RoomCompletedError,
    RoomError,
    SignalingConnectionTimeoutError,
    room_error,
)
from appliance.media_engine import (
    ChannelClosed,
    ChannelMessage,
    ChannelOpened,
    Connected,
    Happening,
    LayersWanted,
    Lost,
    LoudestSpeaker,
    MediaEngine,
    MediaPeer,
    Negotiate,
    PeerFailed,
    PublishedTrack,
    RoomMediaPolicy,
    SwitchedOff,
    TrackFailed,
    TrackFlowing,
    TrackKind,
)
from appliance.rooms.asked import Asked
from appliance.rooms.conversation import (
    Changed,
    Failed,
    Farewell,
    RoomEnded,
    participant_state,
)
from appliance.rooms.events import EndReason, LeaveReason
from appliance.rooms.media_signaling import MediaSignaling
from appliance.rooms.publishing import PublishingOutcome, Track, TrackWish
from appliance.rooms.registry import Registry, RoomEntry, Stay
from appliance.rooms.room import Change, Participant, ParticipantStatus, RoomStatus
from appliance.rooms.side_channels import SideChannels, granted
from appliance.rooms.store.changes import write_change
from appliance.rooms.store.store import Store
from appliance.sids import ParticipantSid, RoomSid, new_track_sid

log = logging.getLogger(__name__)

_REMEMBERED_SESSIONS = 2000
CommitListener = Callable[[RoomSid], None]


class Running:
    """Rooms in progress and what runs for them.

    `sinks_of` names the sinks that a room's events are due to; `on_events` hears of a room whose events are committed.
    """

    def __init__(self, engine: MediaEngine, store: Store, clock: Clock, *, over_mqtt: bool) -> None:
        self.registry = Registry()
        self.engine = engine
        self.store = store
        self.clock = clock
        self._signaling = MediaSignaling(self.registry, clock)
        self._over_mqtt = over_mqtt
        self._listeners: list[CommitListener] = []
        self._state_listeners: list[CommitListener] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._ended_sessions: OrderedDict[str, RoomError] = OrderedDict()

    def on_events(self, listener: CommitListener) -> None:
        self._listeners.append(listener)

    def on_states(self, listener: CommitListener) -> None:
        self._state_listeners.append(listener)

    def why_ended(self, session: str) -> RoomError | None:
        """Return what a client that wants to resume this session has to be told, None where it is not known here."""
        return self._ended_sessions.get(session)

    def remember(self, entry: RoomEntry, participant: Participant, session: str) -> None:
        """Take up a stay of an earlier life of the service, which has neither socket nor media yet."""
        answered = asyncio.get_running_loop().create_future()
        answered.set_result(None)
        # Revisions of an earlier life were counted from 1, or from an earlier time (signaling.md 2.9).
        revision = int(self.clock.now().timestamp() * 1000)
        stay = Stay(
            room_sid=entry.room.sid,
            participant_sid=participant.sid,
            identity=participant.identity,
            session=session,
            answered=answered,
            client_revision=0,
            lost_at=self.clock.monotonic(),
            early=None,
            published_revision=revision,
            subscribed_revision=revision,
        )
        entry.stays[participant.sid] = stay
        self.registry.add_session(stay)

    def rejoin(self, stay: Stay, asked: Asked) -> MediaPeer:
        """Give media to a stay of an earlier life, as it asked for it then; the engine will ask for an offer.

        Raises:
            RoomError: 53305 where the engine has no room left.
        """
        found = self.find(stay)
        assert found, "a stay that is not over has a participant"
        entry, participant = found
        stay.receive(entry.room.received_by(participant.sid, participant.rules), self.clock.now())
        stay.channels = SideChannels(granted(asked.channels, entry.room.settings), asked.profile, openings=2)
        stay.peer = self.engine.join(
            stay.room_sid,
            stay.participant_sid,
            media_policy(entry),
            lambda happening: self.happened(stay, happening),
            tracks=media_tracks(participant.tracks),
            receive=stay.receiving,
            peer_connections=(),
            wishes=stay.channels.wishes,
            channels=stay.channels.wanted,
            layer_hints=stay.channels.hints_layers,
        )
        return stay.peer

    def apply(
        self, entry: RoomEntry, change: Change, farewells: Mapping[ParticipantSid, Farewell] | None = None
    ) -> "asyncio.Future[None]":
        """Bring a change about: write it, part with those who left, tell those who stay.

        Args:
            farewells: what those who left are told; RoomEnded where nothing is said and the room ended, else nothing.

        Returns:
            A future that is done with the commit.
        """
        before = {participant.sid: participant for participant in entry.room.participants}
        entry.room = change.room
        written = self.write(change)
        for participant in change.participants.values():
            if participant.status is ParticipantStatus.DISCONNECTED:
                self._part(entry, participant, farewells or {})
        if change.room.status is not RoomStatus.IN_PROGRESS:
            self.registry.remove(entry)
        visible = [each for each in change.participants.values() if _is_news(before.get(each.sid), each)]
        states = [participant_state(participant) for participant in visible]
        for stay in entry.stays.values():
            seen = tuple(state for state in states if state.sid != stay.participant_sid)
            if seen:
                stay.tell(Changed(participants=seen))
        if any(_matter(before.get(sid)) != _matter(each) for sid, each in change.participants.items()):
            self.resubscribe(entry)
        if not change.events:
            for listener in self._state_listeners:
                listener(change.room.sid)
        _log(change)
        return written

    def write(self, change: Change) -> "asyncio.Future[None]":
        sinks = ["http"] if change.room.settings.status_callback else []
        sinks += ["mqtt"] if self._over_mqtt else []
        written = self.store.write(write_change(change, sinks))
        if change.events and sinks:
            written.add_done_callback(lambda future: self._committed(future, change.room.sid))
        return written

    def _committed(self, written: "asyncio.Future[None]", room_sid: RoomSid) -> None:
        if not written.cancelled() and not written.exception():
            for listener in self._listeners:
                listener(room_sid)

    def _part(self, entry: RoomEntry, participant: Participant, farewells: Mapping[ParticipantSid, Farewell]) -> None:
        stay = entry.stays.pop(participant.sid, None)
        if not stay:
            return
        ended = entry.room.status is not RoomStatus.IN_PROGRESS
        farewell = farewells.get(participant.sid) or (RoomEnded() if ended else None)
        if farewell:
            stay.tell(farewell)  # one who left by itself has no socket to be told by any more
        self.forget(stay, farewell)

    def forget(self, stay: Stay, farewell: Farewell | None) -> None:
        """Free what a stay held; its session cannot be resumed any more."""
        stay.over, stay.farewell = True, farewell
        stay.attachment = None
        self.registry.remove_session(stay.session)
        self._ended_sessions[stay.session] = _reason_for_client(farewell)
        while len(self._ended_sessions) > _REMEMBERED_SESSIONS:
            self._ended_sessions.popitem(last=False)
        if stay.peer:
            closing = asyncio.create_task(stay.peer.close(), name=f"close media of {stay.participant_sid}")
            self._closing.add(closing)
            closing.add_done_callback(self._closed)

    def _closed(self, closing: "asyncio.Task[None]") -> None:
        self._closing.discard(closing)
        if not closing.cancelled() and closing.exception():
            log.error("%s failed", closing.get_name(), exc_info=closing.exception())

    async def wait_closed(self) -> None:
        """Wait for the media of everybody who left."""
        await asyncio.gather(*self._closing, return_exceptions=True)

    def resubscribe(self, entry: RoomEntry) -> None:
        """Want everybody to receive what their rules say now."""
        now = self.clock.now()
        for participant in entry.room.participants:
            stay = entry.stays.get(participant.sid)
            if not stay:
                continue
            wanted = entry.room.received_by(participant.sid, participant.rules)
            if stay.receive(wanted, now) and stay.peer:
                stay.peer.receive(wanted)
                self._signaling.receives(stay)

    # --- tracks -------------------------------------------------------------------------------------------------------

    def publish(self, entry: RoomEntry, stay: Stay, participant: Participant, wishes: Sequence[TrackWish]) -> None:
        """Let a participant publish what it wishes for, as far as it may; what was refused once stays refused."""
        now = self.clock.now()
        wished = {wish.id for wish in wishes}
        still_refused = {client_id: error for client_id, error in stay.refused.items() if client_id in wished}
        fresh = [wish for wish in wishes if wish.id not in still_refused]
        unusable = stay.peer.unusable if stay.peer else frozenset[TrackKind]()
        outcome = entry.room.plan_tracks(participant, fresh, now, new_track_sid, unusable)
        refused = {**still_refused, **outcome.refused}
        if outcome.tracks != participant.tracks and stay.peer:
            stay.peer.publish(media_tracks(outcome.tracks))
            stay.channels.publishes(track.sid for track in outcome.tracks)
        if outcome.added or outcome.removed or refused.keys() != stay.refused.keys():
            stay.refused = refused
            stay.published_revision += 1
            stay.tell(Changed(published=stay.published(outcome.tracks)))
        change = entry.room.publish(participant, outcome, now)
        if not change.is_empty:
            self.apply(entry, change)

    # --- what the engine reports --------------------------------------------------------------------------------------

    def happened(self, stay: Stay, happening: Happening) -> None:
        """Take a happening of the engine; one of somebody who is gone does not matter any more."""
        if stay.over:
            return
        match happening:
            case Negotiate():
                self._negotiate(stay, happening)
            case PeerFailed(code=code, message=message) if not stay.answered.done():
                stay.answered.set_exception(room_error(code, message))
            case PeerFailed(code=code, message=message):
                self._give_up(stay, Failed(code, message))
            case Lost(reason=reason):
                log.info("%s in %s: media lost: %s", stay.participant_sid, stay.room_sid, reason)
                self._give_up(stay, Failed(53405, "Media connection failed or Media activity ceased"))
            case TrackFailed():
                self._track_failed(stay, happening)
            case Connected() | TrackFlowing():
                log.debug("%s in %s: %s", stay.participant_sid, stay.room_sid, happening)
            case ChannelOpened() | ChannelMessage() | ChannelClosed():
                self._signaling.happened(stay, happening)
            case LoudestSpeaker() | SwitchedOff() | LayersWanted():
                self._signaling.happened(stay, happening)

    def _negotiate(self, stay: Stay, happening: Negotiate) -> None:
        subscribed = None
        if happening.subscriptions is not None and happening.subscriptions != stay.subscriptions:
            stay.subscriptions = happening.subscriptions
            stay.subscribed_revision += 1
            subscribed = stay.subscribed()
        if stay.early is not None:
            stay.early.extend(happening.peer_connections)
            if not stay.answered.done():
                stay.answered.set_result(None)
        elif subscribed or happening.peer_connections:
            stay.tell(Changed(subscribed=subscribed, peer_connections=happening.peer_connections))

    def find(self, stay: Stay) -> tuple[RoomEntry, Participant] | None:
        """Return the room and the participant of a stay, or None when it is over."""
        entry = self.registry.entry_of(stay)
        participant = entry.room.participant(stay.participant_sid) if entry else None
        return (entry, participant) if entry and participant else None

    def _give_up(self, stay: Stay, farewell: Failed) -> None:
        self.disconnect(stay, LeaveReason.CONNECTION_LOST, farewell)

    def disconnect(
        self, stay: Stay, reason: LeaveReason, farewell: Farewell | None = None
    ) -> "asyncio.Future[None] | None":
        """Let somebody leave, telling its socket `farewell`; None where it left before."""
        found = self.find(stay)
        if not found:
            return None
        entry, participant = found
        change = entry.room.disconnect(participant, reason, self.clock.now())
        return self.apply(entry, change, {participant.sid: farewell} if farewell else {})

    def _track_failed(self, stay: Stay, failed: TrackFailed) -> None:
        found = self.find(stay)
        track = next((each for each in found[1].tracks if each.sid == failed.track_sid), None) if found else None
        if not found or not track:
            return
        entry, participant = found
        log.warning("%s of %s cannot be taken in: %s %s", track.sid, participant.sid, failed.code, failed.message)
        left = tuple(each for each in participant.tracks if each.sid != track.sid)
        stay.refused[track.client_id] = room_error(failed.code, failed.message)
        stay.published_revision += 1
        stay.tell(Changed(published=stay.published(left)))
        if stay.peer:
            stay.peer.publish(media_tracks(left))
        outcome = PublishingOutcome(tracks=left, removed=(track,))
        self.apply(entry, entry.room.publish(participant, outcome, self.clock.now()))

    def end(self, entry: RoomEntry, status: RoomStatus, reason: EndReason) -> "asyncio.Future[None]":
        return self.apply(entry, entry.room.end(status, reason, self.clock.now()))


def _is_news(before: Participant | None, after: Participant) -> bool:
    """Tell whether the others see a participant change; what it wants to receive is its own affair."""
    return before is None or before.revision != after.revision


def _matter(participant: Participant | None) -> tuple[object, ...] | None:
    """Return what subscribe rules look at. Muting is not in it: no reason to look through a whole room."""
    if participant is None or participant.status is ParticipantStatus.DISCONNECTED:
        return None
    return participant.rules, tuple((track.sid, track.priority) for track in participant.tracks)


def media_tracks(tracks: Sequence[Track]) -> tuple[PublishedTrack, ...]:
    return tuple(
        PublishedTrack(
            sid=track.sid,
            client_id=track.client_id,
            kind=track.kind,
            enabled=track.enabled,
            priority=track.priority,
        )
        for track in tracks
    )


def media_policy(entry: RoomEntry) -> RoomMediaPolicy:
    settings = entry.room.settings
    return RoomMediaPolicy(video_codecs=settings.video_codecs, audio_only=settings.audio_only)


def _reason_for_client(farewell: Farewell | None) -> RoomError:
    match farewell:
        case RoomEnded():
            return RoomCompletedError()
        case Failed(code=53205):
            return ParticipantDuplicateIdentityError()
        case Failed(code=code, message=message) if code != 53405:
            return room_error(code, message)
        case _:
            return SignalingConnectionTimeoutError()


def _log(change: Change) -> None:
    """Write one line for each change of state; enabling and disabling is the participants' own affair."""
    for event in change.events:
        who = event.params.get("ParticipantSid", "")
        track = event.params.get("TrackSid", "")
        level = logging.DEBUG if track else logging.INFO
        about = " ".join(str(part) for part in (change.room.sid, who, track, event.reason) if part)
        log.log(level, "%s: %s", event.name, about)
