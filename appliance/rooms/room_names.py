"""Which room a client means, and what a room may be called (rest.md 6.2, 13; tokens.md 5). Pure."""

import unicodedata

from appliance.errors import (
    AccessTokenGrantsInvalidError,
    RoomNameCharsInvalidError,
    RoomNameInvalidError,
    RoomNameTooLongError,
)
from appliance.rooms.room import Room
from appliance.sids import looks_like
from appliance.tokens import AccessToken

MAX_NAME_LENGTH = 128


def check_room_name(name: str) -> None:
    """Raise where a room cannot be called so: 53101 too long, 53102 control characters, 53100 empty or like a SID."""
    if len(name) > MAX_NAME_LENGTH:
        raise RoomNameTooLongError
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise RoomNameCharsInvalidError
    if not name or looks_like("RM", name):
        raise RoomNameInvalidError


def wanted_room(token: AccessToken, asked: str | None) -> str | None:
    """Return the name or SID that a client means: what it asks for, else what its token names, else None."""
    return asked or token.room


def check_scope(token: AccessToken, wanted: str, found: Room | None) -> None:
    """Raise where the token does not reach the room.

    Args:
        found: the room in progress that `wanted` resolves to, or None.

    Raises:
        AccessTokenGrantsInvalidError: with HTTP status 403, as tokens.md 4 has it for this step.
    """
    if found:
        covered = token.covers(name=found.name, sid=found.sid)
    else:
        # A token for a SID says nothing yet about a name that leads nowhere: the caller finds out what became of it.
        covered = token.room in (None, wanted) or (looks_like("RM", token.room or "") and not looks_like("RM", wanted))
    if not covered:
        raise out_of_scope()


def out_of_scope() -> AccessTokenGrantsInvalidError:
    error = AccessTokenGrantsInvalidError()
    error.http_status = 403
    return error
