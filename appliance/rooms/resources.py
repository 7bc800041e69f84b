"""Rooms, participants, tracks and rules as REST JSON: every field always there, addresses absolute (rest.md 4).

Pure.
"""

from datetime import datetime
from typing import Any

from appliance.clock import rfc3339_seconds, shown_duration
from appliance.rooms.publishing import Track
from appliance.rooms.recording_rules import recording_rule_json
from appliance.rooms.room import Participant, Received, Room


def room_json(room: Room, base_url: str) -> dict[str, Any]:
    """Return the resource; `base_url` without trailing slash, e.g. `https://video.example.org`."""
    settings = room.settings
    url = f"{base_url}/v1/Rooms/{room.sid}"
    return {
        "sid": room.sid,
        "status": room.status.value,
        "date_created": rfc3339_seconds(room.created),
        "date_updated": rfc3339_seconds(room.updated),
        "account_sid": room.account_sid,
        "enable_turn": True,
        "unique_name": room.name,
        "status_callback": settings.status_callback,
        "status_callback_method": settings.status_callback_method,
        "end_time": _date(room.ended),
        "duration": shown_duration(room.created, room.ended),
        "type": settings.type.value,
        "max_participants": settings.max_participants,
        "max_participant_duration": settings.max_participant_duration_s,
        "max_concurrent_published_tracks": settings.max_published_tracks,
        "record_participants_on_connect": False,
        "video_codecs": list(settings.video_codecs),
        "media_region": settings.media_region,
        "audio_only": settings.audio_only,
        "empty_room_timeout": settings.empty_timeout_min,
        "unused_room_timeout": settings.unused_timeout_min,
        "large_room": settings.large_room,
        "url": url,
        "links": {
            "participants": f"{url}/Participants",
            "recordings": f"{url}/Recordings",
            "transcriptions": f"{url}/Transcriptions",
            "recording_rules": f"{url}/RecordingRules",
        },
    }


def participant_json(participant: Participant, room: Room, base_url: str) -> dict[str, Any]:
    """Return the resource; it names the room by SID, however it was asked for."""
    url = f"{base_url}/v1/Rooms/{room.sid}/Participants/{participant.sid}"
    return {
        "sid": participant.sid,
        "room_sid": room.sid,
        "account_sid": room.account_sid,
        "status": participant.status.value,
        "identity": participant.identity,
        "date_created": rfc3339_seconds(participant.started),
        "date_updated": rfc3339_seconds(participant.updated),
        "start_time": rfc3339_seconds(participant.started),
        "end_time": _date(participant.ended),
        "duration": shown_duration(participant.started, participant.ended),
        "url": url,
        "links": {
            "published_tracks": f"{url}/PublishedTracks",
            "subscribed_tracks": f"{url}/SubscribedTracks",
            "subscribe_rules": f"{url}/SubscribeRules",
            "anonymize": f"{url}/Anonymize",
        },
    }


def anonymized_json(participant: Participant, room: Room, base_url: str) -> dict[str, Any]:
    """Return the answer of Anonymize: the participant, without `links`."""
    whole = participant_json(participant, room, base_url)
    return {name: value for name, value in whole.items() if name != "links"} | {"url": whole["links"]["anonymize"]}


def published_track_json(track: Track, publisher: Participant, room: Room, base_url: str) -> dict[str, Any]:
    url = f"{base_url}/v1/Rooms/{room.sid}/Participants/{publisher.sid}/PublishedTracks/{track.sid}"
    return {
        "sid": track.sid,
        "participant_sid": publisher.sid,
        "room_sid": room.sid,
        "name": track.name,
        "date_created": rfc3339_seconds(track.created),
        "date_updated": _date(track.updated),
        "enabled": track.enabled,
        "kind": track.kind.value,
        "url": url,
    }


def subscribed_track_json(received: Received, subscriber: Participant, room: Room, base_url: str) -> dict[str, Any]:
    track = received.track
    url = f"{base_url}/v1/Rooms/{room.sid}/Participants/{subscriber.sid}/SubscribedTracks/{track.sid}"
    return {
        "sid": track.sid,
        "participant_sid": subscriber.sid,
        "publisher_sid": received.publisher_sid,
        "room_sid": room.sid,
        "name": track.name,
        "date_created": rfc3339_seconds(received.since),
        "date_updated": _date(track.updated),
        "enabled": track.enabled,
        "kind": track.kind.value,
        "url": url,
    }


def subscribe_rules_json(participant: Participant, room: Room) -> dict[str, Any]:
    return {
        "participant_sid": participant.sid,
        "room_sid": room.sid,
        "date_created": _date(participant.rules_created),
        "date_updated": _date(participant.rules_updated),
        "rules": [rule.to_json() for rule in participant.rules],
    }


def recording_rules_json(room: Room) -> dict[str, Any]:
    """Return the rules that are kept; whatever they say, nothing is recorded (rest.md 12)."""
    return {
        "room_sid": room.sid,
        "rules": [recording_rule_json(rule) for rule in room.settings.recording_rules],
        "date_created": _date(room.recording_created),
        "date_updated": _date(room.recording_updated),
    }


def _date(moment: datetime | None) -> str | None:
    return rfc3339_seconds(moment) if moment else None
