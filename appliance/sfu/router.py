"""One room in the engine: which tracks can be had, and who has to hear when that changes."""

from __future__ import annotations

from typing import Protocol

from appliance.sfu.producer import Producer
from appliance.sids import TrackSid


class Member(Protocol):
    """A participant as its room sees it."""

    def tracks_changed(self) -> None:
        """A track of the room came or went; look again at what is wanted."""


class Router:
    """The producers and members of one room."""

    def __init__(self) -> None:
        self._producers: dict[TrackSid, Producer] = {}
        self._members: set[Member] = set()

    @property
    def is_empty(self) -> bool:
        return not self._members

    def enter(self, member: Member) -> None:
        self._members.add(member)

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

    def _tell(self) -> None:
        for member in self._members:
            member.tracks_changed()
