"""Every command, declared once, and every happening. Pure.

A command is what someone asks, a happening what the world reports. HTTP routes, MQTT topics, `ctl` verbs and the
control socket follow from `COMMANDS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from appliance.errors import CommandRefused
from appliance.kiosk.effects import Timer
from appliance.kiosk.state import Guest, Origin, Person, Role

MAX_NAME = 128
"""Characters of a room name or identity (rest.md 5)."""
MAX_TOKEN = 8192
"""Characters of an access token (tokens.md 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When an input is decided on.

    Args:
        now: wall-clock time, UTC.
        monotonic_s: seconds that only grow.
        chance: uniform in 0..1, drawn anew for each input: what jitter is made of, so that `step` has no randomness.
    """

    now: datetime
    monotonic_s: float
    chance: float = 1.0


# Commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Join a room; None is the default room. `mic` and `camera` say what shall be on, as far as the asker may."""

    room: str | None = None
    identity: str | None = None
    token: str | None = field(default=None, repr=False)
    mic: bool | None = None
    camera: bool | None = None
    switch: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave the room, cancel joining, or give up on an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMicrophone:
    """`held`: only as long as the mute button is held (kiosk.md 5)."""

    muted: bool
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCamera:
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSpeaker:
    volume: int | None = None
    muted: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PressFrontPanel:
    """Move a button of the virtual front panel; its edge then takes the same path as a real one's."""

    button: Literal["mute", "leave"]
    pressed: bool


@dataclass(frozen=True, slots=True)
class ShowMuted:
    """The mute button in `idle`: sound the cue and light the mute lamp for a second. Changes nothing."""


Command = Join | Leave | SetMicrophone | SetCamera | SetSpeaker | PressFrontPanel | ShowMuted


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks, from where.

    `present`: this page session entered the code that the kiosk's screen shows (kiosk.md 19, 2).
    """

    origin: Origin
    role: Role = Role.OPERATOR
    account: str | None = None
    present: bool = False

    @property
    def in_the_room(self) -> bool:
        """Whether a person at the device asks: a button, its screen, or a page that proved it."""
        return self.origin in (Origin.BUTTON, Origin.TOUCH) or (self.origin is Origin.PAGE and self.present)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command with who asks. `id` is what answers and outcomes name."""

    command: Command
    actor: Actor
    id: str


ArgumentKind = Literal["name", "token", "flag", "percent", "button", "action"]


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    kind: ArgumentKind
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandKind:
    """One row of the table of commands.

    Args:
        make: from checked arguments to the command.
        role: the least role that may ask.
        origins: from where it may be asked at all; kiosk/policy.py decides on top of that.
        long: the outcome comes later than the answer.
    """

    name: str
    make: Callable[[Mapping[str, Any]], Command]
    arguments: tuple[Argument, ...] = ()
    role: Role = Role.OPERATOR
    origins: frozenset[Origin] = frozenset(Origin)
    long: bool = False


def _set_speaker(given: Mapping[str, Any]) -> Command:
    if not given:
        raise CommandRefused("invalid_request", "speaker.set: give volume, muted or both")
    return SetSpeaker(**given)


def _press(given: Mapping[str, Any]) -> Command:
    return PressFrontPanel(button=given["button"], pressed=given["action"] == "press")


COMMANDS: Mapping[str, CommandKind] = {
    kind.name: kind
    for kind in (
        CommandKind(
            name="room.join",
            make=lambda given: Join(**given),
            arguments=(
                Argument("room", "name"),
                Argument("identity", "name"),
                Argument("token", "token"),
                Argument("mic", "flag"),
                Argument("camera", "flag"),
                Argument("switch", "flag"),
            ),
            long=True,
        ),
        CommandKind(name="room.leave", make=lambda _: Leave(), long=True),
        CommandKind(name="mic.mute", make=lambda _: SetMicrophone(muted=True)),
        CommandKind(name="mic.unmute", make=lambda _: SetMicrophone(muted=False)),
        CommandKind(name="camera.on", make=lambda _: SetCamera(on=True)),
        CommandKind(name="camera.off", make=lambda _: SetCamera(on=False)),
        CommandKind(
            name="speaker.set", make=_set_speaker, arguments=(Argument("volume", "percent"), Argument("muted", "flag"))
        ),
        CommandKind(
            name="front_panel.press",
            make=_press,
            arguments=(Argument("button", "button", required=True), Argument("action", "action", required=True)),
            origins=frozenset({Origin.PAGE, Origin.CLI}),
        ),
    )
}


def command_name(command: Command) -> str:
    """Return the name under which a command is logged and published."""
    match command:
        case Join():
            return "room.join"
        case Leave():
            return "room.leave"
        case SetMicrophone(muted=muted):
            return "mic.mute" if muted else "mic.unmute"
        case SetCamera(on=on):
            return "camera.on" if on else "camera.off"
        case SetSpeaker():
            return "speaker.set"
        case PressFrontPanel():
            return "front_panel.press"
        case ShowMuted():
            return "mic.show"


def read_command(name: str, arguments: Mapping[str, Any], *, strict: bool = True) -> Command:
    """Return the command of this name with these arguments.

    Args:
        strict: refuse unknown arguments (HTTP, control socket); else pass them by (MQTT, kiosk.md 10).

    Raises:
        CommandRefused: `unknown_command`, or `invalid_request` naming the argument.
    """
    kind = COMMANDS.get(name)
    if kind is None:
        raise CommandRefused("unknown_command", f"{name[:80]!r} is not a command; known are {', '.join(COMMANDS)}")
    known = {argument.name for argument in kind.arguments}
    for key in arguments:
        if strict and key not in known:
            raise CommandRefused("invalid_request", f"{name}: {str(key)[:80]!r} is not an argument of it")
    given = {
        argument.name: _checked(name, argument, arguments[argument.name])
        for argument in kind.arguments
        if arguments.get(argument.name) is not None
    }
    for argument in kind.arguments:
        if argument.required and argument.name not in given:
            raise CommandRefused("invalid_request", f"{name}: {argument.name!r} is missing")
    return kind.make(given)


def _checked(command: str, argument: Argument, value: Any) -> Any:
    fine, rule = _CHECKS[argument.kind]
    if not fine(value):
        raise CommandRefused("invalid_request", f"{command}: {argument.name!r} has to be {rule}")
    return value


def _is_text(value: Any, most: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= most and value.isprintable()


_CHECKS: Mapping[ArgumentKind, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: _is_text(value, MAX_NAME), f"text of 1 to {MAX_NAME} printable characters"),
    "token": (lambda value: _is_text(value, MAX_TOKEN), f"text of 1 to {MAX_TOKEN} characters"),
    "flag": (lambda value: isinstance(value, bool), "true or false"),
    "percent": (
        lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100,
        "a whole number from 0 to 100",
    ),
    "button": (lambda value: value in ("mute", "leave"), '"mute" or "leave"'),
    "action": (lambda value: value in ("press", "release"), '"press" or "release"'),
}


# Happenings


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """All probes are done.

    `resume`: the room that the run before was in when it ended without leaving, with its mute state, if recent.
    """

    microphone_absent: bool = False
    camera_absent: bool = False
    speaker_absent: bool = False
    display: Literal["on", "absent"] = "absent"
    resume: "Resume | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """What to come back to after a crash (kiosk.md 3)."""

    room_name: str
    muted: bool
    camera_on: bool
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomConnected:
    """Signaling is connected and media flows. `attempt` as in `OpenRoom`."""

    attempt: int
    name: str
    sid: str
    participant_sid: str
    people: tuple[Person, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinFailed:
    """An attempt ended before it was connected; everything it opened is closed again.

    `code` is the service's number (signaling.md 6), 0 where it could not be reached at all.
    """

    attempt: int
    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomInterrupted:
    """The link is lost; the SDK is trying to resume."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomResumed:
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLost:
    """The SDK is out of the room for good. `code` None: the host removed us without a word."""

    attempt: int
    code: int | None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomClosed:
    """We are out, as we wanted, and every capture device of that attempt is closed."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleChanged:
    """Who is in the room with us now, in order of arrival."""

    attempt: int
    people: tuple[Person, ...]
    dominant_speaker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capturing:
    """A capture device began or ceased to deliver, told by its owner."""

    what: Literal["microphone", "camera"]
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGone:
    """`issue` is a code of kiosk/issues.py, e.g. `mic_absent`, `camera_stalled`."""

    what: Literal["microphone", "camera", "speaker"]
    issue: str
    message: str


@dataclass(frozen=True, slots=True)
class DeviceFound:
    what: Literal["microphone", "camera", "speaker"]


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """Of our own connection, 0 to 5; None while unknown."""

    level: int | None


@dataclass(frozen=True, slots=True)
class BrokerChanged:
    state: Literal["connected", "connecting", "disabled"]


@dataclass(frozen=True, slots=True)
class DisplayChanged:
    state: Literal["on", "standby", "absent"]


@dataclass(frozen=True, slots=True)
class GuestInvited:
    """A fresh invitation to the default room, or None where the service gives none."""

    guest: Guest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueSeen:
    """A part of the kiosk found or lost a problem that is not a device's."""

    code: str
    present: bool
    subject: str = ""


@dataclass(frozen=True, slots=True)
class RoomEventSeen:
    """Something in the room that consumers of status callbacks know: `type` and `data` as in callbacks.md."""

    type: str
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TimeUp:
    timer: Timer


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The service manager wants the program to end."""


Happening = (
    Booted
    | RoomConnected
    | JoinFailed
    | RoomInterrupted
    | RoomResumed
    | RoomLost
    | RoomClosed
    | PeopleChanged
    | Capturing
    | DeviceGone
    | DeviceFound
    | LinkQuality
    | BrokerChanged
    | DisplayChanged
    | GuestInvited
    | IssueSeen
    | RoomEventSeen
    | TimeUp
    | StopAsked
)
Input = Asked | Happening
