"""What the mind wants done. Pure values; kiosk/runner.py and kiosk/stage.py do them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Cue = Literal["joined", "left", "muted", "unmuted", "incoming", "declined", "error"]


class Timer(StrEnum):
    """One clock each; starting it again replaces what was left."""

    BOOT = "boot"  # probes take at most 20 s (kiosk.md 3)
    ATTEMPT = "attempt"  # one attempt to join takes at most 30 s
    RETRY = "retry"  # the wait between attempts
    RECONNECT_LIMIT = "reconnect_limit"
    LEAVING = "leaving"  # an orderly disconnect takes at most 3 s
    ALONE = "alone"  # notice, then leave
    REJOIN = "rejoin"  # always-on: back into the room


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRoom:
    """Open the devices that shall be on, get a token, connect.

    Ends in `RoomConnected` or `JoinFailed` with the same `attempt`, unless `CloseRoom` comes first.
    """

    attempt: int
    room_name: str
    muted: bool
    camera_on: bool
    identity: str | None = None
    token: str | None = field(default=None, repr=False)
    keep_devices: bool = False  # reconnecting: what is open stays open


@dataclass(frozen=True, slots=True)
class CloseRoom:
    """Disconnect or cancel the attempt, close every capture device; ends in `RoomClosed`."""

    attempt: int


@dataclass(frozen=True, slots=True)
class MuteMicrophone:
    muted: bool


@dataclass(frozen=True, slots=True)
class SwitchCamera:
    """Off closes the sensor and disables the track (kiosk.md 8)."""

    on: bool


@dataclass(frozen=True, slots=True)
class SetVolume:
    """0 to 100; a muted speaker is 0."""

    percent: int


@dataclass(frozen=True, slots=True)
class PlayCue:
    name: Cue


@dataclass(frozen=True, slots=True)
class FlashMuteLamp:
    """Light the mute lamp for a second, as an answer to the mute button in `idle`."""


@dataclass(frozen=True, slots=True)
class MoveButton:
    """Press or release a button of the virtual front panel."""

    button: Literal["mute", "leave"]
    pressed: bool


@dataclass(frozen=True, slots=True)
class StartTimer:
    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    timer: Timer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What becomes of a command.

    `final`: nothing more comes. A long command that is accepted answers twice (kiosk.md 10).
    `code` and `message` where not `ok`: codes of kiosk.md 9.
    """

    id: str
    ok: bool
    final: bool = True
    result: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A kiosk event for the outbox (kiosk.md 12): `type` as there, `data` all text."""

    type: str
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Remember:
    """Write down, for the next run, which room to come back to."""

    room_name: str
    muted: bool
    camera_on: bool
    origin: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The next run need not come back to a room."""


@dataclass(frozen=True, slots=True)
class EndProgram:
    """Every device is closed; the program may end."""


Effect = (
    OpenRoom
    | CloseRoom
    | MuteMicrophone
    | SwitchCamera
    | SetVolume
    | PlayCue
    | FlashMuteLamp
    | MoveButton
    | StartTimer
    | StopTimer
    | Answer
    | Report
    | Remember
    | Forget
    | EndProgram
)
