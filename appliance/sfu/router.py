"""One room in the engine: which tracks can be had, who speaks, and who has to hear when that changes."""

from __future__ import annotations

from typing import Protocol

from appliance.media_engine import TrackKind
from appliance.sfu.loudness import Loudness
from appliance.sfu.pressure import Pressure
from appliance.sfu.producer import Producer
from appliance.sids import ParticipantSid, TrackSid


class Member(Protocol):
    """A participant as its room sees it."""

    def tracks_changed(self) -> None:
        """A track of the room came or went; look again at what is wanted."""

    def loudest_changed(self, loudest: ParticipantSid | None) -> None:
        """Another participant than before speaks, perhaps this one; None: nobody does."""


class Router:
    """The producers and members of one room. `pressure` is that of all rooms of the engine."""

    def __init__(self, pressure: Pressure) -> None:
        self.pressure = pressure
        self._producers: dict[TrackSid, Producer] = {}
        self._members: set[Member] = set()
        self._loudness = Loudness()

    @property
    def is_empty(self) -> bool:
        return not self._members

    @property
    def loudest(self) -> ParticipantSid | None:
        """Who speaks now."""
        return self._loudness.loudest

    def enter(self, member: Member) -> None:
        """Take a participant in, and tell it who speaks."""
        self._members.add(member)
        if self.loudest is not None:
            member.loudest_changed(self.loudest)

    def leave(self, member: Member) -> None:
        self._members.discard(member)

    def find(self, sid: TrackSid) -> Producer | None:
        """Return the producer of a track that can be subscribed to now."""
        return self._producers.get(sid)

    def add(self, producer: Producer) -> None:
        """A track can be had from now on: it is published, and its section or channel is known."""
        if self._producers.get(producer.track.sid) is not producer:
            self._producers[producer.track.sid] = producer
            self._tell()

    def remove(self, producer: Producer) -> None:
        """A track can no longer be had."""
        if self._producers.get(producer.track.sid) is producer:
            del self._producers[producer.track.sid]
            self._tell()

    def listen(self, now: float) -> None:
        """Hear who speaks, about every 50 ms. Who has muted all microphones, or has none, cannot be the one."""
        levels: dict[ParticipantSid, int] = {}
        for producer in self._producers.values():
            if producer.track.kind is TrackKind.AUDIO and producer.track.enabled:
                owner, level = ParticipantSid(producer.owner_sid), producer.level(now)
                levels[owner] = min(level, levels.get(owner, level))
        if self._loudness.listen(levels, now):
            for member in self._members:
                member.loudest_changed(self.loudest)

    def codec_changed(self) -> None:
        """What a track comes in is known now, or is another than before: not everybody can receive it."""
        self._tell()

    def _tell(self) -> None:
        for member in self._members:
            member.tracks_changed()
