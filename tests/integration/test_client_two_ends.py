"""Two clients over real signaling and the real SFU, in a room without rules."""

import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from appliance.client.connect import connect
from appliance.client.events import ParticipantEvent, RoomEvent
from appliance.client.local_tracks import (
    EncodedAudioSource,
    LocalAudioTrack,
    LocalDataTrack,
    LocalTrack,
    LocalVideoTrack,
)
from appliance.client.remote_tracks import RemoteDataTrack
from appliance.client.room import Room, RoomState
from appliance.errors import RoomError
from tests.support.client_answering_service import AnsweringService, answering_service
from tests.support.client_sources import NumberedH264, NumberedPictures, SoundThread, Tone, strength
from tests.support.client_watching import numbers_of, other, remote_track, sound_of, until


@pytest_asyncio.fixture
async def running() -> AsyncIterator[tuple[str, AnsweringService]]:
    async with answering_service() as found:
        yield found


@pytest.fixture
def url(running: tuple[str, AnsweringService]) -> str:
    return running[0]


@pytest.fixture
def service(running: tuple[str, AnsweringService]) -> AnsweringService:
    return running[1]


@pytest_asyncio.fixture
async def join(url: str) -> AsyncIterator[Callable[..., Any]]:
    rooms: list[Room] = []

    async def joining(identity: str, *tracks: LocalTrack, **options: Any) -> Room:
        room = await connect(identity, url=url, name="lab", tracks=tracks, **options)
        rooms.append(room)
        return room

    yield joining
    for room in rooms:
        await room.disconnect()


async def test_names_and_sids_match_on_both_sides(join: Any) -> None:
    camera = LocalVideoTrack(NumberedPictures(), "camera")
    alice = await join("alice", camera)
    bob = await join("bob")

    track = await remote_track(bob, "camera")

    [publication] = alice.local_participant.tracks.values()
    assert alice.sid == bob.sid
    assert other(bob).sid == alice.local_participant.sid
    assert other(bob).identity == "alice"
    assert track.sid == publication.track_sid
    assert list(other(bob).tracks) == [publication.track_sid]
    assert other(alice).identity == "bob"


async def test_encoded_picture_and_sound_go_both_ways(join: Any) -> None:
    microphones = {name: EncodedAudioSource() for name in ("alice", "bob")}
    with SoundThread(microphones["alice"], 440), SoundThread(microphones["bob"], 880):
        alice, bob = [
            await join(name, LocalAudioTrack(source, "microphone"), LocalVideoTrack(NumberedH264(), "camera"))
            for name, source in microphones.items()
        ]

        for room, frequency in ((alice, 880), (bob, 440)):
            numbers = await numbers_of(await remote_track(room, "camera"), 25)
            sound = await sound_of(await remote_track(room, "microphone"), 60)
            assert numbers == list(range(numbers[0], numbers[0] + 25))
            assert strength(sound[20:], frequency) > 0.8


async def test_raw_picture_and_sound_arrive(join: Any) -> None:
    await join("alice", LocalAudioTrack(Tone(700), "microphone"), LocalVideoTrack(NumberedPictures(), "camera"))
    bob = await join("bob")

    numbers = await numbers_of(await remote_track(bob, "camera"), 20)
    sound = await sound_of(await remote_track(bob, "microphone"), 60)

    assert numbers == sorted(set(numbers))
    assert strength(sound[20:], 700) > 0.8


async def test_messages_go_both_ways_as_text_and_bytes(join: Any) -> None:
    hers, his = LocalDataTrack("chat"), LocalDataTrack("chat")
    alice, bob = await join("alice", hers), await join("bob", his)
    heard: dict[str, list[Any]] = {"alice": [], "bob": []}
    for name, room in (("alice", alice), ("bob", bob)):
        track: RemoteDataTrack = await remote_track(room, "chat")
        track.on("message", lambda data, _, name=name: heard[name].append(data))

    hers.send("hello")
    his.send(b"\x00\xff")

    await until(lambda: heard == {"alice": [b"\x00\xff"], "bob": ["hello"]})


async def test_a_track_published_later_arrives_and_goes_when_it_is_unpublished(join: Any) -> None:
    alice, bob = await join("alice"), await join("bob")
    seen: list[str] = []
    for event in ("track_published", "track_subscribed", "track_unsubscribed", "track_unpublished"):
        bob.on(event, lambda *arguments, event=event: seen.append(f"{event} {arguments[-1].identity}"))
    screen = LocalVideoTrack(NumberedPictures(), "screen")

    publication = await alice.local_participant.publish_track(screen)
    numbers = await numbers_of(await remote_track(bob, "screen"), 10)
    publication.unpublish()
    await until(lambda: "track_unpublished alice" in seen)

    assert numbers == sorted(set(numbers))
    assert seen == [f"track_{what} alice" for what in ("published", "subscribed", "unsubscribed", "unpublished")]
    assert not other(bob).tracks
    assert not alice.local_participant.tracks


async def test_a_data_track_published_later_arrives(join: Any) -> None:
    alice, bob = await join("alice"), await join("bob")
    chat = LocalDataTrack("chat")

    await alice.local_participant.publish_track(chat)
    messages: list[Any] = []
    bob.on("track_message", lambda data, track, participant: messages.append((data, track.name, participant.identity)))
    await remote_track(bob, "chat")
    chat.send("late but here")

    await until(lambda: messages == [("late but here", "chat", "alice")])


async def test_mute_is_seen_remotely_and_needs_no_negotiation(join: Any, service: AnsweringService) -> None:
    microphone = LocalAudioTrack(Tone(440), "microphone")
    alice, bob = await join("alice", microphone), await join("bob")
    track = await remote_track(bob, "microphone")
    seen: list[str] = []
    for event in ("track_disabled", "track_enabled"):
        bob.on(event, lambda publication, participant, event=event: seen.append(event))

    microphone.disable()
    await until(lambda: seen == ["track_disabled"])
    muted = not track.is_enabled
    microphone.enable()
    await until(lambda: seen == ["track_disabled", "track_enabled"])

    assert muted
    assert track.is_enabled
    assert next(iter(alice.local_participant.tracks.values())).is_track_enabled


async def test_leaving_ends_tracks_first_then_the_participant(join: Any) -> None:
    alice, bob = await join("alice", LocalVideoTrack(NumberedPictures(), "camera")), await join("bob")
    await remote_track(bob, "camera")
    seen: list[str] = []
    for event in ("track_unsubscribed", "track_unpublished", "participant_disconnected"):
        bob.on(event, lambda *_, event=event: seen.append(event))

    await alice.disconnect()

    await until(lambda: "participant_disconnected" in seen)
    assert seen == ["track_unsubscribed", "participant_disconnected"]
    assert not bob.participants
    assert alice.state is RoomState.DISCONNECTED


async def test_a_killed_socket_is_resumed_while_media_flows_on(join: Any, service: AnsweringService) -> None:
    alice = await join("alice", LocalVideoTrack(NumberedPictures(), "camera"))
    bob = await join("bob")
    track = await remote_track(bob, "camera")
    seen: list[str] = []
    for event in ("reconnecting", "reconnected", "disconnected"):
        bob.on(event, lambda *_, event=event: seen.append(event))
    sockets = service.sockets_opened

    await service.kill_sockets()
    await until(lambda: seen == ["reconnecting", "reconnected"])
    await until(lambda: alice.state is RoomState.CONNECTED)

    assert service.sockets_opened == sockets + 2
    assert other(bob).tracks[track.sid].track is track
    numbers = await numbers_of(track, 10)
    assert numbers == sorted(set(numbers))
    chat = LocalDataTrack("chat")
    await alice.local_participant.publish_track(chat)
    await remote_track(bob, "chat")


async def test_a_session_that_cannot_be_resumed_ends_the_room_with_53001(url: str, service: AnsweringService) -> None:
    service.session_timeout_s = 1.0
    room = await connect("alice", url=url, name="lab")
    ended: list[Any] = []
    room.on(RoomEvent.DISCONNECTED, lambda room, error: ended.append(error))
    service.accepting = False

    await service.kill_sockets()
    await until(lambda: ended)
    await room.closed()

    assert ended[0].code == 53001


async def test_a_failed_peer_connection_is_replaced_with_all_tracks(join: Any) -> None:
    alice = await join("alice", LocalVideoTrack(NumberedPictures(), "camera"), LocalDataTrack("chat"))
    bob = await join("bob")
    track = await remote_track(bob, "camera")
    before = alice._media.connections

    alice._media.replace()

    await until(lambda: alice._media.connections != before and alice._media.connections[0].is_connected)
    await until(lambda: other(bob).video_tracks[track.sid].track is not None)
    numbers = await numbers_of(other(bob).video_tracks[track.sid].track, 10)
    assert numbers == sorted(set(numbers))


async def test_where_the_service_asks_for_another_peer_connection_everything_comes_back(
    join: Any, service: AnsweringService
) -> None:
    chat = LocalDataTrack("chat")
    alice = await join("alice", LocalVideoTrack(NumberedPictures(), "camera"), chat)
    bob = await join("bob", LocalVideoTrack(NumberedPictures(), "camera"))
    for room in (alice, bob):
        await numbers_of(await remote_track(room, "camera"), 3)
    [before] = alice._media.connections
    heard: list[Any] = []

    engines_end: Any = service.member("alice").media
    engines_end._replace()

    await until(lambda: [c.id for c in alice._media.connections if c.id != before.id and c.is_connected])
    assert before.id not in {connection.id for connection in alice._media.connections}
    for room in (alice, bob):
        numbers = await numbers_of(await remote_track(room, "camera"), 5)
        assert numbers == sorted(set(numbers))
    (await remote_track(bob, "chat")).on("message", lambda data, _: heard.append(data))
    chat.send("over the new one")
    await until(lambda: heard == ["over the new one"])
    assert alice.state is RoomState.CONNECTED


@pytest.mark.parametrize(("token", "code"), [("wrong", 20107), ("full", 53105)])
async def test_the_service_refuses_with_its_number(url: str, token: str, code: int) -> None:
    with pytest.raises(RoomError) as refusal:
        await connect(token, url=url, name="lab")

    assert refusal.value.code == code


async def test_an_unreachable_service_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(RoomError, match=f"cannot reach ws://127.0.0.1:{port}/signaling") as refusal:
        await connect("alice", url=f"http://127.0.0.1:{port}", name="lab")

    assert refusal.value.code == 53000


async def test_a_service_that_says_nothing_is_given_up_at_the_deadline(url: str, service: AnsweringService) -> None:
    service.silent = True

    with pytest.raises(RoomError, match=r"did not let us in within 0\.5 s"):
        await connect("alice", url=url, name="lab", deadline_s=0.5)


async def test_a_refused_track_fails_alone(join: Any) -> None:
    alice = await join("alice")
    failed: list[Any] = []
    alice.local_participant.on(
        ParticipantEvent.TRACK_PUBLICATION_FAILED, lambda error, track: failed.append((error.code, track.name))
    )

    with pytest.raises(RoomError) as refusal:
        await alice.local_participant.publish_track(LocalDataTrack("refused"))

    assert refusal.value.code == 53304
    assert failed == [(53304, "refused")]
    assert alice.state is RoomState.CONNECTED
