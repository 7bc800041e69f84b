"""What the operations of the REST API have in common: calls, routes, looking up what a path names (rest.md 5.1, 7)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.rooms.paging import PageRequest, page_json, read_page_request
from appliance.rooms.parameters import Parameters
from appliance.rooms.problems import not_found
from appliance.rooms.room import Participant, Room
from appliance.rooms.service import RoomsService
from appliance.rooms.store.pages import find_participant
from appliance.rooms.store.window import Key, rows_in
from appliance.sids import AccountSid, looks_like


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One authenticated request: `path` decoded, as it is named in errors; `given` from query or body."""

    account_sid: AccountSid
    path: str
    keys: tuple[str, ...]
    base_url: str
    given: Parameters


Answer = tuple[int, Mapping[str, Any]]
Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A parameter as it is described to others: its JSON schema, and whether it may not be left out."""

    name: str
    schema: Mapping[str, Any]
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of a path. `answers` names the schema of a success, `fields` are in the query of a GET, else a form.

    `errors`: HTTP statuses of its own, beside those that every operation has.
    """

    handler: Handler
    name: str
    summary: str
    answers: str
    status: int = 200
    fields: tuple[Field, ...] = ()
    errors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path such as `/v1/Rooms/{Room}`, and what can be done there."""

    path: str
    operations: Mapping[str, Operation]


class Lookup:
    """Finds what a call is about, and answers with pages."""

    def __init__(self, service: RoomsService, page_secret: bytes) -> None:
        self._service = service
        self._page_secret = page_secret

    async def room(self, call: Call) -> Room:
        """Return the room that the first key of the path names: by SID in any status, by name in progress.

        Raises:
            RestError: 20404.
        """
        room = await self._service.find_room(call.account_sid, call.keys[0])
        if not room:
            raise not_found(call.path)
        return room

    async def participant(self, call: Call, room: Room, key: str = "") -> Participant:
        """Return who the second key of the path, or `key`, names: by SID in any status, by identity while present.

        Raises:
            RestError: 20404.
        """
        key = key or call.keys[1]
        async with self._service.store.read() as connection:
            by_sid = looks_like("PA", key)
            found = await find_participant(
                connection, room.sid, sid=key if by_sid else "", identity="" if by_sid else key
            )
        if not found:
            raise not_found(call.path)
        return found

    def page_request(self, call: Call, filters: Sequence[str] = ()) -> PageRequest:
        """Read which page is asked for. Raise RestError 20001 or 21481."""
        return read_page_request(call.given, filters, self._page_secret)

    def page(
        self,
        list_key: str,
        items: Sequence[Mapping[str, Any]],
        keys: Sequence[Key],
        more: bool,
        page: PageRequest,
        address: str,
    ) -> Answer:
        return 200, page_json(list_key, items, keys, more, page, address, self._page_secret)

    def page_of(
        self,
        call: Call,
        list_key: str,
        items: Iterable[tuple[Key, Mapping[str, Any]]],
        address: str,
        filters: Sequence[str] = (),
    ) -> Answer:
        """Answer with a page of what is held in memory: resources, each with its sort key."""
        page = self.page_request(call, filters)
        found, more = rows_in(page.window, items, lambda item: item[0])
        return self.page(list_key, [item for _, item in found], [key for key, _ in found], more, page, address)
