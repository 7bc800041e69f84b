"""One participant's view of a room.

    signaling_socket ──▶ Room: roster, subscriptions, local participant ──▶ events
                           ▲ ▼
                       room_media: what arrives, by subscription id

The Room is told what the service says and decides what its objects show; the objects never talk to the wire.
"""

import asyncio
import logging
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from appliance.client import roster
from appliance.client.events import REPEATED_BY_ROOM, Emitter, ParticipantEvent, RoomEvent
from appliance.client.link_report import Counters, NetworkQualityConfiguration
from appliance.client.local_tracks import LocalTrack, LocalVideoTrack
from appliance.client.media_signaling import MediaSignaling
from appliance.client.options import ConnectOptions
from appliance.client.participants import LocalParticipant, NetworkQualityStats, RemoteParticipant
from appliance.client.peer_connection import PeerConnectionSettings
from appliance.client.publications import AnyRemotePublication
from appliance.client.remote_tracks import RemoteDataTrack, RemoteMediaTrack, RemoteTrack, RemoteVideoTrack
from appliance.client.room_media import RoomMedia
from appliance.client.stats import StatsReport
from appliance.errors import RoomError, SignalingConnectionDisconnectedError, room_error
from appliance.media_engine import PeerConnectionState
from appliance.signaling.fields import Json
from appliance.signaling.messages import ConnectedMessage, RoomStateParts
from appliance.signaling.quality import QualityReply
from appliance.signaling.side_channels import HintResult, PublisherHint, TrackResult
from appliance.signaling.states import IceServer, LocalTrackState, ParticipantState

logger = logging.getLogger(__name__)


LEVELS_ONLY = NetworkQualityConfiguration()
BROKEN = NetworkQualityStats(level=0)
"""What our own network quality is while no media flows (signaling.md 5.3)."""


class RoomState(StrEnum):
    """CONNECTING ─▶ CONNECTED ⇄ RECONNECTING; from everywhere ─▶ DISCONNECTED, which is final."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"


class Wire(Protocol):
    """What a Room needs of its signaling connection; see signaling_socket.SignalingSocket."""

    def join(self, state: PeerConnectionState) -> None: ...
    def describe(self, state: PeerConnectionState) -> None: ...
    def set_tracks(self, tracks: tuple[LocalTrackState, ...]) -> None: ...
    def renew_token(self, token: str) -> None: ...
    def leave(self) -> None: ...
    async def closed(self) -> None: ...


class Room(Emitter):
    """See the module. Made by `connect`; as an async context manager it disconnects at the end."""

    EVENTS = frozenset({*RoomEvent, *REPEATED_BY_ROOM})

    def __init__(self, wire: Wire, options: ConnectOptions | None = None) -> None:
        super().__init__()
        self.sid = ""
        self.name = ""
        self.state = RoomState.CONNECTING
        self.local_participant = LocalParticipant()
        self.participants: dict[str, RemoteParticipant] = {}
        self.dominant_speaker: RemoteParticipant | None = None
        self.is_recording = False
        self.media_region: str | None = None
        self.session_timeout_s = 30.0
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the service has let us in; raises the RoomError by which it refused."""
        self._wire = wire
        self._options = options or ConnectOptions(url="")
        self._signals = MediaSignaling(self, self._counters, self._options.network_quality or LEVELS_ONLY)
        self._speaker_sid: str | None = None
        self._switched_off: set[str] = set()
        self._media: RoomMedia | None = None
        self._asked_to_join = False
        self._held = False
        self._roster = roster.Roster("")
        self._subscriptions = roster.Subscriptions()
        self._told_failures: set[tuple[str, int]] = set()
        self._troubles: dict[str, RoomError] = {}
        self._patience: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    async def disconnect(self) -> None:
        """Leave. Returns when everything is closed; leaving twice is fine."""
        self._end(None)
        await self.closed()

    async def closed(self) -> None:
        """Wait until the room, once it has ended, has given everything back."""
        if self._ending is not None:
            await asyncio.shield(self._ending)

    def renew_token(self, token: str) -> None:
        """Use this access token when the session has to be resumed; the one we joined with may have expired."""
        self._wire.renew_token(token)

    async def get_stats(self) -> list[StatsReport]:
        """Return one report for each peer connection."""
        connections = self._media.connections if self._media else ()
        return [await connection.stats() for connection in connections]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    # --- told by the signaling connection -------------------------------------------------------------------------

    def begin(self, ice_servers: tuple[IceServer, ...], *, loopback: bool) -> None:
        """ICE servers are known: make the first offer, with which we ask to join."""
        preferred = self._options.preferred_video_codecs
        settings = PeerConnectionSettings(
            ice_servers=ice_servers,
            loopback=loopback,
            relay_only=self._options.relay_only,
            video_codecs=() if preferred == "auto" else preferred,
        )
        self._media = RoomMedia(settings, self)
        self.local_participant.on_changed = self._local_changed
        self.local_participant.on_quality_wanted = self._quality_wanted
        self._media.begin(self.local_participant.wanted_tracks())

    def connected(self, message: ConnectedMessage) -> None:
        """The service has let us in."""
        self.sid, self.name = message.sid, message.name
        self.media_region = message.options.media_region
        self.session_timeout_s = message.options.session_timeout_s
        me = self.local_participant
        me.sid, me.identity = message.participant.sid, message.participant.identity
        me.signaling_region = message.options.signaling_region
        self._roster = roster.Roster(me.sid)
        self.state = RoomState.CONNECTED
        self._held = True
        self.apply(message, complete=True)
        if not self.joined.done():
            self.joined.set_result(None)

    def release(self) -> None:
        """Whoever waits for `connect` has the room now: subscribe, so that no event comes before its handlers."""
        self._held = False
        asyncio.get_running_loop().call_soon(self.media_changed)

    def apply(self, parts: RoomStateParts, *, complete: bool) -> None:
        """Take over what the service says, in the order of signaling.md 2.5.

        Args:
            complete: `participants` lists everybody.
        """
        if parts.subscribed is not None and self._subscriptions.apply(parts.subscribed):
            self._told_failures.clear()
        if parts.participants is not None:
            for change in self._roster.apply(parts.participants, complete=complete):
                self._show(change)
        self._bind()
        if parts.peer_connections is not None and self._media is not None:
            self._media.handle(parts.peer_connections)
        if parts.recording is not None and parts.recording.is_recording != self.is_recording:
            self.is_recording = parts.recording.is_recording
            self.emit(RoomEvent.RECORDING_STARTED if self.is_recording else RoomEvent.RECORDING_STOPPED)
        if parts.published is not None:
            self.local_participant.apply(parts.published)
        if parts.media_signaling is not None:
            self._signals.granted(parts.media_signaling)
            self._bind_signals()

    def link_lost(self, error: RoomError) -> None:
        """The socket is gone; a new one is being tried."""
        self._trouble("signaling", error)

    def resumed(self, parts: RoomStateParts) -> None:
        """A new socket goes on with the session."""
        if parts.peer_connections is not None and self._media is not None:
            self._media.keep_only(parts.peer_connections)
        self.apply(parts, complete=parts.participants is not None)
        self._recovered("signaling")

    def ended(self, error: RoomError | None) -> None:
        """The service, or the loss of it, ends the stay; None when we were put out without a reason."""
        self._end(error)

    # --- told by the media ----------------------------------------------------------------------------------------

    def send(self, state: PeerConnectionState) -> None:
        if self._asked_to_join:
            self._wire.describe(state)
        else:
            self._asked_to_join = True
            self._wire.join(state)

    def media_changed(self) -> None:
        self._bind()
        self._bind_signals()

    def media_connected(self) -> None:
        self._recovered("media")

    def media_failed(self, error: RoomError) -> None:
        if self._options.network_quality is not None:
            self.local_participant.change_quality(BROKEN)
        self._trouble("media", error)

    def track_failed(self, track: LocalTrack, error: RoomError) -> None:
        self.local_participant.fail(track, error)

    # --- told over media signaling ---------------------------------------------------------------------------------

    def speaker_told(self, participant_sid: str | None) -> None:
        self._speaker_sid = participant_sid
        self._show_speaker()

    def quality_told(self, reply: QualityReply) -> None:
        self.local_participant.change_quality(reply.local)
        for sid, quality in (reply.remotes or {}).items():
            if sid in self.participants:
                self.participants[sid].change_quality(quality)

    def switched_off(self, off: tuple[str, ...], on: tuple[str, ...]) -> None:
        """Remembered for tracks that we do not know yet (signaling.md 3.4)."""
        self._switched_off = (self._switched_off | {*off}) - {*on}
        owners = {sid: person for person in self.participants.values() for sid in person.tracks}
        for sid in (*off, *on):
            if sid in owners:
                owners[sid].switched_off_or_on(sid, sid in self._switched_off)

    def transcribed(self, said: Json) -> None:
        self.emit(RoomEvent.TRANSCRIPTION, said)

    def layers_told(self, hint: PublisherHint) -> TrackResult:
        """We send one layer of each video: it is held back where it is of no use (signaling.md 5.7)."""
        publication = self.local_participant.tracks.get(hint.track)
        if publication is None:
            return TrackResult(track=hint.track, result=HintResult.UNKNOWN_TRACK)
        wanted = {encoding.layer_index: encoding.enabled for encoding in hint.encodings or ()}
        if not isinstance(publication.track, LocalVideoTrack) or wanted.keys() - {0}:
            return TrackResult(track=hint.track, result=HintResult.COULD_NOT_APPLY_HINT)
        publication.track.hold(not wanted.get(0, True))
        return TrackResult(track=hint.track)

    def _show_speaker(self) -> None:
        speaker = self.participants.get(self._speaker_sid or "")
        if speaker is not self.dominant_speaker:
            self.dominant_speaker = speaker
            self.emit(RoomEvent.DOMINANT_SPEAKER_CHANGED, speaker)

    def _quality_wanted(self, configuration: NetworkQualityConfiguration) -> None:
        self._signals.quality = configuration

    async def _counters(self) -> Counters | None:
        return await self._media.counters() if self._media is not None else None

    def _bind_signals(self) -> None:
        if self._media is not None and self.state is not RoomState.DISCONNECTED and not self._held:
            self._signals.bind(self._media.channel)

    # --- what changed, shown --------------------------------------------------------------------------------------

    def _show(self, change: roster.Change) -> None:
        match change:
            case roster.Joined(state):
                self._meet(RemoteParticipant(state))
            case roster.Left(sid):
                self._part(sid)
            case roster.BecameUnsteady(sid):
                self.participants[sid].change_state(ParticipantState.RECONNECTING)
                self.emit(RoomEvent.PARTICIPANT_RECONNECTING, self.participants[sid])
            case roster.CameBack(sid):
                self.participants[sid].change_state(ParticipantState.CONNECTED)
                self.emit(RoomEvent.PARTICIPANT_RECONNECTED, self.participants[sid])
            case roster.Published(sid, track):
                self.participants[sid].published(track)
            case roster.Unpublished(sid, track_sid):
                self.participants[sid].unpublished(track_sid)
            case roster.Switched(sid, track_sid, enabled):
                self.participants[sid].switched(track_sid, enabled)
            case roster.Reprioritized(sid, track_sid, priority):
                self.participants[sid].reprioritized(track_sid, priority)

    def _meet(self, participant: RemoteParticipant) -> None:
        for event in REPEATED_BY_ROOM:
            participant.on(event, lambda *arguments, event=event: self.emit(event, *arguments, participant))
        participant.on(ParticipantEvent.TRACK_UNSUBSCRIBED, self._forget_wishes)
        self.participants[participant.sid] = participant
        self.emit(RoomEvent.PARTICIPANT_CONNECTED, participant)
        self._show_speaker()  # its first words may have come before it

    def _forget_wishes(self, track: RemoteTrack, _: AnyRemotePublication) -> None:
        self._signals.forget(track.sid)
        self._switched_off.discard(track.sid)

    def _part(self, sid: str) -> None:
        participant = self.participants.pop(sid)
        participant.left()
        if self.dominant_speaker is participant:
            self.dominant_speaker = None
            self.emit(RoomEvent.DOMINANT_SPEAKER_CHANGED, None)
        self.emit(RoomEvent.PARTICIPANT_DISCONNECTED, participant)

    # --- subscriptions: SID → id → what arrives, in whatever order the three are known -------------------------------

    def _bind(self) -> None:
        if self.state is RoomState.DISCONNECTED or self._held:
            return
        for participant in tuple(self.participants.values()):
            for publication in tuple(participant.tracks.values()):
                self._bind_one(participant, publication)

    def _bind_one(self, participant: RemoteParticipant, publication: AnyRemotePublication) -> None:
        if self.state is RoomState.DISCONNECTED:
            return  # whoever heard of the track before this one has left: nobody would end what comes now
        sid = publication.track_sid
        wanted = self._subscriptions.by_track_sid.get(sid)
        if wanted is None:
            participant.unsubscribed(sid)
        elif wanted.error is not None:
            participant.unsubscribed(sid)
            if (sid, wanted.error.code) not in self._told_failures:
                self._told_failures.add((sid, wanted.error.code))
                participant.subscription_failed(sid, room_error(wanted.error.code, wanted.error.message))
        elif wanted.id is not None:
            self._receive(participant, publication, wanted.id)

    def _receive(self, participant: RemoteParticipant, publication: AnyRemotePublication, id: str) -> None:
        assert self._media is not None
        track: RemoteTrack | None = publication.track
        if publication.track_class is RemoteDataTrack:
            channel = self._media.channel(id)
            if channel is not None and (track is None or not channel.is_taken):
                limits = channel.ordered, channel.max_packet_life_time, channel.max_retransmits
                data = track if isinstance(track, RemoteDataTrack) else _data_track(publication, *limits)
                if track is None:
                    self._steer(data)
                    participant.subscribed(publication.track_sid, data)
                channel.deliver_to(data.receive)
            return
        incoming = self._media.incoming(id)
        if incoming is None:
            return
        if track is None:
            track = publication.track_class(publication.track_sid, publication.track_name)
            track.is_enabled = publication.is_track_enabled
            track.is_switched_off = track.sid in self._switched_off
            self._steer(track)
            participant.subscribed(publication.track_sid, track)
        assert isinstance(track, RemoteMediaTrack)
        track.receive_from(incoming)

    def _steer(self, track: RemoteTrack) -> None:
        """Let a track tell its wishes, where the service was asked to hear them."""
        profile = self._options.bandwidth_profile
        if profile is None:
            return
        if isinstance(track, RemoteVideoTrack):
            manually = profile.video.client_track_switch_off_control == "manual"
            track.steer_by(self._signals, manually=manually)
        else:
            track.steer_by(self._signals)

    # --- health and end -------------------------------------------------------------------------------------------

    def _local_changed(self) -> None:
        if self._media is None or self.state is RoomState.DISCONNECTED:
            return
        self._media.set_tracks(self.local_participant.wanted_tracks())
        self._wire.set_tracks(self.local_participant.track_states())

    def _trouble(self, kind: str, error: RoomError) -> None:
        if self.state is RoomState.DISCONNECTED:
            return
        self._troubles.setdefault(kind, error)
        if self.state is RoomState.CONNECTED:
            logger.warning("room %s: reconnecting: %s (%d)", self.sid, error, error.code)
            self.state = RoomState.RECONNECTING
            self._patience = asyncio.get_running_loop().call_later(self.session_timeout_s, self._give_up)
            self.local_participant.change_state(ParticipantState.RECONNECTING)
            self.emit(RoomEvent.RECONNECTING, error)

    def _recovered(self, kind: str) -> None:
        self._troubles.pop(kind, None)
        if self._troubles or self.state is not RoomState.RECONNECTING:
            return
        logger.info("room %s: connected again", self.sid)
        self.state = RoomState.CONNECTED
        if self._patience is not None:
            self._patience.cancel()
        self.local_participant.change_state(ParticipantState.CONNECTED)
        self.emit(RoomEvent.RECONNECTED)

    def _give_up(self) -> None:
        self._end(next(iter(self._troubles.values()), None) or SignalingConnectionDisconnectedError())

    def _end(self, error: RoomError | None) -> None:
        if self.state is RoomState.DISCONNECTED:
            return
        before, self.state = self.state, RoomState.DISCONNECTED
        logger.info("room %s: left%s", self.sid or "(not joined)", f": {error} ({error.code})" if error else "")
        if self._patience is not None:
            self._patience.cancel()
        self._wire.leave()
        self._ending = asyncio.create_task(self._close(), name="leave a room")
        for participant in self.participants.values():
            for track_sid in tuple(participant.tracks):
                participant.unsubscribed(track_sid)
        self.local_participant.end(error or SignalingConnectionDisconnectedError("the room was left"))
        if before is RoomState.CONNECTING:
            if not self.joined.done():
                self.joined.set_exception(error or SignalingConnectionDisconnectedError("the room was left"))
                self.joined.exception()
        else:
            self.emit(RoomEvent.DISCONNECTED, self, error)

    async def _close(self) -> None:
        await self._signals.close()
        if self._media is not None:
            await self._media.close()
        await self._wire.closed()


def _data_track(
    publication: AnyRemotePublication, ordered: bool, life_time: int | None, retransmits: int | None
) -> RemoteDataTrack:
    return RemoteDataTrack(
        publication.track_sid,
        publication.track_name,
        ordered=ordered,
        max_packet_life_time=life_time,
        max_retransmits=retransmits,
    )
