"""Which of the tracks that a client asks for it may publish (rest.md 9, 14; signaling.md 3.1). Pure."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from appliance.errors import (
    MediaNoSupportedCodecError,
    ParticipantMaxTracksExceededError,
    RoomError,
    RoomTrackKindNotSupportedError,
    TrackInvalidError,
    TrackNameCharsInvalidError,
    TrackNameIsDuplicatedError,
    TrackNameTooLongError,
)
from appliance.media_engine import TrackKind, TrackPriority
from appliance.sids import TrackSid

MAX_NAME_LENGTH = 128
MAX_CLIENT_ID_LENGTH = 256
MAX_TRACKS_OF_PARTICIPANT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackWish:
    """A track that a client asks to publish: an entry of `participant.tracks[]` (signaling.md 3.1)."""

    id: str
    kind: TrackKind
    name: str
    enabled: bool = True
    priority: TrackPriority = TrackPriority.STANDARD


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A track that is published now. `updated` is None until it was first enabled or disabled (rest.md 9)."""

    sid: TrackSid
    client_id: str
    kind: TrackKind
    name: str
    enabled: bool
    priority: TrackPriority
    created: datetime
    updated: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishingLimits:
    """`room_for`: how many tracks the room can still take, None for any number.

    `unusable`: kinds that the client can send in no codec of the room. It has to be said before a track gets its SID:
    to an error that comes later, `publishTrack` of the SDK does not listen.
    """

    room_for: int | None
    audio_only: bool = False
    unusable: frozenset[TrackKind] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishingOutcome:
    """What a client's wishes came to: the tracks it publishes now, what changed, and what was refused, by client id."""

    tracks: tuple[Track, ...]
    added: tuple[Track, ...] = ()
    removed: tuple[Track, ...] = ()
    toggled: tuple[Track, ...] = ()
    refused: dict[str, RoomError] = field(default_factory=dict)


def publish(
    published: Sequence[Track],
    wishes: Iterable[TrackWish],
    limits: PublishingLimits,
    now: datetime,
    new_sid: Callable[[], TrackSid],
) -> PublishingOutcome:
    """Compare what is published with the full list that is wished for.

    A published track keeps kind and name; only `enabled` and `priority` can change. Names and places that removed
    tracks had are free for the new ones in the same list. Of two wishes with one id the first counts.
    """
    wished = {wish.id: wish for wish in reversed(list(wishes))}
    wished = {wish_id: wished[wish_id] for wish_id in reversed(wished)}
    removed = tuple(track for track in published if track.client_id not in wished)
    kept = [_changed(track, wished.pop(track.client_id), now) for track in published if track.client_id in wished]
    before = {track.sid: track for track in published}
    toggled = tuple(track for track in kept if track.enabled != before[track.sid].enabled)
    added: list[Track] = []
    refused: dict[str, RoomError] = {}
    for wish in wished.values():
        free = None if limits.room_for is None else limits.room_for + len(removed) - len(added)
        error = _objection(wish, [*kept, *added], free, limits)
        if error:
            refused[wish.id] = error
        else:
            added.append(_new_track(wish, new_sid(), now))
    return PublishingOutcome(
        tracks=(*kept, *added), added=tuple(added), removed=removed, toggled=toggled, refused=refused
    )


def _changed(track: Track, wish: TrackWish, now: datetime) -> Track:
    enabled = wish.enabled or track.kind is TrackKind.DATA
    if enabled == track.enabled:
        return replace(track, priority=wish.priority)
    return replace(track, enabled=enabled, priority=wish.priority, updated=now)


def _new_track(wish: TrackWish, sid: TrackSid, now: datetime) -> Track:
    return Track(
        sid=sid,
        client_id=wish.id,
        kind=wish.kind,
        name=wish.name or sid,
        enabled=wish.enabled or wish.kind is TrackKind.DATA,
        priority=wish.priority,
        created=now,
    )


def _objection(
    wish: TrackWish, others: Sequence[Track], free: int | None, limits: PublishingLimits
) -> RoomError | None:
    if not wish.id or len(wish.id) > MAX_CLIENT_ID_LENGTH or any(character.isspace() for character in wish.id):
        return TrackInvalidError()
    if len(wish.name) > MAX_NAME_LENGTH:
        return TrackNameTooLongError()
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in wish.name):
        return TrackNameCharsInvalidError()
    if any(track.name == wish.name for track in others):
        return TrackNameIsDuplicatedError()
    if limits.audio_only and wish.kind is TrackKind.VIDEO:
        return RoomTrackKindNotSupportedError()
    if wish.kind in limits.unusable:
        return MediaNoSupportedCodecError()
    if len(others) >= MAX_TRACKS_OF_PARTICIPANT or (free is not None and free <= 0):
        return ParticipantMaxTracksExceededError()
    return None
