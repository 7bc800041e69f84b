"""What a client says when it joins of itself and of what it wants to receive (signaling.md 2.3, 2.11). Pure.

Named as on the wire. Read tolerantly, written exactly. `from_wire` raises RemoteProtocolError, naming the key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Self, TypeVar

from appliance.errors import RemoteProtocolError
from appliance.media_engine import Dimensions, SwitchOffMode, TrackPriority, VideoMode
from appliance.signaling.fields import (
    Json,
    choice,
    flag,
    integer,
    optional_choice,
    optional_integer,
    optional_number,
    optional_part,
    optional_text,
    part,
    parts,
    without_none,
)
from appliance.signaling.side_channels import dimensions_from_wire, dimensions_to_wire

T = TypeVar("T")


class IceServerSource(StrEnum):
    """Where a client has its ICE servers from: asked of us, or given by its application."""

    ACQUIRE = "acquire"
    OVERRODE = "overrode"


class RuleType(StrEnum):
    INCLUDE = "include"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Which program joins."""

    name: str = ""
    sdk_version: str = ""
    user_agent: str = ""

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            name=optional_text(data, "name") or "",
            sdk_version=optional_text(data, "sdk_version") or "",
            user_agent=optional_text(data, "user_agent") or "",
        )

    def to_wire(self) -> dict[str, Any]:
        return {"name": self.name, "sdk_version": self.sdk_version, "user_agent": self.user_agent}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeRule:
    """One rule of what a client wants to receive; the SDK knows only "all" or nothing."""

    type: RuleType
    all: bool = True

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(type=choice(data, "type", RuleType), all=flag(data, "all", default=False))

    def to_wire(self) -> dict[str, Any]:
        return {"type": self.type.value, "all": self.all}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeState:
    revision: int = 1
    rules: tuple[SubscribeRule, ...] = (SubscribeRule(type=RuleType.INCLUDE),)

    @property
    def automatic(self) -> bool:
        """Whether the client wants every track without asking for it."""
        return any(rule.type is RuleType.INCLUDE and rule.all for rule in self.rules)

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(revision=integer(data, "revision"), rules=parts(data, "rules", SubscribeRule.from_wire))

    def to_wire(self) -> dict[str, Any]:
        return {"revision": self.revision, "rules": [rule.to_wire() for rule in self.rules]}


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthProfile:
    """`bandwidth_profile.video`: hints, all optional (signaling.md 2.11). Bandwidth in bits per second.

    Reading never fails: a hint of which nothing can be made was not given.
    """

    mode: VideoMode | None = None
    active_speaker_priority: TrackPriority | None = None
    max_subscription_bandwidth: float | None = None
    max_tracks: int | None = None
    track_switch_off: SwitchOffMode | None = None
    render_dimensions: Mapping[TrackPriority, Dimensions] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return _hint(lambda: optional_part(data, "video", cls._video_from_wire)) or cls()

    @classmethod
    def _video_from_wire(cls, video: Json) -> Self:
        return cls(
            mode=_hint(lambda: optional_choice(video, "mode", VideoMode)),
            active_speaker_priority=_hint(lambda: optional_choice(video, "active_speaker_priority", TrackPriority)),
            max_subscription_bandwidth=_hint(lambda: optional_number(video, "max_subscription_bandwidth")),
            max_tracks=_hint(lambda: optional_integer(video, "max_tracks")),
            track_switch_off=_hint(lambda: optional_choice(video, "track_switch_off", SwitchOffMode)),
            render_dimensions=_hint(lambda: optional_part(video, "render_dimensions", _sizes)) or {},
        )

    def to_wire(self) -> dict[str, Any]:
        sizes = {priority.value: dimensions_to_wire(size) for priority, size in self.render_dimensions.items()}
        video = {
            "mode": self.mode,
            "active_speaker_priority": self.active_speaker_priority,
            "max_subscription_bandwidth": self.max_subscription_bandwidth,
            "max_tracks": self.max_tracks,
            "track_switch_off": self.track_switch_off,
            "render_dimensions": sizes or None,
        }
        return {"video": without_none(video)}


def bandwidth_profile(data: Json, key: str) -> BandwidthProfile | None:
    """Return the profile at `key`, None where there is none."""
    return _hint(lambda: optional_part(data, key, BandwidthProfile.from_wire))


def _sizes(data: Json) -> Mapping[TrackPriority, Dimensions]:
    sizes = {priority: _hint(partial(_size, data, priority.value)) for priority in TrackPriority}
    return {priority: size for priority, size in sizes.items() if size}


def _size(data: Json, key: str) -> Dimensions | None:
    return None if data.get(key) is None else part(data, key, dimensions_from_wire)


def _hint(read: Callable[[], T | None]) -> T | None:
    try:
        return read()
    except RemoteProtocolError:
        return None
