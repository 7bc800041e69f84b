"""The line of light and the rhythms of the lamps, made from the state here and nowhere else (look/README.md 1). Pure.

Laws: the left half is lit exactly while a device here is open; the Line is cut exactly while the room is in a room
and not heard, and a cut always carries a pill; what takes time happens on the right half.
"""

import math
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from appliance.devices.screens.base import LineOfLight, Pill, RightHalf
from appliance.kiosk.state import CameraState, KioskState, MicrophoneState, Phase

Pattern = Literal[
    "off", "solid", "blink_1hz", "blink_0_5hz", "fast_4hz", "double", "triple", "breathe", "long_short"
]  # fmt: skip

CONNECTED = frozenset({Phase.IN_ROOM, Phase.RECONNECTING})
"""In a room: where a cut is possible."""

BARS = (0, 1, 2, 2, 3, 4)
"""Bars of the link by network quality level, 0 to 5."""
WEAK_LINK_BELOW = 2  # bars

MUTED_PILL = Pill("mic-off", "mic.muted", "muted")
NO_MICROPHONE_PILL = Pill("mic-off", "mic.absent", "attention")
BLOCKED_PILL = Pill("lock", "mic.blocked", "muted")
CAMERA_OFF_PILL = Pill("camera-off", "camera.off", "outline")
NO_CAMERA_PILL = Pill("camera-off", "camera.absent", "outline")
WEAK_LINK_PILL = Pill("signal", "link.weak", "attention")
RECORDED_PILL = Pill("record", "room.recorded", "outline")

_SENTENCES = {
    Phase.BOOTING: "line.starting",
    Phase.SETUP: "line.setup",
    Phase.ERROR: "line.error",
    Phase.UPDATING: "line.updating",
}
_STATUS: dict[Phase, Pattern] = {
    Phase.BOOTING: "blink_0_5hz",
    Phase.SETUP: "long_short",
    Phase.IDLE: "off",
    Phase.JOINING: "blink_1hz",
    Phase.IN_ROOM: "solid",
    Phase.RECONNECTING: "double",
    Phase.LEAVING: "off",
    Phase.ERROR: "triple",
    Phase.UPDATING: "breathe",
    Phase.STOPPING: "off",
}


@dataclass(frozen=True, slots=True)
class LampPatterns:
    """The rhythm of each lamp (kiosk.md 6). `live` says what its owner, the device, shows by itself."""

    mute: Pattern
    live: Pattern
    status: Pattern


def capturing(state: KioskState) -> bool:
    """Return whether a camera or microphone is open here, as their owner says."""
    return state.mic_live or state.camera_live


def heard(state: KioskState) -> bool:
    """Return whether the room, if connected, hears us now."""
    return state.mic is MicrophoneState.LIVE or (state.talk_held and state.mic is MicrophoneState.MUTED)


def line(state: KioskState, now: datetime | None = None) -> LineOfLight:
    """Make the Line.

    Args:
        now: for what grows with time; without it as at the last change of the state.
    """
    in_room = state.phase in CONNECTED
    held = in_room and state.talk_held and heard(state)
    return LineOfLight(
        left_lit=capturing(state),
        right=_right(state, now),
        cut=_cut(state) if in_room and not heard(state) else None,
        left_pill=_left_pill(state) if in_room else None,
        right_pill=_right_pill(state) if state.phase is Phase.IN_ROOM else None,
        pulse="held" if held else "slow" if state.phase is Phase.BOOTING else "none",
        sentence_key=_sentence(state),
    )


def _right(state: KioskState, now: datetime | None) -> RightHalf:
    match state.phase:
        case Phase.IN_ROOM:
            return RightHalf("connected")
        case Phase.RECONNECTING:
            return RightHalf("dashes")
        case Phase.JOINING:
            return RightHalf("part", joining_part((now - state.since).total_seconds() if now else 0.0))
        case Phase.ERROR:
            return RightHalf("marks")
        case Phase.SETUP:
            return RightHalf("long_short")
        case Phase.UPDATING:
            return RightHalf("part", 0.0)
        case _:
            return RightHalf("rest")


def joining_part(elapsed_s: float) -> float:
    """Return how far the right half has grown: a step a second, quick at first, never there before it is true."""
    steps = max(0, math.floor(elapsed_s))
    return round(0.2 + 0.72 * (1 - math.exp(-steps / 4)), 3)


def _cut(state: KioskState) -> Pill:
    match state.mic:
        case MicrophoneState.BLOCKED:
            return BLOCKED_PILL
        case MicrophoneState.ABSENT:
            return NO_MICROPHONE_PILL
        case _:
            return MUTED_PILL


def _left_pill(state: KioskState) -> Pill | None:
    match state.camera:
        case CameraState.LIVE:
            return None
        case CameraState.ABSENT:
            return NO_CAMERA_PILL
        case _:
            return CAMERA_OFF_PILL


def _right_pill(state: KioskState) -> Pill | None:
    """Being recorded goes before a weak link, which the bars show as well."""
    if state.room is not None and state.room.recording:
        return RECORDED_PILL
    shown = bars(state.quality)
    return WEAK_LINK_PILL if shown is not None and shown < WEAK_LINK_BELOW else None


def bars(level: int | None) -> int | None:
    """Return how many of four bars stand for a network quality level; None while it is unknown."""
    return None if level is None else BARS[min(5, max(0, level))]


def _sentence(state: KioskState) -> str:
    lit = capturing(state)
    match state.phase:
        case Phase.IN_ROOM:
            seen = state.camera is CameraState.LIVE
            return {
                (True, True): "line.live",
                (True, False): "line.seen",
                (False, True): "line.heard",
                (False, False): "line.silent",
            }[seen, heard(state)]
        case Phase.RECONNECTING:
            return "line.lost" if lit else "line.lost_dark"
        case Phase.JOINING:
            return "line.joining" if lit else "line.joining_dark"
        case phase if lit:  # a device that is still open outside a call is what matters most
            return "line.open"
        case phase:
            return _SENTENCES.get(phase, "line.idle")


def lamps(state: KioskState) -> LampPatterns:
    """Return what each lamp does: for each one the highest row of kiosk.md 6 that has an entry."""
    return LampPatterns(mute=_mute_lamp(state), live=_live_lamp(state), status=_STATUS[state.phase])


def _mute_lamp(state: KioskState) -> Pattern:
    if state.blocked:
        return "solid"
    if state.phase not in CONNECTED or heard(state):
        return "off"
    return "blink_0_5hz" if state.mic is MicrophoneState.ABSENT else "solid"


def _live_lamp(state: KioskState) -> Pattern:
    if not capturing(state):
        return "off"
    return "fast_4hz" if state.talk_held and state.phase in CONNECTED and heard(state) else "solid"


def document(line: LineOfLight) -> dict[str, Any]:
    """Return the Line as JSON for the state document; words stay keys there."""
    value = asdict(line)
    for pill in (value[name] for name in ("cut", "left_pill", "right_pill")):
        if pill is not None:
            del pill["word"]
    return value
