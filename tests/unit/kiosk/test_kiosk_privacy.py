"""Who may open microphone and camera (kiosk.md 19); no path leads from muted to live without a person there."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from appliance.kiosk.effects import MuteMicrophone, OpenRoom, PlayCue, Remember, SwitchCamera, Timer
from appliance.kiosk.inputs import (
    Actor,
    Capturing,
    DeviceFound,
    DeviceGone,
    Join,
    Leave,
    PressFrontPanel,
    RoomInterrupted,
    RoomResumed,
    SetCamera,
    SetMicrophone,
    TimeUp,
)
from appliance.kiosk.rules import StartMedia
from appliance.kiosk.service_errors import _BY_CODE
from appliance.kiosk.state import CALLING, CameraState, MicrophoneState, Origin, Phase, Role
from tests.support.kiosk_story import AUTOMATION, FINGER, PAGE, SCRIPT, Story, of_kind

AFAR = [PAGE, AUTOMATION, SCRIPT, Actor(origin=Origin.API), Actor(origin=Origin.REMOTE), Actor(origin=Origin.SCHEDULE)]


@pytest.mark.parametrize("actor", AFAR)
def test_anybody_may_mute_and_turn_the_camera_off(actor: Actor) -> None:
    story = Story.in_room()
    assert story.ask(SetMicrophone(muted=True), actor).ok
    assert story.ask(SetCamera(on=False), actor).ok
    assert MuteMicrophone(True) in story.effects
    assert SwitchCamera(False) in story.effects
    assert (story.state.mic, story.state.camera) == (MicrophoneState.MUTED, CameraState.OFF)


@pytest.mark.parametrize("actor", AFAR)
def test_nobody_afar_may_unmute_or_turn_the_camera_on(actor: Actor) -> None:
    story = Story.in_room()
    story.ask(SetMicrophone(muted=True))
    story.ask(SetCamera(on=False))
    before = story.state
    assert story.ask(SetMicrophone(muted=False), actor).code == "policy_denied"
    assert story.ask(SetCamera(on=True), actor).code == "policy_denied"
    assert story.state == before


@pytest.mark.parametrize("actor", [FINGER, Actor(origin=Origin.TOUCH), replace(PAGE, present=True)])
def test_somebody_in_the_room_may(actor: Actor) -> None:
    story = Story.in_room()
    story.ask(SetMicrophone(muted=True))
    assert story.ask(SetMicrophone(muted=False), actor).ok
    assert story.state.mic is MicrophoneState.LIVE


def test_the_settings_may_allow_a_role_to_unmute_from_afar() -> None:
    story = Story.in_room(remote_unmute="admin")
    story.ask(SetMicrophone(muted=True))
    assert not story.ask(SetMicrophone(muted=False), PAGE).ok
    assert story.ask(SetMicrophone(muted=False), replace(PAGE, role=Role.ADMIN)).ok


def test_a_viewer_may_do_nothing() -> None:
    story = Story.in_room()
    viewer = replace(PAGE, role=Role.VIEWER)
    assert {story.ask(command, viewer).code for command in (Leave(), SetMicrophone(muted=True), Join())} == {
        "policy_denied"
    }


def test_whoever_joins_from_afar_may_turn_off_what_the_settings_leave_on() -> None:
    story = Story.idle(remote_media=StartMedia(mic=True, camera=True))
    story.ask(Join(camera=False), AUTOMATION)
    assert (story.opened().muted, story.opened().camera_on) == (False, False)


def test_muting_sounds_and_is_told_with_its_origin() -> None:
    story = Story.in_room()
    story.ask(SetMicrophone(muted=True), PAGE)
    assert PlayCue("muted") in story.effects
    assert story.reports("kiosk-mic") == [{"value": "muted", "origin": "page"}]


def test_muting_twice_changes_and_tells_nothing() -> None:
    story = Story.in_room()
    story.ask(SetMicrophone(muted=True))
    story.effects.clear()
    assert story.ask(SetMicrophone(muted=True)).ok
    assert of_kind(story.effects, MuteMicrophone) == []


def test_unmuting_in_no_room_is_refused() -> None:
    assert Story.idle().ask(SetMicrophone(muted=False)).code == "invalid_state"


def test_talk_while_held_is_a_state_of_its_own_until_released() -> None:
    story = Story.in_room()
    story.ask(SetMicrophone(muted=True))
    story.ask(SetMicrophone(muted=False, held=True))
    assert story.state.talk_held
    story.ask(SetMicrophone(muted=True))
    assert not story.state.talk_held


def test_what_is_remembered_while_talking_held_is_muted() -> None:
    story = Story.in_room()
    story.ask(SetMicrophone(muted=True))
    story.effects.clear()
    story.ask(SetMicrophone(muted=False, held=True))
    assert of_kind(story.effects, Remember) == []


def test_an_error_while_talking_held_is_retried_muted() -> None:
    story = Story.in_room()
    story.ask(SetMicrophone(muted=True))
    story.ask(SetMicrophone(muted=False, held=True))
    story.lost(53001)
    story.failed(53200)
    assert story.state.phase is Phase.ERROR
    story.ask(Join())
    assert story.opened().muted


def test_every_command_is_in_the_audit_with_its_outcome() -> None:
    story = Story.in_room()
    story.ask(SetMicrophone(muted=True), replace(PAGE, account="anna"))
    story.ask(SetMicrophone(muted=False), AUTOMATION)
    assert story.reports("kiosk-command") == [
        {"name": "mic.mute", "origin": "page", "outcome": "done", "account": "anna"},
        {"name": "mic.unmute", "origin": "mqtt", "outcome": "policy_denied"},
    ]


def test_a_real_front_panel_is_not_pressed_from_afar() -> None:
    story = Story.idle()
    assert story.ask(PressFrontPanel(button="mute", pressed=True), PAGE).code == "invalid_state"
    story.state = replace(story.state, device=replace(story.state.device, front_panel="virtual"))
    assert story.ask(PressFrontPanel(button="mute", pressed=True), PAGE).ok
    assert story.ask(PressFrontPanel(button="mute", pressed=True), AUTOMATION).code == "policy_denied"


def test_the_state_says_what_the_device_does_not_what_was_asked() -> None:
    story = Story.in_room()
    story.tell(Capturing(what="microphone", live=True))
    story.ask(SetMicrophone(muted=True))
    assert story.state.mic is MicrophoneState.MUTED
    assert story.state.mic_live
    story.tell(Capturing(what="microphone", live=False))
    assert not story.state.mic_live


class Privacy(RuleBasedStateMachine):
    """Anything may happen, in any order; only a person in the room opens what was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story.idle(remote_unmute="never")
        self.opened_by_hand = {"mic": False, "camera": False}
        self.was = {"mic": False, "camera": False}

    def _live(self) -> dict[str, bool]:
        visit = self.story.state.visit
        calling = visit is not None and self.story.state.phase in CALLING
        return {
            "mic": calling and visit is not None and not visit.muted,
            "camera": calling and visit is not None and visit.camera_on,
        }

    @rule(actor=st.sampled_from([*AFAR, FINGER]), room=st.sampled_from(["lobby", "other"]), switch=st.booleans())
    def join(self, actor: Actor, room: str, switch: bool) -> None:
        self._by_hand(actor)
        self.story.ask(Join(room=room, mic=True, camera=True, switch=switch), actor)

    @rule(actor=st.sampled_from([*AFAR, FINGER]))
    def leave(self, actor: Actor) -> None:
        self.story.ask(Leave(), actor)

    @rule(actor=st.sampled_from([*AFAR, FINGER]), muted=st.booleans(), held=st.booleans())
    def microphone(self, actor: Actor, muted: bool, held: bool) -> None:
        if not muted:
            self._by_hand(actor)
        self.story.ask(SetMicrophone(muted=muted, held=held), actor)

    @rule(actor=st.sampled_from([*AFAR, FINGER]), on=st.booleans())
    def camera(self, actor: Actor, on: bool) -> None:
        if on:
            self._by_hand(actor)
        self.story.ask(SetCamera(on=on), actor)

    def _by_hand(self, actor: Actor) -> None:
        if actor.in_the_room:
            self.opened_by_hand = {"mic": True, "camera": True}

    @rule(code=st.sampled_from([None, *_BY_CODE]), kind=st.sampled_from(["failed", "lost"]))
    def service(self, code: int | None, kind: str) -> None:
        if self.story.state.visit is None:
            return
        if kind == "failed" and code is not None:
            self.story.failed(code)
        else:
            self.story.lost(code)

    @rule(kind=st.sampled_from(["connected", "closed", "interrupted", "resumed"]))
    def room(self, kind: str) -> None:
        if self.story.state.visit is None:
            return
        attempt = self.story.attempt
        match kind:
            case "connected":
                self.story.connected()
            case "closed":
                self.story.closed()
            case "interrupted":
                self.story.tell(RoomInterrupted(attempt=attempt))
            case _:
                self.story.tell(RoomResumed(attempt=attempt))

    @rule(what=st.sampled_from(["microphone", "camera"]), found=st.booleans())
    def device(self, what: str, found: bool) -> None:
        if found:
            self.story.tell(DeviceFound(what))  # type: ignore[arg-type]
        else:
            self.story.tell(DeviceGone(what=what, issue="mic_absent", message="gone"))  # type: ignore[arg-type]

    @rule(timer=st.sampled_from(list(Timer)))
    def timer(self, timer: Timer) -> None:
        self.story.tell(TimeUp(timer))

    @rule(seconds=st.sampled_from([0.0, 1.0, 40.0, 400.0]))
    def time(self, seconds: float) -> None:
        self.story.wait(seconds)

    @invariant()
    def nothing_opens_without_a_hand(self) -> None:
        live = self._live()
        for part in ("mic", "camera"):
            if live[part] and not self.was[part]:
                assert self.opened_by_hand[part], f"{part} opened by nobody in the room"
        # A hand that closed, or a kiosk that came to rest, has to open anew.
        self.opened_by_hand = {part: self.opened_by_hand[part] and live[part] for part in live}
        self._keep_wishes(live)
        self.was = live

    def _keep_wishes(self, live: dict[str, bool]) -> None:
        """A visit that waits in `error`, or a switch that waits for leaving, may have been opened by hand before."""
        for visit in (self.story.state.visit, self.story.state.then):
            if visit is not None:
                self.opened_by_hand["mic"] = self.opened_by_hand["mic"] or (visit.asked_in_the_room and not visit.muted)
                self.opened_by_hand["camera"] = self.opened_by_hand["camera"] or (
                    visit.asked_in_the_room and visit.camera_on
                )

    @invariant()
    def a_room_is_only_opened_as_the_state_says(self) -> None:
        for order in of_kind(self.story.effects, OpenRoom):
            visit = self.story.state.visit
            if visit is not None and order.attempt == visit.attempt and self.story.effects[-1:] == [order]:
                assert order.muted == visit.muted
                assert order.camera_on == visit.camera_on

    @invariant()
    def idle_means_closed(self) -> None:
        if self.story.state.phase is Phase.IDLE:
            assert self.story.state.mic is not MicrophoneState.LIVE
            assert self.story.state.camera is not CameraState.LIVE


TestPrivacy = Privacy.TestCase
TestPrivacy.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@given(st.lists(st.sampled_from(AFAR), min_size=1, max_size=8), st.data())
def test_from_afar_alone_nothing_is_ever_live(actors: list[Actor], data: st.DataObject) -> None:
    story = Story.idle()
    commands = [Join(mic=True, camera=True), SetMicrophone(muted=False), SetCamera(on=True), Leave()]
    for actor in actors:
        story.ask(data.draw(st.sampled_from(commands)), actor)
        if story.state.visit is not None and data.draw(st.booleans()):
            story.connected()
        assert story.state.mic is not MicrophoneState.LIVE
        assert story.state.camera is not CameraState.LIVE
