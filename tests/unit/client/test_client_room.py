"""What a Room shows of what the service says, without any socket or media."""

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from appliance.client.link_report import NetworkQualityConfiguration
from appliance.client.local_tracks import LocalDataTrack, LocalTrack
from appliance.client.options import ConnectOptions
from appliance.client.remote_tracks import RemoteVideoTrack
from appliance.client.room import Room, RoomState
from appliance.errors import (
    LocalProtocolError,
    MediaConnectionError,
    RoomCompletedError,
    RoomError,
    SignalingConnectionDisconnectedError,
)
from appliance.media_engine import Dimensions, PeerConnectionState, TrackKind, TrackPriority
from appliance.signaling.messages import ConnectedMessage, ConnectionOptions, ServerUpdate, SyncedMessage
from appliance.signaling.quality import ParticipantQuality, QualityReply
from appliance.signaling.states import (
    LocalTrackState,
    OwnParticipantState,
    ParticipantState,
    PublicationState,
    PublishedState,
    PublishedTrackState,
    RecordingState,
    RemoteParticipantState,
    RemoteTrackState,
    SubscribedState,
    SubscribedTrackState,
    TrackError,
)

URL = "https://rooms.example"
CAMERA = RemoteTrackState(sid="MT1", kind=TrackKind.VIDEO, name="camera")
BOB = RemoteParticipantState(sid="PA2", identity="bob", state=ParticipantState.CONNECTED, revision=1, tracks=(CAMERA,))
WELCOME = ConnectedMessage(
    session="S1",
    sid="RM1",
    name="lab",
    participant=OwnParticipantState(sid="PA1", identity="alice"),
    options=ConnectionOptions(session_timeout_s=30, media_region="local", signaling_region="local"),
)


@dataclass
class WireOnPaper:
    """Remembers what the Room wants said."""

    tracks: list[tuple[LocalTrackState, ...]] = field(default_factory=list)
    has_left: bool = False

    def join(self, state: PeerConnectionState) -> None: ...
    def describe(self, state: PeerConnectionState) -> None: ...

    def set_tracks(self, tracks: tuple[LocalTrackState, ...]) -> None:
        self.tracks.append(tracks)

    def renew_token(self, token: str) -> None: ...

    def leave(self) -> None:
        self.has_left = True

    async def closed(self) -> None: ...


class Heard:
    """Every event of a room, in order."""

    def __init__(self, room: Room) -> None:
        self.names: list[str] = []
        self.arguments: list[tuple[Any, ...]] = []
        for event in Room.EVENTS:
            room.on(event, lambda *arguments, event=event: self._note(event, arguments))

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        self.names.append(str(event))
        self.arguments.append(arguments)


def in_room(*, with_bob: bool = True) -> tuple[Room, WireOnPaper]:
    wire = WireOnPaper()
    room = Room(wire)
    room.connected(replace(WELCOME, participants=(BOB,) if with_bob else ()))
    room.release()
    return room, wire


def published(revision: int, track: LocalTrack, sid: str = "MT9") -> PublishedState:
    state = PublishedTrackState(id=track.id, state=PublicationState.READY, sid=sid)
    return PublishedState(revision=revision, tracks=(state,))


async def test_whoever_is_there_already_is_in_the_room_with_what_they_publish() -> None:
    room, _ = in_room()

    assert (room.sid, room.name, room.state, room.media_region) == ("RM1", "lab", RoomState.CONNECTED, "local")
    assert (room.local_participant.sid, room.local_participant.identity) == ("PA1", "alice")
    assert room.participants["PA2"].identity == "bob"
    publication = room.participants["PA2"].tracks["MT1"]
    assert (publication.track_name, publication.kind, publication.track) == ("camera", TrackKind.VIDEO, None)


async def test_events_name_what_changed_and_end_with_the_participant() -> None:
    room, _ = in_room(with_bob=False)
    heard = Heard(room)
    microphone = RemoteTrackState(sid="MT2", kind=TrackKind.AUDIO, name="microphone")
    later = replace(BOB, tracks=(CAMERA, microphone))

    for state in (
        BOB,
        replace(later, revision=2),
        replace(later, revision=3, tracks=(replace(CAMERA, enabled=False), microphone)),
        replace(later, revision=4, state=ParticipantState.RECONNECTING, tracks=(CAMERA, microphone)),
        replace(later, revision=5),
        replace(later, revision=6, tracks=(CAMERA,)),
        replace(BOB, revision=7, state=ParticipantState.DISCONNECTED),
    ):
        room.apply(ServerUpdate(participants=(state,)), complete=False)

    assert heard.names == [
        "participant_connected",
        "track_published",
        "track_disabled",
        "participant_reconnecting",
        "track_enabled",
        "participant_reconnected",
        "track_unpublished",
        "participant_disconnected",
    ]
    assert {arguments[-1].identity for arguments in heard.arguments} == {"bob"}
    assert room.participants == {}


async def test_publishing_waits_for_the_sid() -> None:
    room, _ = in_room()
    chat = LocalDataTrack("chat")
    waiting = asyncio.create_task(room.local_participant.publish_track(chat))
    await asyncio.sleep(0)

    room.apply(ServerUpdate(published=published(1, chat)), complete=False)
    publication = await waiting

    assert (publication.track_sid, publication.track_name, publication.track) == ("MT9", "chat", chat)
    assert room.local_participant.data_tracks == {"MT9": publication}


async def test_a_sid_never_changes_and_an_old_revision_says_nothing() -> None:
    room, _ = in_room()
    chat = LocalDataTrack("chat")
    room.local_participant.add(chat)

    room.apply(ServerUpdate(published=published(2, chat)), complete=False)
    room.apply(ServerUpdate(published=published(3, chat, "MT8")), complete=False)

    assert list(room.local_participant.tracks) == ["MT9"]


async def test_a_refused_track_raises_its_number_and_is_not_wanted_any_more() -> None:
    room, _ = in_room()
    chat = LocalDataTrack("chat")
    waiting = asyncio.create_task(room.local_participant.publish_track(chat))
    await asyncio.sleep(0)
    failed = PublishedTrackState(
        id=chat.id, state=PublicationState.FAILED, error=TrackError(code=53304, message="duplicated")
    )

    room.apply(ServerUpdate(published=PublishedState(revision=1, tracks=(failed,))), complete=False)

    with pytest.raises(RoomError) as refusal:
        await waiting
    assert refusal.value.code == 53304
    assert room.local_participant.wanted_tracks() == ()


async def test_a_subscription_that_fails_is_told_once() -> None:
    room, _ = in_room()
    heard = Heard(room)
    failed = SubscribedTrackState(sid="MT1", error=TrackError(code=53404, message="no codec"))

    room.apply(ServerUpdate(subscribed=SubscribedState(revision=1, tracks=(failed,))), complete=False)
    room.media_changed()

    assert heard.names == ["track_subscription_failed"]
    assert heard.arguments[0][0].code == 53404


async def test_a_lost_socket_shows_as_reconnecting_until_it_is_resumed() -> None:
    room, _ = in_room()
    heard = Heard(room)

    room.link_lost(SignalingConnectionDisconnectedError())
    between = room.state
    room.resumed(SyncedMessage(participants=(BOB,)))

    assert (between, room.state) == (RoomState.RECONNECTING, RoomState.CONNECTED)
    assert heard.names == ["reconnecting", "reconnected"]
    assert heard.arguments[0][0].code == 53001


async def test_who_left_while_the_socket_was_gone_is_told() -> None:
    room, _ = in_room()
    heard = Heard(room)

    room.link_lost(SignalingConnectionDisconnectedError())
    room.resumed(SyncedMessage(participants=()))

    assert heard.names == ["reconnecting", "participant_disconnected", "reconnected"]


async def test_with_two_troubles_the_room_is_back_when_both_are_over() -> None:
    room, _ = in_room()
    heard = Heard(room)

    room.media_failed(MediaConnectionError())
    room.link_lost(SignalingConnectionDisconnectedError())
    room.resumed(SyncedMessage(participants=(BOB,)))
    between = room.state
    room.media_connected()

    assert between is RoomState.RECONNECTING
    assert heard.names == ["reconnecting", "reconnected"]
    assert heard.arguments[0][0].code == 53405


async def test_patience_ends_with_the_first_trouble_as_reason() -> None:
    room, wire = in_room()
    room.session_timeout_s = 0
    heard = Heard(room)

    room.media_failed(MediaConnectionError())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await room.closed()

    assert heard.names == ["reconnecting", "disconnected"]
    assert heard.arguments[1] == (room, heard.arguments[1][1])
    assert heard.arguments[1][1].code == 53405
    assert wire.has_left


async def test_the_end_of_the_room_is_told_once_with_its_error_and_refuses_what_waits() -> None:
    room, wire = in_room()
    heard = Heard(room)
    waiting = asyncio.create_task(room.local_participant.publish_track(LocalDataTrack("chat")))
    await asyncio.sleep(0)

    room.ended(RoomCompletedError())
    room.ended(None)
    await room.disconnect()

    assert heard.names == ["disconnected"]
    assert heard.arguments[0][1].code == 53118
    with pytest.raises(RoomCompletedError):
        await waiting
    with pytest.raises(SignalingConnectionDisconnectedError):
        await room.local_participant.publish_track(LocalDataTrack("later"))
    assert wire.has_left


async def test_a_refused_join_raises_and_shows_no_event() -> None:
    room = Room(WireOnPaper())
    heard = Heard(room)

    room.ended(RoomError(59999, "as sent"))
    await room.closed()

    with pytest.raises(RoomError, match="as sent"):
        await room.joined
    assert heard.names == []


async def test_recording_is_told_when_it_changes() -> None:
    room, _ = in_room()
    heard = Heard(room)

    for revision, is_recording in ((1, False), (2, True), (3, True), (4, False)):
        state = RecordingState(revision=revision, is_recording=is_recording)
        room.apply(ServerUpdate(recording=state), complete=False)

    assert heard.names == ["recording_started", "recording_stopped"]


async def test_a_speaker_who_is_not_known_yet_is_the_dominant_one_on_arrival() -> None:
    room, _ = in_room(with_bob=False)
    heard = Heard(room)

    room.speaker_told("PA2")
    assert room.dominant_speaker is None
    room.apply(ServerUpdate(participants=(BOB,)), complete=False)

    assert room.dominant_speaker is room.participants["PA2"]
    assert heard.names == ["participant_connected", "dominant_speaker_changed"]
    room.speaker_told("PA1")  # ourselves
    assert room.dominant_speaker is None


async def test_while_no_media_flows_our_quality_is_0_where_it_was_asked_for() -> None:
    asked = Room(WireOnPaper(), ConnectOptions(url=URL, network_quality=NetworkQualityConfiguration()))
    asked.connected(WELCOME)
    levels: list[Any] = []
    asked.local_participant.on("network_quality_level_changed", lambda level, stats: levels.append((level, stats)))
    not_asked, _ = in_room()

    asked.quality_told(QualityReply(local=ParticipantQuality(level=5)))
    for room in (asked, not_asked):
        room.media_failed(MediaConnectionError())

    assert levels == [(5, None), (0, None)]
    assert not_asked.local_participant.network_quality_level is None


async def test_what_was_switched_off_is_forgotten_with_its_subscription() -> None:
    room, _ = in_room()
    room.switched_off(("MT1", "MT-of-nobody"), ())
    bob = room.participants["PA2"]
    track = RemoteVideoTrack("MT1", "camera")
    track.is_switched_off = True
    bob.subscribed("MT1", track)

    bob.unsubscribed("MT1")
    bob.subscribed("MT1", RemoteVideoTrack("MT1", "camera"))
    heard = Heard(room)
    room.switched_off(("MT1",), ())

    assert heard.names == ["track_switched_off"]
    again, publication, participant = heard.arguments[0]
    assert (again.is_switched_off, publication.track, participant) == (True, again, bob)


async def test_who_leaves_on_hearing_of_a_track_gets_no_further_one() -> None:
    class Media:
        connections = ()

        def channel(self, _: str) -> None: ...

        async def close(self) -> None: ...

        def incoming(self, _: str) -> Any:
            return SimpleNamespace(deliver=None, request_keyframe=lambda: None)

    screen = replace(CAMERA, sid="MT2", name="screen")
    wire = WireOnPaper()
    room = Room(wire)
    room.connected(replace(WELCOME, participants=(replace(BOB, tracks=(CAMERA, screen)),)))
    room.release()
    room._media = cast(Any, Media())
    got: list[RemoteVideoTrack] = []

    def look_and_leave(track: RemoteVideoTrack, *_: object) -> None:
        got.append(track)
        track.set_frame_slot(lambda picture: None)
        room.ended(None)

    room.on("track_subscribed", look_and_leave)
    subscribed = tuple(SubscribedTrackState(id=sid, sid=sid) for sid in ("MT1", "MT2"))
    room.apply(ServerUpdate(subscribed=SubscribedState(revision=1, tracks=subscribed)), complete=False)
    await room.disconnect()

    assert [(track.sid, track._decoding) for track in got] == [("MT1", None)]
    assert [publication.track for publication in room.participants["PA2"].tracks.values()] == [None, None]


async def test_words_are_told_as_the_service_tells_them() -> None:
    room, _ = in_room()
    heard = Heard(room)

    room.transcribed({"transcription": "hello", "partial_results": False})

    assert heard.arguments == [({"transcription": "hello", "partial_results": False},)]


async def test_wishes_need_a_room_that_was_joined_with_a_profile() -> None:
    track = RemoteVideoTrack("MT1", "camera")
    size = Dimensions(width=64, height=36)

    for wish in (track.switch_off, track.switch_on, lambda: track.set_content_preferences(render_dimensions=size)):
        with pytest.raises(LocalProtocolError, match=r"profile|manual"):
            wish()
    track.set_priority(TrackPriority.LOW)  # remembered, as in the SDK
    assert track.priority is TrackPriority.LOW
