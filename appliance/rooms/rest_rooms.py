"""`/v1/Rooms`: create, find, list and complete rooms (rest.md 6)."""

import asyncio
import logging
from collections.abc import Sequence

from appliance.errors import RoomStatusInvalidError
from appliance.rooms.openapi_schemas import (
    CREATE_ROOM,
    DATES_CREATED,
    NAME_SEARCHED,
    PAGING,
    status_filter,
    status_of_update,
)
from appliance.rooms.parameters import CreationPolicy, refused_features, room_to_create
from appliance.rooms.problems import missing_parameter, not_found
from appliance.rooms.resources import room_json
from appliance.rooms.rest_routes import Answer, Call, Field, Lookup, Operation, Route
from appliance.rooms.room import RoomStatus
from appliance.rooms.service import RoomsService
from appliance.rooms.store.pages import ROWS_AT_ONCE, RoomFilter, list_rooms
from appliance.rooms.store.window import Key

log = logging.getLogger(__name__)

_FILTERS = ("Status", "UniqueName", "DateCreatedAfter", "DateCreatedBefore")


class RoomOperations:
    """Answers for rooms."""

    def __init__(self, service: RoomsService, lookup: Lookup, policy: CreationPolicy) -> None:
        self._service = service
        self._lookup = lookup
        self._policy = policy

    def routes(self) -> Sequence[Route]:
        searched = (status_filter(RoomStatus), Field(name="UniqueName", schema=NAME_SEARCHED), *DATES_CREATED)
        return (
            Route(
                path="/v1/Rooms",
                operations={
                    "GET": Operation(
                        handler=self._list,
                        name="ListRoom",
                        summary="List rooms, newest first; those in progress unless another Status is asked for",
                        answers="RoomList",
                        fields=(*searched, *PAGING),
                        errors=(400,),
                    ),
                    "POST": Operation(
                        handler=self._create,
                        name="CreateRoom",
                        summary="Create a room",
                        answers="Room",
                        status=201,
                        fields=CREATE_ROOM,
                        errors=(400,),
                    ),
                },
            ),
            Route(
                path="/v1/Rooms/{Room}",
                operations={
                    "GET": Operation(
                        handler=self._fetch, name="FetchRoom", summary="Find a room by SID or name", answers="Room"
                    ),
                    "POST": Operation(
                        handler=self._update,
                        name="UpdateRoom",
                        summary="Complete a room: everybody in it is disconnected",
                        answers="Room",
                        status=202,
                        fields=(status_of_update("completed", required=True),),
                        errors=(400,),
                    ),
                },
            ),
        )

    async def _create(self, call: Call) -> Answer:
        name, settings = room_to_create(call.given, self._policy)
        for parameter, _ in refused_features(call.given):  # refused already, unless the settings say otherwise
            log.warning("ignored %s: nothing is recorded or transcribed", parameter)
        room = await self._service.create_room(call.account_sid, name, settings)
        return 201, room_json(room, call.base_url)

    async def _fetch(self, call: Call) -> Answer:
        return 200, room_json(await self._lookup.room(call), call.base_url)

    async def _update(self, call: Call) -> Answer:
        await self._lookup.room(call)
        status = call.given.last("Status")
        if status is None:
            raise missing_parameter("Status")
        if status != RoomStatus.COMPLETED:
            raise RoomStatusInvalidError
        room = await self._service.complete_room(call.account_sid, call.keys[0])
        if not room:
            raise not_found(call.path)
        return 202, room_json(room, call.base_url)

    async def _list(self, call: Call) -> Answer:
        chosen = RoomFilter(
            account_sid=call.account_sid,
            status=call.given.choice("Status", RoomStatus) or RoomStatus.IN_PROGRESS,
            name=call.given.text("UniqueName"),
            created_from=call.given.moment("DateCreatedAfter"),
            created_before=call.given.moment("DateCreatedBefore"),
        )
        page = self._lookup.page_request(call, _FILTERS)
        async with self._service.store.read() as connection:
            rooms, more = await list_rooms(connection, chosen, page.window)
        items = []
        for room in rooms:
            items.append(room_json(room, call.base_url))
            if len(items) % ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
        keys = [Key(room.created, room.sid) for room in rooms]
        return self._lookup.page("rooms", items, keys, more, page, f"{call.base_url}/v1/Rooms")
