"""Getting into a room and out of it (kiosk.md 3, 4)."""

from dataclasses import replace

import pytest

from appliance.kiosk.effects import (
    Answer,
    CloseRoom,
    EndProgram,
    Forget,
    OpenRoom,
    PlayCue,
    Remember,
    StartTimer,
    Timer,
)
from appliance.kiosk.inputs import (
    Actor,
    Booted,
    Join,
    Leave,
    Moment,
    PeopleChanged,
    Resume,
    RoomConnected,
    RoomInterrupted,
    RoomResumed,
    SetMicrophone,
    StopAsked,
)
from appliance.kiosk.machine import start
from appliance.kiosk.rules import Rules
from appliance.kiosk.state import KioskState, Origin, Phase
from appliance.kiosk.turn import Turn
from tests.support.kiosk_story import ANNA, AUTOMATION, FINGER, PAGE, SCRIPT, Story, of_kind


def test_boot_ends_when_probes_are_done() -> None:
    story = Story()
    story.tell(Booted())
    assert (story.state.phase, story.state.reason) == (Phase.IDLE, "started")


def test_boot_ends_after_20_seconds_whatever_the_probes_do() -> None:
    story = Story()
    story.state, effects = start(story.state, _moment(story))
    assert StartTimer(Timer.BOOT, 20.0) in effects
    story.timers[Timer.BOOT] = story.monotonic_s + 20
    story.wait(20)
    assert (story.state.phase, story.state.reason) == (Phase.IDLE, "probes_late")


def test_a_finger_joins_the_default_room_with_microphone_and_camera_on() -> None:
    story = Story.idle()
    answer = story.ask(Join())
    assert (answer.ok, answer.final) == (True, False)
    assert story.opened() == OpenRoom(attempt=1, room_name="lobby", muted=False, camera_on=True)
    assert story.state.phase is Phase.JOINING


@pytest.mark.parametrize("actor", [PAGE, AUTOMATION, SCRIPT])
def test_whoever_joins_from_afar_finds_microphone_and_camera_off(actor: Actor) -> None:
    story = Story.idle()
    story.ask(Join(mic=True, camera=True), actor)
    assert (story.opened().muted, story.opened().camera_on) == (True, False)


def test_being_in_the_room_is_told_to_whoever_asked() -> None:
    story = Story.idle()
    first = story.ask(Join())
    effects = story.connected()
    assert Answer(id=first.id, ok=True, result={"room": "lobby", "state": "in_room"}) in effects
    assert PlayCue("joined") in effects
    assert story.state.phase is Phase.IN_ROOM
    assert story.room.people == (ANNA,)


def test_what_an_abandoned_attempt_says_is_not_listened_to() -> None:
    story = Story.idle()
    story.ask(Join())
    story.ask(Leave())
    story.ask(Join())
    story.tell(RoomConnected(attempt=1, name="lobby", sid="RM1", participant_sid="PA0"))
    assert story.state.phase is Phase.JOINING


def test_joining_can_be_cancelled_and_whoever_asked_is_told() -> None:
    story = Story.idle()
    first = story.ask(Join())
    story.ask(Leave())
    assert story.state.phase is Phase.IDLE
    assert CloseRoom(1) in story.effects
    outcomes = [each for each in of_kind(story.effects, Answer) if each.id == first.id and each.final]
    assert [outcome.code for outcome in outcomes] == ["cancelled"]


def test_leaving_waits_until_the_devices_are_closed() -> None:
    story = Story.in_room()
    answer = story.ask(Leave())
    assert story.state.phase is Phase.LEAVING
    effects = story.closed()
    assert story.state.phase is Phase.IDLE
    assert Answer(id=answer.id, ok=True, result={"state": "idle"}) in effects
    assert story.state.room is None


def test_leaving_takes_at_most_three_seconds() -> None:
    story = Story.in_room()
    story.ask(Leave())
    story.wait(3)
    assert story.state.phase is Phase.IDLE


def test_leaving_when_in_no_room_does_no_harm() -> None:
    assert Story.idle().ask(Leave()).ok


def test_joining_while_in_another_room_is_refused_unless_switching() -> None:
    story = Story.in_room()
    refused = story.ask(Join(room="other"))
    assert (refused.ok, refused.code) == (False, "busy")
    assert story.ask(Join(room="other", switch=True)).ok
    assert story.state.phase is Phase.LEAVING
    story.closed()
    assert story.state.phase is Phase.JOINING
    assert story.opened().room_name == "other"


def test_joining_the_room_one_is_in_is_repeated_without_harm() -> None:
    story = Story.in_room()
    assert story.ask(Join()).ok
    assert story.attempts() == 0


def test_a_room_that_is_not_allowed_is_refused() -> None:
    story = Story.idle(allowed_rooms=("lobby", "meet-*"))
    assert story.ask(Join(room="secret")).code == "policy_denied"
    assert story.ask(Join(room="meet-4")).ok


def test_no_room_named_and_no_default_is_said() -> None:
    story = Story.idle(default_room="")
    assert story.ask(Join()).code == "invalid_request"


def test_commands_while_booting_are_refused_and_change_nothing() -> None:
    story = Story()
    before = story.state
    assert story.ask(Join()).code == "invalid_state"
    assert story.state == before


def test_an_attempt_that_takes_30_seconds_is_given_up_and_tried_again() -> None:
    story = Story.idle()
    story.ask(Join())
    story.wait(30)
    assert CloseRoom(1) in story.effects
    story.wait(1)
    assert story.opened().attempt > 1


@pytest.mark.parametrize("code", [20101, 20102, 20103, 20106, 20107])
def test_a_refused_token_is_made_anew_once_then_it_is_an_error(code: int) -> None:
    story = Story.idle()
    story.ask(Join())
    story.failed(code)
    assert story.attempts() == 2
    story.failed(code)
    assert (story.state.phase, story.state.reason) == (Phase.ERROR, "token_rejected")
    assert story.state.has_issue("token_rejected")
    assert story.state.next is not None


def test_a_token_that_came_with_the_command_cannot_be_renewed() -> None:
    story = Story.idle()
    story.ask(Join(token="header.claims.signature"))
    story.failed(20101)
    assert story.state.phase is Phase.ERROR


@pytest.mark.parametrize("code", [20104, 20105])
def test_an_expired_token_is_renewed_three_times(code: int) -> None:
    story = Story.idle()
    story.ask(Join())
    for _ in range(3):
        story.failed(code)
        assert story.state.phase is Phase.JOINING
    story.failed(code)
    assert story.state.reason == "token_rejected"


@pytest.mark.parametrize("code", [0, 53000, 53001, 53002, 53405, 53407, 59999])
def test_an_unreachable_service_is_tried_for_two_minutes_then_shown_as_an_error(code: int) -> None:
    story = Story.idle()
    story.ask(Join())
    waits = []
    story.failed(code)
    while story.state.phase is Phase.JOINING:
        waits.append(story.wait_for_retry())
        story.failed(code)
    assert (story.state.phase, story.state.reason) == (Phase.ERROR, "service_unreachable")
    assert waits == [0, 1, 2, 4, 8, 15, 30, 30, 30]
    story.wait(30)  # and again by itself
    assert story.state.phase is Phase.JOINING


@pytest.mark.parametrize("code", [53006, 53103, 53104, 53116])
def test_a_busy_service_is_left_alone_for_longer_and_longer(code: int) -> None:
    story = Story.idle()
    story.ask(Join())
    waits = []
    for _ in range(7):
        story.failed(code)
        assert story.state.reason == "service_busy"
        waits.append(story.wait_for_retry())
    assert waits == [10, 20, 40, 80, 160, 300, 300]


def test_a_full_room_is_tried_every_30_seconds_for_five_minutes() -> None:
    story = Story.idle()
    first = story.ask(Join())
    waits = []
    story.failed(53105)
    while story.state.phase is Phase.JOINING:
        waits.append(story.wait_for_retry())
        story.failed(53105)
    assert (story.state.phase, story.state.reason) == (Phase.IDLE, "room_full")
    assert waits == [30] * 10
    assert [each.code for each in of_kind(story.effects, Answer) if each.id == first.id and each.final] == ["room_full"]


@pytest.mark.parametrize(("code", "issue"), [(53106, "room_not_found"), (53100, "room_name_invalid")])
def test_a_room_that_cannot_be_is_said_and_not_tried_again(code: int, issue: str) -> None:
    story = Story.idle()
    story.ask(Join())
    story.failed(code)
    story.wait(1000)
    assert (story.state.phase, story.attempts()) == (Phase.IDLE, 1)
    assert story.state.has_issue(issue)
    story.ask(Join())
    assert not story.state.has_issue(issue)


@pytest.mark.parametrize("code", [53200, 53201, 53202, 53400, 53401, 53402, 53403, 53404])
def test_what_only_people_can_mend_is_an_error_without_retry(code: int) -> None:
    story = Story.idle()
    story.ask(Join())
    story.failed(code)
    assert story.state.phase is Phase.ERROR
    story.wait(10_000)
    assert story.attempts() == 1


def test_in_an_error_leave_gives_up_and_join_tries_again() -> None:
    story = Story.idle()
    story.ask(Join())
    story.failed(53200)
    story.ask(Leave())
    assert (story.state.phase, story.state.issues) == (Phase.IDLE, ())
    story.ask(Join())
    story.failed(53200)
    story.ask(Join())
    assert story.state.phase is Phase.JOINING


def test_retrying_after_an_error_does_not_unmute() -> None:
    story = Story.idle()
    story.ask(Join(), AUTOMATION)
    story.failed(53200)
    story.ask(Join(), FINGER)
    assert story.opened().muted


def test_a_link_that_comes_back_keeps_everything() -> None:
    story = Story.in_room()
    story.ask(SetMicrophone(muted=True))
    story.tell(RoomInterrupted(attempt=story.attempt))
    assert story.state.phase is Phase.RECONNECTING
    story.wait(7)
    story.tell(RoomResumed(attempt=story.attempt))
    assert story.state.phase is Phase.IN_ROOM
    assert story.state.visit is not None
    assert story.state.visit.muted
    assert story.reports("kiosk-reconnected") == [{"room": "lobby", "gap": "7.0"}]


@pytest.mark.parametrize("code", [53001, 53405])
def test_a_lost_session_is_joined_afresh_as_it_was(code: int) -> None:
    story = Story.in_room()
    story.ask(SetMicrophone(muted=True))
    story.lost(code)
    story.wait(0)
    assert story.state.phase is Phase.RECONNECTING
    assert story.opened() == OpenRoom(attempt=2, room_name="lobby", muted=True, camera_on=True, keep_devices=True)
    story.connected()
    assert (story.state.phase, story.state.reason) == (Phase.IN_ROOM, "reconnected")


def test_reconnecting_ends_after_its_limit() -> None:
    story = Story.in_room()
    story.lost(53001)
    began_s = story.monotonic_s
    while story.state.phase is Phase.RECONNECTING:
        story.wait_for_retry()
        if story.state.phase is Phase.RECONNECTING:
            story.failed(53000)
    assert story.monotonic_s - began_s <= 120 + 30
    assert (story.state.phase, story.state.reason) == (Phase.IDLE, "reconnect_limit")
    story.wait(1000)
    assert story.state.phase is Phase.IDLE


def test_reconnecting_can_be_cancelled() -> None:
    story = Story.in_room()
    story.lost(53001)
    story.ask(Leave())
    story.closed()
    assert story.state.phase is Phase.IDLE


@pytest.mark.parametrize(
    ("code", "reason"),
    [(None, "removed"), (53118, "room_ended"), (53205, "duplicate_identity"), (53216, "session_too_long")],
)
def test_an_end_by_the_service_is_the_end(code: int | None, reason: str) -> None:
    story = Story.in_room()
    effects = story.lost(code)
    story.wait(10_000)
    assert (story.state.phase, story.state.reason) == (Phase.IDLE, reason)
    assert CloseRoom(1) in effects
    assert story.attempts() == 0


@pytest.mark.parametrize(("code", "wait_s"), [(53118, 5), (53216, 0), (None, 300)])
def test_always_on_goes_back_after_an_end_by_the_service(code: int | None, wait_s: float) -> None:
    story = Story.in_room(mode="always")
    story.lost(code)
    story.wait(wait_s - 0.5)
    assert wait_s == 0 or story.state.phase is Phase.IDLE
    story.wait(0.5)
    assert story.state.phase is Phase.JOINING


def test_two_kiosks_of_one_name_do_not_oust_each_other_for_ever() -> None:
    story = Story.in_room(mode="always")
    story.lost(53205)
    story.wait(100_000)
    assert story.state.phase is Phase.IDLE
    assert story.state.has_issue("duplicate_identity")


def test_always_on_joins_by_itself_at_boot() -> None:
    story = Story(state=KioskState(rules=Rules(mode="always", default_room="lobby")))
    story.tell(Booted())
    assert story.state.phase is Phase.JOINING
    assert story.state.origin is Origin.SYSTEM


def test_alone_for_long_is_said_then_left() -> None:
    story = Story.in_room(auto_leave_alone_s=300.0)
    story.people()
    story.wait(269)
    assert story.state.next is None
    story.wait(1)
    assert story.state.next is not None
    assert story.state.next.action == "leave"
    story.wait(30)
    assert (story.state.phase, story.state.reason) == (Phase.LEAVING, "alone")


def test_company_ends_the_countdown_of_being_alone() -> None:
    story = Story.in_room(auto_leave_alone_s=300.0)
    story.people()
    story.wait(290)
    story.people(ANNA)
    story.wait(10_000)
    assert story.state.phase is Phase.IN_ROOM
    assert story.state.next is None


def test_being_stopped_leaves_the_room_first_and_remembers_it() -> None:
    story = Story.in_room()
    effects = story.tell(StopAsked())
    assert CloseRoom(1) in effects
    assert EndProgram() in story.closed()
    assert of_kind(story.effects, Forget) == []


def test_being_stopped_does_not_wait_for_ever() -> None:
    story = Story.in_room()
    story.tell(StopAsked())
    story.wait(3)
    assert EndProgram() in story.effects


def test_a_restart_comes_back_into_the_same_room_muted_as_before() -> None:
    story = Story()
    story.tell(Booted(resume=Resume(room_name="board", muted=True, camera_on=False, origin=Origin.BUTTON)))
    assert story.opened() == OpenRoom(attempt=1, room_name="board", muted=True, camera_on=False)
    story.connected()
    assert story.state.phase is Phase.IN_ROOM


def test_what_to_come_back_to_is_written_when_it_changes() -> None:
    story = Story.idle()
    story.ask(Join())
    assert of_kind(story.effects, Remember) == []
    story.connected()
    story.ask(SetMicrophone(muted=True))
    assert [each.muted for each in of_kind(story.effects, Remember)] == [False, True]


def test_no_state_follows_that_may_not() -> None:
    turn = Turn(replace(KioskState(), phase=Phase.LEAVING), _moment(Story()))
    with pytest.raises(AssertionError, match="does not follow"):
        turn.move(Phase.IN_ROOM, "joined")


def _moment(story: Story) -> Moment:
    return Moment(now=story.now, monotonic_s=story.monotonic_s)


def test_whoever_spoke_last_stays_in_the_spotlight_until_they_leave() -> None:
    story = Story.in_room()
    bert = replace(ANNA, sid="PA2", name="bert")
    seen: list[tuple[str | None, str | None]] = []

    for people, speaker in (
        ((ANNA, bert), None),
        ((ANNA, bert), "PA2"),
        ((ANNA, bert), None),
        ((ANNA, bert), "PA1"),
        ((ANNA, bert), "PA0"),
        ((bert,), None),
    ):
        story.tell(PeopleChanged(attempt=story.attempt, people=people, dominant_speaker=speaker))
        seen.append((story.room.dominant_speaker, story.room.spotlight))

    assert seen == [(None, None), ("PA2", "PA2"), (None, "PA2"), ("PA1", "PA1"), ("PA0", "PA1"), (None, None)]
