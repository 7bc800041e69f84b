"""Participants: the one we are, and those we meet.

`tracks` and its three parts map track SIDs to publications.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appliance.client.events import Emitter, ParticipantEvent, TrackEvent
from appliance.client.link_report import NetworkQualityConfiguration
from appliance.client.local_tracks import LocalMediaTrack, LocalTrack
from appliance.client.publications import (
    AnyRemotePublication,
    LocalTrackPublication,
    local_publication,
    remote_publication,
)
from appliance.client.remote_tracks import RemoteDataTrack, RemoteTrack, RemoteVideoTrack
from appliance.errors import (
    RoomError,
    SignalingConnectionDisconnectedError,
    SignalingConnectionTimeoutError,
    TrackInvalidError,
    room_error,
)
from appliance.media_engine import TrackKind, TrackPriority
from appliance.signaling.quality import ParticipantQuality
from appliance.signaling.states import (
    LocalTrackState,
    ParticipantState,
    PublicationState,
    PublishedState,
    RemoteParticipantState,
    RemoteTrackState,
)

logger = logging.getLogger(__name__)

PUBLISH_DEADLINE_S = 30.0

NetworkQualityStats = ParticipantQuality
"""Levels from 0 to 5: `level`, and of `audio` and `video` `send`, `recv` and their figures (signaling.md 5.3)."""

AnyLocalPublication = LocalTrackPublication[LocalTrack]


class Participant(Emitter):
    """What local and remote ones share."""

    EVENTS = frozenset(ParticipantEvent)

    def __init__(self, sid: str, identity: str) -> None:
        super().__init__()
        self.sid = sid
        self.identity = identity
        self.state = ParticipantState.CONNECTED
        self.network_quality_level: int | None = None
        """0, broken, to 5, excellent; None until known, or where the room was joined without network quality."""
        self.network_quality_stats: NetworkQualityStats | None = None
        """What the level is made of, from verbosity 2 on."""

    def change_quality(self, quality: NetworkQualityStats) -> None:
        """Take over how good the connection is; the event comes where the level changes."""
        detailed = quality.audio is not None or quality.video is not None
        self.network_quality_stats = quality if detailed else None
        if quality.level != self.network_quality_level:
            self.network_quality_level = quality.level
            event = ParticipantEvent.NETWORK_QUALITY_LEVEL_CHANGED
            self.emit(event, quality.level, self.network_quality_stats)

    def change_state(self, state: ParticipantState) -> None:
        """Tell of a new connection state; a repeated one is not told."""
        if state is self.state:
            return
        self.state = state
        events = {
            ParticipantState.CONNECTED: ParticipantEvent.RECONNECTED,
            ParticipantState.RECONNECTING: ParticipantEvent.RECONNECTING,
            ParticipantState.DISCONNECTED: ParticipantEvent.DISCONNECTED,
        }
        self.emit(events[state], self)


# --- the one we are ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Published:
    """A track on its way into the room, or there: then it has its publication."""

    track: LocalTrack
    priority: TrackPriority
    outcome: asyncio.Future[AnyLocalPublication]
    publication: AnyLocalPublication | None = None


class LocalParticipant(Participant):
    """Publishes tracks. `sid` and `identity` are empty until the service has told them.

    Attributes:
        on_changed: set by the Room; called when what we publish, its mute or its priority, has changed.
        on_quality_wanted: set by the Room.
    """

    def __init__(self) -> None:
        super().__init__("", "")
        self.signaling_region: str | None = None
        self.on_changed: Callable[[], None] = _nobody_listens
        self.on_quality_wanted: Callable[[NetworkQualityConfiguration], None] = lambda _: None
        self._published_revision = 0
        self._published: dict[str, _Published] = {}

    @property
    def tracks(self) -> Mapping[str, AnyLocalPublication]:
        found = (entry.publication for entry in self._published.values())
        return {publication.track_sid: publication for publication in found if publication is not None}

    @property
    def audio_tracks(self) -> Mapping[str, AnyLocalPublication]:
        return self._of_kind(TrackKind.AUDIO)

    @property
    def video_tracks(self) -> Mapping[str, AnyLocalPublication]:
        return self._of_kind(TrackKind.VIDEO)

    @property
    def data_tracks(self) -> Mapping[str, AnyLocalPublication]:
        return self._of_kind(TrackKind.DATA)

    async def publish_track(
        self, track: LocalTrack, priority: TrackPriority = TrackPriority.STANDARD
    ) -> AnyLocalPublication:
        """Put a track into the room and return its publication; one that is published already keeps its own.

        While the connection is lost this waits for it to come back.

        Raises:
            RoomError: with the number by which the service refuses the track (signaling.md 6, column P), or of the
                end of the room.
        """
        if self.state is ParticipantState.DISCONNECTED:
            raise SignalingConnectionDisconnectedError("the room has been left")
        entry = self.add(track, priority)
        try:
            async with asyncio.timeout(PUBLISH_DEADLINE_S):
                return await asyncio.shield(entry.outcome)
        except TimeoutError:
            self.unpublish_track(track)
            raise SignalingConnectionTimeoutError(
                f"the service did not take track {track.name!r} within {PUBLISH_DEADLINE_S:g} s"
            ) from None

    def unpublish_track(self, track: LocalTrack) -> AnyLocalPublication | None:
        """Take a track out of the room; returns its publication, None where it has none. The source goes on."""
        entry = self._published.pop(track.id, None)
        if entry is None:
            return None
        self._forget(entry)
        _refuse(entry.outcome, TrackInvalidError("the track was unpublished before the service had taken it"))
        self.on_changed()
        return entry.publication

    def set_network_quality_configuration(self, configuration: NetworkQualityConfiguration) -> None:
        """Want to know so much of how good the connections are, from the next second on.

        It counts where the room was joined with `network_quality`.
        """
        self.on_quality_wanted(configuration)

    # --- for the Room ---------------------------------------------------------------------------------------------

    def add(self, track: LocalTrack, priority: TrackPriority = TrackPriority.STANDARD) -> _Published:
        """Want `track` published, without waiting for it."""
        if track.id in self._published:
            return self._published[track.id]
        entry = _Published(track, priority, asyncio.get_running_loop().create_future())
        self._published[track.id] = entry
        if isinstance(track, LocalMediaTrack):
            track.on(TrackEvent.ENABLED, self._track_enabled)
            track.on(TrackEvent.DISABLED, self._track_disabled)
            track.on(TrackEvent.STOPPED, self._track_stopped)
        self.on_changed()
        return entry

    def wanted_tracks(self) -> tuple[LocalTrack, ...]:
        """Everything published or about to be, in the application's order."""
        return tuple(entry.track for entry in self._published.values())

    def track_states(self) -> tuple[LocalTrackState, ...]:
        """What signaling says of our tracks."""
        return tuple(
            LocalTrackState(
                id=entry.track.id,
                kind=entry.track.kind,
                name=entry.track.name,
                enabled=not isinstance(entry.track, LocalMediaTrack) or entry.track.is_enabled,
                priority=entry.priority,
            )
            for entry in self._published.values()
        )

    def apply(self, published: PublishedState) -> None:
        """Learn SIDs and refusals of our own tracks."""
        if published.revision <= self._published_revision:
            return
        self._published_revision = published.revision
        for state in published.tracks:
            entry = self._published.get(state.id)
            if entry is None:
                continue
            if state.state is PublicationState.READY and state.sid is not None:
                self._ready(entry, state.sid)
            elif state.state is PublicationState.FAILED:
                error = state.error
                self.fail(entry.track, room_error(error.code, error.message) if error else RoomError(53300))

    def fail(self, track: LocalTrack, error: RoomError) -> None:
        """A track cannot be published; it is not wanted any more."""
        entry = self._published.pop(track.id, None)
        if entry is None:
            return
        logger.warning("track %r cannot be published: %s (%d)", track.name, error, error.code)
        self._forget(entry)
        _refuse(entry.outcome, error)
        self.on_changed()
        self.emit(ParticipantEvent.TRACK_PUBLICATION_FAILED, error, track)

    def end(self, error: RoomError) -> None:
        """The room is over: whoever waits for a publication hears why."""
        for entry in self._published.values():
            self._forget(entry)
            _refuse(entry.outcome, error)
        self.on_changed = _nobody_listens
        self.change_state(ParticipantState.DISCONNECTED)

    def _ready(self, entry: _Published, sid: str) -> None:
        if entry.publication is not None:
            return  # a SID never changes
        publication = local_publication(sid, entry.track, entry.priority, self.unpublish_track)
        publication.on_prioritized = lambda: self._prioritized(entry, publication)
        entry.publication = publication
        if not entry.outcome.done():
            entry.outcome.set_result(publication)
        self.emit(ParticipantEvent.TRACK_PUBLISHED, publication)

    def _prioritized(self, entry: _Published, publication: AnyLocalPublication) -> None:
        entry.priority = publication.priority
        if entry.track.id in self._published:
            self.on_changed()

    def _forget(self, entry: _Published) -> None:
        if entry.publication is not None:
            entry.publication.end()
        if isinstance(entry.track, LocalMediaTrack):
            entry.track.off(TrackEvent.ENABLED, self._track_enabled)
            entry.track.off(TrackEvent.DISABLED, self._track_disabled)
            entry.track.off(TrackEvent.STOPPED, self._track_stopped)

    def _track_enabled(self, track: LocalTrack) -> None:
        self.on_changed()
        self.emit(ParticipantEvent.TRACK_ENABLED, track)

    def _track_disabled(self, track: LocalTrack) -> None:
        self.on_changed()
        self.emit(ParticipantEvent.TRACK_DISABLED, track)

    def _track_stopped(self, track: LocalTrack) -> None:
        self.emit(ParticipantEvent.TRACK_STOPPED, track)

    def _of_kind(self, kind: TrackKind) -> Mapping[str, AnyLocalPublication]:
        return {sid: publication for sid, publication in self.tracks.items() if publication.kind is kind}


def _nobody_listens() -> None:
    return


def _refuse(outcome: asyncio.Future[AnyLocalPublication], error: RoomError) -> None:
    if not outcome.done():
        outcome.set_exception(error)
        outcome.exception()  # seen: nobody need be waiting for it


# --- those we meet ----------------------------------------------------------------------------------------------------


class RemoteParticipant(Participant):
    """Someone else in the room."""

    def __init__(self, state: RemoteParticipantState) -> None:
        super().__init__(state.sid, state.identity)
        self.state = state.state
        self.tracks: dict[str, AnyRemotePublication] = {track.sid: remote_publication(track) for track in state.tracks}

    @property
    def audio_tracks(self) -> Mapping[str, AnyRemotePublication]:
        return self._of_kind(TrackKind.AUDIO)

    @property
    def video_tracks(self) -> Mapping[str, AnyRemotePublication]:
        return self._of_kind(TrackKind.VIDEO)

    @property
    def data_tracks(self) -> Mapping[str, AnyRemotePublication]:
        return self._of_kind(TrackKind.DATA)

    # --- for the Room ---------------------------------------------------------------------------------------------

    def published(self, state: RemoteTrackState) -> None:
        publication = remote_publication(state)
        self.tracks[state.sid] = publication
        self.emit(ParticipantEvent.TRACK_PUBLISHED, publication)

    def unpublished(self, track_sid: str) -> None:
        self.unsubscribed(track_sid)
        publication = self.tracks.pop(track_sid)
        self.emit(ParticipantEvent.TRACK_UNPUBLISHED, publication)

    def subscribed(self, track_sid: str, track: RemoteTrack) -> None:
        publication = self.tracks[track_sid]
        track.on(TrackEvent.STARTED, lambda started: self.emit(ParticipantEvent.TRACK_STARTED, started))
        if isinstance(track, RemoteDataTrack):
            track.on(TrackEvent.MESSAGE, lambda data, sender: self.emit(ParticipantEvent.TRACK_MESSAGE, data, sender))
        if isinstance(track, RemoteVideoTrack):
            event = ParticipantEvent.TRACK_DIMENSIONS_CHANGED
            track.on(TrackEvent.DIMENSIONS_CHANGED, lambda changed: self.emit(event, changed))
        publication.subscribe(track)  # type: ignore[arg-type]  # made from the publication's own track_class
        self.emit(ParticipantEvent.TRACK_SUBSCRIBED, track, publication)

    def unsubscribed(self, track_sid: str) -> None:
        publication = self.tracks[track_sid]
        track = publication.unsubscribe()
        if track is not None:
            self.emit(ParticipantEvent.TRACK_UNSUBSCRIBED, track, publication)

    def subscription_failed(self, track_sid: str, error: RoomError) -> None:
        publication = self.tracks[track_sid]
        publication.fail(error)
        self.emit(ParticipantEvent.TRACK_SUBSCRIPTION_FAILED, error, publication)

    def switched(self, track_sid: str, enabled: bool) -> None:
        publication = self.tracks[track_sid]
        publication.switch(enabled)
        self.emit(ParticipantEvent.TRACK_ENABLED if enabled else ParticipantEvent.TRACK_DISABLED, publication)

    def switched_off_or_on(self, track_sid: str, off: bool) -> None:
        """The service sends us this track no longer, or again."""
        publication = self.tracks[track_sid]
        track = publication.switch_off_or_on(off)
        if track is not None:
            event = ParticipantEvent.TRACK_SWITCHED_OFF if off else ParticipantEvent.TRACK_SWITCHED_ON
            self.emit(event, track, publication)

    def reprioritized(self, track_sid: str, priority: TrackPriority) -> None:
        publication = self.tracks[track_sid]
        publication.prioritize(priority)
        self.emit(ParticipantEvent.TRACK_PUBLISH_PRIORITY_CHANGED, priority, publication)

    def left(self) -> None:
        """Unsubscribes everything first; the publications stay readable (signaling.md 2.6)."""
        for track_sid in tuple(self.tracks):
            self.unsubscribed(track_sid)
        self.change_state(ParticipantState.DISCONNECTED)

    def _of_kind(self, kind: TrackKind) -> Mapping[str, AnyRemotePublication]:
        return {sid: publication for sid, publication in self.tracks.items() if publication.kind is kind}
