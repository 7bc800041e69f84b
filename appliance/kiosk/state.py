"""KioskState: the snapshot that screen, lamps, page and MQTT are views of (kiosk.md 3, 10). Pure."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from appliance.kiosk.rules import DEFAULT_RULES, Rules

DAWN = datetime(1970, 1, 1, tzinfo=UTC)
"""What `since` says before the first input."""


class Phase(StrEnum):
    """The main state, one at a time (kiosk.md 3).

    booting ─▶ idle ─▶ joining ─▶ in_room ─▶ leaving ─▶ idle
       │         ▲        │  ▲       │ ▲
       ▼         └────────┘  │       ▼ │
     setup       error ◀─────┴── reconnecting           every one ─▶ stopping; idle ─▶ updating ─▶ idle
    """

    BOOTING = "booting"
    SETUP = "setup"
    IDLE = "idle"
    JOINING = "joining"
    IN_ROOM = "in_room"
    RECONNECTING = "reconnecting"
    LEAVING = "leaving"
    ERROR = "error"
    UPDATING = "updating"
    STOPPING = "stopping"


CALLING = frozenset({Phase.JOINING, Phase.IN_ROOM, Phase.RECONNECTING})
"""Where capture devices may be open (kiosk.md 19, 1)."""


class MicrophoneState(StrEnum):
    """`blocked`: a privacy switch or a rule prevents use."""

    LIVE = "live"
    MUTED = "muted"
    BLOCKED = "blocked"
    ABSENT = "absent"


class CameraState(StrEnum):
    """`blocked`: a privacy switch or a rule prevents use."""

    LIVE = "live"
    OFF = "off"
    BLOCKED = "blocked"
    ABSENT = "absent"


class Origin(StrEnum):
    """Where a command came from (kiosk.md 1)."""

    BUTTON = "button"
    TOUCH = "touch"
    PAGE = "page"
    API = "api"
    MQTT = "mqtt"
    SCHEDULE = "schedule"
    CLI = "cli"
    REMOTE = "remote"
    SYSTEM = "system"


class Role(StrEnum):
    """What an account may do; each includes the one before (kiosk.md 9)."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What this kiosk is, fixed while it runs.

    Args:
        id: `[a-z0-9][a-z0-9-]{1,31}`; also the identity in rooms and the MQTT client id.
        panel_url: address of the control page as people would type it, or None.
    """

    id: str = "kiosk"
    name: str = "Kiosk"
    locale: str = "en"
    timezone: str | None = None
    default_room: str = ""
    front_panel: Literal["gpio", "virtual", "none"] = "none"
    panel_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody else in the room.

    Args:
        sid: participant SID.
        name: the identity they joined under.
        video: SID of the track whose frames the screen finds in the slot of that name; None while nothing is received.
        link: network quality level 0 to 5, None while unknown.
    """

    sid: str
    name: str
    microphone: Literal["on", "off", "none"] = "none"
    camera: Literal["on", "off"] = "off"
    speaking: bool = False
    video: str | None = None
    link: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomView:
    """The room the kiosk is in or on the way to. The SIDs are empty until it is connected.

    Args:
        dominant_speaker: SID of whoever of the others speaks now, None while nobody does.
        spotlight: SID of whoever spoke last and is still here: large on the screen; None until somebody has.
    """

    name: str
    sid: str = ""
    participant_sid: str = ""
    people: tuple[Person, ...] = ()
    dominant_speaker: str | None = None
    spotlight: str | None = None
    recording: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One stay in a room, from the wish to join to having left, through all its attempts.

    Args:
        attempt: number of the connection being made or held; what an earlier one still reports is not listened to.
        muted: whether the room shall not hear us; only a person in the room makes it False again.
        camera_on: whether the room shall see us.
        token: access token that came with the command; None where the kiosk signs its own.
        command_id: whoever asked to join waits for the outcome of this; None once it is told.
        tries: attempts since the last success.
        fresh_tokens: tokens refused since the last success.
        since_s: monotonic seconds when this joining or reconnecting began.
        joined_before: whether the room has been reached once, so that losing it is `reconnecting`.
        asked_in_the_room: whether a person at the device asked to join.
    """

    room_name: str
    attempt: int
    origin: Origin
    muted: bool
    camera_on: bool
    identity: str | None = None
    token: str | None = field(default=None, repr=False)
    command_id: str | None = None
    tries: int = 0
    fresh_tokens: int = 0
    since_s: float = 0.0
    joined_before: bool = False
    asked_in_the_room: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What happens by itself, and when: `{"action": "retry", "at": …}`."""

    action: Literal["retry", "leave", "give_up"]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """A known problem; kiosk/issues.py knows severity, title and remedy of each code."""

    code: str
    since: datetime = DAWN
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """`volume` 0 to 100."""

    volume: int = 60
    muted: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """How a guest joins the default room: the whole invitation (a QR code), and its address without the secret."""

    link: str = field(repr=False)
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KioskState:
    """Everything the kiosk knows about itself.

    Args:
        rev: grows by one with every change (set by the runner).
        reason: machine code why this phase, e.g. `joined`, `room_full`, `service_unreachable`.
        visit: the stay in a room; None in the phases without one.
        last_muted, last_camera_on: how the last visit ended; a rejoin by the kiosk itself must not undo it.
        then: where to go when the room is left, where a command asked to switch.
        mic_live, camera_live: the device is open and delivers, as its owner reports (kiosk.md 6); muted may be live.
        talk_held: speaking only as long as the mute button is held.
        origin: of the last command that changed something.
        last_attempt: the highest attempt number given out.
    """

    device: Device = Device()
    rules: Rules = DEFAULT_RULES
    rev: int = 0
    phase: Phase = Phase.BOOTING
    since: datetime = DAWN
    reason: str = "started"
    detail: str | None = None
    next: Next | None = None
    visit: Visit | None = None
    room: RoomView | None = None
    then: Visit | None = None
    last_muted: bool | None = None
    last_camera_on: bool | None = None
    microphone_absent: bool = False
    camera_absent: bool = False
    blocked: bool = False
    mic_live: bool = False
    camera_live: bool = False
    talk_held: bool = False
    speaker: Speaker = Speaker()
    display: Literal["on", "standby", "absent"] = "absent"
    network: Literal["online", "lan_only", "offline", "setup_ap"] = "online"
    mqtt: Literal["connected", "connecting", "disabled"] = "disabled"
    clock: Literal["synced", "unsynced"] = "synced"
    quality: int | None = None
    issues: tuple[Issue, ...] = ()
    guest: Guest | None = None
    origin: Origin = Origin.SYSTEM
    last_attempt: int = 0

    @property
    def mic(self) -> MicrophoneState:
        """`live` means that the room hears us; whether the device is open tells `mic_live`."""
        if self.blocked:
            return MicrophoneState.BLOCKED
        if self.microphone_absent:
            return MicrophoneState.ABSENT
        heard = self.visit is not None and self.phase in CALLING and not self.visit.muted
        return MicrophoneState.LIVE if heard else MicrophoneState.MUTED

    @property
    def camera(self) -> CameraState:
        """`live` means that the room sees us, or will when it is reached."""
        if self.blocked:
            return CameraState.BLOCKED
        if self.camera_absent:
            return CameraState.ABSENT
        seen = self.visit is not None and self.phase in CALLING and self.visit.camera_on
        return CameraState.LIVE if seen else CameraState.OFF

    @property
    def people(self) -> tuple[Person, ...]:
        return self.room.people if self.room else ()

    def has_issue(self, code: str) -> bool:
        return any(issue.code == code for issue in self.issues)
