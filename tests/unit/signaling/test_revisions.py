"""Newest state wins."""

from appliance.media_engine import Description, DescriptionType, IceState, PeerConnectionState
from appliance.signaling.messages import ClientUpdate, ServerUpdate, WarningMessage
from appliance.signaling.revisions import SeenRevisions, merged
from appliance.signaling.states import (
    LocalParticipantState,
    ParticipantState,
    PublishedState,
    RecordingState,
    RemoteParticipantState,
    SubscribedState,
)


def bob(revision: int, state: ParticipantState = ParticipantState.CONNECTED) -> RemoteParticipantState:
    return RemoteParticipantState(sid="PA_B", identity="bob", state=state, revision=revision)


def update(revision: int, *states: PeerConnectionState) -> ClientUpdate:
    return ClientUpdate(
        session=None, participant=LocalParticipantState(revision=revision), peer_connections=tuple(states)
    )


def described(revision: int, ice: int | None = None) -> PeerConnectionState:
    return PeerConnectionState(
        id="pc",
        description=Description(type=DescriptionType.OFFER, revision=revision, sdp=str(revision)),
        ice=IceState(revision=ice, ufrag="u") if ice is not None else None,
    )


def test_revision_0_is_old_from_the_start() -> None:
    seen = SeenRevisions()

    newer = seen.newer_part(
        ServerUpdate(published=PublishedState(revision=0), subscribed=SubscribedState(revision=0)), ""
    )

    assert newer == ServerUpdate()


def test_each_counter_is_its_own() -> None:
    seen = SeenRevisions()
    seen.newer_part(ServerUpdate(published=PublishedState(revision=5)), "")

    newer = seen.newer_part(ServerUpdate(subscribed=SubscribedState(revision=1)), "")

    assert newer.subscribed == SubscribedState(revision=1)


def test_a_participant_who_returns_needs_a_larger_revision() -> None:
    seen = SeenRevisions()
    seen.newer_part(ServerUpdate(participants=(bob(2, ParticipantState.DISCONNECTED),)), "")

    assert seen.newer_part(ServerUpdate(participants=(bob(2),)), "").participants == ()
    assert seen.newer_part(ServerUpdate(participants=(bob(3),)), "").participants == (bob(3),)


def test_recording_is_applied_again_with_the_same_revision_but_not_with_an_older() -> None:
    seen = SeenRevisions()
    on = RecordingState(is_recording=True, revision=2)
    seen.newer_part(ServerUpdate(recording=on), "")

    assert seen.newer_part(ServerUpdate(recording=on), "").recording == on
    older = RecordingState(is_recording=False, revision=1)
    assert seen.newer_part(ServerUpdate(recording=older), "").recording is None


def test_a_warning_counts_from_1() -> None:
    seen = SeenRevisions()

    told = [seen.is_new_warning(WarningMessage(revision=revision, tracks={})) for revision in (0, 1, 1, 2)]

    assert told == [False, True, False, True]


def test_merging_keeps_the_highest_revision_of_each_part() -> None:
    both = merged(update(3, described(2, ice=4)), update(2, described(3, ice=1)))

    assert both.participant.revision == 3
    assert both.peer_connections == (described(3, ice=4),)


def test_merging_keeps_a_description_beside_later_candidates() -> None:
    candidates = PeerConnectionState(id="pc", ice=IceState(revision=1, ufrag="u"))

    assert merged(update(1, described(2)), update(1, candidates)).peer_connections == (described(2, ice=1),)


def test_merging_keeps_connections_apart() -> None:
    other = PeerConnectionState(id="other")

    assert merged(update(1, described(1)), update(1, other)).peer_connections == (described(1), other)
