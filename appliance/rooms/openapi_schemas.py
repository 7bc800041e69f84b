"""JSON schemas of parameters and resources, as `/openapi.json` shows them (OpenAPI 3.1)."""

from collections.abc import Iterable, Mapping
from typing import Any

from appliance.rooms.paging import DEFAULT_PAGE_SIZE
from appliance.rooms.parameters import VIDEO_CODECS
from appliance.rooms.rest_routes import Field
from appliance.rooms.room import ParticipantStatus, RoomStatus, RoomType
from appliance.rooms.subscribe_rules import RuleType

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "integer", "minimum": 0}
DATE: Schema = {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
ADDRESS: Schema = {"type": "string", "format": "uri"}
TEXT_SEARCHED: Schema = {"type": "string"}
NAME_SEARCHED: Schema = {"type": "string", "maxLength": 128}


def sid(prefix: str) -> Schema:
    return {"type": "string", "pattern": f"^{prefix}[0-9a-fA-F]{{32}}$"}


def or_null(schema: Mapping[str, Any]) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def one_of(values: Iterable[str]) -> Schema:
    return {"type": "string", "enum": list(values)}


def record(**properties: Mapping[str, Any]) -> Schema:
    """Return the schema of an object that has exactly these, all of them always there (rest.md 4.1)."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def list_of(key: str, item: Mapping[str, Any]) -> Schema:
    """Return the schema of a page: the list, and `meta` (rest.md 7)."""
    meta = record(
        page=NUMBER,
        page_size=NUMBER,
        first_page_url=ADDRESS,
        previous_page_url=or_null(ADDRESS),
        url=ADDRESS,
        next_page_url=or_null(ADDRESS),
        key={"type": "string", "const": key},
    )
    return record(**{key: {"type": "array", "items": item}, "meta": meta})


# --- parameters -------------------------------------------------------------------------------------------------------

_DAY: Schema = {"type": "string", "format": "date-time", "examples": ["2026-05-01T10:20:30Z", "2026-05-01"]}
DATES_CREATED = (Field(name="DateCreatedAfter", schema=_DAY), Field(name="DateCreatedBefore", schema=_DAY))
PAGING = (
    Field(name="PageSize", schema={"type": "integer", "minimum": 1, "default": DEFAULT_PAGE_SIZE}),
    Field(name="Page", schema={"type": "integer", "minimum": 0}),
    Field(name="PageToken", schema=TEXT),
)
RULES: Schema = {
    "type": "string",
    "contentMediaType": "application/json",
    "examples": ['[{"type":"include","all":true},{"type":"exclude","kind":"video"}]'],
}
_MINUTES: Schema = {"type": "integer", "minimum": 1, "maximum": 60, "default": 5}
CREATE_ROOM = (
    Field(name="UniqueName", schema={"type": "string", "maxLength": 128}),
    Field(name="Type", schema=one_of(RoomType)),
    Field(name="StatusCallback", schema={"type": "string", "format": "uri", "maxLength": 1023}),
    Field(name="StatusCallbackMethod", schema=one_of(("GET", "POST"))),
    Field(name="MaxParticipants", schema={"type": "integer", "minimum": 1, "maximum": 50}),
    Field(name="MaxParticipantDuration", schema={"type": "integer", "minimum": 600, "maximum": 86_400}),
    Field(name="EmptyRoomTimeout", schema=_MINUTES),
    Field(name="UnusedRoomTimeout", schema=_MINUTES),
    Field(name="VideoCodecs", schema={"type": "array", "items": one_of(VIDEO_CODECS)}),
    Field(name="MediaRegion", schema=TEXT),
    Field(name="AudioOnly", schema=FLAG),
    Field(name="EnableTurn", schema=FLAG),
    Field(name="LargeRoom", schema=FLAG),
    Field(name="RecordParticipantsOnConnect", schema={"type": "boolean", "const": False}),
    Field(name="RecordingRules", schema=RULES),
    Field(name="TranscribeParticipantsOnConnect", schema={"type": "boolean", "const": False}),
    Field(name="TranscriptionsConfiguration", schema=TEXT),
)


def status_filter(statuses: Iterable[str]) -> Field:
    return Field(name="Status", schema=one_of(statuses))


def status_of_update(value: str, *, required: bool = False) -> Field:
    return Field(name="Status", schema=one_of((value,)), required=required)


# --- resources --------------------------------------------------------------------------------------------------------


def _links(*names: str) -> Schema:
    return record(**dict.fromkeys(names, ADDRESS))


_ROOM = record(
    sid=sid("RM"),
    status=one_of(RoomStatus),
    date_created=DATE,
    date_updated=DATE,
    account_sid=sid("AC"),
    enable_turn={"type": "boolean", "const": True},
    unique_name=TEXT,
    status_callback=or_null(TEXT),
    status_callback_method=one_of(("GET", "POST")),
    end_time=or_null(DATE),
    duration=or_null(NUMBER),
    type=one_of(RoomType),
    max_participants=NUMBER,
    max_participant_duration=NUMBER,
    max_concurrent_published_tracks=or_null(NUMBER),
    record_participants_on_connect={"type": "boolean", "const": False},
    video_codecs={"type": "array", "items": one_of(VIDEO_CODECS)},
    media_region=or_null(TEXT),
    audio_only=FLAG,
    empty_room_timeout=NUMBER,
    unused_room_timeout=NUMBER,
    large_room=FLAG,
    url=ADDRESS,
    links=_links("participants", "recordings", "transcriptions", "recording_rules"),
)
_ANONYMIZED: dict[str, Schema] = {
    "sid": sid("PA"),
    "room_sid": sid("RM"),
    "account_sid": sid("AC"),
    "status": one_of(ParticipantStatus),
    "identity": TEXT,
    "date_created": DATE,
    "date_updated": DATE,
    "start_time": DATE,
    "end_time": or_null(DATE),
    "duration": or_null(NUMBER),
    "url": ADDRESS,
}
_PARTICIPANT = record(
    **_ANONYMIZED, links=_links("published_tracks", "subscribed_tracks", "subscribe_rules", "anonymize")
)
_TRACK: dict[str, Schema] = {
    "sid": sid("MT"),
    "participant_sid": sid("PA"),
    "room_sid": sid("RM"),
    "name": TEXT,
    "date_created": DATE,
    "date_updated": or_null(DATE),
    "enabled": FLAG,
    "kind": one_of(("audio", "video", "data")),
    "url": ADDRESS,
}
_PUBLISHED = record(**_TRACK)
_SUBSCRIBED = record(**_TRACK, publisher_sid=sid("PA"))
_RULE = record(
    type=one_of(RuleType),
    all={"type": ["boolean", "null"], "enum": [True, None]},
    publisher=or_null(TEXT),
    track=or_null(TEXT),
    kind={"type": ["string", "null"], "enum": ["audio", "video", "data", None]},
    priority={"type": ["string", "null"], "enum": ["low", "standard", "high", None]},
)
_RULES_OF_PARTICIPANT = record(
    participant_sid=sid("PA"),
    room_sid=sid("RM"),
    date_created=or_null(DATE),
    date_updated=or_null(DATE),
    rules={"type": "array", "items": _RULE},
)
_RECORDING_RULE: Schema = {
    **record(
        type=one_of(RuleType),
        all={"type": "boolean", "const": True},
        kind=one_of(("audio", "video", "data")),
        publisher=TEXT,
        track=TEXT,
    ),
    "required": ["type"],  # of filters only those that were given
}
_RULES_OF_RECORDING = record(
    room_sid=sid("RM"),
    rules={"type": "array", "items": _RECORDING_RULE},
    date_created=or_null(DATE),
    date_updated=or_null(DATE),
)
PROBLEM: Schema = {
    **record(code={"type": "integer"}, message=TEXT, more_info=ADDRESS, status={"type": "integer"}),
    "additionalProperties": {"type": "object"},
}
"""Every error looks like this; `details` is the only other key there may be (rest.md 4.4)."""


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


RESOURCES: Mapping[str, Schema] = {
    "Room": _ROOM,
    "RoomList": list_of("rooms", _reference("Room")),
    "Participant": _PARTICIPANT,
    "AnonymizedParticipant": record(**_ANONYMIZED),
    "ParticipantList": list_of("participants", _reference("Participant")),
    "PublishedTrack": _PUBLISHED,
    "PublishedTrackList": list_of("published_tracks", _reference("PublishedTrack")),
    "SubscribedTrack": _SUBSCRIBED,
    "SubscribedTrackList": list_of("subscribed_tracks", _reference("SubscribedTrack")),
    "SubscribeRules": _RULES_OF_PARTICIPANT,
    "RecordingRules": _RULES_OF_RECORDING,
    "RecordingList": list_of("recordings", {"type": "object"}),
    "TranscriptionList": list_of("transcriptions", {"type": "object"}),
    "CompositionList": list_of("compositions", {"type": "object"}),
    "CompositionHookList": list_of("composition_hooks", {"type": "object"}),
    "Problem": PROBLEM,
}
