"""Guest links: invitations that are signed, for one room, and expire. Pure.

An invitation is `base64url(MAC ‖ JSON [1, expiry, room])`; it stands after the `#` of a link, so that no server on the
way and no log gets to see it.
"""

import hmac
import json
from dataclasses import dataclass

from appliance.rooms.problems import RestError
from appliance.tokens import decode_base64url, encode_base64url

DEFAULT_LIFETIME_S = 12 * 3600
MAX_LIFETIME_S = 7 * 86_400
_FORM = 1
_MAC_BYTES = 16
_MAX_LENGTH = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Whoever holds it may join `room` until `expires_at`, in unix seconds."""

    room: str
    expires_at: int


def write_invitation(invitation: Invitation, secret: bytes) -> str:
    body = json.dumps([_FORM, invitation.expires_at, invitation.room], separators=(",", ":"), ensure_ascii=False)
    encoded = body.encode("utf-8")
    return encode_base64url(_mac(encoded, secret) + encoded)


def read_invitation(text: object, room: str, secret: bytes, now: float) -> Invitation:
    """Return a valid invitation to this room.

    Raises:
        RestError: 403, or 410 where it has expired; `details.reason` is `invalid`, `other_room` or `expired`.
    """
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_LENGTH:
        raise _refusal(403, "This invitation is not valid", "invalid")
    try:
        raw = decode_base64url(text)
    except ValueError:
        raise _refusal(403, "This invitation is not valid", "invalid") from None
    mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(body, secret)):
        raise _refusal(403, "This invitation is not valid", "invalid")
    _, expires_at, invited_to = json.loads(body)
    if invited_to != room:
        raise _refusal(403, "This invitation is for another room", "other_room")
    if expires_at <= now:
        raise _refusal(410, "This invitation has expired; ask for a new one", "expired")
    return Invitation(room=invited_to, expires_at=expires_at)


def _mac(body: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"invitation\0" + body, "sha256")[:_MAC_BYTES]


def _refusal(status: int, message: str, reason: str) -> RestError:
    return RestError(status, 20403, message, details={"reason": reason})
