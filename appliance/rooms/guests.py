"""The guest page and what it needs: its files, invitations to a room, and tokens for those who hold one.

POST /join/{room}/invitations   API key, auth token or an access token that covers the room  ─▶ link
GET  /join/{room}               the page; the invitation is in the link after `#`, the page sends it back
POST /join/{room}/token         {"invitation": …, "name": …}                                 ─▶ access token
"""

import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from aiohttp import web

from appliance.clock import Clock, rfc3339_seconds
from appliance.errors import ParticipantIdentityInvalidError, RoomError
from appliance.rooms.addresses import Network, base_url
from appliance.rooms.authentication import FailureCount
from appliance.rooms.invitations import (
    DEFAULT_LIFETIME_S,
    MAX_LIFETIME_S,
    Invitation,
    read_invitation,
    write_invitation,
)
from appliance.rooms.problems import (
    DEFAULT_MORE_INFO,
    RestError,
    forbidden,
    invalid_parameter,
    not_found,
    problem_of,
    unavailable,
)
from appliance.rooms.room import ParticipantStatus
from appliance.rooms.room_names import check_room_name, out_of_scope
from appliance.rooms.service import RoomsService
from appliance.tokens import mint, read_identity, unique_keys

log = logging.getLogger(__name__)

TOKEN_LIFETIME_S = 4 * 3600
MAX_GUEST_NAME_LENGTH = 64
_MAX_BODY_BYTES = 8192
_CONTENT_TYPES: Mapping[str, str] = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
_NEEDED_FILES = ("index.html", "vendor/twilio-video.min.js")
_PAGE_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSettings:
    """`folder` holds the page; `link_hosts` are names or addresses that phones reach us by, best first.

    `https_port` is that of our own HTTPS listener, None where there is none.
    """

    folder: Path | None
    https_port: int | None = None
    link_hosts: Sequence[str] = ()
    public_base_url: str | None = None
    trusted_proxies: tuple[Network, ...] = ()
    more_info_prefix: str = DEFAULT_MORE_INFO


class GuestPage:
    """The routes below `/join`."""

    def __init__(self, service: RoomsService, settings: GuestSettings, clock: Clock) -> None:
        self._service = service
        self._settings = settings
        self._clock = clock
        self._secret = service.credentials.service_secret.encode()
        self._doorkeeper = service.doorkeeper
        self._attempts = FailureCount()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/join/-/{path:.+}", self._guarded(self._file)),
            web.get("/join/{room}", self._guarded(self._page)),
            web.post("/join/{room}/invitations", self._guarded(self._invite)),
            web.post("/join/{room}/token", self._guarded(self._token)),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except (RestError, RoomError) as error:
                problem = problem_of(error, self._settings.more_info_prefix)
                headers = {**problem.headers, "Cache-Control": "no-store"}
                return web.json_response(dict(problem.body), status=problem.status, headers=headers)

        return answer

    # --- the page and its files ---------------------------------------------------------------------------------------

    async def _page(self, request: web.Request) -> web.StreamResponse:
        _room(request)
        folder = self._settings.folder
        if not folder or not self._is_installed():
            raise not_found(request.path)
        origin = self._origin(request)
        headers = {**_PAGE_HEADERS, "Content-Security-Policy": _content_policy(origin.partition("://")[2])}
        return web.FileResponse(folder / "index.html", headers={**headers, "Content-Type": "text/html; charset=utf-8"})

    def _is_installed(self) -> bool:
        """Tell whether the page and its SDK are there: without npm the SDK is left out, and nobody can join."""
        folder = self._settings.folder
        return folder is not None and all((folder / name).is_file() for name in _NEEDED_FILES)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        asked = PurePosixPath(request.match_info["path"])
        content_type = _CONTENT_TYPES.get(asked.suffix)
        hidden = any(part.startswith(".") or part == "node_modules" for part in asked.parts)
        folder = self._settings.folder
        if not folder or not content_type or hidden or len(asked.parts) < 2 or "\0" in str(asked):
            raise not_found(request.path)
        path = (folder / asked).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise not_found(request.path)
        return web.FileResponse(path, headers={**_PAGE_HEADERS, "Content-Type": f"{content_type}; charset=utf-8"})

    # --- invitations and tokens ---------------------------------------------------------------------------------------

    async def _invite(self, request: web.Request) -> web.StreamResponse:
        room = _room(request)
        await self._check_inviter(request, room)
        if not self._is_installed():
            raise RestError(404, 20404, "The guest page is not installed", details={"reason": "not_installed"})
        lifetime_s = _lifetime(await _json_body(request))
        expires_at = int(self._clock.now().timestamp()) + lifetime_s
        invitation = write_invitation(Invitation(room=room, expires_at=expires_at), self._secret)
        address = f"{self._base_url(request)}/join/{quote(room, safe='')}"
        answer = {
            "link": f"{address}#{invitation}",
            "address": address,
            "invitation": invitation,
            "room": room,
            "expires_at": _date(expires_at),
        }
        log.info("invitation to room %r, valid for %d s", room, lifetime_s)
        return web.json_response(answer, status=201, headers={"Cache-Control": "no-store"})

    async def _check_inviter(self, request: web.Request, room: str) -> None:
        """Let in an API key or auth token, or an access token that covers the room."""
        header = request.headers.get("Authorization", "")
        scheme, _, bearer = header.partition(" ")
        if scheme.lower() != "bearer":
            self._doorkeeper.account(header or None, request.remote or "", self._clock.monotonic(), request.method)
            return
        token = self._service.verify_token(bearer.strip())
        found = await self._service.find_room(token.account_sid, room)
        if token.guest or not token.covers(name=room, sid=found.sid if found else None):
            raise out_of_scope()

    async def _token(self, request: web.Request) -> web.StreamResponse:
        room = _room(request)
        if self._attempts.note(request.remote or "", self._clock.monotonic()):
            raise RestError(429, 20429, "Too Many Requests", {"Retry-After": "60"})
        body = await _json_body(request)
        now = self._clock.now().timestamp()
        invitation = read_invitation(body.get("invitation"), room, self._secret, now)
        identity = _guest_name(body.get("name"))
        present = self._service.present(self._service.credentials.account_sid, room, identity)
        if present and not (present.guest and present.status is ParticipantStatus.RECONNECTING):
            raise RestError(409, 20409, "Somebody in the room has this name", details={"reason": "name_taken"})
        lifetime_s = TOKEN_LIFETIME_S
        key = self._service.keys.signing_key
        if not key:
            raise forbidden() if self._service.keys.suspended else unavailable()
        token = mint(key, identity, now=now, room=room, lifetime_s=lifetime_s, guest=True)
        answer = {
            "token": token,
            "identity": identity,
            "room": room,
            "expires_at": _date(int(now) + lifetime_s),
            "invitation_expires_at": _date(invitation.expires_at),
        }
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    def _origin(self, request: web.Request) -> str:
        """Return the origin that the browser asked."""
        peer, proxies = request.remote, self._settings.trusted_proxies
        return base_url(request.scheme, request.headers, peer=peer, trusted_proxies=proxies)

    def _base_url(self, request: web.Request) -> str:
        """Return where phones find the page: over HTTPS, by a name or address that is not this machine's own inside."""
        settings = self._settings
        given = settings.public_base_url or self._origin(request)
        given = given.rstrip("/")
        scheme, _, rest = given.partition("://")
        host = _without_port(rest)
        if settings.public_base_url or (scheme == "https" and not _is_loopback(host)) or settings.https_port is None:
            return given
        if _is_loopback(host) and settings.link_hosts:
            host = settings.link_hosts[0]
            host = f"[{host}]" if ":" in host else host
        port = "" if settings.https_port == 443 else f":{settings.https_port}"
        return f"https://{host}{port}"


def _room(request: web.Request) -> str:
    room = request.match_info["room"]
    check_room_name(room)
    return room


async def _json_body(request: web.Request) -> Mapping[str, Any]:
    """Return the JSON object that was sent; no body is an empty one.

    Raises:
        RestError: 20001 not a JSON object, 20413 too large.
    """
    body = await request.content.read(_MAX_BODY_BYTES + 1)
    while len(body) <= _MAX_BODY_BYTES and not request.content.at_eof():
        body += await request.content.read(_MAX_BODY_BYTES + 1 - len(body))
    if len(body) > _MAX_BODY_BYTES:
        raise RestError(413, 20413, "Request Entity Too Large")
    if not body.strip():
        return {}
    try:
        value = json.loads(body, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError):
        raise invalid_parameter("body", "not JSON") from None
    if not isinstance(value, dict):
        raise invalid_parameter("body", "not a JSON object")
    return value


def _lifetime(body: Mapping[str, Any]) -> int:
    lifetime_s = body.get("lifetime_s", DEFAULT_LIFETIME_S)
    if type(lifetime_s) is not int or not 60 <= lifetime_s <= MAX_LIFETIME_S:
        raise invalid_parameter("lifetime_s", f"must be a number from 60 to {MAX_LIFETIME_S}")
    return lifetime_s


def _guest_name(name: object) -> str:
    """Return what the guest is called in the room, without space around it.

    Raises:
        RoomError: 53200-53202.
    """
    if not isinstance(name, str) or not name.strip() or len(name.strip()) > MAX_GUEST_NAME_LENGTH:
        raise ParticipantIdentityInvalidError(f"a name has 1 to {MAX_GUEST_NAME_LENGTH} characters")
    return read_identity(name.strip())


def _content_policy(host: str) -> str:
    """Only our own files; the socket is named with its scheme for browsers to whom 'self' is HTTP alone."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        f"media-src 'self' blob: mediastream:; connect-src 'self' wss://{host} ws://{host}; "
        "worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _without_port(authority: str) -> str:
    return authority[: authority.index("]") + 1] if authority.startswith("[") else authority.partition(":")[0]


def _is_loopback(host: str) -> bool:
    plain = host.strip("[]").lower()
    if plain == "localhost" or plain.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(plain).is_loopback
    except ValueError:
        return False


def _date(unix_s: int) -> str:
    return rfc3339_seconds(datetime.fromtimestamp(unix_s, UTC))
