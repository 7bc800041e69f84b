"""How a client gets in: which room it means, a seat, the engine's answer to its first offer (signaling.md 7.1)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.errors import (
    ParticipantAccountLimitExceededError,
    ParticipantDuplicateIdentityError,
    RoomCompletedError,
    RoomConnectFailedError,
    RoomCreateFailedError,
    RoomError,
    RoomNotFoundError,
    SignalingOutgoingMessageInvalidError,
    room_error,
)
from appliance.media_engine import DescriptionType, PeerConnectionState
from appliance.rooms.asked import Asked
from appliance.rooms.conversation import Failed, JoinRequest, RoomEnded
from appliance.rooms.publishing import Track
from appliance.rooms.registry import Attachment, RoomEntry, Stay
from appliance.rooms.room import Participant, RoomSettings, create_room, joined_to
from appliance.rooms.room_names import check_room_name, check_scope, out_of_scope, wanted_room
from appliance.rooms.running import Running, media_policy, media_tracks
from appliance.rooms.sessions import Sessions
from appliance.rooms.side_channels import SideChannels, granted
from appliance.rooms.store.pages import find_room
from appliance.sids import looks_like, new_participant_sid, new_room_sid, new_track_sid
from appliance.tokens import AccessToken

ANSWER_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """How many there may be; `ad_hoc_settings` of a room that connecting creates, None where it creates none."""

    ad_hoc_settings: RoomSettings | None
    max_rooms: int
    max_participants: int


class Admission:
    """Takes in one participant after the other; many may be on their way at once."""

    def __init__(self, running: Running, limits: AdmissionLimits, sessions: Sessions) -> None:
        self._running = running
        self._sessions = sessions
        self._limits = limits

    async def find_entry(self, token: AccessToken, asked: str | None) -> RoomEntry:
        """Return the room that a client means, opening an ad-hoc room where none is there (rest.md 13).

        A room that was opened lasts only while somebody is on the way in, until the first one is.

        Raises:
            RoomError: 20106, 53100-53103, 53106, 53118.
        """
        registry = self._running.registry
        wanted = wanted_room(token, asked)
        if wanted is None:
            return self._open(token, None)
        by_sid = looks_like("RM", wanted)
        if not by_sid:
            check_room_name(wanted)
        account = token.account_sid
        entry = registry.by_sid(account, wanted) if by_sid else registry.by_name(account, wanted)
        check_scope(token, wanted, entry.room if entry else None)
        if entry:
            return entry
        if by_sid or token.room not in (None, wanted):
            raise await self._why_not_there(token, wanted)
        # Waiting for the store gave others time, but nothing was waited for on the way to here.
        return self._open(token, wanted)

    async def _why_not_there(self, token: AccessToken, wanted: str) -> RoomError:
        """Tell a room that has ended from one that never was; `wanted` or the token's grant is a SID."""
        sid = wanted if looks_like("RM", wanted) else token.room or ""
        async with self._running.store.read() as connection:
            ended = await find_room(connection, token.account_sid, sid=sid)
        if ended and sid == wanted:
            return RoomCompletedError()
        if ended and ended.name == wanted:
            return out_of_scope()
        return RoomNotFoundError()

    def _open(self, token: AccessToken, name: str | None) -> RoomEntry:
        if self._limits.ad_hoc_settings is None:
            raise RoomNotFoundError
        if len(self._running.registry) >= self._limits.max_rooms or not self._running.store.healthy:
            raise RoomCreateFailedError
        now = self._running.clock.now()
        opening = create_room(new_room_sid(), token.account_sid, name, self._limits.ad_hoc_settings, now, ad_hoc=True)
        entry = RoomEntry(room=opening.room, opening=opening)
        self._running.registry.add(entry)
        return entry

    async def take_in(
        self, entry: RoomEntry, token: AccessToken, request: JoinRequest, attachment: Attachment
    ) -> "tuple[Stay, asyncio.Future[None]]":
        """Give a client a seat, have its offer answered, and let it join.

        Returns:
            its stay, and a future that is done with the commit.

        Raises:
            RoomError: 53004, 53105, 53118, 53205 (a guest only), 53206, 53403 or another code of the engine, 53104.
        """
        try:
            self._check_limits(entry, token, request)
            return await self._seat(entry, token, request, attachment)
        finally:
            if entry.opening and not entry.arriving:
                self._running.registry.remove(entry)

    async def _seat(
        self, entry: RoomEntry, token: AccessToken, request: JoinRequest, attachment: Attachment
    ) -> "tuple[Stay, asyncio.Future[None]]":
        sid = new_participant_sid()
        attachment.session = self._sessions.write(entry.room.sid, sid)
        channels = granted(request.channels, entry.room.settings)
        asked = Asked(channels=frozenset(channel.value for channel in channels), profile=request.profile)
        outcome = entry.room.plan_tracks(None, request.tracks, self._running.clock.now(), new_track_sid)
        stay = Stay(
            room_sid=entry.room.sid,
            participant_sid=sid,
            identity=token.identity,
            session=attachment.session,
            answered=asyncio.get_running_loop().create_future(),
            client_revision=request.revision,
            attachment=attachment,
            refused=dict(outcome.refused),
            receiving=entry.room.received_by(sid, request.rules),
            channels=SideChannels(channels, asked.profile),
            held=self._sessions.with_wishes(attachment.session, asked.written()),
        )
        entry.arriving[sid] = token.identity
        try:
            await self._answer(entry, stay, outcome.tracks, request.peer_connections)
            now = self._running.clock.now()
            newcomer = Participant(
                sid=sid,
                identity=token.identity,
                key_sid=token.key_sid,
                started=now,
                updated=now,
                guest=token.guest,
                tracks=outcome.tracks,
                rules=request.rules,
            )
            return stay, self._join(entry, stay, newcomer)
        except BaseException:
            self._running.forget(stay, None)
            raise
        finally:
            del entry.arriving[sid]

    def _check_limits(self, entry: RoomEntry, token: AccessToken, request: JoinRequest) -> None:
        offers = [state.description for state in request.peer_connections if state.description]
        if not any(description.type is DescriptionType.OFFER for description in offers):
            raise SignalingOutgoingMessageInvalidError("connect came without an offer")
        if not self._running.store.healthy:
            raise RoomConnectFailedError("the service cannot write its store now")
        entry.room.check_seat(token.identity, entry.arriving.values())
        replaces = entry.room.with_identity(token.identity) is not None
        if not replaces and self._running.registry.participants() >= self._limits.max_participants:
            raise ParticipantAccountLimitExceededError

    async def _answer(
        self, entry: RoomEntry, stay: Stay, tracks: Sequence[Track], offers: Sequence[PeerConnectionState]
    ) -> None:
        stay.peer = self._running.engine.join(
            entry.room.sid,
            stay.participant_sid,
            media_policy(entry),
            lambda happening: self._running.happened(stay, happening),
            tracks=media_tracks(tracks),
            receive=stay.receiving,
            peer_connections=offers,
            wishes=stay.channels.wishes,
            channels=stay.channels.wanted,
            layer_hints=stay.channels.hints_layers,
        )
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                await stay.answered
        except TimeoutError:
            raise RoomConnectFailedError("the media engine did not answer") from None

    def _join(self, entry: RoomEntry, stay: Stay, newcomer: Participant) -> "asyncio.Future[None]":
        older = entry.room.with_identity(newcomer.identity)
        if older and newcomer.guest and not older.guest:
            raise ParticipantDuplicateIdentityError
        change = entry.room.join(newcomer, self._running.clock.now())
        if entry.opening:
            change, entry.opening = joined_to(entry.opening, change), None
        entry.stays[stay.participant_sid] = stay
        self._running.registry.add_session(stay)
        told = Failed(53205, "Participant disconnected because of duplicate identity")
        return self._running.apply(entry, change, {older.sid: told} if older else {})


def why_gone(stay: Stay) -> RoomError:
    """Return what a client is told that was parted with before it was welcomed."""
    if isinstance(stay.farewell, Failed):
        return room_error(stay.farewell.code, stay.farewell.message)
    return RoomCompletedError() if isinstance(stay.farewell, RoomEnded) else RoomConnectFailedError()
