"""From bouncing contacts to what a press means (kiosk.md 5)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.kiosk.inputs import Command, Join, Leave, SetMicrophone, ShowMuted
from appliance.kiosk.rules import Rules
from appliance.kiosk.state import KioskState, Origin, Phase, Visit
from appliance.surfaces.gestures import Change, Debounce, Fingers, Gesture, Gestures, Kind, holds_for

STABLE_S = 0.03


class Board:
    """Buttons, a finger and a clock: the whole path in memory."""

    def __init__(self, state: KioskState, *, leave_hold_s: float = 0.0, down: frozenset[str] = frozenset()) -> None:
        self.state = state
        self.now = 100.0
        self._debounces = {name: Debounce(STABLE_S, pressed=name in down) for name in ("mute", "leave")}
        self._gestures = Gestures(holds_for(leave_hold_s), down)
        self._fingers = Fingers(leave_hold_s)
        self.gestures: list[Gesture] = []
        self.commands: list[Command] = []

    def edge(self, button: str, pressed: bool) -> None:
        for change in self._debounces[button].edge(pressed, self.now):
            self._take(self._gestures.change(button, change))

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            wakes = [each.wake_at() for each in self._debounces.values()] + [self._gestures.wake_at()]
            due = [at for at in wakes if at is not None and at <= until]
            if not due:
                break
            self.now = max(self.now, min(due))
            for button, debounce in self._debounces.items():
                for change in debounce.wake(self.now):
                    self._take(self._gestures.change(button, change))
            self._take(self._gestures.wake(self.now))
        self.now = until

    def _take(self, gestures: list[Gesture]) -> None:
        for gesture in gestures:
            self.gestures.append(gesture)
            meant = self._fingers.meaning(gesture, self.state)
            if meant is not None:
                self.commands.append(meant.command)
                self._obey(meant.command)

    def _obey(self, command: Command) -> None:
        """Follow as the machine would, as far as gestures look at it."""
        match command:
            case SetMicrophone(muted=muted) if self.state.visit is not None:
                self.state = replace(self.state, visit=replace(self.state.visit, muted=muted))
            case Leave():
                self.state = replace(self.state, phase=Phase.IDLE, visit=None)

    def press(self, button: str, seconds: float) -> None:
        self.edge(button, True)
        self.wait(seconds)
        self.edge(button, False)
        self.wait(0.1)


def idle() -> KioskState:
    return KioskState(phase=Phase.IDLE, rules=Rules(default_room="lobby"))


def in_room(*, muted: bool = False, phase: Phase = Phase.IN_ROOM, push_to_talk: bool = True) -> KioskState:
    visit = Visit(room_name="lobby", attempt=1, origin=Origin.BUTTON, muted=muted, camera_on=True)
    return KioskState(phase=phase, visit=visit, rules=Rules(default_room="lobby", push_to_talk=push_to_talk))


def test_a_short_press_mutes_at_once_and_the_release_does_not_undo_it() -> None:
    board = Board(in_room())
    board.edge("mute", True)
    board.wait(STABLE_S)
    assert board.commands == [SetMicrophone(muted=True)]
    board.edge("mute", False)
    board.wait(1)
    assert board.commands == [SetMicrophone(muted=True)]


def test_a_short_press_unmutes_on_release() -> None:
    board = Board(in_room(muted=True))
    board.edge("mute", True)
    board.wait(0.3)
    assert board.commands == []
    board.edge("mute", False)
    board.wait(STABLE_S)
    assert board.commands == [SetMicrophone(muted=False)]


def test_held_while_muted_talks_as_long_as_it_is_held() -> None:
    board = Board(in_room(muted=True))
    board.press("mute", 5)
    assert board.commands == [SetMicrophone(muted=False, held=True), SetMicrophone(muted=True)]


def test_held_while_live_mutes_and_nothing_else() -> None:
    board = Board(in_room())
    board.press("mute", 5)
    assert board.commands == [SetMicrophone(muted=True)]


def test_without_push_to_talk_a_long_press_unmutes_on_release() -> None:
    board = Board(in_room(muted=True, push_to_talk=False))
    board.press("mute", 5)
    assert board.commands == [SetMicrophone(muted=False)]


def test_the_mute_button_in_idle_says_that_the_microphone_is_off() -> None:
    board = Board(idle())
    board.press("mute", 0.2)
    assert board.commands == [ShowMuted()]


@pytest.mark.parametrize("phase", [Phase.IN_ROOM, Phase.JOINING, Phase.RECONNECTING])
def test_leave_acts_on_the_press(phase: Phase) -> None:
    board = Board(in_room(phase=phase))
    board.edge("leave", True)
    board.wait(STABLE_S)
    assert board.commands == [Leave()]


def test_leave_held_two_seconds_in_idle_joins_the_default_room() -> None:
    board = Board(idle())
    board.edge("leave", True)
    board.wait(1.9)
    assert board.commands == []
    board.wait(0.2)
    assert board.commands == [Join()]
    board.wait(5)
    board.edge("leave", False)
    board.wait(1)
    assert board.commands == [Join()]


def test_a_press_that_left_the_room_does_not_join_again_when_held_on() -> None:
    board = Board(in_room())
    board.press("leave", 5)
    assert board.commands == [Leave()]


def test_leave_may_need_a_hold_but_cancelling_never_does() -> None:
    board = Board(in_room(), leave_hold_s=1.0)
    board.press("leave", 0.5)
    assert board.commands == []
    board.press("leave", 1.2)
    assert board.commands == [Leave()]
    joining = Board(in_room(phase=Phase.JOINING), leave_hold_s=1.0)
    joining.press("leave", 0.2)
    assert joining.commands == [Leave()]


def test_leave_retries_in_an_error() -> None:
    board = Board(in_room(phase=Phase.ERROR))
    board.press("leave", 0.2)
    assert board.commands == [Join(room="lobby")]


def test_two_buttons_together_fire_neither_ones_hold() -> None:
    board = Board(idle())
    board.edge("leave", True)
    board.wait(0.2)
    board.edge("mute", True)
    board.wait(10)
    assert not [gesture for gesture in board.gestures if gesture.kind is Kind.HOLD]


def test_two_buttons_one_after_the_other_keep_their_holds() -> None:
    board = Board(idle())
    board.edge("mute", True)
    board.wait(0.5)
    board.edge("leave", True)
    board.wait(3)
    assert Join() in board.commands


def test_a_button_pressed_at_start_is_ignored_until_released_once() -> None:
    board = Board(idle(), down=frozenset({"leave"}))
    board.wait(10)
    board.edge("leave", False)
    board.wait(1)
    assert board.gestures == []
    board.press("leave", 2.5)
    assert board.commands == [Join()]


def test_a_stuck_button_is_told_once_and_ignored_until_released() -> None:
    board = Board(in_room(muted=True))
    board.edge("mute", True)
    board.wait(300)
    assert [gesture.kind for gesture in board.gestures] == [Kind.PRESS, Kind.HOLD, Kind.STUCK]
    assert board.commands == [SetMicrophone(muted=False, held=True), SetMicrophone(muted=True)]
    board.edge("mute", False)
    board.wait(1)
    board.press("mute", 0.2)
    assert board.commands[-1] == SetMicrophone(muted=False)


# Any bounce pattern

bounces = st.lists(st.floats(0.0005, STABLE_S * 0.9), max_size=9)
"""Gaps between edges of a contact that has not settled."""


@st.composite
def contacts(draw: st.DrawFn) -> tuple[list[tuple[bool, float]], list[tuple[float, float]]]:
    """Return the edges of a bouncing contact, and when the finger really was down: from, to."""
    edges: list[tuple[bool, float]] = []
    presses: list[tuple[float, float]] = []
    at, level = 10.0, False
    for _ in range(draw(st.integers(1, 6))):
        at += draw(st.floats(STABLE_S * 1.2, 3.0))
        began = at
        for target in (True, False):
            for gap in [*draw(bounces), 0.0]:
                level = not level
                edges.append((level, at))
                at += gap
            if level != target:
                level = target
                at += 0.001
                edges.append((level, at))
            at += draw(st.floats(STABLE_S * 1.2, 3.0))
            if target:
                presses.append((began, at))
    return edges, presses


@given(contacts())
def test_no_press_is_lost_or_doubled_whatever_the_contact_does(
    contact: tuple[list[tuple[bool, float]], list[tuple[float, float]]],
) -> None:
    edges, presses = contact
    debounce = Debounce(STABLE_S)
    changes: list[Change] = []
    for pressed, at in edges:
        changes += debounce.edge(pressed, at)
    changes += debounce.wake(edges[-1][1] + 1)
    assert [change.pressed for change in changes] == [True, False] * len(presses)


@given(contacts(), st.booleans())
def test_late_and_repeated_edges_change_nothing(
    contact: tuple[list[tuple[bool, float]], list[tuple[float, float]]], wake: bool
) -> None:
    edges, _ = contact
    once, twice = Debounce(STABLE_S), Debounce(STABLE_S)
    seen_once: list[Change] = []
    seen_twice: list[Change] = []
    for pressed, at in edges:
        seen_once += once.edge(pressed, at)
        seen_twice += twice.edge(pressed, at) + (twice.wake(at) if wake else []) + twice.edge(pressed, at)
    assert seen_once == seen_twice


@given(st.lists(st.tuples(st.sampled_from(["mute", "leave"]), st.booleans(), st.floats(0.001, 3.0)), max_size=40))
def test_presses_and_releases_always_pair_up(steps: list[tuple[str, bool, float]]) -> None:
    board = Board(in_room())
    for button, pressed, seconds in steps:
        board.edge(button, pressed)
        board.wait(seconds)
    for button in ("mute", "leave"):
        kinds = [
            each.kind for each in board.gestures if each.button == button and each.kind in (Kind.PRESS, Kind.RELEASE)
        ]
        assert kinds == [Kind.PRESS, Kind.RELEASE] * (len(kinds) // 2) + [Kind.PRESS] * (len(kinds) % 2)
