"""What can be wrong with a kiosk, how bad it is, and what to do about it (kiosk.md 3, Issues). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from appliance.kiosk.state import Issue, KioskState

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Known:
    """A problem with a name. `remedy` is one thing that a person can do, in English; kiosk/words.py translates."""

    severity: Severity
    title: str
    remedy: str
    auto_recovers: bool = True


KNOWN: Mapping[str, Known] = {
    "token_rejected": Known("critical", "The rooms service refuses this kiosk", "Check the kiosk's key and clock"),
    "service_unreachable": Known(
        "critical", "The rooms service does not answer", "Check that the network cable is plugged in"
    ),
    "identity_invalid": Known(
        "critical", "The rooms service does not accept the kiosk's identity", "Change device.id", auto_recovers=False
    ),
    "media_incompatible": Known(
        "critical", "No common way to send sound and picture", "Update the kiosk", auto_recovers=False
    ),
    "room_not_found": Known("warning", "The room does not exist", "Check the room's name"),
    "room_name_invalid": Known("warning", "The room's name is not allowed", "Check the room's name"),
    "duplicate_identity": Known("warning", "Another device uses this name", "Give each kiosk its own device.id", False),
    "mic_absent": Known("warning", "No microphone", "Check the microphone's cable"),
    "camera_absent": Known("warning", "No camera", "Check the camera's cable"),
    "camera_stalled": Known("warning", "The camera stopped", "Check the camera's cable"),
    "camera_busy": Known("warning", "Another program holds the camera", "End the other program"),
    "speaker_absent": Known("warning", "No loudspeaker", "Check the loudspeaker's cable"),
    "track_failed": Known("warning", "Sound or picture could not be sent", "Leave the room and join again"),
    "gpio_unavailable": Known("info", "No buttons and lamps", "Use the control page"),
    "display_absent": Known("info", "No screen", "Check the screen's cable"),
    "mqtt_disconnected": Known("warning", "The broker does not answer", "Check the broker"),
    "mqtt_auth": Known("warning", "The broker refuses the kiosk", "Check mqtt.username and mqtt.password_file"),
    "outbox_volatile": Known("warning", "Events are not kept on the card", "Check the card"),
    "data_recovered": Known("info", "A damaged file was set aside", "Look into the kept copy", auto_recovers=False),
    "button_stuck": Known("warning", "A button is stuck", "Check the button"),
}


def severity(code: str) -> Severity:
    return KNOWN[code].severity if code in KNOWN else "warning"


def raised(state: KioskState, issue: Issue) -> tuple[Issue, ...]:
    """Return the issues with this one; one that is there already keeps its age."""
    if state.has_issue(issue.code):
        return state.issues
    return (*state.issues, issue)


def cleared(state: KioskState, *codes: str) -> tuple[Issue, ...]:
    return tuple(issue for issue in state.issues if issue.code not in codes)


def without_critical(state: KioskState) -> tuple[Issue, ...]:
    return tuple(issue for issue in state.issues if severity(issue.code) != "critical")
