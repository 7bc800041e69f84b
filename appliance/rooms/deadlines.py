"""When a room, or somebody's stay in it, ends by itself (rest.md 6.7, 8.3). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.rooms.events import EndReason
from appliance.rooms.room import Participant, Room

MAX_ROOM_AGE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Deadline:
    """At `at` the room ends for `reason`."""

    at: datetime
    reason: EndReason


def room_deadline(room: Room) -> Deadline:
    """Return the first of the deadlines that hold for a room in progress; age is one for every room."""
    return min(_room_deadlines(room), key=lambda deadline: deadline.at)


def _room_deadlines(room: Room) -> Iterator[Deadline]:
    yield Deadline(room.created + MAX_ROOM_AGE, EndReason.MAX_AGE)
    if room.ad_hoc or room.participants:
        return
    if not room.used:
        yield Deadline(room.created + timedelta(minutes=room.settings.unused_timeout_min), EndReason.UNUSED_TIMEOUT)
    elif room.emptied:
        yield Deadline(room.emptied + timedelta(minutes=room.settings.empty_timeout_min), EndReason.EMPTY_TIMEOUT)


def stays_over(room: Room, now: datetime) -> tuple[Participant, ...]:
    """Return those who have been in the room for as long as it allows."""
    longest = timedelta(seconds=room.settings.max_participant_duration_s)
    return tuple(each for each in room.participants if each.started + longest <= now)
