"""The messages of the `network_quality` channel (signaling.md 5.3). Pure.

Levels run from 0, broken, to 5, excellent. Rates are in bits per second, times in seconds, losses from 0 to 1. What a
client reports holds for its own side: what it sends and what it receives. A figure that is missing is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

from appliance.errors import RemoteProtocolError
from appliance.signaling.fields import (
    LARGEST_INTEGER,
    Json,
    integer,
    optional_integer,
    optional_part,
    part,
    parts,
    text,
    without_none,
)

BEST_LEVEL = 5

LOWEST_VERBOSITY = 1
HIGHEST_VERBOSITY = 3


def _figure(data: Json, key: str) -> float | None:
    """Return a number from 0 on; None for anything else: statistics of browsers hold what they like."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_INTEGER:
        return None
    return value


def _inner(data: Json, key: str) -> Json:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _verbosity(data: Json, key: str, least: int) -> int:
    """Return a wanted verbosity, brought into its range; the least where nothing sensible is said."""
    return min(HIGHEST_VERBOSITY, max(least, int(_figure(data, key) or 0)))


# --- client to service -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PathReport:
    """What a client sees of its path as a whole: the pair of candidates in use."""

    send: float | None = None
    recv: float | None = None
    available_send: float | None = None
    rtt: float | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            send=_figure(data, "send"),
            recv=_figure(data, "recv"),
            available_send=_figure(data, "availableSend"),
            rtt=_figure(data, "rtt"),
        )

    def to_wire(self) -> dict[str, Any]:
        return without_none(
            {"availableSend": self.available_send, "recv": self.recv, "rtt": self.rtt, "send": self.send}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReport:
    bitrate: float | None = None
    rtt: float | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(bitrate=_figure(data, "bitrate"), rtt=_figure(data, "rtt"))

    def to_wire(self) -> dict[str, Any]:
        return without_none({"bitrate": self.bitrate, "rtt": self.rtt})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveReport:
    bitrate: float | None = None
    fraction_lost: float | None = None
    jitter: float | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            bitrate=_figure(data, "bitrate"),
            fraction_lost=_figure(data, "fractionLost"),
            jitter=_figure(data, "jitter"),
        )

    def to_wire(self) -> dict[str, Any]:
        return without_none({"bitrate": self.bitrate, "fractionLost": self.fraction_lost, "jitter": self.jitter})


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaReport:
    """Of one kind of media, or of all together."""

    send: SendReport = SendReport()
    recv: ReceiveReport = ReceiveReport()

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(send=SendReport.from_wire(_inner(data, "send")), recv=ReceiveReport.from_wire(_inner(data, "recv")))

    def to_wire(self) -> dict[str, Any]:
        return {"send": self.send.to_wire(), "recv": self.recv.to_wire()}


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """A client's own figures, and how much it wants to know: `report_level` 1-3, `remote_report_level` 0-3.

    Reading never fails: each of them has to be answered, since the answer paces the client.
    """

    type: ClassVar[str] = "network_quality"
    ice: PathReport = PathReport()
    all: MediaReport = MediaReport()
    audio: MediaReport = MediaReport()
    video: MediaReport = MediaReport()
    report_level: int = LOWEST_VERBOSITY
    remote_report_level: int = 0

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            ice=PathReport.from_wire(_inner(data, "ice")),
            all=MediaReport.from_wire(data),
            audio=MediaReport.from_wire(_inner(data, "audio")),
            video=MediaReport.from_wire(_inner(data, "video")),
            report_level=_verbosity(data, "reportLevel", LOWEST_VERBOSITY),
            remote_report_level=_verbosity(data, "remoteReportLevel", 0),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "ice": self.ice.to_wire(),
            **self.all.to_wire(),
            "audio": self.audio.to_wire(),
            "video": self.video.to_wire(),
            "reportLevel": self.report_level,
            "remoteReportLevel": self.remote_report_level,
        }


# --- service to client -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthStats:
    actual: float | None = None
    available: float | None = None
    level: int | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(actual=_figure(data, "actual"), available=_figure(data, "available"), level=_level(data, "level"))

    def to_wire(self) -> dict[str, Any]:
        return without_none({"actual": self.actual, "available": self.available, "level": self.level})


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyStats:
    jitter: float | None = None
    rtt: float | None = None
    level: int | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(jitter=_figure(data, "jitter"), rtt=_figure(data, "rtt"), level=_level(data, "level"))

    def to_wire(self) -> dict[str, Any]:
        return without_none({"jitter": self.jitter, "rtt": self.rtt, "level": self.level})


@dataclass(frozen=True, slots=True, kw_only=True)
class LossStats:
    fraction_lost: float | None = None
    level: int | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(fraction_lost=_figure(data, "fractionLost"), level=_level(data, "level"))

    def to_wire(self) -> dict[str, Any]:
        return without_none({"fractionLost": self.fraction_lost, "level": self.level})


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionStats:
    """One kind of media in one direction, with what its level is made of (verbosity 3)."""

    bandwidth: BandwidthStats | None = None
    latency: LatencyStats | None = None
    fraction_lost: LossStats | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            bandwidth=optional_part(data, "bandwidth", BandwidthStats.from_wire),
            latency=optional_part(data, "latency", LatencyStats.from_wire),
            fraction_lost=optional_part(data, "fractionLost", LossStats.from_wire),
        )

    def to_wire(self) -> dict[str, Any]:
        parts_of_it = {"bandwidth": self.bandwidth, "latency": self.latency, "fractionLost": self.fraction_lost}
        return {key: value.to_wire() for key, value in parts_of_it.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLevels:
    """The levels of one kind of media as its participant sends and receives it."""

    send: int
    recv: int
    send_stats: DirectionStats | None = None
    recv_stats: DirectionStats | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(
            send=_required_level(data, "send"),
            recv=_required_level(data, "recv"),
            send_stats=optional_part(data, "sendStats", DirectionStats.from_wire),
            recv_stats=optional_part(data, "recvStats", DirectionStats.from_wire),
        )

    def to_wire(self) -> dict[str, Any]:
        return without_none(
            {
                "send": self.send,
                "recv": self.recv,
                "sendStats": self.send_stats.to_wire() if self.send_stats else None,
                "recvStats": self.recv_stats.to_wire() if self.recv_stats else None,
            }
        )


@dataclass(frozen=True, kw_only=True)
class ParticipantQuality:
    """The level of a participant; `audio` and `video` from verbosity 2 on.

    It is written once: one and the same is told to everybody in a room.
    """

    level: int
    audio: MediaLevels | None = None
    video: MediaLevels | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        audio = optional_part(data, "audio", MediaLevels.from_wire)
        video = optional_part(data, "video", MediaLevels.from_wire)
        level = _level(data, "level")
        if level is None:
            if not audio or not video:
                raise RemoteProtocolError("level: missing")
            level = min(audio.send, audio.recv, video.send, video.recv)
        return cls(level=level, audio=audio, video=video)

    def to_wire(self) -> dict[str, Any]:
        return {**self._wire}

    @cached_property
    def _wire(self) -> dict[str, Any]:
        return without_none(
            {
                "level": self.level,
                "audio": self.audio.to_wire() if self.audio else None,
                "video": self.video.to_wire() if self.video else None,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReply:
    """The answer to every QualityReport: the client's own quality, and by SID that of others (verbosity from 1 on).

    `remotes` None: nothing is said of others.
    """

    type: ClassVar[str] = "network_quality"
    local: ParticipantQuality
    remotes: Mapping[str, ParticipantQuality] | None = None

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        return cls(local=cls._local_from_wire(data), remotes=cls._remotes_from_wire(data))

    @classmethod
    def _local_from_wire(cls, data: Json) -> ParticipantQuality:
        if isinstance(data.get("local"), Mapping):
            return part(data, "local", ParticipantQuality.from_wire)
        return ParticipantQuality(level=_required_level(data, "local"))

    @classmethod
    def _remotes_from_wire(cls, data: Json) -> Mapping[str, ParticipantQuality] | None:
        if data.get("remotes") is None:
            return None
        return dict(parts(data, "remotes", lambda remote: (text(remote, "sid"), ParticipantQuality.from_wire(remote))))

    def to_wire(self) -> dict[str, Any]:
        alone = not self.local.audio and not self.local.video
        wire: dict[str, Any] = {"type": self.type, "local": self.local.level if alone else self.local.to_wire()}
        if self.remotes is not None:
            wire["remotes"] = [{"sid": sid, **quality.to_wire()} for sid, quality in self.remotes.items()]
        return wire


def _required_level(data: Json, key: str) -> int:
    return min(BEST_LEVEL, integer(data, key))


def _level(data: Json, key: str) -> int | None:
    level = optional_integer(data, key)
    return None if level is None else min(BEST_LEVEL, level)
