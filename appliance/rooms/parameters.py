"""What requests may say: form and query parameters, read and checked (rest.md 3, 6.2, 6.6). Pure.

Checks run in the order of rest.md 6.2; the first violation is raised.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from appliance.errors import (
    RecordingOperationNotSupportedError,
    RoomAudioOnlyFlagNotSupportedError,
    RoomError,
    RoomInvalidParametersError,
    RoomMaxParticipantDurationOutOfRangeError,
    RoomMaxParticipantsOutOfRangeError,
    RoomMediaRegionInvalidError,
    RoomStatusCallbackInvalidError,
    RoomStatusCallbackMethodInvalidError,
    RoomTimeoutOutOfRangeError,
    RoomTypeInvalidError,
    RoomTypeLegacyError,
)
from appliance.rooms.problems import invalid_parameter
from appliance.rooms.recording_rules import (
    NOTHING_RECORDED,
    parse_recording_rules,
    records_something,
)
from appliance.rooms.room import MAX_PARTICIPANTS, MAX_PUBLISHED_TRACKS, RoomSettings, RoomType
from appliance.rooms.room_names import check_room_name
from appliance.rooms.subscribe_rules import SubscribeRule

MAX_FIELDS = 1000
MAX_CALLBACK_URL_LENGTH = 1023
VIDEO_CODECS = ("VP8", "H264")
MEDIA_REGIONS = ("us1", "us2", "ie1", "de1", "br1", "au1", "jp1", "sg1", "in1")
NEAREST_REGION = "gll"

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?")

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Decoded parameters, as received: names are case-sensitive, an empty value counts as absent."""

    values: Mapping[str, Sequence[str]]

    @classmethod
    def parse(cls, encoded: str) -> "Parameters":
        """Read a query string or a form body. What is not UTF-8 becomes surrogates, for the checks to find.

        Raises:
            RestError: 20001, too many parameters.
        """
        try:
            pairs = parse_qsl(encoded, encoding="utf-8", errors="surrogateescape", max_num_fields=MAX_FIELDS)
        except ValueError as error:
            raise invalid_parameter("list", f"more than {MAX_FIELDS} parameters") from error
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        return cls(values)

    def last(self, name: str) -> str | None:
        """Return a scalar; of several the last one counts."""
        found = self.values.get(name)
        return found[-1] if found else None

    def text(self, name: str) -> str | None:
        """Return a text to be searched for. Raise 20001 where it is not UTF-8 or holds NUL."""
        value = self.last(name)
        if value is not None and any(unicodedata.category(each) == "Cs" or each == "\0" for each in value):
            raise invalid_parameter(name, "not valid UTF-8")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.last(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise invalid_parameter(name, "must be true or false")
        return value.lower() == "true"

    def integer(self, name: str, least: int, most: int, error: Exception) -> int | None:
        value = self.last(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= 10 and least <= int(value) <= most):
            raise error
        return int(value)

    def choice(self, name: str, kind: type[Choice]) -> Choice | None:
        value = self.last(name)
        if value is None:
            return None
        if value not in list(kind):
            raise invalid_parameter(name, f"must be one of {', '.join(kind)}")
        return kind(value)

    def moment(self, name: str) -> datetime | None:
        """Return a date-time in UTC; a date alone means its midnight."""
        value = self.last(name)
        for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d") if value else ():
            try:
                return datetime.strptime(value or "", form).replace(tzinfo=UTC)
            except ValueError:
                continue
        if value:
            raise invalid_parameter(name, "must be a date like 2026-05-01T10:20:30Z")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreationPolicy:
    """What the configuration says about creating rooms."""

    media_region: str = "us1"
    reject_legacy_types: bool = False
    ignore_unsupported: bool = False


def room_to_create(given: Parameters, policy: CreationPolicy) -> tuple[str | None, RoomSettings]:
    """Return the name, None where none is given, and the settings of the room to create.

    Raises:
        RoomError, RestError: the first violation, in the order of rest.md 6.2.
    """
    name = given.last("UniqueName")
    if name is not None:
        check_room_name(name)
    kind = _room_type(given, policy)
    callback, method = _callback(given)
    participants = given.integer("MaxParticipants", 1, MAX_PARTICIPANTS[kind], RoomMaxParticipantsOutOfRangeError())
    duration = given.integer("MaxParticipantDuration", 600, 86_400, RoomMaxParticipantDurationOutOfRangeError())
    empty = given.integer("EmptyRoomTimeout", 1, 60, RoomTimeoutOutOfRangeError())
    unused = given.integer("UnusedRoomTimeout", 1, 60, RoomTimeoutOutOfRangeError())
    codecs = _codecs(given)
    region = _region(given, policy)
    audio_only = given.flag("AudioOnly", default=False)
    if audio_only and kind is not RoomType.GROUP:
        raise RoomAudioOnlyFlagNotSupportedError
    given.flag("EnableTurn", default=True)
    large = given.flag("LargeRoom", default=False)
    for _, refusal in refused_features(given):
        if not policy.ignore_unsupported:
            raise refusal
    rules = _recording_rules(given)
    settings = RoomSettings(
        type=kind,
        max_participants=participants or MAX_PARTICIPANTS[kind],
        max_participant_duration_s=duration or 14_400,
        max_published_tracks=MAX_PUBLISHED_TRACKS[kind],
        video_codecs=() if audio_only else codecs,
        media_region=region,
        audio_only=audio_only,
        empty_timeout_min=empty or 5,
        unused_timeout_min=unused or 5,
        large_room=large,
        status_callback=callback,
        status_callback_method=method,
        recording_rules=NOTHING_RECORDED if records_something(rules) else rules,
    )
    return name, settings


def _room_type(given: Parameters, policy: CreationPolicy) -> RoomType:
    value = given.last("Type") or RoomType.GROUP
    if value not in list(RoomType):
        raise RoomTypeInvalidError
    if policy.reject_legacy_types and value != RoomType.GROUP:
        raise RoomTypeLegacyError
    return RoomType(value)


def _callback(given: Parameters) -> tuple[str | None, str]:
    url = given.last("StatusCallback")
    if url is not None and not is_callback_url(url):
        raise RoomStatusCallbackInvalidError
    method = (given.last("StatusCallbackMethod") or "POST").upper()
    if method not in ("GET", "POST"):
        raise RoomStatusCallbackMethodInvalidError
    return url, method


def is_callback_url(url: str) -> bool:
    """Tell whether this is an absolute http or https address with a host, and short enough (rest.md 6.2).

    It goes out and is signed as it stands (callbacks.md 4.1), so it has to be ASCII already.
    """
    if len(url) > MAX_CALLBACK_URL_LENGTH or not url.isascii() or any(each <= " " or each == "\x7f" for each in url):
        return False
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        named = _HOST_NAME.fullmatch(host) is not None
        return parts.scheme in ("http", "https") and port != 0 and (named or _is_ipv6(host))
    except ValueError:
        return False


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _codecs(given: Parameters) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(given.values.get("VideoCodecs", ())))
    if any(codec not in VIDEO_CODECS for codec in wanted):
        raise invalid_parameter("VideoCodecs", f"must be of {', '.join(VIDEO_CODECS)}")
    return wanted or VIDEO_CODECS


def _region(given: Parameters, policy: CreationPolicy) -> str:
    region = given.last("MediaRegion")
    if region is None or region == NEAREST_REGION:
        return policy.media_region
    if region not in (*MEDIA_REGIONS, policy.media_region):
        raise RoomMediaRegionInvalidError
    return region


def refused_features(given: Parameters) -> Iterator[tuple[str, RoomError]]:
    """Tell, parameter by parameter, what a room is asked to do that would silently lose data (rest.md 6.3).

    Raises:
        RecordingRulesInvalidError: 53120.
    """
    if given.flag("RecordParticipantsOnConnect", default=False):
        yield "RecordParticipantsOnConnect", RecordingOperationNotSupportedError()
    if records_something(_recording_rules(given)):
        yield "RecordingRules", RecordingOperationNotSupportedError()
    if given.flag("TranscribeParticipantsOnConnect", default=False):
        yield "TranscribeParticipantsOnConnect", RoomInvalidParametersError()


def _recording_rules(given: Parameters) -> tuple[SubscribeRule, ...]:
    text = given.last("RecordingRules")
    return NOTHING_RECORDED if text is None else parse_recording_rules(text)
