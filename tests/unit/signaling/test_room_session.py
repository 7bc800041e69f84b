"""The two tables: what may follow what."""

import pytest

from appliance.errors import LocalProtocolError
from appliance.signaling.room_session import (
    ADMISSIONS,
    TRANSITIONS,
    Admission,
    Cause,
    RoomState,
    Step,
    following,
)


@pytest.mark.parametrize("state", [state for state in RoomState if state is not RoomState.DISCONNECTED])
def test_a_stay_can_end_from_everywhere(state: RoomState) -> None:
    assert following(TRANSITIONS, state, Cause.DISCONNECT) is RoomState.DISCONNECTED


def test_nothing_follows_the_end() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] is RoomState.DISCONNECTED]
    assert not [pair for pair in ADMISSIONS if pair[0] is Admission.ENDED]


def test_a_pair_that_is_not_in_the_table_is_an_error_that_says_so() -> None:
    with pytest.raises(LocalProtocolError, match="synced is not possible while connecting"):
        following(TRANSITIONS, RoomState.CONNECTING, Cause.SYNCED)


def test_every_state_can_be_reached_and_left() -> None:
    assert {state for state, _ in TRANSITIONS} == set(RoomState) - {RoomState.DISCONNECTED}
    assert set(TRANSITIONS.values()) == set(RoomState) - {RoomState.CONNECTING}
    assert {state for state, _ in ADMISSIONS} == set(Admission) - {Admission.ENDED}
    assert set(ADMISSIONS.values()) == set(Admission) - {Admission.NEW}


def test_only_the_admitted_are_updated() -> None:
    assert [state for state, step in ADMISSIONS if step is Step.UPDATE] == [Admission.ADMITTED]
