"""Stand-ins in memory for what the kiosk's stage holds: a room of the SDK, sound, a camera, a screen, lamps."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import av

from appliance.client.events import Emitter
from appliance.client.participants import LocalParticipant, RemoteParticipant
from appliance.client.remote_tracks import RemoteAudioTrack, RemoteVideoTrack
from appliance.client.room import Room, RoomState
from appliance.devices.lamps.base import Lamp
from appliance.devices.screens.base import ScreenHealth, Wall
from appliance.errors import DeviceError, DeviceLost, RoomError
from appliance.media_engine import Dimensions, TrackKind, TrackPriority
from appliance.signaling.states import (
    ParticipantState,
    RemoteParticipantState,
    RemoteTrackState,
)


class FakeSteering:
    """What the service would be told of each track: whether it is looked at, and how large."""

    def __init__(self) -> None:
        self.wanted: dict[str, tuple[bool | None, Dimensions | None]] = {}
        self.history: list[tuple[str, bool | Dimensions | None]] = []

    def set_priority(self, track: str, priority: TrackPriority | None) -> None: ...

    def hint(self, track: str, *, enabled: bool | None = None, dimensions: Dimensions | None = None) -> None:
        before = self.wanted.get(track, (None, None))
        self.wanted[track] = (before[0] if enabled is None else enabled, dimensions or before[1])
        self.history.append((track, dimensions if enabled is None else enabled))


class FakeRoom(Emitter):
    """A Room without a wire: a test makes people come, publish, and the connection end."""

    EVENTS = Room.EVENTS

    def __init__(self) -> None:
        super().__init__()
        self.sid, self.name = "RM1", "lobby"
        self.state = RoomState.CONNECTED
        self.participants: dict[str, RemoteParticipant] = {}
        self.dominant_speaker: RemoteParticipant | None = None
        self.local_participant = LocalParticipant()
        self.local_participant.sid = "PA0"
        self.disconnects = 0
        self.steering = FakeSteering()

    async def disconnect(self) -> None:
        self.disconnects += 1
        self.end(None)

    def end(self, error: RoomError | None) -> None:
        if self.state is not RoomState.DISCONNECTED:
            self.state = RoomState.DISCONNECTED
            for person in self.participants.values():
                for track_sid in tuple(person.tracks):
                    person.unsubscribed(track_sid)  # as the real one: a track that is not ended decodes for ever
            self.emit("disconnected", self, error)

    def come(self, sid: str, identity: str) -> RemoteParticipant:
        person = RemoteParticipant(
            RemoteParticipantState(sid=sid, identity=identity, state=ParticipantState.CONNECTED, revision=1, tracks=())
        )
        self.participants[sid] = person
        self.emit("participant_connected", person)
        return person

    def go(self, person: RemoteParticipant) -> None:
        del self.participants[person.sid]
        self.emit("participant_disconnected", person)

    def publish(self, person: RemoteParticipant, sid: str, kind: TrackKind, *, enabled: bool = True) -> Any:
        """Let somebody publish a track that we receive; returns the track."""
        person.published(
            RemoteTrackState(sid=sid, name=sid, kind=kind, enabled=enabled, priority=TrackPriority.STANDARD)
        )
        publication = person.tracks[sid]
        self.emit("track_published", publication, person)
        track: RemoteAudioTrack | RemoteVideoTrack
        if kind is TrackKind.AUDIO:
            track = RemoteAudioTrack(sid, sid)
        else:
            track = RemoteVideoTrack(sid, sid)
            track.steer_by(self.steering, manually=True)
        person.subscribed(sid, track)
        self.emit("track_subscribed", track, publication, person)
        return track

    def switch_off(self, person: RemoteParticipant, sid: str, off: bool = True) -> None:
        """Let the service send a track no longer, or again."""
        person.switched_off_or_on(sid, off)
        publication = person.tracks[sid]
        self.emit("track_switched_off" if off else "track_switched_on", publication.track, publication, person)

    def speak(self, person: RemoteParticipant | None) -> None:
        self.dominant_speaker = person
        self.emit("dominant_speaker_changed", person)

    def switch(self, person: RemoteParticipant, sid: str, enabled: bool) -> None:
        person.switched(sid, enabled)
        self.emit("track_enabled" if enabled else "track_disabled", person.tracks[sid], person)

    def unsubscribe(self, person: RemoteParticipant, sid: str) -> None:
        publication = person.tracks[sid]
        track = publication.track
        person.unsubscribed(sid)
        self.emit("track_unsubscribed", track, publication, person)


class FakeSound:
    """Satisfies what the kiosk asks of Sound."""

    def __init__(self) -> None:
        self.is_open = False
        self.muted = True
        self.voices: set[str] = set()
        self.cues: list[str] = []
        self.volume = -1
        self.trouble: DeviceError | None = None
        self.on_capturing: Callable[[bool], None] = lambda _: None
        self.on_lost: Callable[[Any, DeviceError], None] = lambda part, error: None
        self.on_found: Callable[[Any], None] = lambda part: None

    async def open(self, outgoing: Callable[[Any], None], *, muted: bool) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.is_open, self.muted = True, muted
        self.on_capturing(True)

    async def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.on_capturing(False)

    def set_muted(self, muted: bool) -> None:
        self.muted = muted

    def add_voice(self, key: str) -> Callable[[bytes, int], None]:
        self.voices.add(key)
        return lambda data, timestamp: None

    def remove_voice(self, key: str) -> None:
        self.voices.discard(key)

    def play_cue(self, name: str) -> None:
        self.cues.append(name)

    def set_volume(self, percent: int) -> None:
        self.volume = percent


class FakeCamera:
    """Satisfies Camera. A test shows pictures and breaks it."""

    name = "fake camera"

    def __init__(self) -> None:
        self.is_open = False
        self.opened = 0
        self.missing: DeviceError | None = None
        self._frames: asyncio.Queue[av.VideoFrame | DeviceError] = asyncio.Queue()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        if self.missing is not None:
            raise self.missing
        self.is_open = True
        self.opened += 1
        try:
            yield
        finally:
            self.is_open = False

    async def read(self) -> av.VideoFrame:
        item = await self._frames.get()
        if isinstance(item, DeviceError):
            raise item
        return item

    def show(self, pts: int = 0) -> None:
        frame = av.VideoFrame(32, 18, "yuv420p")
        frame.pts = pts
        self._frames.put_nowait(frame)

    def lose(self) -> None:
        self._frames.put_nowait(DeviceLost("fake camera: unplugged"))


class FakeScreen:
    """The part of Screen that takes pictures."""

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}

    def slot(self, key: str) -> Callable[[av.VideoFrame], None]:
        self.slots[key] = 0

        def put(_: av.VideoFrame) -> None:
            self.slots[key] = self.slots.get(key, 0) + 1

        return put

    def drop_slot(self, key: str) -> None:
        self.slots.pop(key, None)

    @property
    def wall(self) -> Wall:
        return Wall()

    def health(self) -> ScreenHealth:
        return ScreenHealth(state="shown", driver="fake", size=(1920, 1080), presented=0, restarts=0)


class FakeLamps:
    """Satisfies Lamps; remembers all that was shown."""

    def __init__(self) -> None:
        self.lit: dict[Lamp, bool] = {}
        self.history: list[tuple[Lamp, bool]] = []

    @contextmanager
    def open(self) -> Iterator[None]:
        yield

    def show(self, lamp: Lamp, lit: bool, brightness: float = 1.0) -> None:
        if self.lit.get(lamp) != lit:
            self.history.append((lamp, lit))
        self.lit[lamp] = lit

    def read(self, lamp: Lamp) -> bool:
        return self.lit.get(lamp, False)
