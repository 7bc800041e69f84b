"""Media signaling between clients and the real rooms service: speakers, quality, and videos nobody looks at."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from appliance.client.connect import connect
from appliance.client.link_report import NetworkQualityConfiguration
from appliance.client.local_tracks import EncodedAudioSource, LocalAudioTrack, LocalTrack, LocalVideoTrack
from appliance.client.options import BandwidthProfileOptions, VideoBandwidthProfile
from appliance.client.room import Room
from appliance.media_engine import Dimensions, TrackPriority
from tests.support.client_rooms_service import RunningRooms, running_rooms
from tests.support.client_sources import NumberedPictures, SoundThread
from tests.support.client_watching import numbers_of, other, remote_track, until

BY_HAND = BandwidthProfileOptions(video=VideoBandwidthProfile(client_track_switch_off_control="manual"))
LOUD, SOFT = 12, 60


@pytest_asyncio.fixture
async def rooms(tmp_path: Path) -> AsyncIterator[RunningRooms]:
    async with running_rooms(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def join(rooms: RunningRooms) -> AsyncIterator[Callable[..., Any]]:
    joined: list[Room] = []

    async def joining(identity: str, *tracks: LocalTrack, **options: Any) -> Room:
        room = await connect(rooms.token(identity), url=rooms.url, name="lab", tracks=tracks, **options)
        joined.append(room)
        return room

    yield joining
    for room in joined:
        await room.disconnect()


async def test_whoever_is_loud_is_the_dominant_speaker_and_a_muted_one_is_not(join: Any) -> None:
    loud, soft = EncodedAudioSource(), EncodedAudioSource()
    microphone = LocalAudioTrack(loud, "microphone")
    with SoundThread(loud, 440, level=LOUD), SoundThread(soft, 880, level=SOFT):
        await join("loud", microphone)
        await join("soft", LocalAudioTrack(soft, "microphone"))
        listener = await join("listener", dominant_speaker=True)

        await until(lambda: listener.dominant_speaker is not None)
        assert listener.dominant_speaker.identity == "loud"
        microphone.disable()

        await until(lambda: listener.dominant_speaker is None or listener.dominant_speaker.identity != "loud")


async def test_good_links_are_told_as_such_of_ourselves_and_of_others(join: Any) -> None:
    configuration = NetworkQualityConfiguration(local=3, remote=3)
    await join("alice", LocalVideoTrack(NumberedPictures(), "camera"), network_quality=True)
    bob = await join("bob", network_quality=configuration)
    await numbers_of(await remote_track(bob, "camera"), 5)

    await until(lambda: (bob.local_participant.network_quality_level or 0) >= 4)
    await until(lambda: (other(bob).network_quality_level or 0) >= 4)

    def received_bps() -> float:
        return bob.local_participant.network_quality_stats.video.recv_stats.bandwidth.actual

    await until(lambda: received_bps() > 10_000)
    stats = bob.local_participant.network_quality_stats
    assert stats.video.recv_stats.fraction_lost.fraction_lost == 0
    assert other(bob).network_quality_stats.video.send_stats is not None


async def test_a_video_that_is_not_shown_is_switched_off_and_comes_back_when_it_is(join: Any) -> None:
    camera = LocalVideoTrack(NumberedPictures(), "camera")
    await join("alice", camera)
    bob = await join("bob", bandwidth_profile=BY_HAND)
    track = await remote_track(bob, "camera")
    await numbers_of(track, 5)
    pictures: list[Any] = []
    track.set_frame_slot(pictures.append)

    track.switch_off()
    await until(lambda: track.is_switched_off)
    track.set_priority(TrackPriority.HIGH)
    track.set_content_preferences(render_dimensions=Dimensions(width=320, height=240))
    track.switch_on()
    await until(lambda: not track.is_switched_off)
    pictures.clear()

    await until(lambda: len(pictures) >= 3)


async def test_over_a_new_connection_the_channels_come_again(join: Any) -> None:
    await join("alice", LocalVideoTrack(NumberedPictures(), "camera"))
    bob = await join("bob", bandwidth_profile=BY_HAND, network_quality=True)
    await remote_track(bob, "camera")
    await until(lambda: bob.local_participant.network_quality_level)

    bob._media.replace()

    await until(lambda: bob._media.connections[0].is_connected)
    track = await remote_track(bob, "camera")
    await numbers_of(track, 3)
    track.switch_off()
    await until(lambda: track.is_switched_off)
