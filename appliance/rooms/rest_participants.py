"""`/v1/Rooms/{Room}/Participants`: who is there, what they publish and receive, and what they should (rest.md 8-11)."""

from collections.abc import Sequence

from appliance.errors import (
    ParticipantStatusInvalidError,
    RoomCompletedError,
    SubscribeOperationNotSupportedError,
)
from appliance.rooms.openapi_schemas import (
    DATES_CREATED,
    PAGING,
    RULES,
    TEXT_SEARCHED,
    status_filter,
    status_of_update,
)
from appliance.rooms.problems import RestError, missing_parameter, not_found
from appliance.rooms.resources import (
    anonymized_json,
    participant_json,
    published_track_json,
    subscribe_rules_json,
    subscribed_track_json,
)
from appliance.rooms.rest_routes import Answer, Call, Field, Lookup, Operation, Route
from appliance.rooms.room import Participant, ParticipantStatus, Room, RoomStatus, RoomType
from appliance.rooms.service import RoomsService
from appliance.rooms.store.pages import ParticipantFilter, list_participants
from appliance.rooms.store.window import Key
from appliance.rooms.subscribe_rules import parse_rules

_FILTERS = ("Status", "Identity", "DateCreatedAfter", "DateCreatedBefore")
_PRESENT = (ParticipantStatus.CONNECTED, ParticipantStatus.RECONNECTING)
_WITHOUT_RULES = (RoomType.GO, RoomType.PEER_TO_PEER)
_PARTICIPANT = "/v1/Rooms/{Room}/Participants/{Participant}"


class ParticipantOperations:
    """Answers for participants and what belongs to them."""

    def __init__(self, service: RoomsService, lookup: Lookup) -> None:
        self._service = service
        self._lookup = lookup

    def routes(self) -> Sequence[Route]:
        return (*self._routes_of_participants(), *self._routes_of_tracks(), *self._routes_of_rules())

    def _routes_of_participants(self) -> Sequence[Route]:
        searched = (
            status_filter(ParticipantStatus),
            Field(name="Identity", schema=TEXT_SEARCHED),
            *DATES_CREATED,
        )
        return (
            Route(
                path="/v1/Rooms/{Room}/Participants",
                operations={
                    "GET": Operation(
                        handler=self._list,
                        name="ListRoomParticipant",
                        summary="List who is in a room in progress, or who was in one that ended",
                        answers="ParticipantList",
                        fields=(*searched, *PAGING),
                        errors=(400,),
                    )
                },
            ),
            Route(
                path=_PARTICIPANT,
                operations={
                    "GET": Operation(
                        handler=self._fetch,
                        name="FetchRoomParticipant",
                        summary="Find a participant by SID, or by identity while present",
                        answers="Participant",
                    ),
                    "POST": Operation(
                        handler=self._update,
                        name="UpdateRoomParticipant",
                        summary="Remove a participant from the room",
                        answers="Participant",
                        status=202,
                        fields=(status_of_update("disconnected"),),
                        errors=(400,),
                    ),
                },
            ),
            Route(
                path=f"{_PARTICIPANT}/Anonymize",
                operations={
                    "POST": Operation(
                        handler=self._anonymize,
                        name="UpdateRoomParticipantAnonymize",
                        summary="Replace the identity of somebody who has left by the participant's SID",
                        answers="AnonymizedParticipant",
                        errors=(409,),
                    )
                },
            ),
        )

    def _routes_of_tracks(self) -> Sequence[Route]:
        return (
            Route(
                path=f"{_PARTICIPANT}/PublishedTracks",
                operations={
                    "GET": Operation(
                        handler=self._list_published,
                        name="ListRoomParticipantPublishedTrack",
                        summary="List the tracks that a participant publishes now",
                        answers="PublishedTrackList",
                        fields=PAGING,
                        errors=(400,),
                    )
                },
            ),
            Route(
                path=f"{_PARTICIPANT}/PublishedTracks/{{Track}}",
                operations={
                    "GET": Operation(
                        handler=self._fetch_published,
                        name="FetchRoomParticipantPublishedTrack",
                        summary="Find a published track by SID or name",
                        answers="PublishedTrack",
                    )
                },
            ),
            Route(
                path=f"{_PARTICIPANT}/SubscribedTracks",
                operations={
                    "GET": Operation(
                        handler=self._list_subscribed,
                        name="ListRoomParticipantSubscribedTrack",
                        summary="List the tracks that a participant receives now",
                        answers="SubscribedTrackList",
                        fields=PAGING,
                        errors=(400,),
                    )
                },
            ),
            Route(
                path=f"{_PARTICIPANT}/SubscribedTracks/{{Track}}",
                operations={
                    "GET": Operation(
                        handler=self._fetch_subscribed,
                        name="FetchRoomParticipantSubscribedTrack",
                        summary="Find a track that a participant receives, by SID",
                        answers="SubscribedTrack",
                    )
                },
            ),
        )

    def _routes_of_rules(self) -> Sequence[Route]:
        return (
            Route(
                path=f"{_PARTICIPANT}/SubscribeRules",
                operations={
                    "GET": Operation(
                        handler=self._fetch_rules,
                        name="FetchRoomParticipantSubscribeRule",
                        summary="Show by which rules a participant receives tracks",
                        answers="SubscribeRules",
                    ),
                    "POST": Operation(
                        handler=self._update_rules,
                        name="UpdateRoomParticipantSubscribeRule",
                        summary="Replace the rules; what the participant receives follows at once",
                        answers="SubscribeRules",
                        fields=(Field(name="Rules", schema=RULES, required=True),),
                        errors=(400,),
                    ),
                },
            ),
        )

    # --- participants -------------------------------------------------------------------------------------------------

    async def _list(self, call: Call) -> Answer:
        room = await self._lookup.room(call)
        chosen = ParticipantFilter(
            room_sid=room.sid,
            statuses=_statuses(room, call.given.choice("Status", ParticipantStatus)),
            identity=call.given.text("Identity"),
            created_from=call.given.moment("DateCreatedAfter"),
            created_before=call.given.moment("DateCreatedBefore"),
        )
        page = self._lookup.page_request(call, _FILTERS)
        async with self._service.store.read() as connection:
            found, more = await list_participants(connection, chosen, page.window)
        items = [participant_json(participant, room, call.base_url) for participant in found]
        keys = [Key(participant.started, participant.sid) for participant in found]
        address = f"{call.base_url}/v1/Rooms/{room.sid}/Participants"
        return self._lookup.page("participants", items, keys, more, page, address)

    async def _fetch(self, call: Call) -> Answer:
        room, participant = await self._found(call)
        return 200, participant_json(participant, room, call.base_url)

    async def _update(self, call: Call) -> Answer:
        room, participant = await self._found(call)
        status = call.given.last("Status")
        if status is not None:
            if status != ParticipantStatus.DISCONNECTED:
                raise ParticipantStatusInvalidError
            await self._service.remove_participant(call.account_sid, room.sid, participant.sid)
            participant = await self._lookup.participant(call, room, participant.sid)
        return 202, participant_json(participant, room, call.base_url)

    async def _anonymize(self, call: Call) -> Answer:
        room, participant = await self._found(call)
        if participant.status is not ParticipantStatus.DISCONNECTED:
            raise RestError(409, 20409, "Conflict")
        await self._service.anonymize(room.sid, participant.sid)
        participant = await self._lookup.participant(call, room, participant.sid)
        return 200, anonymized_json(participant, room, call.base_url)

    async def _found(self, call: Call) -> tuple[Room, Participant]:
        room = await self._lookup.room(call)
        return room, await self._lookup.participant(call, room)

    # --- tracks -------------------------------------------------------------------------------------------------------

    async def _list_published(self, call: Call) -> Answer:
        room, participant = await self._found(call)
        items = [
            (Key(track.created, track.sid), published_track_json(track, participant, room, call.base_url))
            for track in self._service.published_by(room.sid, participant.sid)
        ]
        address = f"{call.base_url}/v1/Rooms/{room.sid}/Participants/{participant.sid}/PublishedTracks"
        return self._lookup.page_of(call, "published_tracks", items, address)

    async def _fetch_published(self, call: Call) -> Answer:
        room, participant = await self._found(call)
        wanted = call.keys[2]
        tracks = self._service.published_by(room.sid, participant.sid)
        found = [track for track in tracks if track.sid == wanted] or [t for t in tracks if t.name == wanted]
        if not found:
            raise not_found(call.path)
        return 200, published_track_json(found[0], participant, room, call.base_url)

    async def _list_subscribed(self, call: Call) -> Answer:
        room, participant = await self._found(call)
        items = [
            (Key(each.since, each.track.sid), subscribed_track_json(each, participant, room, call.base_url))
            for each in self._service.received_by(room.sid, participant.sid)
        ]
        address = f"{call.base_url}/v1/Rooms/{room.sid}/Participants/{participant.sid}/SubscribedTracks"
        return self._lookup.page_of(call, "subscribed_tracks", items, address)

    async def _fetch_subscribed(self, call: Call) -> Answer:
        room, participant = await self._found(call)
        for received in self._service.received_by(room.sid, participant.sid):
            if received.track.sid == call.keys[2]:
                return 200, subscribed_track_json(received, participant, room, call.base_url)
        raise not_found(call.path)

    # --- what they should receive -------------------------------------------------------------------------------------

    async def _fetch_rules(self, call: Call) -> Answer:
        room, participant = await self._found(call)
        return 200, subscribe_rules_json(participant, room)

    async def _update_rules(self, call: Call) -> Answer:
        room, participant = await self._found(call)
        gone = participant.status is ParticipantStatus.DISCONNECTED
        if gone and room.status is RoomStatus.IN_PROGRESS:
            raise not_found(call.path)
        if room.settings.type in _WITHOUT_RULES:
            raise SubscribeOperationNotSupportedError
        if room.status is not RoomStatus.IN_PROGRESS:
            raise RoomCompletedError
        text = call.given.last("Rules")
        if text is None:
            raise missing_parameter("Rules")
        changed = await self._service.set_rules(call.account_sid, room.sid, participant.sid, parse_rules(text))
        if not changed:
            raise not_found(call.path)
        return 200, subscribe_rules_json(changed, room)


def _statuses(room: Room, asked: ParticipantStatus | None) -> tuple[ParticipantStatus, ...]:
    """Return who is listed: of a room in progress those present, of one that ended all (rest.md 8.2)."""
    if asked:
        return (asked,)
    return _PRESENT if room.status is RoomStatus.IN_PROGRESS else (ParticipantStatus.DISCONNECTED,)
