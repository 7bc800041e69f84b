"""One connection to a room, as the kiosk uses it: voices to the speaker, pictures to the screen, people to state."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, Protocol

import av

from appliance.client.local_tracks import LocalTrack
from appliance.client.participants import RemoteParticipant
from appliance.client.publications import AnyRemotePublication
from appliance.client.remote_tracks import RemoteAudioTrack, RemoteTrack, RemoteVideoTrack
from appliance.client.room import Room
from appliance.clock import rfc3339
from appliance.errors import RoomError
from appliance.kiosk.inputs import (
    Input,
    IssueSeen,
    LinkQuality,
    PeopleChanged,
    RoomConnected,
    RoomEventSeen,
    RoomInterrupted,
    RoomLost,
    RoomResumed,
)
from appliance.kiosk.state import Person
from appliance.media_engine import Dimensions

log = logging.getLogger(__name__)

ROOM_COMPLETED = 53118


class Voices(Protocol):
    """Where remote sound goes: `Sound`."""

    def add_voice(self, key: str) -> Callable[[bytes, int], None]: ...
    def remove_voice(self, key: str) -> None: ...


class Slots(Protocol):
    """Where remote pictures go: a `Screen`."""

    def slot(self, key: str) -> Callable[[av.VideoFrame], None]: ...
    def drop_slot(self, key: str) -> None: ...


class Call:
    """Binds a Room to what the kiosk has. Everything runs on the event loop.

    Args:
        attempt: number that every happening carries.
        now: wall-clock time, for the timestamps of events.
    """

    def __init__(
        self,
        room: Room,
        attempt: int,
        *,
        voices: Voices,
        slots: Slots | None,
        tell: Callable[[Input], None],
        now: Callable[[], datetime],
    ) -> None:
        self.room, self.attempt = room, attempt
        self._voices, self._slots, self._tell, self._now = voices, slots, tell, now
        self._inlets: dict[str, Callable[[bytes, int], None]] = {}
        self._sizes: Mapping[str, Dimensions] = {}
        self._placed: frozenset[str] = frozenset()
        self._shown: set[str] = set()
        self._told: dict[str, Dimensions | None] = {}
        self._leaving = self._begun = False
        for event, handler in self._handlers().items():
            room.on(event, handler)
        room.local_participant.on("track_publication_failed", self._publication_failed)
        room.local_participant.on("network_quality_level_changed", lambda level, _: self._tell(LinkQuality(level)))

    def _handlers(self) -> Mapping[str, Callable[..., None]]:
        return {
            "participant_connected": self._participant_connected,
            "participant_disconnected": self._participant_disconnected,
            "participant_reconnecting": lambda _: self._people_changed(),
            "participant_reconnected": lambda _: self._people_changed(),
            "dominant_speaker_changed": lambda _: self._people_changed(),
            "track_published": lambda publication, person: self._track("track-added", publication, person),
            "track_unpublished": lambda publication, person: self._track("track-removed", publication, person),
            "track_enabled": lambda publication, person: self._track("track-enabled", publication, person),
            "track_disabled": lambda publication, person: self._track("track-disabled", publication, person),
            "track_subscribed": lambda track, _publication, _person: self._subscribed(track),
            "track_unsubscribed": lambda track, _publication, _person: self._unsubscribed(track),
            "track_switched_off": lambda _track, _publication, _person: self._pictures_changed(),
            "track_switched_on": lambda _track, _publication, _person: self._pictures_changed(),
            "reconnecting": lambda _: self._tell(RoomInterrupted(attempt=self.attempt)),
            "reconnected": lambda: self._tell(RoomResumed(attempt=self.attempt)),
            "disconnected": self._disconnected,
        }

    def begin(self) -> None:
        """Take over who is there already, and tell that we are in."""
        room, self._begun = self.room, True
        for participant in room.participants.values():
            self._follow(participant)
            for publication in participant.tracks.values():
                if publication.track is not None:
                    self._attach(publication.track)
        me = room.local_participant.sid
        self._tell(
            RoomConnected(attempt=self.attempt, name=room.name, sid=room.sid, participant_sid=me, people=self._people())
        )
        for participant in room.participants.values():
            self._report_participant("participant-connected", participant, "connected")
            for publication in participant.tracks.values():
                self._report_track("track-added", publication, participant)

    def look_at(self, sizes: Mapping[str, Dimensions]) -> None:
        """Show the people of these participant SIDs, so large in pixels, and nobody else."""
        self._sizes = sizes
        self._placed = frozenset(self.room.participants)
        self._arrange()

    async def leave(self) -> None:
        """Disconnect; returns when the connection is closed and nothing is shown or heard of it any more."""
        self._leaving = True
        await self.room.disconnect()
        self._detach_all()
        self._tell(LinkQuality(None))

    # What the SDK tells

    def _participant_connected(self, participant: RemoteParticipant) -> None:
        if self._begun:
            self._follow(participant)
        self._report_participant("participant-connected", participant, "connected")
        self._people_changed()

    def _participant_disconnected(self, participant: RemoteParticipant) -> None:
        self._report_participant("participant-disconnected", participant, "disconnected")
        self._people_changed()

    def _track(self, event: str, publication: AnyRemotePublication, participant: RemoteParticipant) -> None:
        self._report_track(event, publication, participant)
        self._pictures_changed()

    def _subscribed(self, track: RemoteTrack) -> None:
        self._attach(track)
        self._pictures_changed()

    def _unsubscribed(self, track: RemoteTrack) -> None:
        self._detach(track.sid)
        self._told.pop(track.sid, None)
        self._pictures_changed()

    def _pictures_changed(self) -> None:
        self._arrange()
        self._people_changed()

    def _follow(self, participant: RemoteParticipant) -> None:
        participant.on("network_quality_level_changed", lambda _level, _stats: self._people_changed())

    def _disconnected(self, _room: Room, error: RoomError | None) -> None:
        self._detach_all()
        if self._leaving:
            return
        self._tell(LinkQuality(None))
        if error is not None and error.code == ROOM_COMPLETED:
            self._report("room-ended", {"RoomStatus": "completed"})
        code = error.code if error else None
        self._tell(RoomLost(attempt=self.attempt, code=code, message=str(error or "removed by the host")))

    def _publication_failed(self, error: RoomError, track: LocalTrack) -> None:
        """One track is refused: the call goes on without it (kiosk.md 4)."""
        log.warning("track %s is not published: %s (%d)", track.name, error, error.code)
        self._tell(IssueSeen(code="track_failed", present=True, subject=f"{track.name}: {error}"))

    # Media

    def _attach(self, track: RemoteTrack) -> None:
        if isinstance(track, RemoteAudioTrack) and track.sid not in self._inlets:
            inlet = self._inlets[track.sid] = self._voices.add_voice(track.sid)
            track.add_packet_sink(inlet)

    def _arrange(self) -> None:
        """Bring what is received and decoded in line with what is shown: nothing else costs bandwidth or time."""
        for participant in self.room.participants.values():
            if participant.sid not in self._placed:
                continue  # whoever has just come is in the next layout, which is being made
            chosen = _picture_of(participant)
            for publication in participant.video_tracks.values():
                track = publication.track
                if isinstance(track, RemoteVideoTrack):
                    size = self._sizes.get(participant.sid) if publication.track_sid == chosen else None
                    self._want(track, size)
                    self._show(track, size is not None and not track.is_switched_off)

    def _want(self, track: RemoteVideoTrack, size: Dimensions | None) -> None:
        """Tell the service how large a video is shown, or that it is not."""
        if track.sid in self._told and self._told[track.sid] == size:
            return
        self._told[track.sid] = size
        if size is None:
            track.switch_off()
        else:
            track.switch_on()
            track.set_content_preferences(render_dimensions=size)

    def _show(self, track: RemoteVideoTrack, shown: bool) -> None:
        """Give a video its place on the screen, or take it away with its last picture: none may stand still there."""
        if self._slots is None or shown == (track.sid in self._shown):
            return
        if shown:
            self._shown.add(track.sid)
            track.set_frame_slot(self._slots.slot(track.sid))
        else:
            track.set_frame_slot(None)
            self._detach(track.sid)

    def _detach(self, track_sid: str) -> None:
        if self._inlets.pop(track_sid, None) is not None:
            self._voices.remove_voice(track_sid)
        if track_sid in self._shown and self._slots is not None:
            self._shown.discard(track_sid)
            self._slots.drop_slot(track_sid)

    def _detach_all(self) -> None:
        for track_sid in (*self._inlets, *self._shown):
            self._detach(track_sid)

    # People

    def _people_changed(self) -> None:
        speaker = self.room.dominant_speaker
        sid = speaker.sid if speaker else None
        self._tell(PeopleChanged(attempt=self.attempt, people=self._people(), dominant_speaker=sid))

    def _people(self) -> tuple[Person, ...]:
        speaker = self.room.dominant_speaker
        return tuple(
            _person(participant, speaking=participant is speaker) for participant in self.room.participants.values()
        )

    # Events

    def _report_participant(self, event: str, participant: RemoteParticipant, status: str) -> None:
        self._report(event, {**_identity(participant), "ParticipantStatus": status})

    def _report_track(self, event: str, publication: AnyRemotePublication, participant: RemoteParticipant) -> None:
        track = {"TrackSid": publication.track_sid, "TrackKind": str(publication.kind)}
        status = "connected" if participant.sid in self.room.participants else "disconnected"
        self._report(event, {**_identity(participant), "ParticipantStatus": status, **track})

    def _report(self, event: str, data: Mapping[str, str]) -> None:
        if not self._begun:
            return  # begin() reports whoever is there by then
        room = {"RoomSid": self.room.sid, "RoomName": self.room.name, "RoomStatus": "in-progress"}
        about = {"StatusCallbackEvent": event, "Timestamp": rfc3339(self._now())}
        self._tell(RoomEventSeen(event, {**room, **data, **about}))


def _identity(participant: RemoteParticipant) -> dict[str, str]:
    return {"ParticipantSid": participant.sid, "ParticipantIdentity": participant.identity}


def _person(participant: RemoteParticipant, *, speaking: bool) -> Person:
    tracks: list[Any] = list(participant.tracks.values())
    audio = [track for track in tracks if str(track.kind) == "audio"]
    microphone: Literal["on", "off", "none"] = "none"
    if audio:
        microphone = "on" if any(track.is_track_enabled for track in audio) else "off"
    seen = [publication for publication in participant.video_tracks.values() if publication.is_track_enabled]
    picture = _picture_of(participant)
    track = participant.tracks[picture].track if picture is not None else None
    return Person(
        sid=participant.sid,
        name=participant.identity,
        microphone=microphone,
        camera="on" if seen else "off",
        speaking=speaking,
        video=picture if track is not None and not track.is_switched_off else None,
        link=participant.network_quality_level,
    )


def _picture_of(participant: RemoteParticipant) -> str | None:
    """Return the SID of the video that stands for somebody: the first that is on and received."""
    found = (each for each in participant.video_tracks.values() if each.is_track_enabled and each.is_subscribed)
    return next((publication.track_sid for publication in found), None)
