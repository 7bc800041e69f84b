"""What the kiosk does about each number a rooms service may answer with (kiosk.md 4). Pure."""

from collections.abc import Mapping
from enum import Enum


class Remedy(Enum):
    """One row each of the table in kiosk.md 4."""

    FRESH_TOKEN = "fresh token, once"
    RENEW_TOKEN = "renew the token, three times"
    BACK_OFF = "back-off reconnect"
    BUSY = "long back-off"
    WAIT_FOR_A_PLACE = "every 30 s for 5 min"
    IDENTITY = "error identity_invalid"
    NO_SUCH_ROOM = "idle, room_not_found"
    BAD_NAME = "idle, room_name_invalid"
    ENDED = "idle; always-on: again after 5 s"
    TOO_LONG = "idle; always-on: again at once"
    DUPLICATE = "idle, until somebody asks"
    REMOVED = "idle, and held off"
    MEDIA = "error media_incompatible"


UNREACHABLE = 0
"""Stands for a service that did not answer at all."""

_REMEDIES: Mapping[Remedy, tuple[int, ...]] = {
    Remedy.FRESH_TOKEN: (20101, 20102, 20103, 20106, 20107),
    Remedy.RENEW_TOKEN: (20104, 20105),
    Remedy.BACK_OFF: (UNREACHABLE, 53000, 53001, 53002, 53405, 53407),
    Remedy.BUSY: (53006, 53103, 53104, 53116),
    Remedy.WAIT_FOR_A_PLACE: (53105,),
    Remedy.IDENTITY: (53200, 53201, 53202),
    Remedy.NO_SUCH_ROOM: (53106,),
    Remedy.BAD_NAME: (53100, 53101, 53102),
    Remedy.ENDED: (53118,),
    Remedy.TOO_LONG: (53216,),
    Remedy.DUPLICATE: (53205,),
    Remedy.MEDIA: (53400, 53401, 53402, 53403, 53404),
}
_BY_CODE: Mapping[int, Remedy] = {code: remedy for remedy, codes in _REMEDIES.items() for code in codes}

REASONS: Mapping[Remedy, str] = {
    Remedy.FRESH_TOKEN: "token_rejected",
    Remedy.RENEW_TOKEN: "token_rejected",
    Remedy.BACK_OFF: "service_unreachable",
    Remedy.BUSY: "service_busy",
    Remedy.WAIT_FOR_A_PLACE: "room_full",
    Remedy.IDENTITY: "identity_invalid",
    Remedy.NO_SUCH_ROOM: "room_not_found",
    Remedy.BAD_NAME: "room_name_invalid",
    Remedy.ENDED: "room_ended",
    Remedy.TOO_LONG: "session_too_long",
    Remedy.DUPLICATE: "duplicate_identity",
    Remedy.REMOVED: "removed",
    Remedy.MEDIA: "media_incompatible",
}
"""What `reason` in the state says; the same code names the issue where one is raised."""


def remedy_for(code: int | None) -> Remedy:
    """Return what to do. None means removed by the host; a number nobody knows is tried again with back-off."""
    return Remedy.REMOVED if code is None else _BY_CODE.get(code, Remedy.BACK_OFF)
