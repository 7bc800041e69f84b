"""Wire state in, what changed out."""

from dataclasses import replace

from appliance.client.roster import (
    BecameUnsteady,
    CameBack,
    Joined,
    Left,
    Published,
    Reprioritized,
    Roster,
    Subscriptions,
    Switched,
    Unpublished,
)
from appliance.media_engine import TrackKind, TrackPriority
from appliance.signaling.states import (
    ParticipantState,
    RemoteParticipantState,
    RemoteTrackState,
    SubscribedState,
    SubscribedTrackState,
)

CAMERA = RemoteTrackState(sid="MT1", kind=TrackKind.VIDEO, name="camera")
MICROPHONE = RemoteTrackState(sid="MT2", kind=TrackKind.AUDIO, name="microphone")
BOB = RemoteParticipantState(
    sid="PA2", identity="bob", state=ParticipantState.CONNECTED, revision=1, tracks=(CAMERA, MICROPHONE)
)


def with_bob() -> Roster:
    roster = Roster("PA1")
    roster.apply([BOB], complete=True)
    return roster


def test_a_newcomer_joins_with_all_tracks_at_once() -> None:
    assert Roster("PA1").apply([BOB], complete=False) == [Joined(BOB)]


def test_we_ourselves_are_not_met() -> None:
    assert Roster("PA2").apply([BOB], complete=True) == []


def test_an_old_revision_changes_nothing() -> None:
    assert with_bob().apply([replace(BOB, tracks=())], complete=False) == []


def test_tracks_that_are_new_or_missing_are_told_one_by_one() -> None:
    screen = replace(CAMERA, sid="MT3", name="screen")

    changes = with_bob().apply([replace(BOB, revision=2, tracks=(MICROPHONE, screen))], complete=False)

    assert changes == [Unpublished("PA2", "MT1"), Published("PA2", screen)]


def test_mute_and_priority_are_told() -> None:
    tracks = (replace(CAMERA, priority=TrackPriority.HIGH), replace(MICROPHONE, enabled=False))

    changes = with_bob().apply([replace(BOB, revision=2, tracks=tracks)], complete=False)

    assert changes == [Reprioritized("PA2", "MT1", TrackPriority.HIGH), Switched("PA2", "MT2", False)]


def test_a_lost_connection_and_its_return_are_told() -> None:
    roster = with_bob()

    lost = roster.apply([replace(BOB, revision=2, state=ParticipantState.RECONNECTING)], complete=False)
    back = roster.apply([replace(BOB, revision=3)], complete=False)

    assert (lost, back) == ([BecameUnsteady("PA2")], [CameBack("PA2")])


def test_leaving_tells_of_no_unpublished_tracks() -> None:
    gone = replace(BOB, revision=2, state=ParticipantState.DISCONNECTED)

    assert with_bob().apply([gone], complete=False) == [Left("PA2")]


def test_whoever_is_not_in_a_complete_list_has_left() -> None:
    assert with_bob().apply([], complete=True) == [Left("PA2")]
    assert with_bob().apply([], complete=False) == []


def test_an_unchanged_state_in_a_complete_list_changes_nothing() -> None:
    assert with_bob().apply([BOB], complete=True) == []


def test_an_old_state_does_not_bring_back_who_left() -> None:
    roster = with_bob()
    roster.apply([replace(BOB, revision=2, state=ParticipantState.DISCONNECTED)], complete=False)

    assert roster.apply([BOB], complete=False) == []
    assert roster.apply([replace(BOB, revision=3)], complete=False) == [Joined(replace(BOB, revision=3))]


def test_subscriptions_are_full_state_and_only_a_newer_one_counts() -> None:
    subscriptions = Subscriptions()
    first = SubscribedState(revision=1, tracks=(SubscribedTrackState(sid="MT1", id="s-1"),))

    assert subscriptions.apply(first)
    assert not subscriptions.apply(SubscribedState(revision=1))
    assert set(subscriptions.by_track_sid) == {"MT1"}
    assert subscriptions.apply(SubscribedState(revision=2))
    assert subscriptions.by_track_sid == {}
