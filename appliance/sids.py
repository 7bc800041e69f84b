"""Identifiers: two letters that say what, 32 lower-case hex digits that say which (rest.md 5)."""

import re
import secrets
from typing import NewType

AccountSid = NewType("AccountSid", str)
KeySid = NewType("KeySid", str)
RoomSid = NewType("RoomSid", str)
ParticipantSid = NewType("ParticipantSid", str)
TrackSid = NewType("TrackSid", str)
EventSid = NewType("EventSid", str)

_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")


def _new(prefix: str) -> str:
    return prefix + secrets.token_hex(16)


def new_account_sid() -> AccountSid:
    return AccountSid(_new("AC"))


def new_key_sid() -> KeySid:
    return KeySid(_new("SK"))


def new_room_sid() -> RoomSid:
    return RoomSid(_new("RM"))


def new_participant_sid() -> ParticipantSid:
    return ParticipantSid(_new("PA"))


def new_track_sid() -> TrackSid:
    return TrackSid(_new("MT"))


def new_event_sid() -> EventSid:
    return EventSid(_new("EV"))


def new_request_sid() -> str:
    return _new("RQ")


def looks_like(prefix: str, value: str) -> bool:
    """Tell whether `value` has the form of a SID of this kind, e.g. `looks_like("RM", name)`."""
    return value.startswith(prefix) and _SID.fullmatch(value) is not None
