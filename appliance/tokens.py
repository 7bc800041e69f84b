"""Access tokens: who may join which room, signed with an API key (tokens.md). Pure; the time is handed in.

A JWS in compact form; header `{"typ": "JWT", "alg": "HS256", "cty": "twilio-fpa;v=1"}`, claims `iss` (key SID),
`sub` (account SID), `exp`, `nbf`, `jti`, `grants`.
"""

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeGuard

import jwt
from jwt.algorithms import HMACAlgorithm

from appliance.errors import (
    AccessTokenExpiredError,
    AccessTokenGrantsInvalidError,
    AccessTokenHeaderInvalidError,
    AccessTokenInvalidError,
    AccessTokenIssuerInvalidError,
    AccessTokenNotYetValidError,
    AccessTokenSignatureInvalidError,
    ParticipantIdentityCharsInvalidError,
    ParticipantIdentityInvalidError,
    ParticipantIdentityTooLongError,
)
from appliance.sids import AccountSid, KeySid, RoomSid

MAX_TOKEN_BYTES = 8192
MAX_LIFETIME_S = 86_400
MAX_IDENTITY_WEIGHT = 128
DEFAULT_LIFETIME_S = 3600
DEFAULT_LEEWAY_S = 60
CONTENT_TYPE = "twilio-fpa;v=1"
_MAX_LOGGED = 160

_ALGORITHMS: Mapping[str, HMACAlgorithm] = {
    "HS256": HMACAlgorithm(HMACAlgorithm.SHA256),
    "HS384": HMACAlgorithm(HMACAlgorithm.SHA384),
    "HS512": HMACAlgorithm(HMACAlgorithm.SHA512),
}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


class KeyKind(StrEnum):
    """What an API key may do: `restricted` ones use part of REST and sign no tokens (tokens.md 6)."""

    STANDARD = "standard"
    MAIN = "main"
    RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An API key with its secret, whose ASCII bytes sign. `active`: neither it nor its account is revoked."""

    sid: KeySid
    secret: str
    account_sid: AccountSid
    kind: KeyKind = KeyKind.STANDARD
    active: bool = True

    def __repr__(self) -> str:
        return f"SigningKey({self.sid}, secret=…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What a verified token says.

    `room` is the name or SID it is limited to, or None; `expires_at` in unix seconds. `guest`: our guest page had it
    minted for somebody who chose the identity freely; a claim of our own beside the specified ones.
    """

    key_sid: KeySid
    account_sid: AccountSid
    identity: str
    room: str | None
    expires_at: int
    guest: bool = False

    def covers(self, *, name: str | None, sid: RoomSid | None) -> bool:
        """Tell whether the grant reaches the room with this name and SID; compared exactly (tokens.md 5)."""
        return self.room is None or self.room in (name, sid)


FindKey = Callable[[str], SigningKey | None]


def mint(
    key: SigningKey,
    identity: str,
    *,
    now: float,
    room: str | None = None,
    lifetime_s: int = DEFAULT_LIFETIME_S,
    guest: bool = False,
) -> str:
    """Return a signed token.

    Args:
        now: unix seconds.
        room: name or SID of the only room it opens; None for all.
        lifetime_s: 1 to 86400.
        guest: say that whoever holds it chose the identity freely.

    Raises:
        ValueError: `lifetime_s` out of range, `room` empty.
        RoomError: 53200-53202, the identity.
    """
    if not 1 <= lifetime_s <= MAX_LIFETIME_S:
        raise ValueError(f"a token lives 1 to {MAX_LIFETIME_S} s, not {lifetime_s}")
    if room == "":
        raise ValueError("the room of a token is a name or a SID, not empty")
    issued = int(now)
    claims = {
        "jti": f"{key.sid}-{issued}",
        "iss": key.sid,
        "sub": key.account_sid,
        "nbf": issued,
        "exp": issued + lifetime_s,
        "grants": {"identity": read_identity(identity), "video": {"room": room} if room is not None else {}},
    }
    if guest:
        claims["guest"] = True
    return jwt.encode(claims, key.secret, "HS256", headers={"cty": CONTENT_TYPE})


def verify(token: str, find_key: FindKey, *, now: float, leeway_s: float = DEFAULT_LEEWAY_S) -> AccessToken:
    """Return what the token says, or raise for the first check that fails, in the order of tokens.md 4, steps 1 to 8.

    Args:
        find_key: the API key of this SID, or None.
        now: unix seconds.

    Raises:
        RoomError: 20101-20107 the token, 53200-53202 the identity in it.
    """
    parts = token.split(".") if len(token) <= MAX_TOKEN_BYTES else []
    if len(parts) != 3:
        raise AccessTokenInvalidError
    header, claims = _json_object(parts[0]), _json_object(parts[1])
    algorithm = _check_header(header)
    key = _check_issuer(claims, find_key)
    _check_signature(algorithm, key, parts)
    expires_at = _check_times(claims, now, leeway_s)
    grants, room = _read_grants(claims)
    return AccessToken(
        key_sid=key.sid,
        account_sid=key.account_sid,
        identity=read_identity(grants.get("identity")),
        room=room,
        expires_at=expires_at,
        guest=claims.get("guest") is True,
    )


def claims_to_log(token: str) -> str:
    """Return what a token says of itself, true or not, fit for one line of a log; never the token (tokens.md 4)."""
    try:
        claims = _json_object(token.split(".")[1]) if len(token) <= MAX_TOKEN_BYTES else {}
    except (AccessTokenInvalidError, IndexError):
        claims = {}
    grants = claims.get("grants")
    grants = grants if isinstance(grants, dict) else {}
    video = grants.get("video")
    told = {
        "iss": claims.get("iss"),
        "sub": claims.get("sub"),
        "identity": grants.get("identity"),
        "room": video.get("room") if isinstance(video, dict) else None,
    }
    return ", ".join(f"{name} {ascii(value)[:_MAX_LOGGED]}" for name, value in told.items())


def read_identity(value: object) -> str:
    """Return a participant's identity, integers as their digits (tokens.md 3).

    Raises:
        RoomError: 53200 missing or of another type, 53201 too long, 53202 control characters or half a surrogate pair.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 512:
        value = str(value)
    if not isinstance(value, str) or not value:
        raise ParticipantIdentityInvalidError
    if sum(1 if character <= "\x7f" else 2 for character in value) > MAX_IDENTITY_WEIGHT:
        raise ParticipantIdentityTooLongError
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ParticipantIdentityCharsInvalidError
    return value


def decode_base64url(text: str) -> bytes:
    """Return the bytes of unpadded base64url in its one canonical form; raise ValueError for anything else."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    try:
        value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    # Spare bits in the last character would let several texts stand for the same bytes (RFC 4648, 3.5).
    if encode_base64url(value) != text:
        raise ValueError("not canonical base64url")
    return value


def encode_base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Serve as `object_pairs_hook` of json.loads; raise ValueError where a key occurs twice in one object."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _json_object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(decode_base64url(part).decode("utf-8"), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError):
        raise AccessTokenInvalidError from None
    if not isinstance(value, dict):
        raise AccessTokenInvalidError
    return value


def _check_header(header: Mapping[str, Any]) -> HMACAlgorithm:
    """Choose from a fixed list of algorithms, never from the token alone."""
    kind, name = header.get("typ"), header.get("alg")
    algorithm = _ALGORITHMS.get(name) if isinstance(name, str) else None
    well_formed = isinstance(kind, str) and kind.upper() == "JWT" and header.get("cty") == CONTENT_TYPE
    if algorithm is None or not well_formed or "crit" in header:
        raise AccessTokenHeaderInvalidError
    return algorithm


def _check_issuer(claims: Mapping[str, Any], find_key: FindKey) -> SigningKey:
    issuer, subject = claims.get("iss"), claims.get("sub")
    key = find_key(issuer) if isinstance(issuer, str) else None
    if key is None or not key.active or key.kind is KeyKind.RESTRICTED or key.account_sid != subject:
        raise AccessTokenIssuerInvalidError
    return key


def _check_signature(algorithm: HMACAlgorithm, key: SigningKey, parts: list[str]) -> None:
    try:
        signature = decode_base64url(parts[2])
    except ValueError:
        raise AccessTokenSignatureInvalidError from None
    signed = f"{parts[0]}.{parts[1]}".encode("ascii")
    if not algorithm.verify(signed, key.secret.encode("utf-8"), signature):
        raise AccessTokenSignatureInvalidError


def _check_times(claims: Mapping[str, Any], now: float, leeway_s: float) -> int:
    """Return `exp`; the comparisons of tokens.md 2."""
    expires_at = claims.get("exp")
    if not _is_integer(expires_at) or not now - leeway_s < expires_at <= now + MAX_LIFETIME_S + leeway_s:
        raise AccessTokenExpiredError
    for name in ("nbf", "iat"):
        if name in claims and (not _is_integer(claims[name]) or claims[name] > now + leeway_s):
            raise AccessTokenNotYetValidError
    return expires_at


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _read_grants(claims: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    """Return the grants and the room they are limited to."""
    grants = claims.get("grants")
    video = grants.get("video") if isinstance(grants, dict) else None
    if not isinstance(grants, dict) or not isinstance(video, dict):
        raise AccessTokenGrantsInvalidError
    room = video.get("room")
    if "room" in video and (not isinstance(room, str) or not room):
        raise AccessTokenGrantsInvalidError
    return grants, room
