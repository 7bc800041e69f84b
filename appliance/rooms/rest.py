"""The REST API: authenticates, routes, translates; what happens, happens in `service.py` (rest.md)."""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web

from appliance import PRODUCT
from appliance.clock import Clock
from appliance.errors import ParticipantStatusInvalidError, RoomError, RoomStatusInvalidError
from appliance.rooms.addresses import Network, base_url
from appliance.rooms.authentication import Doorkeeper
from appliance.rooms.paging import PageRequest, page_json, read_page_request
from appliance.rooms.parameters import CreationPolicy, Parameters, room_to_create
from appliance.rooms.problems import (
    DEFAULT_MORE_INFO,
    RestError,
    invalid_parameter,
    missing_parameter,
    not_found,
    problem_of,
    unavailable,
)
from appliance.rooms.resources import participant_json, room_json
from appliance.rooms.room import Participant, ParticipantStatus, Room, RoomStatus
from appliance.rooms.service import RoomsService, StoreUnavailable
from appliance.rooms.store.pages import (
    ParticipantFilter,
    RoomFilter,
    find_participant,
    list_participants,
    list_rooms,
)
from appliance.rooms.store.window import Key
from appliance.sids import AccountSid, looks_like, new_request_sid

log = logging.getLogger(__name__)

FORM = "application/x-www-form-urlencoded"
MAX_BODY_BYTES = 65_536
MAX_READS_PER_SECOND = 80
MAX_WRITES_PER_SECOND = 20
_ROOM_FILTERS = ("Status", "UniqueName", "DateCreatedAfter", "DateCreatedBefore")
_PARTICIPANT_FILTERS = ("Status", "Identity", "DateCreatedAfter", "DateCreatedBefore")
_PRESENT = (ParticipantStatus.CONNECTED, ParticipantStatus.RECONNECTING)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestSettings:
    """What the configuration says about the API."""

    public_base_url: str | None = None
    trusted_proxies: tuple[Network, ...] = ()
    more_info_prefix: str = DEFAULT_MORE_INFO
    rate_limit: bool = False
    creation: CreationPolicy = field(default_factory=CreationPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One authenticated request: `path` decoded, as it is named in errors; `given` from query or body."""

    account_sid: AccountSid
    path: str
    keys: tuple[str, ...]
    base_url: str
    given: Parameters


Answer = tuple[int, Mapping[str, Any]]
Operation = Callable[[Call], Awaitable[Answer]]


class RestApi:
    """Serves `/v1`, and answers for every path that nothing else serves."""

    def __init__(self, service: RoomsService, settings: RestSettings, clock: Clock) -> None:
        self._service = service
        self._settings = settings
        self._clock = clock
        self._doorkeeper = Doorkeeper(service.keys, PRODUCT)
        self._page_secret = service.credentials.service_secret.encode()
        self._calls = CallRate()
        self._routes: Sequence[tuple[re.Pattern[str], Mapping[str, Operation]]] = (
            (_route("Rooms"), {"GET": self._list_rooms, "POST": self._create_room}),
            (_route("Rooms", "*"), {"GET": self._fetch_room, "POST": self._update_room}),
            (_route("Rooms", "*", "Participants"), {"GET": self._list_participants}),
            (
                _route("Rooms", "*", "Participants", "*"),
                {"GET": self._fetch_participant, "POST": self._update_participant},
            ),
        )

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request; every answer carries its own id, which is also in the log."""
        request_id = new_request_sid()
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
            log.exception("%s: %s %s failed", request_id, request.method, request.path)
            problem = problem_of(RestError(500, 20500, "Internal Server Error"), self._settings.more_info_prefix)
            status, body = problem.status, problem.body
        log.debug("%s: %s %s %d", request_id, request.method, request.path, status)
        text = json.dumps(body, ensure_ascii=False)
        return web.Response(status=status, text=text, content_type="application/json", headers=headers)

    async def _answer(self, request: web.Request) -> Answer:
        now = self._clock.monotonic()
        address = request.remote or ""
        account_sid = self._doorkeeper.account(request.headers.get("Authorization"), address, now, request.method)
        if self._settings.rate_limit and not self._calls.allow(request.method, now):
            raise RestError(429, 20429, "Too Many Requests", {"Retry-After": "1"})
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
        return await operation(
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
        for pattern, operations in self._routes if readable else ():
            found = pattern.fullmatch("\0".join(segments))
            if found:
                return shown, found.groups(), operations
        raise not_found(shown.encode("utf-8", "replace").decode("utf-8"))

    # --- rooms --------------------------------------------------------------------------------------------------------

    async def _create_room(self, call: Call) -> Answer:
        name, settings = room_to_create(call.given, self._settings.creation)
        room = await self._service.create_room(call.account_sid, name, settings)
        return 201, room_json(room, call.base_url)

    async def _fetch_room(self, call: Call) -> Answer:
        return 200, room_json(await self._room(call), call.base_url)

    async def _update_room(self, call: Call) -> Answer:
        await self._room(call)
        status = call.given.last("Status")
        if status is None:
            raise missing_parameter("Status")
        if status != RoomStatus.COMPLETED:
            raise RoomStatusInvalidError
        room = await self._service.complete_room(call.account_sid, call.keys[0])
        if not room:
            raise not_found(call.path)
        return 202, room_json(room, call.base_url)

    async def _list_rooms(self, call: Call) -> Answer:
        chosen = RoomFilter(
            account_sid=call.account_sid,
            status=call.given.choice("Status", RoomStatus) or RoomStatus.IN_PROGRESS,
            name=call.given.text("UniqueName"),
            created_from=call.given.moment("DateCreatedAfter"),
            created_before=call.given.moment("DateCreatedBefore"),
        )
        page = read_page_request(call.given, _ROOM_FILTERS, self._page_secret)
        async with self._service.store.read() as connection:
            rooms, more = await list_rooms(connection, chosen, page.window)
        items = [room_json(room, call.base_url) for room in rooms]
        keys = [Key(room.created, room.sid) for room in rooms]
        return self._page("rooms", items, keys, more, page, f"{call.base_url}/v1/Rooms")

    async def _room(self, call: Call) -> Room:
        room = await self._service.find_room(call.account_sid, call.keys[0])
        if not room:
            raise not_found(call.path)
        return room

    # --- participants -------------------------------------------------------------------------------------------------

    async def _list_participants(self, call: Call) -> Answer:
        room = await self._room(call)
        chosen = ParticipantFilter(
            room_sid=room.sid,
            statuses=_statuses(room, call.given.choice("Status", ParticipantStatus)),
            identity=call.given.text("Identity"),
            created_from=call.given.moment("DateCreatedAfter"),
            created_before=call.given.moment("DateCreatedBefore"),
        )
        page = read_page_request(call.given, _PARTICIPANT_FILTERS, self._page_secret)
        async with self._service.store.read() as connection:
            found, more = await list_participants(connection, chosen, page.window)
        items = [participant_json(participant, room, call.base_url) for participant in found]
        keys = [Key(participant.started, participant.sid) for participant in found]
        address = f"{call.base_url}/v1/Rooms/{room.sid}/Participants"
        return self._page("participants", items, keys, more, page, address)

    async def _fetch_participant(self, call: Call) -> Answer:
        room = await self._room(call)
        return 200, participant_json(await self._participant(call, room), room, call.base_url)

    async def _update_participant(self, call: Call) -> Answer:
        room = await self._room(call)
        participant = await self._participant(call, room)
        status = call.given.last("Status")
        if status is not None:
            if status != ParticipantStatus.DISCONNECTED:
                raise ParticipantStatusInvalidError
            await self._service.remove_participant(call.account_sid, room.sid, participant.sid)
            participant = await self._participant(call, room, participant.sid)
        return 202, participant_json(participant, room, call.base_url)

    async def _participant(self, call: Call, room: Room, key: str = "") -> Participant:
        key = key or call.keys[1]
        async with self._service.store.read() as connection:
            by_sid = looks_like("PA", key)
            found = await find_participant(
                connection, room.sid, sid=key if by_sid else "", identity="" if by_sid else key
            )
        if not found:
            raise not_found(call.path)
        return found

    def _page(
        self,
        list_key: str,
        items: Sequence[Mapping[str, Any]],
        keys: Sequence[Key],
        more: bool,
        page: PageRequest,
        address: str,
    ) -> Answer:
        return 200, page_json(list_key, items, keys, more, page, address, self._page_secret)


class CallRate:
    """Counts calls in each second (rest.md 14)."""

    def __init__(self) -> None:
        self._second = 0
        self._counts: dict[bool, int] = {}

    def allow(self, method: str, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._counts = int(now), {}
        reads = method == "GET"
        self._counts[reads] = self._counts.get(reads, 0) + 1
        return self._counts[reads] <= (MAX_READS_PER_SECOND if reads else MAX_WRITES_PER_SECOND)


def _route(*segments: str) -> re.Pattern[str]:
    return re.compile("\0".join(["v1", *("([^\0]+)" if each == "*" else re.escape(each) for each in segments)]))


def _statuses(room: Room, asked: ParticipantStatus | None) -> tuple[ParticipantStatus, ...]:
    """Return who is listed: of a room in progress those present, of one that ended all (rest.md 8.2)."""
    if asked:
        return (asked,)
    return _PRESENT if room.status is RoomStatus.IN_PROGRESS else (ParticipantStatus.DISCONNECTED,)


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
