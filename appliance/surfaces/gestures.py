"""From raw edges of buttons to what a press means (kiosk.md 5). Pure: told the time, asked when to be woken.

edges ─▶ Debounce ─▶ Gestures ─▶ Fingers.meaning ─▶ commands
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from appliance.kiosk.inputs import Command, Join, Leave, SetMicrophone, ShowMuted
from appliance.kiosk.state import CALLING, KioskState, Phase

TALK_S = 0.8
"""The mute button held for longer talks as long as it is held; shorter is a short press."""
JOIN_HOLD_S = 2.0
"""The leave button in idle."""
BOTH_WITHIN_S = 0.3
"""Two buttons pressed so close together are one gesture, and neither one's own hold fires."""
STUCK_S = 60.0


class Kind(StrEnum):
    PRESS = "press"
    HOLD = "hold"
    RELEASE = "release"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class Gesture:
    """Something a finger did.

    Args:
        held_s: of a hold, the threshold it passed; of a release, how long the button was down.
        short: of a release, whether it ends a short press that no hold came before.
    """

    button: str
    kind: Kind
    held_s: float = 0.0
    short: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A level that has settled; `at` is when it last moved."""

    pressed: bool
    at: float


class Debounce:
    """A change counts when the level has been stable for `stable_s`; presses and releases always alternate.

    One of these per button. A level that went there and back within `stable_s` was a bounce.
    """

    def __init__(self, stable_s: float, *, pressed: bool = False) -> None:
        self._stable_s = stable_s
        self._stable = self._level = pressed
        self._since = 0.0

    def edge(self, pressed: bool, at: float) -> list[Change]:
        """Take an edge; returns what had settled before it."""
        settled = self.wake(at)
        # Edges may be reported twice or late; only the level counts.
        if pressed != self._level:
            self._level, self._since = pressed, at
        return settled

    def wake_at(self) -> float | None:
        return self._since + self._stable_s if self._level != self._stable else None

    def wake(self, now: float) -> list[Change]:
        """Return the change that has settled by now, if any."""
        due = self.wake_at()
        if due is None or now < due:
            return []
        self._stable = self._level
        return [Change(self._stable, self._since)]


@dataclass(slots=True)
class _Down:
    """A button that is pressed."""

    at: float
    fired: int = 0  # how many of its holds
    paired: bool = False


class Gestures:
    """Presses, holds and releases of several buttons.

    Args:
        holds: button → thresholds in seconds, ascending.
        down_at_start: buttons that were pressed before anybody could have meant anything: ignored until released.
    """

    def __init__(self, holds: Mapping[str, tuple[float, ...]], down_at_start: frozenset[str] = frozenset()) -> None:
        self._holds = {button: (*thresholds, STUCK_S) for button, thresholds in holds.items()}
        self._down: dict[str, _Down] = {}
        self._ignored = set(down_at_start)

    def change(self, button: str, change: Change) -> list[Gesture]:
        """Take a debounced change."""
        early = self.wake(change.at)
        if change.pressed:
            return early + self._press(button, change.at)
        return early + self._release(button, change.at)

    def _press(self, button: str, at: float) -> list[Gesture]:
        if button in self._ignored or button in self._down:
            return []
        mine = self._down[button] = _Down(at)
        for other in self._down.values():
            if other is not mine and at - other.at <= BOTH_WITHIN_S and other.fired == 0:
                mine.paired = other.paired = True
        return [Gesture(button, Kind.PRESS)]

    def _release(self, button: str, at: float) -> list[Gesture]:
        self._ignored.discard(button)
        down = self._down.pop(button, None)
        if down is None:
            return []
        held_s = at - down.at
        short = held_s < TALK_S and down.fired == 0
        return [Gesture(button, Kind.RELEASE, held_s, short)]

    def wake_at(self) -> float | None:
        """Return when the next hold is due."""
        due = [down.at + self._next_hold(button, down) for button, down in self._down.items()]
        return min(due, default=None)

    def wake(self, now: float) -> list[Gesture]:
        """Return the holds that are due; each fires once."""
        found: list[tuple[float, Gesture]] = []
        for button, down in list(self._down.items()):
            while button in self._down and now >= down.at + (held_s := self._next_hold(button, down)):
                down.fired += 1
                if held_s >= STUCK_S:
                    self._ignored.add(button)
                    del self._down[button]
                    found.append((down.at + held_s, Gesture(button, Kind.STUCK, held_s)))
                elif not down.paired:
                    found.append((down.at + held_s, Gesture(button, Kind.HOLD, held_s)))
        return [gesture for _, gesture in sorted(found, key=lambda each: each[0])]

    def _next_hold(self, button: str, down: _Down) -> float:
        thresholds = self._holds.get(button, (STUCK_S,))
        return thresholds[min(down.fired, len(thresholds) - 1)]


def holds_for(leave_hold_s: float) -> dict[str, tuple[float, ...]]:
    """Return the thresholds of each button; `leave_hold_s` 0 makes leaving act on the press."""
    leave = sorted({JOIN_HOLD_S, *((leave_hold_s,) if leave_hold_s else ())})
    return {"mute": (TALK_S,), "leave": tuple(leave)}


@dataclass(frozen=True, slots=True)
class Meant:
    """What a gesture asks for; `action` is its name for whoever listens to the buttons."""

    command: Command
    action: str


class Fingers:
    """What gestures mean, given the state. Remembers what the press now going on has begun with."""

    def __init__(self, leave_hold_s: float = 0.0) -> None:
        self._leave_hold_s = leave_hold_s
        self._pressed_in: dict[str, KioskState] = {}
        self._talking = False

    def meaning(self, gesture: Gesture, state: KioskState) -> Meant | None:
        """Return what the gesture asks for, None where it asks for nothing."""
        if gesture.kind is Kind.PRESS:
            self._pressed_in[gesture.button] = state
        match gesture.button:
            case "mute":
                return self._mute(gesture, state)
            case "leave":
                return self._leave(gesture, state)
            case "join" if gesture.kind is Kind.PRESS and state.phase is Phase.IDLE:
                return Meant(Join(), "room.join")
        return None

    def _mute(self, gesture: Gesture, state: KioskState) -> Meant | None:
        began = self._pressed_in.get("mute", state)
        # Muting acts on the press, opening on the release: a finger that slips mutes.
        was_muted = began.phase in CALLING and began.visit is not None and began.visit.muted
        match gesture.kind:
            case Kind.PRESS if state.phase is Phase.IDLE:
                return Meant(ShowMuted(), "mic.show")
            case Kind.PRESS if state.phase in CALLING and not was_muted:
                return Meant(SetMicrophone(muted=True), "mic.mute")
            case Kind.HOLD if was_muted and state.rules.push_to_talk:
                self._talking = True
                return Meant(SetMicrophone(muted=False, held=True), "mic.talk")
            case Kind.RELEASE | Kind.STUCK if self._talking:
                self._talking = False
                return Meant(SetMicrophone(muted=True), "mic.mute")
            case Kind.RELEASE if was_muted and (gesture.short or not state.rules.push_to_talk):
                return Meant(SetMicrophone(muted=False), "mic.unmute")
            case _:
                return None

    def _leave(self, gesture: Gesture, state: KioskState) -> Meant | None:
        began = self._pressed_in.get("leave", state).phase
        match gesture.kind:
            case Kind.PRESS if state.phase in (Phase.JOINING, Phase.RECONNECTING):
                return Meant(Leave(), "room.leave")
            case Kind.PRESS if state.phase is Phase.IN_ROOM and not self._leave_hold_s:
                return Meant(Leave(), "room.leave")
            case Kind.HOLD if began is Phase.IN_ROOM is state.phase and gesture.held_s == self._leave_hold_s:
                return Meant(Leave(), "room.leave")
            case Kind.PRESS if state.phase is Phase.ERROR:
                return Meant(Join(room=state.visit.room_name if state.visit else None), "retry")
            # A press that left the room, held on, must not bring us back into it.
            case Kind.HOLD if began is Phase.IDLE is state.phase and gesture.held_s == JOIN_HOLD_S:
                return Meant(Join(), "room.join")
            case _:
                return None
