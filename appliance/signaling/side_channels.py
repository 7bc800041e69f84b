"""Media signaling: what is said on the service's own data channels, in both directions (signaling.md 5). Pure.

    client ── ready, network_quality, track_priority, render_hints, publisher_hints, client_reset ─▶ service
    client ◀─ active_speaker, network_quality, render_hints, track_switch_off, publisher_hints,
              extension_transcriptions ── service

One data channel for each name in Channel, one JSON text a message. Which channels a client wants and which labels it
is granted is said in room messages (`requested_channels`, `granted_channels` in `states.py`).

Named as on the wire. Written exactly, read tolerantly: `message_of_client` and `message_of_service` raise
RemoteProtocolError, naming the key, where nothing can be made of a text, which its reader then ignores. Figures of
network quality stand in `quality.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from appliance.errors import RemoteProtocolError
from appliance.media_engine import Dimensions, TrackPriority
from appliance.signaling.fields import (
    Json,
    flag,
    integer,
    object_from_text,
    optional_choice,
    optional_flag,
    optional_integer,
    optional_part,
    optional_text,
    part,
    parts,
    required_parts,
    text,
    text_from_object,
    texts,
    without_none,
)
from appliance.signaling.quality import QualityReply, QualityReport


class Channel(StrEnum):
    """The channels, by their names in `media_signaling`."""

    ACTIVE_SPEAKER = "active_speaker"
    NETWORK_QUALITY = "network_quality"
    RENDER_HINTS = "render_hints"
    TRACK_PRIORITY = "track_priority"
    TRACK_SWITCH_OFF = "track_switch_off"
    PUBLISHER_HINTS = "publisher_hints"
    TRANSCRIPTIONS = "extension_transcriptions"


class HintResult(StrEnum):
    """What became of a hint (5.7). `REQUEST_SKIPPED`: a newer one came before it was done."""

    OK = "OK"
    UNKNOWN_TRACK = "UNKNOWN_TRACK"
    COULD_NOT_APPLY_HINT = "COULD_NOT_APPLY_HINT"
    REQUEST_SKIPPED = "REQUEST_SKIPPED"
    INVALID_HINT = "INVALID_HINT"


LONGEST_SIDE = 1 << 14
"""Pixels. Codecs we forward end there (RFC 6386, 9.1); what is shown larger needs no more."""


def dimensions_from_wire(data: Json) -> Dimensions | None:
    """Return a size in whole pixels, rounded up; a side that is missing is what 16:9 makes of the other.

    None where neither is said. A side of 0 stays one: nothing is seen of it.
    """
    width, height = _side(data, "width"), _side(data, "height")
    if width is None and height is None:
        return None
    if width is None:
        width = min(LONGEST_SIDE, round((height or 0) * 16 / 9))
    if height is None:
        height = round(width * 9 / 16)
    return Dimensions(width=width, height=height)


def _side(data: Json, key: str) -> int | None:
    value = data.get(key)
    if isinstance(value, float) and 0 <= value < LONGEST_SIDE:
        value = int(-(-value // 1))  # of a zoomed page
    found = optional_integer({key: value}, key)
    return None if found is None else min(found, LONGEST_SIDE)


def dimensions_to_wire(dimensions: Dimensions) -> dict[str, Any]:
    return {"width": dimensions.width, "height": dimensions.height}


# --- both ways -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """The client's first words on every channel; a start signal at most (5.1)."""

    type: ClassVar[str] = "ready"

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls()

    def to_wire(self) -> dict[str, Any]:
        return {"type": self.type}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackResult:
    """What became of the hint for one track. A result that we do not know is read as COULD_NOT_APPLY_HINT."""

    track: str
    result: HintResult = HintResult.OK

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        said = optional_text(data, "result")
        result = next((each for each in HintResult if each.value == said), HintResult.COULD_NOT_APPLY_HINT)
        return cls(track=text(data, "track"), result=result)

    def to_wire(self) -> dict[str, Any]:
        return {"track": self.track, "result": self.result.value}


# --- speakers, switching off, priority -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveSpeaker:
    """Who speaks loudest in the room; None: nobody (5.2)."""

    type: ClassVar[str] = "active_speaker"
    participant: str | None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(participant=optional_text(data, "participant"))

    def to_wire(self) -> dict[str, Any]:
        return {"type": self.type, "participant": self.participant}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSwitchOff:
    """Tracks of others that were switched off, or on again (5.6). A side without any is left out."""

    type: ClassVar[str] = "track_switch_off"
    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(off=texts(data, "off"), on=texts(data, "on"))

    def to_wire(self) -> dict[str, Any]:
        sides = {"off": self.off, "on": self.on}
        return {"type": self.type, **{side: [*tracks] for side, tracks in sides.items() if tracks}}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackPriorityWish:
    """How much a subscriber cares for a track, in place of what its publisher says; None: as that says (5.4)."""

    type: ClassVar[str] = "track_priority"
    track: str
    subscribe: TrackPriority | None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(track=text(data, "track"), subscribe=optional_choice(data, "subscribe", TrackPriority))

    def to_wire(self) -> dict[str, Any]:
        return {"type": self.type, "track": self.track, "subscribe": self.subscribe}


# --- render hints ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderHint:
    """What changed in how a subscriber shows a track; None: that did not.

    A hint in which something is malformed is read as one that says nothing, so that it can be answered INVALID_HINT.
    """

    track: str
    enabled: bool | None = None
    render_dimensions: Dimensions | None = None

    @property
    def is_empty(self) -> bool:
        return self.enabled is None and self.render_dimensions is None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        track = text(data, "track")
        try:
            enabled = optional_flag(data, "enabled")
            dimensions = optional_part(data, "render_dimensions", dimensions_from_wire)
        except RemoteProtocolError:
            return cls(track=track)
        return cls(track=track, enabled=enabled, render_dimensions=dimensions)

    def to_wire(self) -> dict[str, Any]:
        size = dimensions_to_wire(self.render_dimensions) if self.render_dimensions else None
        return without_none({"track": self.track, "enabled": self.enabled, "render_dimensions": size})


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderHints:
    """Client → service: `subscriber` of 5.5. Its `id` comes back with the results."""

    type: ClassVar[str] = "render_hints"
    id: int
    hints: tuple[RenderHint, ...] = ()

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return part(data, "subscriber", cls._subscriber_from_wire)

    @classmethod
    def _subscriber_from_wire(cls, data: Json) -> Self:
        return cls(id=integer(data, "id"), hints=parts(data, "hints", RenderHint.from_wire))

    def to_wire(self) -> dict[str, Any]:
        hints = [hint.to_wire() for hint in self.hints]
        return {"type": self.type, "subscriber": {"id": self.id, "hints": hints}}


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderHintResults:
    """Service → client: the answer to every RenderHints, without which the client says no more for a while (5.5)."""

    type: ClassVar[str] = "render_hints"
    id: int
    hints: tuple[TrackResult, ...] = ()

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return part(data, "subscriber", cls._subscriber_from_wire)

    @classmethod
    def _subscriber_from_wire(cls, data: Json) -> Self:
        return cls(id=integer(data, "id"), hints=parts(data, "hints", TrackResult.from_wire))

    def to_wire(self) -> dict[str, Any]:
        hints = [hint.to_wire() for hint in self.hints]
        return {"type": self.type, "subscriber": {"id": self.id, "hints": hints}}


# --- publisher hints -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingHint:
    """Whether a simulcast layer is to be sent; they count from 0, the smallest."""

    layer_index: int
    enabled: bool

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(layer_index=integer(data, "layer_index"), enabled=flag(data, "enabled"))

    def to_wire(self) -> dict[str, Any]:
        return {"layer_index": self.layer_index, "enabled": self.enabled}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherHint:
    """Which layers of a track its publisher shall send; `encodings` None: what it would by itself."""

    track: str
    encodings: tuple[EncodingHint, ...] | None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        default = data.get("encodings") is None
        return cls(
            track=text(data, "track"),
            encodings=None if default else required_parts(data, "encodings", EncodingHint.from_wire),
        )

    def to_wire(self) -> dict[str, Any]:
        encodings = None if self.encodings is None else [each.to_wire() for each in self.encodings]
        return {"track": self.track, "encodings": encodings}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherHints:
    """Service → client: `publisher` of 5.7. `id` counts from 1: the SDK takes 0 for none."""

    type: ClassVar[str] = "publisher_hints"
    id: int
    hints: tuple[PublisherHint, ...]

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return part(data, "publisher", cls._publisher_from_wire)

    @classmethod
    def _publisher_from_wire(cls, data: Json) -> Self:
        return cls(id=integer(data, "id", least=1), hints=required_parts(data, "hints", PublisherHint.from_wire))

    def to_wire(self) -> dict[str, Any]:
        hints = [hint.to_wire() for hint in self.hints]
        return {"type": self.type, "publisher": {"id": self.id, "hints": hints}}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherHintResults:
    """Client → service: what became of the PublisherHints of this `id`."""

    type: ClassVar[str] = "publisher_hints"
    id: int
    hints: tuple[TrackResult, ...] = ()

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(id=integer(data, "id"), hints=parts(data, "hints", TrackResult.from_wire))

    def to_wire(self) -> dict[str, Any]:
        return {"type": self.type, "id": self.id, "hints": [hint.to_wire() for hint in self.hints]}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientReset:
    """Client → service: what a track sends was replaced, and the hints for it are forgotten (5.7)."""

    type: ClassVar[str] = "client_reset"
    track: str
    id: int = 0

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(track=text(data, "track"), id=optional_integer(data, "id") or 0)

    def to_wire(self) -> dict[str, Any]:
        return {"type": self.type, "track": self.track, "id": self.id}


# --- transcriptions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """Words that were spoken on a track (5.8). Applications get it word for word: `said` is the whole message."""

    type: ClassVar[str] = "extension_transcriptions"
    said: Json

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        try:
            text_from_object(data)
        except ValueError:
            raise RemoteProtocolError("a number: out of range") from None  # NaN, which json.loads takes for one
        return cls(said={key: data[key] for key in data if key != "type"})

    def to_wire(self) -> dict[str, Any]:
        return {"type": self.type, **self.said}


# --- reading and writing ---------------------------------------------------------------------------------------------

ClientChannelMessage = Ready | QualityReport | TrackPriorityWish | RenderHints | PublisherHintResults | ClientReset
ServiceChannelMessage = (
    ActiveSpeaker | QualityReply | RenderHintResults | TrackSwitchOff | PublisherHints | Transcription
)

_OF_CLIENT: Mapping[Channel, tuple[type[ClientChannelMessage], ...]] = {
    Channel.NETWORK_QUALITY: (QualityReport,),
    Channel.TRACK_PRIORITY: (TrackPriorityWish,),
    Channel.RENDER_HINTS: (RenderHints,),
    Channel.PUBLISHER_HINTS: (PublisherHintResults, ClientReset),
}
_OF_SERVICE: Mapping[Channel, type[ServiceChannelMessage]] = {
    Channel.ACTIVE_SPEAKER: ActiveSpeaker,
    Channel.NETWORK_QUALITY: QualityReply,
    Channel.RENDER_HINTS: RenderHintResults,
    Channel.TRACK_SWITCH_OFF: TrackSwitchOff,
    Channel.PUBLISHER_HINTS: PublisherHints,
    Channel.TRANSCRIPTIONS: Transcription,
}


def message_of_client(channel: Channel, message: str) -> ClientChannelMessage:
    """Return what a client said on a channel.

    Raises:
        RemoteProtocolError: nothing that belongs on this channel.
    """
    data = object_from_text(message)
    name = text(data, "type")
    kinds: tuple[type[ClientChannelMessage], ...] = (Ready, *_OF_CLIENT.get(channel, ()))
    for kind in kinds:
        if kind.type == name:
            return kind.from_wire(data)
    raise RemoteProtocolError(f"type: {name[:40]!a} is nothing that a client says on {channel}")


def message_of_service(channel: Channel, message: str) -> ServiceChannelMessage:
    """Return what the service said on a channel.

    Raises:
        RemoteProtocolError: nothing that belongs on this channel.
    """
    data = object_from_text(message)
    name = text(data, "type")
    kind = _OF_SERVICE.get(channel)
    if kind is None or kind.type != name:
        raise RemoteProtocolError(f"type: {name[:40]!a} is nothing that a service says on {channel}")
    return kind.from_wire(data)


def text_of(message: ClientChannelMessage | ServiceChannelMessage) -> str:
    """Return a message as it goes over its channel."""
    return text_from_object(message.to_wire())
