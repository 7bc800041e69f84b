"""A room as a value: who may come, what follows, which events in which order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.errors import RoomCompletedError, RoomMaxParticipantsExceededError
from appliance.media_engine import TrackKind, TrackPriority
from appliance.rooms.events import EndReason, EventName, LeaveReason
from appliance.rooms.publishing import Track, TrackWish
from appliance.rooms.room import (
    Change,
    Participant,
    ParticipantStatus,
    Room,
    RoomSettings,
    RoomStatus,
    create_room,
    joined_to,
)
from appliance.rooms.subscribe_rules import EXCLUDE_ALL, INCLUDE_ALL
from appliance.sids import AccountSid, KeySid, ParticipantSid, RoomSid, TrackSid

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ACCOUNT = AccountSid("AC" + "0" * 32)
KEY = KeySid("SK" + "0" * 32)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def new_room(*, ad_hoc: bool = False, **settings: Any) -> Room:
    return create_room(RoomSid("RM" + "a" * 32), ACCOUNT, "lobby", RoomSettings(**settings), NOON, ad_hoc=ad_hoc).room


def somebody(name: str, *tracks: Track, number: int = 1) -> Participant:
    sid = ParticipantSid(f"PA{name}{number}")
    return Participant(sid=sid, identity=name, key_sid=KEY, started=NOON, updated=NOON, tracks=tracks)


def track(name: str, kind: TrackKind = TrackKind.AUDIO) -> Track:
    return Track(
        sid=TrackSid(f"MT{name}"),
        client_id=f"id-{name}",
        kind=kind,
        name=name,
        enabled=True,
        priority=TrackPriority.STANDARD,
        created=NOON,
    )


def room_with(*names: str, ad_hoc: bool = False, **settings: Any) -> Room:
    room = new_room(ad_hoc=ad_hoc, **settings)
    for name in names:
        room = room.join(somebody(name, track(f"{name}-mic")), NOON).room
    return room


def told(change: Change) -> list[str]:
    return [event.name for event in change.events]


def present(room: Room, name: str) -> Participant:
    participant = room.with_identity(name)
    assert participant
    return participant


def test_a_new_room_tells_its_creation_with_number_0() -> None:
    change = create_room(RoomSid("RM" + "a" * 32), ACCOUNT, "lobby", RoomSettings(), NOON)

    (event,) = change.events
    assert (event.seq, event.name, event.params["RoomName"]) == (0, EventName.ROOM_CREATED, "lobby")
    assert event.params["RoomStatus"] == "in-progress"


def test_a_room_without_a_name_is_called_by_its_sid() -> None:
    room = create_room(RoomSid("RM" + "a" * 32), ACCOUNT, None, RoomSettings(), NOON).room

    assert room.name == room.sid


def test_joining_tells_the_participant_before_its_tracks() -> None:
    change = new_room().join(somebody("ann", track("mic"), track("cam", TrackKind.VIDEO)), NOON)

    assert told(change) == ["participant-connected", "track-added", "track-added"]
    assert [event.params.get("TrackName") for event in change.events] == [None, "mic", "cam"]


def test_event_numbers_grow_without_a_gap_through_all_changes() -> None:
    created = create_room(RoomSid("RM" + "a" * 32), ACCOUNT, "lobby", RoomSettings(), NOON)
    joined = created.room.join(somebody("ann", track("mic")), NOON)
    ended = joined.room.end(RoomStatus.COMPLETED, EndReason.API, later(9))

    numbers = [event.seq for change in (created, joined, ended) for event in change.events]
    assert numbers == list(range(len(numbers)))


def test_a_clock_that_steps_back_does_not_make_time_go_back() -> None:
    room = new_room().join(somebody("ann"), later(10)).room

    change = room.disconnect(present(room, "ann"), LeaveReason.LEFT, later(5))

    assert change.events[0].params["Timestamp"] == "2026-03-01T12:00:10.000Z"


def test_the_older_of_two_with_one_identity_has_gone_before_the_newer_comes() -> None:
    room = room_with("ann")

    change = room.join(somebody("ann", number=2), later(1))

    assert told(change) == ["track-removed", "participant-disconnected", "participant-connected"]
    assert change.events[1].reason == LeaveReason.DUPLICATE_IDENTITY
    assert [participant.sid for participant in change.room.participants] == ["PAann2"]


def test_replacing_the_only_participant_does_not_end_an_ad_hoc_room() -> None:
    change = room_with("ann", ad_hoc=True).join(somebody("ann", number=2), later(1))

    assert change.room.status is RoomStatus.IN_PROGRESS
    assert change.room.emptied is None


def test_a_full_room_takes_nobody_more() -> None:
    with pytest.raises(RoomMaxParticipantsExceededError):
        room_with("ann", "bob", max_participants=2).join(somebody("cid"), NOON)


def test_a_full_room_takes_the_newer_of_one_identity() -> None:
    room = room_with("ann", "bob", max_participants=2).join(somebody("ann", number=2), NOON).room

    assert [participant.sid for participant in room.participants] == ["PAbob1", "PAann2"]


def test_who_is_on_the_way_in_holds_a_seat() -> None:
    room = room_with("ann", max_participants=2)

    with pytest.raises(RoomMaxParticipantsExceededError):
        room.check_seat("cid", arriving=["bob"])
    room.check_seat("bob", arriving=["bob"])


def test_leaving_tells_removed_tracks_first_and_counts_whole_seconds() -> None:
    room = room_with("ann", "bob")

    change = room.disconnect(present(room, "ann"), LeaveReason.LEFT, later(61.9))

    assert told(change) == ["track-removed", "participant-disconnected"]
    assert {event.params["ParticipantStatus"] for event in change.events} == {"disconnected"}
    assert change.events[1].params["ParticipantDuration"] == 61
    assert "ParticipantDuration" not in change.events[0].params


def test_one_who_left_keeps_its_last_tracks_for_the_others_to_see() -> None:
    room = room_with("ann", "bob")

    change = room.disconnect(present(room, "ann"), LeaveReason.LEFT, NOON)

    gone = change.participants[ParticipantSid("PAann1")]
    assert (gone.status, len(gone.tracks), gone.revision) == (ParticipantStatus.DISCONNECTED, 1, 2)


def test_an_ad_hoc_room_ends_with_its_last_participant() -> None:
    room = room_with("ann", ad_hoc=True)

    change = room.disconnect(present(room, "ann"), LeaveReason.LEFT, later(30))

    assert told(change) == ["track-removed", "participant-disconnected", "room-ended"]
    assert (change.events[-1].reason, change.events[-1].params["RoomDuration"]) == (EndReason.AD_HOC_EMPTY, 30)
    assert change.room.status is RoomStatus.COMPLETED


def test_a_room_made_by_rest_waits_empty() -> None:
    room = room_with("ann")

    change = room.disconnect(present(room, "ann"), LeaveReason.LEFT, later(30))

    assert (change.room.status, change.room.emptied) == (RoomStatus.IN_PROGRESS, later(30))


def test_ending_a_room_of_two_with_three_tracks_tells_everything_in_order() -> None:
    room = new_room().join(somebody("ann", track("a"), track("b")), NOON).room
    room = room.join(somebody("bob", track("c")), NOON).room

    change = room.end(RoomStatus.COMPLETED, EndReason.API, later(5))

    names = told(change)
    assert (names.count("track-removed"), names.count("participant-disconnected")) == (3, 2)
    assert names[-1] == "room-ended"
    assert names.index("participant-disconnected") == 2
    assert {event.params["RoomStatus"] for event in change.events} == {"completed"}
    assert change.room.participants == ()


def test_a_room_ends_once() -> None:
    room = new_room().end(RoomStatus.COMPLETED, EndReason.API, NOON).room

    with pytest.raises(RoomCompletedError):
        room.end(RoomStatus.COMPLETED, EndReason.API, NOON)
    with pytest.raises(RoomCompletedError):
        room.join(somebody("ann"), NOON)


def test_muting_tells_track_disabled_and_a_higher_revision() -> None:
    room = room_with("ann")
    ann = present(room, "ann")
    wish = TrackWish(id="id-ann-mic", kind=TrackKind.AUDIO, name="ann-mic", enabled=False)

    change = room.publish(ann, room.plan_tracks(ann, [wish], later(1), lambda: TrackSid("MTx")), later(1))

    assert told(change) == ["track-disabled"]
    muted = present(change.room, "ann")
    assert (muted.tracks[0].enabled, muted.tracks[0].updated, muted.revision) == (False, later(1), 2)


def test_publishing_the_same_again_changes_nothing() -> None:
    room = room_with("ann")
    ann = present(room, "ann")
    wish = TrackWish(id="id-ann-mic", kind=TrackKind.AUDIO, name="another name now")

    change = room.publish(ann, room.plan_tracks(ann, [wish], NOON, lambda: TrackSid("MTx")), NOON)

    assert change.is_empty


def test_reconnecting_is_seen_by_the_others_and_is_no_event() -> None:
    room = room_with("ann")

    change = room.set_status(present(room, "ann"), ParticipantStatus.RECONNECTING, later(3))

    assert change.events == ()
    assert present(change.room, "ann").revision == 2
    assert present(change.room, "ann").facts().connected


@pytest.mark.parametrize(("rules", "expected"), [(INCLUDE_ALL, {"MTbob-mic"}), (EXCLUDE_ALL, set())])
def test_rules_give_the_tracks_of_the_others(rules: Any, expected: set[str]) -> None:
    room = room_with("ann", "bob")
    ann = present(room, "ann")

    assert room.received_by(ann.sid, rules) == expected


def test_two_changes_become_one() -> None:
    created = create_room(RoomSid("RM" + "a" * 32), ACCOUNT, "lobby", RoomSettings(), NOON, ad_hoc=True)

    change = joined_to(created, created.room.join(somebody("ann"), NOON))

    assert told(change) == ["room-created", "participant-connected"]
    assert len(change.room.participants) == 1


def test_the_cap_of_tracks_counts_all_participants() -> None:
    room = room_with("ann", max_published_tracks=2)
    wishes = [TrackWish(id=str(n), kind=TrackKind.DATA, name=f"chat {n}") for n in range(2)]

    outcome = room.plan_tracks(None, wishes, NOON, lambda: TrackSid("MTx"))

    assert [len(outcome.added), [error.code for error in outcome.refused.values()]] == [1, [53203]]


def test_an_unlimited_room_has_no_cap() -> None:
    room = replace(room_with("ann"), settings=RoomSettings(max_published_tracks=0))
    wishes = [TrackWish(id=str(n), kind=TrackKind.DATA, name=f"chat {n}") for n in range(5)]

    assert not room.plan_tracks(None, wishes, NOON, lambda: TrackSid("MTx")).refused
