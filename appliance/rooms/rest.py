"""The REST API: authenticates, routes, translates; what happens, happens in `service.py` (rest.md)."""

import asyncio
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web

from appliance.clock import Clock
from appliance.errors import RoomError
from appliance.rooms.addresses import Network, base_url
from appliance.rooms.openapi import describe
from appliance.rooms.parameters import CreationPolicy, Parameters
from appliance.rooms.problems import (
    DEFAULT_MORE_INFO,
    RestError,
    invalid_parameter,
    not_found,
    problem_of,
    unavailable,
)
from appliance.rooms.rest_participants import ParticipantOperations
from appliance.rooms.rest_rooms import RoomOperations
from appliance.rooms.rest_routes import Answer, Call, Lookup, Operation, Route
from appliance.rooms.rest_unsupported import UnsupportedOperations
from appliance.rooms.service import RoomsService, StoreUnavailable
from appliance.sids import AccountSid, new_request_sid

log = logging.getLogger(__name__)

FORM = "application/x-www-form-urlencoded"
MAX_BODY_BYTES = 65_536
MAX_READS_PER_SECOND = 80
MAX_WRITES_PER_SECOND = 20
_ITEMS_AT_ONCE = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class RestSettings:
    """What the configuration says about the API."""

    public_base_url: str | None = None
    trusted_proxies: tuple[Network, ...] = ()
    more_info_prefix: str = DEFAULT_MORE_INFO
    rate_limit: bool = False
    creation: CreationPolicy = field(default_factory=CreationPolicy)


class RestApi:
    """Serves `/v1`, and answers for every path that nothing else serves."""

    def __init__(self, service: RoomsService, settings: RestSettings, clock: Clock) -> None:
        self._service = service
        self._settings = settings
        self._clock = clock
        self._doorkeeper = service.doorkeeper
        self._calls = CallRate()
        lookup = Lookup(service, service.credentials.service_secret.encode())
        self._routes: Sequence[Route] = (
            *RoomOperations(service, lookup, settings.creation).routes(),
            *ParticipantOperations(service, lookup).routes(),
            *UnsupportedOperations(service, lookup, settings.creation).routes(),
        )
        self._patterns = [(_pattern(route.path), route.operations) for route in self._routes]
        self._description = json.dumps(describe(self._routes))

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request; every answer carries its own id, which is also in the log."""
        request_id = new_request_sid()
        path = request.raw_path.partition("?")[0]  # still encoded: whatever a name holds, the log line stays one
        headers = {"Twilio-Request-Id": request_id}
        try:
            status, body = await self._answer(request)
        except (RestError, RoomError) as error:
            problem = problem_of(error, self._settings.more_info_prefix)
            status, body = problem.status, problem.body
            headers |= problem.headers
        except StoreUnavailable as error:
            log.warning("%s: %s", request_id, error)
            problem = problem_of(unavailable(), self._settings.more_info_prefix)
            status, body = problem.status, problem.body
        except web.HTTPRequestEntityTooLarge:
            problem = problem_of(RestError(413, 20413, "Request Entity Too Large"), self._settings.more_info_prefix)
            status, body = problem.status, problem.body
        except Exception:
            log.exception("%s: %s %s failed", request_id, request.method, path)
            problem = problem_of(RestError(500, 20500, "Internal Server Error"), self._settings.more_info_prefix)
            status, body = problem.status, problem.body
        # Who quotes a request's id wants to find it; only reading that went well is too common to be told.
        level = logging.DEBUG if request.method == "GET" and status < 400 else logging.INFO
        log.log(level, "%s: %s %s %d", request_id, request.method, path, status)
        return web.Response(status=status, text=await as_text(body), content_type="application/json", headers=headers)

    async def handle_description(self, request: web.Request) -> web.Response:
        """Answer `GET /openapi.json`: what this API can do, for programs; needs no password."""
        return web.Response(text=self._description, content_type="application/json")

    async def _answer(self, request: web.Request) -> Answer:
        now = self._clock.monotonic()
        address = request.remote or ""
        account_sid = self._doorkeeper.account(request.headers.get("Authorization"), address, now, request.method)
        if self._settings.rate_limit and not self._calls.allow(account_sid, request.method, now):
            raise RestError(429, 20429, "Too Many Requests", {"Retry-After": "1"})
        if self._service.stopping:
            raise unavailable()
        raw_path, _, query = request.raw_path.partition("?")
        path, keys, operations = self._find(raw_path)
        operation = operations.get(request.method)
        if not operation:
            raise RestError(405, 20004, "Method not allowed", {"Allow": ", ".join(operations)})
        address_of_service = base_url(
            request.scheme,
            request.headers,
            peer=request.remote,
            public_base_url=self._settings.public_base_url,
            trusted_proxies=self._settings.trusted_proxies,
        )
        given = Parameters.parse(query if request.method == "GET" else await _form(request))
        return await operation.handler(
            Call(account_sid=account_sid, path=path, keys=keys, base_url=address_of_service, given=given)
        )

    def _find(self, raw_path: str) -> tuple[str, tuple[str, ...], Mapping[str, Operation]]:
        """Split first, decode afterwards, so that an encoded slash stays part of a name (rest.md 1)."""
        raw = raw_path.split("/")[1:]
        if raw and raw[-1] == "":
            raw.pop()
        segments = [unquote_to_bytes(segment).decode("utf-8", "surrogateescape") for segment in raw]
        shown = "/" + "/".join(segments[1:] if segments[:1] == ["v1"] else segments)
        # NUL parts the segments here: `%2F` in a name is no separator, and no name of ours can hold NUL.
        readable = not any(each == "\0" or "\ud800" <= each <= "\udfff" for segment in segments for each in segment)
        for pattern, operations in self._patterns if readable else ():
            found = pattern.fullmatch("\0".join(segments))
            if found:
                return shown, found.groups(), operations
        raise not_found(shown.encode("utf-8", "replace").decode("utf-8"))


class CallRate:
    """Counts the calls of each account in each second (rest.md 14)."""

    def __init__(self) -> None:
        self._second = 0
        self._counts: dict[tuple[AccountSid, bool], int] = {}

    def allow(self, account_sid: AccountSid, method: str, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._counts = int(now), {}
        reads = method in ("GET", "HEAD")
        self._counts[account_sid, reads] = self._counts.get((account_sid, reads), 0) + 1
        return self._counts[account_sid, reads] <= (MAX_READS_PER_SECOND if reads else MAX_WRITES_PER_SECOND)


async def as_text(body: Mapping[str, Any]) -> str:
    """Return the JSON of a body; of a long list piece by piece, so that packets are not held up by a thousand rooms."""
    parts = []
    for name, value in body.items():
        if isinstance(value, list) and len(value) > _ITEMS_AT_ONCE:
            pieces = []
            for first in range(0, len(value), _ITEMS_AT_ONCE):
                pieces.append(json.dumps(value[first : first + _ITEMS_AT_ONCE], ensure_ascii=False)[1:-1])
                await asyncio.sleep(0)
            text = f"[{', '.join(pieces)}]"
        else:
            text = json.dumps(value, ensure_ascii=False)
        parts.append(f"{json.dumps(name)}: {text}")
    return f"{{{', '.join(parts)}}}"


def _pattern(path: str) -> re.Pattern[str]:
    """Return what matches the decoded segments of a path such as `/v1/Rooms/{Room}`, joined by NUL."""
    segments = ("([^\0]+)" if each.startswith("{") else re.escape(each) for each in path.split("/")[1:])
    return re.compile("\0".join(segments))


async def _form(request: web.Request) -> str:
    """Return the body of a POST where it is a form; a body of another type carries no parameters."""
    body = await request.read()
    if len(body) > MAX_BODY_BYTES:
        raise RestError(413, 20413, "Request Entity Too Large")
    if not body:
        return ""
    if request.content_type != FORM:
        log.warning("ignored a body of type %s: parameters are sent as %s", request.content_type, FORM)
        return ""
    try:
        return body.decode("ascii")
    except UnicodeDecodeError:
        raise invalid_parameter("body", f"not {FORM}") from None
