"""Two clients in a room of the real rooms service: real tokens, store, signaling and SFU."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from appliance.client.connect import connect
from appliance.client.events import RoomEvent
from appliance.client.local_tracks import (
    EncodedAudioSource,
    LocalAudioTrack,
    LocalDataTrack,
    LocalTrack,
    LocalVideoTrack,
)
from appliance.client.room import Room, RoomState
from appliance.errors import RoomError
from tests.support.client_rooms_service import RunningRooms, running_rooms
from tests.support.client_sources import NumberedH264, NumberedPictures, SoundThread, Tone, strength
from tests.support.client_watching import numbers_of, other, remote_track, sound_of, until


@pytest_asyncio.fixture
async def rooms(tmp_path: Path) -> AsyncIterator[RunningRooms]:
    async with running_rooms(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def join(rooms: RunningRooms) -> AsyncIterator[Callable[..., Any]]:
    joined: list[Room] = []

    async def joining(identity: str, *tracks: LocalTrack, **options: Any) -> Room:
        options.setdefault("name", "lab")
        room = await connect(rooms.token(identity), url=rooms.url, tracks=tracks, **options)
        joined.append(room)
        return room

    yield joining
    for room in joined:
        await room.disconnect()


async def test_encoded_picture_sound_and_messages_go_both_ways(join: Any) -> None:
    microphones = {name: EncodedAudioSource() for name in ("alice", "bob")}
    chats = {name: LocalDataTrack("chat") for name in microphones}
    heard: dict[str, list[Any]] = {name: [] for name in microphones}
    with SoundThread(microphones["alice"], 440), SoundThread(microphones["bob"], 880):
        alice, bob = [
            await join(
                name,
                LocalAudioTrack(microphones[name], "microphone"),
                LocalVideoTrack(NumberedH264(), "camera"),
                chats[name],
            )
            for name in microphones
        ]
        for name, room, frequency in (("alice", alice, 880), ("bob", bob, 440)):
            numbers = await numbers_of(await remote_track(room, "camera"), 25)
            sound = await sound_of(await remote_track(room, "microphone"), 60)
            assert numbers == list(range(numbers[0], numbers[0] + 25))
            assert strength(sound[20:], frequency) > 0.8
            (await remote_track(room, "chat")).on("message", lambda data, _, name=name: heard[name].append(data))

        chats["alice"].send("from alice")
        chats["bob"].send(b"from bob")
        await until(lambda: heard == {"alice": [b"from bob"], "bob": ["from alice"]})

    assert alice.sid == bob.sid
    assert alice.name == "lab"
    assert {p.track_sid for p in alice.local_participant.tracks.values()} == set(other(bob).tracks)


async def test_raw_picture_and_sound_are_encoded_by_the_stack(join: Any) -> None:
    await join("alice", LocalAudioTrack(Tone(700), "microphone"), LocalVideoTrack(NumberedPictures(), "camera"))
    bob = await join("bob")

    numbers = await numbers_of(await remote_track(bob, "camera"), 20)
    sound = await sound_of(await remote_track(bob, "microphone"), 60)

    assert numbers == sorted(set(numbers))
    assert strength(sound[20:], 700) > 0.8


async def test_publish_later_and_unpublish_are_seen_in_order(join: Any) -> None:
    alice, bob = await join("alice"), await join("bob")
    seen: list[str] = []
    for event in ("track_published", "track_subscribed", "track_unsubscribed", "track_unpublished"):
        bob.on(event, lambda *arguments, event=event: seen.append(f"{event} {arguments[-1].identity}"))
    screen = LocalVideoTrack(NumberedPictures(), "screen")

    publication = await alice.local_participant.publish_track(screen)
    await numbers_of(await remote_track(bob, "screen"), 10)
    publication.unpublish()
    await until(lambda: "track_unpublished alice" in seen)

    assert seen == [f"track_{what} alice" for what in ("published", "subscribed", "unsubscribed", "unpublished")]


async def test_unpublish_and_publish_again_ten_times(join: Any) -> None:
    alice, bob = await join("alice"), await join("bob")

    for turn in range(10):
        publication = await alice.local_participant.publish_track(LocalVideoTrack(NumberedPictures(), f"turn {turn}"))
        await numbers_of(await remote_track(bob, f"turn {turn}"), 3)
        publication.unpublish()
        await until(lambda: not other(bob).tracks)

    described = alice._media.connections[0]._stack.localDescription.sdp
    assert described.count("m=video") <= 3  # sections are used again


async def test_both_publish_at_once_again_and_again(join: Any) -> None:
    alice, bob = await join("alice"), await join("bob")

    for turn in range(5):
        tracks = {room: LocalVideoTrack(NumberedPictures(), f"{turn}") for room in (alice, bob)}
        for room, track in tracks.items():
            room.local_participant.add(track)
        for room in tracks:
            await numbers_of(await remote_track(room, f"{turn}"), 3)


async def test_mute_is_seen_remotely(join: Any) -> None:
    microphone = LocalAudioTrack(Tone(440), "microphone")
    await join("alice", microphone)
    bob = await join("bob")
    await remote_track(bob, "microphone")
    seen: list[str] = []
    for event in ("track_disabled", "track_enabled"):
        bob.on(event, lambda publication, participant, event=event: seen.append(event))

    microphone.disable()
    await until(lambda: seen == ["track_disabled"])
    microphone.enable()

    await until(lambda: seen == ["track_disabled", "track_enabled"])


async def test_who_joins_muted_is_seen_muted(join: Any) -> None:
    microphone = LocalAudioTrack(Tone(440), "microphone")
    microphone.disable()

    await join("alice", microphone)
    bob = await join("bob")

    track = await remote_track(bob, "microphone")
    assert not track.is_enabled
    assert not other(bob).tracks[track.sid].is_track_enabled


async def test_leaving_is_seen(join: Any) -> None:
    alice, bob = await join("alice", LocalVideoTrack(NumberedPictures(), "camera")), await join("bob")
    await remote_track(bob, "camera")
    seen: list[str] = []
    for event in ("track_unsubscribed", "track_unpublished", "participant_disconnected"):
        bob.on(event, lambda *_, event=event: seen.append(event))

    await alice.disconnect()

    await until(lambda: "participant_disconnected" in seen)
    assert seen == ["track_unsubscribed", "participant_disconnected"]


async def test_killed_sockets_are_resumed_while_media_flows_on(join: Any, rooms: RunningRooms) -> None:
    alice = await join("alice", LocalVideoTrack(NumberedPictures(), "camera"))
    bob = await join("bob")
    track = await remote_track(bob, "camera")
    seen: list[str] = []
    for event in ("reconnecting", "reconnected", "disconnected", "participant_disconnected", "track_unsubscribed"):
        bob.on(event, lambda *_, event=event: seen.append(event))

    rooms.kill_sockets()
    await until(lambda: "reconnected" in seen)
    await until(lambda: alice.state is RoomState.CONNECTED)

    assert seen == ["reconnecting", "reconnected"]
    numbers = await numbers_of(track, 10)
    assert numbers == sorted(set(numbers))
    await alice.local_participant.publish_track(LocalDataTrack("chat"))
    await remote_track(bob, "chat")


async def test_what_was_published_while_the_socket_was_gone_arrives(join: Any, rooms: RunningRooms) -> None:
    alice, bob = await join("alice"), await join("bob")
    camera = LocalVideoTrack(NumberedPictures(), "camera")
    alice.on("reconnecting", lambda error: alice.local_participant.add(camera))

    rooms.kill_sockets()

    numbers = await numbers_of(await remote_track(bob, "camera"), 5)
    assert numbers == sorted(set(numbers))


async def test_a_replaced_peer_connection_brings_all_tracks_again(join: Any) -> None:
    alice = await join("alice", LocalVideoTrack(NumberedPictures(), "camera"), LocalDataTrack("chat"))
    bob = await join("bob", LocalVideoTrack(NumberedPictures(), "camera"))
    for room in (alice, bob):
        await remote_track(room, "camera")
    [before] = alice._media.connections

    alice._media.replace()

    await until(lambda: alice._media.connections[0] is not before and alice._media.connections[0].is_connected)
    for room in (alice, bob):
        await until(lambda room=room: next(iter(other(room).video_tracks.values())).track is not None)
        numbers = await numbers_of(await remote_track(room, "camera"), 10)
        assert numbers == sorted(set(numbers))


async def test_the_room_ends_for_all_with_53118(join: Any, rooms: RunningRooms) -> None:
    alice, bob = await join("alice"), await join("bob")
    ended: dict[str, Any] = {}
    for room in (alice, bob):
        room.on(RoomEvent.DISCONNECTED, lambda room, error: ended.update({room.local_participant.identity: error.code}))

    await rooms.complete_room("lab")

    await until(lambda: ended == {"alice": 53118, "bob": 53118})


async def test_a_second_join_of_one_identity_ends_the_first_with_53205(join: Any) -> None:
    first = await join("alice")
    ended: list[Any] = []
    first.on(RoomEvent.DISCONNECTED, lambda room, error: ended.append(error.code))

    second = await join("alice")

    await until(lambda: ended == [53205])
    assert second.state is RoomState.CONNECTED


async def test_a_wrong_an_expired_and_a_foreign_token_are_refused_by_number(rooms: RunningRooms) -> None:
    refused = []
    head, body, signature = rooms.token("alice").split(".")
    for token in ("nonsense", f"{head}.{body}.{signature[::-1]}", rooms.token("alice", expired=True)):
        with pytest.raises(RoomError) as refusal:
            await connect(token, url=rooms.url, name="lab")
        refused.append(refusal.value.code)
    with pytest.raises(RoomError) as refusal:
        await connect(rooms.token("alice", room="elsewhere"), url=rooms.url, name="lab")
    refused.append(refusal.value.code)

    assert refused == [20101, 20107, 20104, 20106]


async def test_a_full_room_refuses_with_53105(join: Any, rooms: RunningRooms) -> None:
    await rooms.create_room("lab", max_participants=1)
    await join("alice")

    with pytest.raises(RoomError) as refusal:
        await join("bob")

    assert refusal.value.code == 53105


async def test_a_room_that_was_left_gives_everything_back(rooms: RunningRooms) -> None:
    there_before = {*threading.enumerate()}

    async def stay(identity: str) -> None:
        microphone = EncodedAudioSource()
        with SoundThread(microphone, 440):
            tracks = [
                LocalAudioTrack(microphone, "microphone"),
                LocalVideoTrack(NumberedH264(), "camera"),
                LocalDataTrack("chat"),
            ]
            async with await connect(rooms.token(identity), url=rooms.url, name="lab", tracks=tracks) as room:
                watching = await connect(rooms.token("watcher"), url=rooms.url, name="lab")
                await numbers_of(await remote_track(watching, "camera"), 5)
                await watching.disconnect()
                assert room.state is RoomState.CONNECTED

    def held() -> tuple[int, int]:
        tasks = {task.get_name() for task in asyncio.all_tasks()}
        mine = [name for name in tasks if name.startswith(("signaling", "media", "peer", "close", "leave"))]
        assert not [name for name in mine if name != "signaling reader"], mine
        begun = {*threading.enumerate()} - there_before
        decoding = [thread for thread in begun if thread.name.startswith("video ")]
        return len(decoding), psutil.Process().num_fds()

    await stay("first")
    await until(lambda: held()[0] == 0)
    before = held()

    for turn in range(3):
        await stay(f"turn {turn}")

    await until(lambda: held() <= before)
