"""Recordings, transcriptions and compositions: there are none; these answers keep clients going (rest.md 12)."""

import logging
from collections.abc import Sequence

from appliance.errors import RecordingOperationNotSupportedError, RoomCompletedError
from appliance.rooms.openapi_schemas import PAGING, RULES
from appliance.rooms.parameters import CreationPolicy
from appliance.rooms.problems import missing_parameter
from appliance.rooms.recording_rules import parse_recording_rules, records_something
from appliance.rooms.resources import recording_rules_json
from appliance.rooms.rest_routes import Answer, Call, Field, Handler, Lookup, Operation, Route
from appliance.rooms.room import RoomStatus
from appliance.rooms.service import RoomsService

log = logging.getLogger(__name__)

_FILTERS = (
    "Status", "SourceSid", "RoomSid", "GroupingSid", "MediaType", "FriendlyName", "Enabled",
    "DateCreatedAfter", "DateCreatedBefore",
)  # fmt: skip


class UnsupportedOperations:
    """Answers for what this service does not do."""

    def __init__(self, service: RoomsService, lookup: Lookup, policy: CreationPolicy) -> None:
        self._service = service
        self._lookup = lookup
        self._policy = policy

    def routes(self) -> Sequence[Route]:
        of_room = [
            self._empty_list(
                "/v1/Rooms/{Room}/Recordings", "recordings", "Recording", "ListRoomRecording", in_room=True
            ),
            self._empty_list(
                "/v1/Rooms/{Room}/Transcriptions",
                "transcriptions",
                "Transcription",
                "ListRoomTranscription",
                in_room=True,
            ),
            Route(
                path="/v1/Rooms/{Room}/RecordingRules",
                operations={
                    "GET": Operation(
                        handler=self._fetch_rules,
                        name="FetchRoomRecordingRule",
                        summary="Show the rules that are kept; nothing is recorded",
                        answers="RecordingRules",
                    ),
                    "POST": Operation(
                        handler=self._update_rules,
                        name="UpdateRoomRecordingRule",
                        summary="Keep rules that record nothing",
                        answers="RecordingRules",
                        fields=(Field(name="Rules", schema=RULES, required=True),),
                        errors=(400,),
                    ),
                },
            ),
        ]
        return (
            *of_room,
            self._empty_list("/v1/Recordings", "recordings", "Recording", "ListRecording"),
            self._empty_list("/v1/Compositions", "compositions", "Composition", "ListComposition"),
            self._empty_list("/v1/CompositionHooks", "composition_hooks", "CompositionHook", "ListCompositionHook"),
        )

    def _empty_list(self, path: str, list_key: str, resource: str, name: str, *, in_room: bool = False) -> Route:
        operation = Operation(
            handler=self._nothing(list_key, f"{resource}s", in_room),
            name=name,
            summary="An empty list",
            answers=f"{resource}List",
            fields=PAGING,
            errors=(400,),
        )
        return Route(path=path, operations={"GET": operation})

    def _nothing(self, list_key: str, segment: str, in_room: bool) -> Handler:
        async def answer(call: Call) -> Answer:
            within = f"/Rooms/{(await self._lookup.room(call)).sid}" if in_room else ""
            return self._lookup.page_of(call, list_key, [], f"{call.base_url}/v1{within}/{segment}", _FILTERS)

        return answer

    async def _fetch_rules(self, call: Call) -> Answer:
        return 200, recording_rules_json(await self._lookup.room(call))

    async def _update_rules(self, call: Call) -> Answer:
        room = await self._lookup.room(call)
        if room.status is not RoomStatus.IN_PROGRESS:
            raise RoomCompletedError
        text = call.given.last("Rules")
        if text is None:
            raise missing_parameter("Rules")
        rules = parse_recording_rules(text)
        if not records_something(rules):
            room = await self._service.set_recording_rules(call.account_sid, room.sid, rules)
        elif not self._policy.ignore_unsupported:
            raise RecordingOperationNotSupportedError
        else:
            log.warning("ignored Rules for %s: nothing is recorded", room.sid)
        return 200, recording_rules_json(room)
