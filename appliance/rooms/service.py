"""The use cases of the rooms service: the only door to rooms, for sockets, REST and the guest page alike.

Decisions are made on values (`room.py`) in one turn of the event loop, so that nothing comes between looking and
doing; then the change is queued for the store, everybody it concerns is told, and whoever was promised durability
waits for the commit.
"""

import asyncio
import logging
from datetime import timedelta

from appliance import PRODUCT
from appliance.clock import Clock
from appliance.errors import (
    AccessTokenIssuerInvalidError,
    ParticipantSessionTooLongError,
    RoomCompletedError,
    RoomConnectFailedError,
    RoomError,
    RoomQuotaExceededError,
    RoomRoomExistsError,
    RoomStatusInvalidError,
    SignalingConnectionDisconnectedError,
    SignalingConnectionTimeoutError,
)
from appliance.media_engine import MediaEngine, PeerConnectionState
from appliance.rooms.admission import Admission, AdmissionLimits, why_gone
from appliance.rooms.asked import Asked
from appliance.rooms.authentication import Doorkeeper
from appliance.rooms.conversation import (
    Failed,
    JoinRequest,
    Removed,
    ResumeRequest,
    Stopping,
    Superseded,
    Tell,
    UpdateRequest,
)
from appliance.rooms.credentials import Credentials
from appliance.rooms.deadlines import room_deadline, stays_over
from appliance.rooms.events import EndReason, LeaveReason
from appliance.rooms.key_ring import KeyRing
from appliance.rooms.recovery import take_up
from appliance.rooms.registry import Attachment, RoomEntry, Stay
from appliance.rooms.room import (
    Participant,
    ParticipantStatus,
    Received,
    Room,
    RoomSettings,
    RoomStatus,
    Track,
    create_room,
)
from appliance.rooms.room_names import check_room_name, check_scope
from appliance.rooms.running import CommitListener, Running
from appliance.rooms.service_values import Present, ServiceSettings
from appliance.rooms.sessions import Sessions
from appliance.rooms.store.anonymizing import anonymize
from appliance.rooms.store.changes import prune
from appliance.rooms.store.pages import find_room
from appliance.rooms.store.store import Store, StoreUnavailable
from appliance.rooms.subscribe_rules import SubscribeRule
from appliance.rooms.welcome import joined, resumed
from appliance.sids import AccountSid, KeySid, ParticipantSid, RoomSid, looks_like, new_room_sid
from appliance.signaling.states import IceServer
from appliance.tokens import AccessToken, claims_to_log, verify

__all__ = ["Attachment", "IceServer", "Present", "RoomsService", "ServiceSettings", "StoreUnavailable"]

log = logging.getLogger(__name__)

COMMIT_DEADLINE_S = 10.0
_TICK_S = 1.0
_ROOMS_AT_ONCE = 100  # half a millisecond's work
_PRUNE_EVERY_S = 3600.0


class RoomsService:
    """Rooms, participants and their tracks. Everything runs on one event loop."""

    def __init__(
        self, settings: ServiceSettings, credentials: Credentials, engine: MediaEngine, store: Store, clock: Clock
    ) -> None:
        self.settings = settings
        self.credentials = credentials
        self.keys = KeyRing(credentials, clock)
        self.doorkeeper = Doorkeeper(self.keys, PRODUCT)  # one for every door: guesses count together
        self._sessions = Sessions(credentials.service_secret)
        self.store = store
        self.stopping = False
        self.damaged_rows = 0  # in the store, as `recover` found it
        self._clock = clock
        self._running = Running(engine, store, clock, over_mqtt=settings.events_over_mqtt)
        self._admission = Admission(
            self._running,
            AdmissionLimits(
                ad_hoc_settings=settings.ad_hoc_settings if settings.ad_hoc_rooms else None,
                max_rooms=settings.max_rooms,
                max_participants=settings.max_participants,
            ),
            self._sessions,
        )
        self._pruned_at: float | None = None

    def on_events(self, listener: CommitListener) -> None:
        """Hear of every room whose events have just been committed; called on the loop with the room's SID."""
        self._running.on_events(listener)

    def on_states(self, listener: CommitListener) -> None:
        """Hear of every room in which something changed that is no event; called on the loop with the room's SID."""
        self._running.on_states(listener)

    def rooms_now(self) -> list[Room]:
        """Return the rooms in progress."""
        return [entry.room for entry in self._running.registry if not entry.opening]

    def room_now(self, sid: str) -> Room | None:
        """Return the room in progress of this SID."""
        entry = self._running.registry.by_room(RoomSid(sid))
        return entry.room if entry and not entry.opening else None

    @property
    def population(self) -> int:
        """How many are in a room."""
        return sum(len(entry.stays) for entry in self._running.registry)

    # --- for sockets --------------------------------------------------------------------------------------------------

    def ice_servers(self, token: str) -> tuple[IceServer, ...]:
        """Answer `ice`: verify the token and return the ICE servers the client may use.

        Raises:
            RoomError: 20101-20107, 53200-53202: the token (tokens.md 4).
        """
        verified = self.verify_token(token)
        turn = self.settings.turn
        now = self._clock.now().timestamp()
        return (*self.settings.ice_servers, *([turn.for_client(verified.identity, now)] if turn else []))

    async def admit(self, request: JoinRequest, tell: Tell) -> Attachment:
        """Answer `connect`: take a participant in, creating an ad-hoc room where none has the name.

        `tell` gets Joined first, before this returns, then Changed as things happen, then at most one Farewell. If
        this raises or is cancelled, nothing was told and nothing will be, and the client is not in the room.

        Raises:
            RoomError: 201xx and 5320x token, 53100-53102 room name, 53105 full, 53106 no such room, 53118 ended,
                53206 quota, 53403 the offer, 53004 no offer, 53103 and 53104 no better code.
        """
        token = self.verify_token(request.token)
        attachment = Attachment("", tell)
        try:
            entry = await self._admission.find_entry(token, request.room)
            stay, written = await self._admission.take_in(entry, token, request, attachment)
        except RoomError as error:
            log.info("%s, room %r: not admitted: %d %s", token.identity, request.room, error.code, error)
            raise
        try:
            await self._durable(written)
        except BaseException as error:
            self._running.disconnect(stay, LeaveReason.CONNECTION_LOST)
            if isinstance(error, StoreUnavailable):
                raise RoomConnectFailedError(str(error)) from error
            raise
        if stay.over:
            raise why_gone(stay)
        self._welcome(stay)
        return attachment

    def _welcome(self, stay: Stay) -> None:
        """Tell Joined, and let changes follow."""
        found = self._running.find(stay)
        assert found, "a stay that is not over has a participant"
        entry, participant = found
        answer, stay.early = stay.early or [], None
        stay.tell(joined(entry.room, participant, stay, answer, self.settings.session_timeout_s))

    def update(self, attachment: Attachment, request: UpdateRequest) -> None:
        """Apply `update` from the client. Tracks that cannot be published come back as failed in Published."""
        stay = self._stay_of(attachment)
        found = self._running.find(stay) if stay else None
        if not stay or not found:
            return
        entry, participant = found
        if request.revision > stay.client_revision:
            stay.client_revision = request.revision
            self._running.publish(entry, stay, participant, request.tracks)
        if request.profile and stay.peer:
            stay.channels.profile = request.profile
            stay.peer.allot(stay.channels.wishes)
        if request.peer_connections and stay.peer:
            stay.peer.describe(request.peer_connections)

    def leave(self, attachment: Attachment) -> None:
        """Answer `disconnect`: the participant leaves for good. Nothing more is told."""
        stay = self._stay_of(attachment)
        if stay:
            stay.attachment = None
            self._running.disconnect(stay, LeaveReason.LEFT)

    def link_lost(self, attachment: Attachment) -> None:
        """The socket closed without a goodbye: reconnecting for `session_timeout_s`, then disconnected.

        Fine to call after `leave`, after a Farewell, or for an attachment that was superseded: does nothing then.
        """
        stay = self._stay_of(attachment)
        found = self._running.find(stay) if stay else None
        if not stay or not found:
            return
        entry, participant = found
        stay.attachment = None
        stay.lost_at = self._clock.monotonic()
        if stay.peer:
            stay.peer.went_away()
        change = entry.room.set_status(participant, ParticipantStatus.RECONNECTING, self._clock.now())
        self._running.apply(entry, change)
        log.info("%s in %s: link lost", stay.participant_sid, stay.room_sid)

    async def resume(self, request: ResumeRequest, tell: Tell) -> Attachment:
        """Answer `sync`: move a living session to this socket; `tell` gets Resumed first, the older socket Superseded.

        Raises:
            RoomError: 201xx the token, 53001 unknown session, 53002 expired session, 53118 the room has ended.
        """
        token = self.verify_token(request.token)
        session, wishes = self._sessions.split(request.session)
        stay = self._running.registry.by_session(session)
        found = self._running.find(stay) if stay else None
        if not stay or not found:
            raise await self._why_ended(token.account_sid, session)
        entry, participant = found
        if token.identity != participant.identity or token.account_sid != entry.room.account_sid:
            raise AccessTokenIssuerInvalidError
        check_scope(token, entry.room.name, entry.room)
        if stay.attachment:
            stay.attachment.tell(Superseded())
        stay.attachment, stay.lost_at = None, None  # what happens meanwhile is part of the picture told at the end
        if request.revision > stay.client_revision:
            stay.client_revision = request.revision
            self._running.publish(entry, stay, participant, request.tracks)
        self._set_connected(stay)
        stay.held = request.session
        peer = stay.peer or self._running.rejoin(stay, Asked.read(wishes))
        stay.attachment = Attachment(stay.session, tell)
        self._welcome_back(stay, peer.resync(request.peer_connections))
        return stay.attachment

    async def _why_ended(self, account_sid: AccountSid, session: str) -> RoomError:
        """Return what a client is told whose session is not here; it may be of an earlier life of the service."""
        known = self._running.why_ended(session)
        sids = self._sessions.read(session)
        if known or not sids:
            return known or SignalingConnectionDisconnectedError()
        async with self.store.read() as connection:
            room = await find_room(connection, account_sid, sid=sids[0])
        ended = room is not None and room.status is not RoomStatus.IN_PROGRESS
        return RoomCompletedError() if ended else SignalingConnectionTimeoutError()

    def _set_connected(self, stay: Stay) -> None:
        found = self._running.find(stay)
        if found and found[1].status is ParticipantStatus.RECONNECTING:
            change = found[0].room.set_status(found[1], ParticipantStatus.CONNECTED, self._clock.now())
            self._running.apply(found[0], change)
            log.info("%s in %s: link resumed", stay.participant_sid, stay.room_sid)

    def _welcome_back(self, stay: Stay, peer_connections: tuple[PeerConnectionState, ...]) -> None:
        found = self._running.find(stay)
        assert found, "a stay that is not over has a participant"
        entry, participant = found
        stay.tell(resumed(entry.room, participant, stay, peer_connections))

    def _stay_of(self, attachment: Attachment) -> Stay | None:
        stay = self._running.registry.by_session(attachment.session)
        return stay if stay and stay.attachment is attachment else None

    def verify_token(self, token: str) -> AccessToken:
        """Return what an access token says.

        Raises:
            RoomError: 20101-20107, 53200-53202 (tokens.md 4).
        """
        now = self._clock.now().timestamp()
        try:
            verified = verify(token, self.keys.find_key, now=now, leeway_s=self.settings.token_leeway_s)
        except RoomError as error:
            log.info("access token refused: %d %s: it claims %s", error.code, error, claims_to_log(token))
            raise
        self.keys.note_use(verified.key_sid)
        return verified

    # --- for REST and the guest page ----------------------------------------------------------------------------------

    async def create_room(self, account_sid: AccountSid, name: str | None, settings: RoomSettings) -> Room:
        """Create a room, durable when this returns.

        Raises:
            RoomError: 53100-53102 the name, 53113 a room in progress has it, 53119 too many rooms.
            StoreUnavailable: it could not be made durable.
        """
        if name is not None:
            check_room_name(name)
            if self._running.registry.by_name(account_sid, name):
                raise RoomRoomExistsError
        if len(self._running.registry) >= self.settings.max_rooms:
            raise RoomQuotaExceededError
        if not self.store.healthy:
            raise StoreUnavailable("the store cannot be written now")
        change = create_room(new_room_sid(), account_sid, name, settings, self._clock.now())
        entry = RoomEntry(room=change.room)
        self._running.registry.add(entry)
        await self._durable(self._running.apply(entry, change))
        return change.room

    async def complete_room(self, account_sid: AccountSid, key: str) -> Room | None:
        """End the room in progress of this SID or name; return it, or None where no room has ever been found so.

        Raises:
            RoomStatusInvalidError: the room of this SID is not in progress.
            StoreUnavailable: it could not be made durable.
        """
        entry = self._in_progress(account_sid, key)
        if not entry:
            if await self.find_room(account_sid, key):
                raise RoomStatusInvalidError
            return None
        await self._durable(self._running.end(entry, RoomStatus.COMPLETED, EndReason.API))
        return entry.room

    async def remove_participant(self, account_sid: AccountSid, room_sid: RoomSid, sid: ParticipantSid) -> None:
        """Make a participant leave; nothing happens where it has left already. Durable when this returns.

        Raises:
            StoreUnavailable: it could not be made durable.
        """
        entry = self._in_progress(account_sid, room_sid)
        stay = entry.stays.get(sid) if entry else None
        written = self._running.disconnect(stay, LeaveReason.KICKED, Removed()) if stay else None
        if written:
            await self._durable(written)

    async def set_rules(
        self, account_sid: AccountSid, room_sid: RoomSid, sid: ParticipantSid, rules: tuple[SubscribeRule, ...]
    ) -> Participant | None:
        """Replace the rules by which a participant receives tracks; None where it is not in the room any more.

        Durable when this returns; the media follows.

        Raises:
            StoreUnavailable: it could not be made durable.
        """
        entry = self._in_progress(account_sid, room_sid)
        participant = entry.room.participant(sid) if entry else None
        if not entry or not participant:
            return None
        change = entry.room.set_rules(participant, rules, self._clock.now())
        await self._durable(self._running.apply(entry, change))
        log.info("%s in %s: %d subscribe rules", sid, room_sid, len(rules))
        return change.participants[sid]

    async def set_recording_rules(
        self, account_sid: AccountSid, room_sid: RoomSid, rules: tuple[SubscribeRule, ...]
    ) -> Room:
        """Keep recording rules that record nothing; return the room. Durable when this returns.

        Raises:
            RoomCompletedError: the room is not in progress.
            StoreUnavailable: it could not be made durable.
        """
        entry = self._in_progress(account_sid, room_sid)
        if not entry:
            raise RoomCompletedError
        await self._durable(self._running.apply(entry, entry.room.set_recording_rules(rules, self._clock.now())))
        return entry.room

    def published_by(self, room_sid: RoomSid, sid: ParticipantSid) -> tuple[Track, ...]:
        """Return the tracks that a participant publishes now: none where it has left."""
        entry = self._running.registry.by_room(room_sid)
        participant = entry.room.participant(sid) if entry else None
        return participant.tracks if participant else ()

    def received_by(self, room_sid: RoomSid, sid: ParticipantSid) -> tuple[Received, ...]:
        """Return the tracks that a participant receives now by its rules, without those that failed to get there."""
        entry = self._running.registry.by_room(room_sid)
        stay = entry.stays.get(sid) if entry else None
        if not entry or not stay:
            return ()
        failed = {subscription.track_sid for subscription in stay.subscriptions if subscription.error_code}
        return tuple(
            Received(track=track, publisher_sid=publisher.sid, since=stay.received_since[track.sid])
            for publisher in entry.room.others(sid)
            for track in publisher.tracks
            if track.sid in stay.received_since and track.sid not in failed
        )

    async def anonymize(self, room_sid: RoomSid, sid: ParticipantSid) -> None:
        """Put the SID of somebody who has left in place of the identity, also in stored events; durable on return.

        Raises:
            StoreUnavailable: it could not be made durable.
        """
        await self._durable(self.store.write(anonymize(room_sid, sid)))

    async def find_room(self, account_sid: AccountSid, key: str) -> Room | None:
        """Return the room of this SID in any status, or the one in progress of this name, as it is stored."""
        async with self.store.read() as connection:
            by_sid = looks_like("RM", key)
            return await find_room(connection, account_sid, sid=key if by_sid else "", name="" if by_sid else key)

    def present(self, account_sid: AccountSid, room: str, identity: str) -> Present | None:
        """Tell who is in the room in progress of this SID or name under this identity, if anybody."""
        entry = self._in_progress(account_sid, room)
        participant = entry.room.with_identity(identity) if entry else None
        return Present(status=participant.status, guest=participant.guest) if participant else None

    def _in_progress(self, account_sid: AccountSid, key: str) -> RoomEntry | None:
        registry = self._running.registry
        by_sid = looks_like("RM", key)
        entry = registry.by_sid(account_sid, key) if by_sid else registry.by_name(account_sid, key)
        return entry if entry and not entry.opening else None

    async def _durable(self, written: "asyncio.Future[None]") -> None:
        try:
            async with asyncio.timeout(COMMIT_DEADLINE_S):
                await asyncio.shield(written)
        except TimeoutError:
            raise StoreUnavailable("the store could not be written in time") from None

    # --- its own life -------------------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Take up what an earlier life left in the store; call once, before anything else."""
        await self.keys.open(self.store)
        self.damaged_rows = await take_up(self._running, self._sessions, self.credentials.account_sid)
        self.expire()

    async def run(self) -> None:
        """Watch over deadlines, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            for number, entry in enumerate(self._running.registry, start=1):
                self._expire(entry)
                if number % _ROOMS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # packets wait for nothing longer than that
            self._prune()

    async def watch_keys(self) -> None:
        """Follow changes of the API keys and auth tokens, until cancelled."""
        await self.keys.run(self.store, self.drop_key)

    def drop_key(self, key_sid: KeySid) -> None:
        """Disconnect everybody who joined with this key (tokens.md 6.1)."""
        told = Failed(AccessTokenIssuerInvalidError.number, AccessTokenIssuerInvalidError.default_message)
        for entry in self._running.registry:
            for participant in entry.room.participants:
                stay = entry.stays.get(participant.sid)
                if stay and participant.key_sid == key_sid:
                    self._running.disconnect(stay, LeaveReason.KEY_REVOKED, told)

    def expire(self) -> None:
        """End what is due now: lost sessions, stays that last too long, rooms; forget what is too old to keep."""
        for entry in self._running.registry:
            self._expire(entry)
        self._prune()

    def _expire(self, entry: RoomEntry) -> None:
        now, tick = self._clock.now(), self._clock.monotonic()
        for stay in list(entry.stays.values()):
            if stay.lost_at is not None and tick - stay.lost_at >= self.settings.session_timeout_s:
                self._running.disconnect(stay, LeaveReason.CONNECTION_LOST)
        for participant in stays_over(entry.room, now):
            told = Failed(ParticipantSessionTooLongError.number, ParticipantSessionTooLongError.default_message)
            self._running.disconnect(entry.stays[participant.sid], LeaveReason.MAX_DURATION, told)
        deadline = room_deadline(entry.room)
        if entry.room.status is RoomStatus.IN_PROGRESS and not entry.opening and deadline.at <= now:
            self._running.end(entry, RoomStatus.COMPLETED, deadline.reason)

    def _prune(self) -> None:
        now, tick = self._clock.now(), self._clock.monotonic()
        if self._pruned_at is None or tick - self._pruned_at >= _PRUNE_EVERY_S:
            self._pruned_at = tick
            self.store.write(prune(now, timedelta(days=self.settings.retention_days)))

    async def close(self) -> None:
        """Close every socket so that its client tries to come back, and give the media back. Rooms stay as they are."""
        self.stopping = True
        for entry in self._running.registry:
            for stay in list(entry.stays.values()):
                stay.tell(Stopping())
                self._running.forget(stay, None)
        await self._running.wait_closed()
