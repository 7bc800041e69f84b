"""Recordings, transcriptions and compositions: there are none; these answers keep clients going (rest.md 12)."""

from collections.abc import Sequence

from appliance.errors import RecordingOperationNotSupportedError
from appliance.rooms.openapi_schemas import PAGING, RULES
from appliance.rooms.parameters import recording_rules
from appliance.rooms.problems import missing_parameter
from appliance.rooms.resources import recording_rules_json
from appliance.rooms.rest_routes import Answer, Call, Field, Handler, Lookup, Operation, Route

_FILTERS = (
    "Status", "SourceSid", "RoomSid", "GroupingSid", "MediaType", "FriendlyName", "Enabled",
    "DateCreatedAfter", "DateCreatedBefore",
)  # fmt: skip


class UnsupportedOperations:
    """Answers for what this service does not do."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

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
                        summary="Nothing is recorded",
                        answers="RecordingRules",
                    ),
                    "POST": Operation(
                        handler=self._update_rules,
                        name="UpdateRoomRecordingRule",
                        summary="Accept rules that record nothing",
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
            room = await self._lookup.room(call) if in_room else None
            page = self._lookup.page_request(call, _FILTERS)
            within = f"/Rooms/{room.sid}" if room else ""
            address = f"{call.base_url}/v1{within}/{segment}"
            return self._lookup.page(list_key, [], [], False, page, address)

        return answer

    async def _fetch_rules(self, call: Call) -> Answer:
        return 200, recording_rules_json(await self._lookup.room(call))

    async def _update_rules(self, call: Call) -> Answer:
        room = await self._lookup.room(call)
        text = call.given.last("Rules")
        if text is None:
            raise missing_parameter("Rules")
        if any(rule["type"] == "include" for rule in recording_rules(text)):
            raise RecordingOperationNotSupportedError
        return 200, recording_rules_json(room)
