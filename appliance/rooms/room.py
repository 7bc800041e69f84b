"""A room as a value: participants, their tracks, and what follows from every change. Pure.

    create ─▶ in-progress ── complete, timeout, last leave of an ad-hoc room, 24 h ─▶ completed
                   └──────── state lost ─────────────────────────────────────────────▶ failed

Every method that changes something returns a Change: the room after it, the rows to store, the events to tell. Only
participants who have not left are held in a room.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from appliance.clock import shown_duration
from appliance.errors import RoomCompletedError, RoomMaxParticipantsExceededError
from appliance.media_engine import TrackKind, TrackPriority
from appliance.rooms.events import (
    EndReason,
    EventName,
    LeaveReason,
    ParticipantFacts,
    RoomEvent,
    RoomFacts,
    TrackFacts,
    room_event,
)
from appliance.rooms.publishing import PublishingLimits, PublishingOutcome, Track, TrackWish, publish
from appliance.rooms.recording_rules import NOTHING_RECORDED
from appliance.rooms.subscribe_rules import INCLUDE_ALL, SubscribeRule, wanted_tracks
from appliance.sids import AccountSid, KeySid, ParticipantSid, RoomSid, TrackSid

__all__ = ["Track", "TrackPriority", "TrackWish"]  # passed on to those who speak of rooms


class RoomStatus(StrEnum):
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    FAILED = "failed"


class RoomType(StrEnum):
    """What an application calls the room; all kinds are served alike (rest.md 6.2)."""

    GROUP = "group"
    GROUP_SMALL = "group-small"
    PEER_TO_PEER = "peer-to-peer"
    GO = "go"


MAX_PARTICIPANTS: Mapping[RoomType, int] = {
    RoomType.GROUP: 50,
    RoomType.GROUP_SMALL: 4,
    RoomType.PEER_TO_PEER: 10,
    RoomType.GO: 2,
}
MAX_PUBLISHED_TRACKS: Mapping[RoomType, int] = {
    RoomType.GROUP: 170,
    RoomType.GROUP_SMALL: 170,
    RoomType.PEER_TO_PEER: 0,
    RoomType.GO: 0,
}
"""0 means any number (rest.md 6.1)."""


class ParticipantStatus(StrEnum):
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSettings:
    """What is fixed when a room is created (rest.md 6.1), but for `recording_rules`.

    Timeouts in minutes, 0 for none, duration in seconds.
    """

    type: RoomType = RoomType.GROUP
    max_participants: int = 50
    max_participant_duration_s: int = 14_400
    max_published_tracks: int = 170
    video_codecs: tuple[str, ...] = ("VP8", "H264")
    media_region: str = "us1"
    audio_only: bool = False
    empty_timeout_min: int = 5
    unused_timeout_min: int = 5
    large_room: bool = False
    status_callback: str | None = None
    status_callback_method: str = "POST"
    recording_rules: tuple[SubscribeRule, ...] = NOTHING_RECORDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One stay in the room, from connecting to disconnecting.

    `revision` grows with whatever the others see of it. Of one who has left, `tracks` are the last ones
    (signaling.md 2.6). `key_sid`: the API key that signed the token. `guest`: it chose its identity freely, and so may
    not take that of somebody who did not. `rules_created` and `rules_updated`: when rules were first and last set from
    outside, None while they are those it connected with.
    """

    sid: ParticipantSid
    identity: str
    key_sid: KeySid
    started: datetime
    updated: datetime
    guest: bool = False
    status: ParticipantStatus = ParticipantStatus.CONNECTED
    ended: datetime | None = None
    tracks: tuple[Track, ...] = ()
    rules: tuple[SubscribeRule, ...] = INCLUDE_ALL
    rules_created: datetime | None = None
    rules_updated: datetime | None = None
    revision: int = 1

    def facts(self) -> ParticipantFacts:
        connected = self.status is not ParticipantStatus.DISCONNECTED
        return ParticipantFacts(
            sid=self.sid,
            identity=self.identity,
            connected=connected,
            duration_s=shown_duration(self.started, self.ended),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A track that a participant receives, and since when."""

    track: Track
    publisher_sid: ParticipantSid
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room. `name` is its SID where none was given; `emptied` is when the last one left, None while not empty.

    `recording_created` and `recording_updated`: when recording rules were first and last set, None while they are those
    of its creation.
    """

    sid: RoomSid
    account_sid: AccountSid
    name: str
    created: datetime
    updated: datetime
    last_event_at: datetime
    settings: RoomSettings = RoomSettings()
    ad_hoc: bool = False
    status: RoomStatus = RoomStatus.IN_PROGRESS
    ended: datetime | None = None
    next_seq: int = 0
    used: bool = False
    emptied: datetime | None = None
    recording_created: datetime | None = None
    recording_updated: datetime | None = None
    participants: tuple[Participant, ...] = ()

    @property
    def published_tracks(self) -> int:
        return sum(len(participant.tracks) for participant in self.participants)

    def participant(self, sid: str) -> Participant | None:
        return next((each for each in self.participants if each.sid == sid), None)

    def with_identity(self, identity: str) -> Participant | None:
        return next((each for each in self.participants if each.identity == identity), None)

    def others(self, sid: ParticipantSid) -> tuple[Participant, ...]:
        return tuple(each for each in self.participants if each.sid != sid)

    def received_by(self, sid: ParticipantSid, rules: tuple[SubscribeRule, ...]) -> frozenset[TrackSid]:
        """Return the tracks that these rules give a participant, who may still be on the way in."""
        return wanted_tracks(rules, self.others(sid))

    def check_seat(self, identity: str, arriving: Iterable[str] = ()) -> None:
        """Raise where nobody of this identity can join; the seat of an older one counts as free (signaling.md 7.1).

        Args:
            arriving: identities of those who are on the way in and hold a seat already.
        """
        if self.status is not RoomStatus.IN_PROGRESS:
            raise RoomCompletedError
        taken = [each.identity for each in self.participants if each.identity != identity]
        taken += [each for each in arriving if each != identity]
        if len(taken) >= self.settings.max_participants:
            raise RoomMaxParticipantsExceededError

    def join(self, newcomer: Participant, now: datetime) -> "Change":
        """Take a participant in, dropping an older one of the same identity first (rest.md 8.3).

        Raises:
            RoomError: 53118 the room has ended, 53105 it is full.
        """
        self.check_seat(newcomer.identity)
        change = Change(room=self)
        older = self.with_identity(newcomer.identity)
        if older:
            change = change.without(older, LeaveReason.DUPLICATE_IDENTITY, now)
        tracks, newcomer = newcomer.tracks, replace(newcomer, tracks=())
        room = replace(change.room, participants=(*change.room.participants, newcomer), used=True, emptied=None)
        change = replace(change, room=room).told(EventName.PARTICIPANT_CONNECTED, now, newcomer)
        newcomer = replace(newcomer, tracks=tracks)
        change = change.with_participant(newcomer)
        for track in tracks:
            change = change.told(EventName.TRACK_ADDED, now, newcomer, track)
        return change

    def plan_tracks(
        self,
        participant: Participant | None,
        wishes: Iterable[TrackWish],
        now: datetime,
        new_sid: Callable[[], TrackSid],
        unusable: frozenset[TrackKind] = frozenset(),
    ) -> PublishingOutcome:
        """Return what a participant, or a newcomer (None), may publish of what it wishes for.

        `unusable`: kinds that its client can send in no codec of the room, as far as that is known.
        """
        limit = self.settings.max_published_tracks
        limits = PublishingLimits(
            room_for=limit - self.published_tracks if limit else None,
            audio_only=self.settings.audio_only,
            unusable=unusable,
        )
        return publish(participant.tracks if participant else (), wishes, limits, now, new_sid)

    def publish(self, participant: Participant, outcome: PublishingOutcome, now: datetime) -> "Change":
        """Let a participant publish exactly `outcome.tracks`; no change where they are the same as before."""
        if outcome.tracks == participant.tracks:
            return Change(room=self)
        changed = replace(participant, tracks=outcome.tracks, revision=participant.revision + 1)
        change = Change(room=self).with_participant(changed)
        for track in outcome.removed:
            change = change.told(EventName.TRACK_REMOVED, now, changed, track)
        for track in outcome.toggled:
            name = EventName.TRACK_ENABLED if track.enabled else EventName.TRACK_DISABLED
            change = change.told(name, now, changed, track)
        for track in outcome.added:
            change = change.told(EventName.TRACK_ADDED, now, changed, track)
        return change

    def set_status(self, participant: Participant, status: ParticipantStatus, now: datetime) -> "Change":
        """Note that a participant is reconnecting, or connected again. No event (callbacks.md 2)."""
        if participant.status is status:
            return Change(room=self)
        changed = replace(participant, status=status, updated=now, revision=participant.revision + 1)
        return Change(room=self).with_participant(changed)

    def set_rules(self, participant: Participant, rules: tuple[SubscribeRule, ...], now: datetime) -> "Change":
        """Replace what a participant wants to receive. The others see nothing of it, and there is no event."""
        changed = replace(participant, rules=rules, rules_created=participant.rules_created or now, rules_updated=now)
        return Change(room=self).with_participant(changed)

    def set_recording_rules(self, rules: tuple[SubscribeRule, ...], now: datetime) -> "Change":
        """Replace the recording rules; there is no event, and nothing is recorded anyway."""
        settings = replace(self.settings, recording_rules=rules)
        created = self.recording_created or now
        return Change(room=replace(self, settings=settings, recording_created=created, recording_updated=now))

    def disconnect(self, participant: Participant, reason: LeaveReason, now: datetime) -> "Change":
        """Let a participant leave for good; an ad-hoc room ends with the last one (rest.md 6.7)."""
        change = Change(room=self).without(participant, reason, now)
        if change.room.participants:
            return change
        change = replace(change, room=replace(change.room, emptied=now))
        return change.ended(RoomStatus.COMPLETED, EndReason.AD_HOC_EMPTY, now) if self.ad_hoc else change

    def end(self, status: RoomStatus, reason: EndReason, now: datetime) -> "Change":
        """End the room: everybody is disconnected, then it ends (rest.md 6.5).

        Raises:
            RoomCompletedError: it has ended already.
        """
        if self.status is not RoomStatus.IN_PROGRESS:
            raise RoomCompletedError
        return Change(room=self).ended(status, reason, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What follows from a decision.

    `room` is the room after it; `participants` those whose rows changed, in their last state; `events` in order.
    """

    room: Room
    participants: Mapping[ParticipantSid, Participant] = field(default_factory=dict)
    events: tuple[RoomEvent, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.participants and not self.events

    def with_participant(self, changed: Participant) -> "Change":
        """Put a participant's new state in place of the old one; one who has left is taken out of the room."""
        if changed.status is ParticipantStatus.DISCONNECTED:
            present = tuple(each for each in self.room.participants if each.sid != changed.sid)
        else:
            present = tuple(changed if each.sid == changed.sid else each for each in self.room.participants)
        room = replace(self.room, participants=present)
        return replace(self, room=room, participants={**self.participants, changed.sid: changed})

    def told(
        self,
        name: EventName,
        now: datetime,
        participant: Participant | None = None,
        track: Track | None = None,
        reason: str | None = None,
    ) -> "Change":
        """Append an event, with the next number and a time that is never before the last (callbacks.md 3.1)."""
        at = max(now, self.room.last_event_at)
        facts = TrackFacts(sid=track.sid, kind=track.kind, name=track.name) if track else None
        event = room_event(
            name,
            self.room.next_seq,
            at,
            _facts(self.room),
            participant.facts() if participant else None,
            facts,
            reason,
        )
        room = replace(self.room, next_seq=self.room.next_seq + 1, last_event_at=at)
        return replace(self, room=room, events=(*self.events, event))

    def without(self, leaver: Participant, reason: LeaveReason, now: datetime) -> "Change":
        gone = replace(
            leaver, status=ParticipantStatus.DISCONNECTED, ended=now, updated=now, revision=leaver.revision + 1
        )
        change = self.with_participant(gone)
        for track in leaver.tracks:
            change = change.told(EventName.TRACK_REMOVED, now, gone, track)
        return change.told(EventName.PARTICIPANT_DISCONNECTED, now, gone, reason=reason)

    def ended(self, status: RoomStatus, reason: EndReason, now: datetime) -> "Change":
        # The status comes first: the disconnects that follow tell it already (callbacks.md 3).
        change = replace(self, room=replace(self.room, status=status, ended=now, updated=now))
        for participant in self.room.participants:
            change = change.without(participant, LeaveReason.ROOM_ENDED, now)
        return change.told(EventName.ROOM_ENDED, now, reason=reason)


def create_room(
    sid: RoomSid,
    account_sid: AccountSid,
    name: str | None,
    settings: RoomSettings,
    now: datetime,
    *,
    ad_hoc: bool = False,
) -> Change:
    """Return a new room with its `room-created`. Whether the name is free is the registry's to say."""
    room = Room(
        sid=sid,
        account_sid=account_sid,
        name=name if name is not None else sid,
        created=now,
        updated=now,
        last_event_at=now,
        settings=settings,
        ad_hoc=ad_hoc,
    )
    return Change(room=room).told(EventName.ROOM_CREATED, now)


def joined_to(first: Change, second: Change) -> Change:
    """Return two changes, the second made to the room of the first, as one."""
    return Change(
        room=second.room,
        participants={**first.participants, **second.participants},
        events=(*first.events, *second.events),
    )


def _facts(room: Room) -> RoomFacts:
    return RoomFacts(
        account_sid=room.account_sid,
        sid=room.sid,
        name=room.name,
        status=room.status,
        type=room.settings.type,
        duration_s=shown_duration(room.created, room.ended),
    )
