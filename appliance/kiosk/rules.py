"""The rules a kiosk decides by, as its administrator set them (kiosk.md 14, `join`, `privacy`). Pure."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class StartMedia:
    """What is on when a join succeeds."""

    mic: bool = True
    camera: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What `step` needs of the settings. Times in seconds.

    Args:
        allowed_rooms: globs on the room's name; case counts.
        remote_unmute: the least role that may open microphone or camera from elsewhere.
        auto_leave_alone_s: alone for so long, then leave; 0 never.
        push_to_talk: holding the mute button while muted speaks as long as it is held.
    """

    mode: Literal["manual", "schedule", "always"] = "manual"
    default_room: str = ""
    allowed_rooms: tuple[str, ...] = ("*",)
    local_media: StartMedia = StartMedia()
    remote_media: StartMedia = StartMedia(mic=False, camera=False)
    reconnect_limit_s: float = 120.0
    kick_holdoff_s: float = 300.0
    auto_leave_alone_s: float = 300.0
    remote_unmute: Literal["never", "admin", "operator"] = "never"
    push_to_talk: bool = True


DEFAULT_RULES = Rules()
