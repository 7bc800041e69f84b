"""Publications: the bond between a participant and a track it publishes.

A local one has the SID that its track lacks; a remote one is there for every published track, and has a `track` only
while we are subscribed to it.
"""

from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from appliance.client.events import Emitter, PublicationEvent, TrackEvent
from appliance.client.local_tracks import (
    LocalAudioTrack,
    LocalDataTrack,
    LocalMediaTrack,
    LocalTrack,
    LocalVideoTrack,
)
from appliance.client.remote_tracks import RemoteAudioTrack, RemoteDataTrack, RemoteTrack, RemoteVideoTrack
from appliance.errors import RoomError
from appliance.media_engine import TrackKind, TrackPriority
from appliance.signaling.states import RemoteTrackState

LocalT = TypeVar("LocalT", bound=LocalTrack)
RemoteT = TypeVar("RemoteT", bound=RemoteTrack)


class LocalTrackPublication(Emitter, Generic[LocalT]):
    """A track of ours that the room knows by its SID."""

    EVENTS = frozenset({PublicationEvent.TRACK_ENABLED, PublicationEvent.TRACK_DISABLED})

    def __init__(
        self, track_sid: str, track: LocalT, priority: TrackPriority, unpublish: Callable[[LocalTrack], object]
    ) -> None:
        super().__init__()
        self.track_sid = track_sid
        self.track = track
        self.priority = priority
        self.on_prioritized: Callable[[], None] = _nobody_told
        """Set by the participant; called when `priority` has changed."""
        self._unpublish = unpublish
        if isinstance(track, LocalMediaTrack):
            track.on(TrackEvent.ENABLED, self._enabled)
            track.on(TrackEvent.DISABLED, self._disabled)

    @property
    def track_name(self) -> str:
        return self.track.name

    @property
    def kind(self) -> TrackKind:
        return self.track.kind

    @property
    def is_track_enabled(self) -> bool:
        return not isinstance(self.track, LocalMediaTrack) or self.track.is_enabled

    def set_priority(self, priority: TrackPriority) -> None:
        """Tell everybody how much this track matters among ours; each may see it otherwise for itself."""
        if priority is not self.priority:
            self.priority = TrackPriority(priority)
            self.on_prioritized()

    def unpublish(self) -> None:
        """Take the track out of the room. Its source goes on."""
        self._unpublish(self.track)

    def end(self) -> None:
        """It is not published any more: follow the track no longer."""
        if isinstance(self.track, LocalMediaTrack):
            self.track.off(TrackEvent.ENABLED, self._enabled)
            self.track.off(TrackEvent.DISABLED, self._disabled)

    def _enabled(self, _: object) -> None:
        self.emit(PublicationEvent.TRACK_ENABLED)

    def _disabled(self, _: object) -> None:
        self.emit(PublicationEvent.TRACK_DISABLED)


def _nobody_told() -> None:
    return


class LocalAudioTrackPublication(LocalTrackPublication[LocalAudioTrack]):
    """Of sound."""


class LocalVideoTrackPublication(LocalTrackPublication[LocalVideoTrack]):
    """Of pictures."""


class LocalDataTrackPublication(LocalTrackPublication[LocalDataTrack]):
    """Of messages."""


def local_publication(
    track_sid: str, track: LocalTrack, priority: TrackPriority, unpublish: Callable[[LocalTrack], object]
) -> LocalTrackPublication[LocalTrack]:
    """Return the publication class that belongs to the track's kind."""
    kinds: dict[TrackKind, type[LocalTrackPublication[LocalTrack]]] = {
        TrackKind.AUDIO: LocalAudioTrackPublication,  # type: ignore[dict-item]  # the kind decides the parameter
        TrackKind.VIDEO: LocalVideoTrackPublication,  # type: ignore[dict-item]
        TrackKind.DATA: LocalDataTrackPublication,  # type: ignore[dict-item]
    }
    return kinds[track.kind](track_sid, track, priority, unpublish)


class RemoteTrackPublication(Emitter, Generic[RemoteT]):
    """A track that someone publishes, whether we receive it or not."""

    EVENTS = frozenset(PublicationEvent)
    kind: ClassVar[TrackKind]
    track_class: ClassVar[type[RemoteTrack]]

    def __init__(self, state: RemoteTrackState) -> None:
        super().__init__()
        self.track_sid = state.sid
        self.track_name = state.name
        self.is_track_enabled = state.enabled
        self.publish_priority = state.priority
        self.track: RemoteT | None = None

    @property
    def is_subscribed(self) -> bool:
        return self.track is not None

    def subscribe(self, track: RemoteT) -> None:
        """We receive it from now on."""
        self.track = track
        self.emit(PublicationEvent.SUBSCRIBED, track)

    def unsubscribe(self) -> RemoteT | None:
        """We receive it no longer. Returns the track that ended, None without one."""
        track, self.track = self.track, None
        if track is not None:
            track.end()
            self.emit(PublicationEvent.UNSUBSCRIBED, track)
        return track

    def fail(self, error: RoomError) -> None:
        """The service cannot give it to us."""
        self.emit(PublicationEvent.SUBSCRIPTION_FAILED, error)

    def switch(self, enabled: bool) -> None:
        """The publisher muted or unmuted it."""
        self.is_track_enabled = enabled
        if self.track is not None:
            self.track.switch(enabled)
        self.emit(PublicationEvent.TRACK_ENABLED if enabled else PublicationEvent.TRACK_DISABLED)

    def switch_off_or_on(self, off: bool) -> RemoteT | None:
        """The service sends it no longer, or again. Returns the track, where that is new to it."""
        track = self.track
        if track is None or track.is_switched_off == off:
            return None
        track.switch_off_or_on(off)
        self.emit(PublicationEvent.TRACK_SWITCHED_OFF if off else PublicationEvent.TRACK_SWITCHED_ON, track)
        return track

    def prioritize(self, priority: TrackPriority) -> None:
        self.publish_priority = priority
        self.emit(PublicationEvent.PUBLISH_PRIORITY_CHANGED, priority)


class RemoteAudioTrackPublication(RemoteTrackPublication[RemoteAudioTrack]):
    """Of sound."""

    kind = TrackKind.AUDIO
    track_class = RemoteAudioTrack


class RemoteVideoTrackPublication(RemoteTrackPublication[RemoteVideoTrack]):
    """Of pictures."""

    kind = TrackKind.VIDEO
    track_class = RemoteVideoTrack


class RemoteDataTrackPublication(RemoteTrackPublication[RemoteDataTrack]):
    """Of messages."""

    kind = TrackKind.DATA
    track_class = RemoteDataTrack


AnyRemotePublication = RemoteAudioTrackPublication | RemoteVideoTrackPublication | RemoteDataTrackPublication


def remote_publication(state: RemoteTrackState) -> AnyRemotePublication:
    match state.kind:
        case TrackKind.AUDIO:
            return RemoteAudioTrackPublication(state)
        case TrackKind.VIDEO:
            return RemoteVideoTrackPublication(state)
        case TrackKind.DATA:
            return RemoteDataTrackPublication(state)
