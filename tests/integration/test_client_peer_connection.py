"""One peer connection of the client against an aiortc end that follows the server's rules, over loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest_asyncio
from aiortc import RTCDataChannel

from appliance.client.descriptions import sections
from appliance.client.local_tracks import (
    EncodedAudioSource,
    LocalAudioTrack,
    LocalDataTrack,
    LocalTrack,
    LocalVideoTrack,
)
from appliance.client.peer_connection import PeerConnection, PeerConnectionSettings
from appliance.client.remote_tracks import RemoteAudioTrack, RemoteVideoTrack
from appliance.errors import RoomError
from appliance.media_engine import Description, DescriptionType, PeerConnectionState
from tests.support.client_answering_peer import AnsweringPeer
from tests.support.client_sources import (
    NumberedH264,
    NumberedPictures,
    SoundThread,
    Tone,
    is_black,
    loudness,
    picture_number,
    strength,
)


class Listening:
    """Hands our descriptions to the answering peer and remembers what else is told."""

    def __init__(self) -> None:
        self.to_server: asyncio.Queue[PeerConnectionState] = asyncio.Queue()
        self.sent: list[PeerConnectionState] = []
        self.channels: list[RTCDataChannel] = []
        self.errors: list[RoomError] = []
        self.failed_tracks: list[LocalTrack] = []
        self.changed = asyncio.Event()

    def send(self, state: PeerConnectionState) -> None:
        self.sent.append(state)
        self.to_server.put_nowait(state)
        self.changed.set()

    def media_changed(self) -> None:
        self.changed.set()

    def channel_opened(self, channel: RTCDataChannel) -> None:
        self.channels.append(channel)
        self.changed.set()

    def connected(self, connection: PeerConnection) -> None:
        self.changed.set()

    def failed(self, connection: PeerConnection, error: RoomError) -> None:
        self.errors.append(error)
        self.changed.set()

    def track_failed(self, track: LocalTrack, error: RoomError) -> None:
        self.failed_tracks.append(track)


class Ends:
    """Both ends, and the wire between them."""

    def __init__(self) -> None:
        self.listening = Listening()
        self.client = PeerConnection(PeerConnectionSettings(loopback=True), self.listening)
        self.server = AnsweringPeer(self.client.handle)
        self.wire_is_cut = False
        self._wire = asyncio.create_task(self._carry())

    async def _carry(self) -> None:
        while True:
            state = await self.listening.to_server.get()
            if not self.wire_is_cut:
                await self.server.take(state)

    async def until(self, condition: Callable[[], Any], timeout_s: float = 20) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - the conditions are aiortc's, which tells of few of them
                await asyncio.sleep(0.02)

    async def exchange(self) -> None:
        """Wait until both sides are connected and the exchange is at rest."""
        await self.until(lambda: self.client.is_connected and self.server.stack.signalingState == "stable")

    async def close(self) -> None:
        self._wire.cancel()
        await asyncio.gather(self._wire, return_exceptions=True)
        await self.client.close()
        await self.server.close()


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[Ends]:
    both = Ends()
    yield both
    await both.close()


def offered_sections(state: PeerConnectionState) -> list[str]:
    assert state.description is not None
    assert state.description.sdp is not None
    return [line.split()[0] for line in state.description.sdp.splitlines() if line.startswith("m=")]


async def test_without_tracks_the_first_offer_has_audio_and_video_and_ice_connects(ends: Ends) -> None:
    ends.client.offer()

    await ends.exchange()

    assert offered_sections(ends.listening.sent[0]) == ["m=audio", "m=video"]
    assert ends.listening.sent[0].description is not None
    assert ends.listening.sent[0].description.revision == 1


async def test_pictures_are_offered_in_the_codec_that_is_preferred() -> None:
    listening = Listening()
    connection = PeerConnection(PeerConnectionSettings(loopback=True, video_codecs=("h264",)), listening)
    connection.set_tracks([LocalVideoTrack(NumberedPictures(), "camera")])
    async with asyncio.timeout(20):
        state = await listening.to_server.get()
    await connection.close()

    assert state.description is not None
    [video] = [section for section in sections(state.description.sdp or "") if section.kind == "video"]
    assert video.codecs[0] == "H264"
    assert "VP8" in video.codecs


async def test_raw_pictures_and_sound_arrive(ends: Ends) -> None:
    ends.client.set_tracks([LocalAudioTrack(Tone(440), "microphone"), LocalVideoTrack(NumberedPictures(), "camera")])

    await ends.until(lambda: len(ends.server.tracks) == 2)
    audio, video = ends.server.tracks
    numbers = [picture_number(await video.recv()) for _ in range(20)]
    sound = [await audio.recv() for _ in range(60)][20:]

    assert numbers == sorted(set(numbers))
    assert strength(sound, 440) > 0.8


async def test_encoded_media_arrives_without_a_codec_of_ours(ends: Ends) -> None:
    camera, microphone = NumberedH264(), EncodedAudioSource()
    with SoundThread(microphone, 660):
        ends.client.set_tracks([LocalAudioTrack(microphone, "microphone"), LocalVideoTrack(camera, "camera")])

        await ends.until(lambda: len(ends.server.tracks) == 2)
        audio, video = ends.server.tracks
        numbers = [picture_number(await video.recv()) for _ in range(20)]
        sound = [await audio.recv() for _ in range(60)][20:]

    assert numbers == list(range(numbers[0], numbers[0] + 20))
    assert strength(sound, 660) > 0.8
    assert camera.keyframes_asked >= 1


async def test_the_loudness_of_encoded_sound_goes_with_its_packets_and_muted_is_127(ends: Ends) -> None:
    microphone = EncodedAudioSource()
    track = LocalAudioTrack(microphone, "microphone")
    with SoundThread(microphone, 440, level=23):
        ends.client.set_tracks([track])
        await ends.until(lambda: len(ends.server.audio_levels) >= 10)
        heard = {level for _, level in ends.server.audio_levels}
        track.disable()
        await ends.until(lambda: ends.server.audio_levels[-1][1] != 23)
        ends.server.audio_levels.clear()
        await ends.until(lambda: len(ends.server.audio_levels) >= 5)

    assert heard == {23}
    assert {level for _, level in ends.server.audio_levels} == {127}


async def test_a_muted_microphone_sends_silence_and_comes_back(ends: Ends) -> None:
    microphone = EncodedAudioSource()
    track = LocalAudioTrack(microphone, "microphone")
    with SoundThread(microphone, 440):
        ends.client.set_tracks([track])
        await ends.until(lambda: len(ends.server.tracks) >= 1)
        [audio] = [track for track in ends.server.tracks if track.kind == "audio"]
        for _ in range(50):
            await audio.recv()

        track.disable()
        muted = [await audio.recv() for _ in range(50)]
        track.enable()
        open_again = [await audio.recv() for _ in range(50)]

    assert loudness(muted[40:]) < 50
    assert loudness(open_again[30:]) > 5000


async def test_a_disabled_camera_is_not_read_and_shows_black(ends: Ends) -> None:
    camera = NumberedPictures()
    track = LocalVideoTrack(camera, "camera")
    ends.client.set_tracks([track])
    await ends.until(lambda: any(track.kind == "video" for track in ends.server.tracks))
    [video] = [track for track in ends.server.tracks if track.kind == "video"]
    await video.recv()

    track.disable()

    async with asyncio.timeout(10):
        while not is_black(await video.recv()):
            pass
    assert camera.reads_waiting == 0


async def test_messages_wait_for_their_channel_and_arrive(ends: Ends) -> None:
    track = LocalDataTrack("chat")
    track.send("sent before there is a channel")
    ends.client.set_tracks([track])

    await ends.until(lambda: track.id in ends.server.channels)
    messages: list[str | bytes] = []
    ends.server.channels[track.id].on("message", messages.append)
    await ends.exchange()
    track.send(b"\x00binary")

    await ends.until(lambda: b"\x00binary" in messages)
    assert offered_sections(ends.listening.sent[0])[-1] == "m=application"


async def test_a_track_published_later_is_offered_and_one_taken_away_leaves_its_section_for_reuse(ends: Ends) -> None:
    first, second = LocalVideoTrack(NumberedPictures(), "first"), LocalVideoTrack(NumberedPictures(), "second")
    ends.client.offer()
    await ends.exchange()

    ends.client.set_tracks([first])
    await ends.until(lambda: any(track.kind == "video" for track in ends.server.tracks))
    [video] = [track for track in ends.server.tracks if track.kind == "video"]
    await video.recv()
    ends.client.set_tracks([])
    await ends.until(lambda: ends.server.revision == 3)
    ends.client.set_tracks([second])
    await ends.until(lambda: ends.server.revision == 4)

    assert picture_number(await video.recv()) >= 1
    offer = ends.listening.sent[-1].description
    assert offer is not None
    assert offer.sdp is not None
    assert f"a=msid:- {second.id}" in offer.sdp
    assert offer.sdp.count("m=video") == 2  # the first offer's empty one, and one that was used twice


async def test_what_the_server_sends_is_known_by_the_id_in_its_msid(ends: Ends) -> None:
    ends.client.offer()
    await ends.exchange()
    feeds = _server_sends(ends, {"audio": "s-1", "video": "s-2"})

    await ends.server.offer()
    await ends.until(lambda: {"s-1", "s-2"} <= set(ends.client.media))
    video, audio = RemoteVideoTrack("MT1", "camera"), RemoteAudioTrack("MT2", "microphone")
    video.receive_from(ends.client.media["s-2"])
    audio.receive_from(ends.client.media["s-1"])
    packets: list[tuple[bytes, int]] = []
    audio.add_packet_sink(lambda payload, timestamp: packets.append((payload, timestamp)))
    numbers = []
    async for frame in video.frames():
        numbers.append(picture_number(frame))
        if len(numbers) == 20:
            break
    await ends.until(lambda: len(packets) > 20)

    assert numbers == sorted(set(numbers))
    steps = {(b - a) & 0xFFFFFFFF for (_, a), (_, b) in pairwise(packets)}
    assert steps == {960}
    for feed in feeds:
        feed.stop()
    video.end()
    audio.end()


async def test_a_colliding_offer_is_dropped_theirs_answered_and_ours_made_again(ends: Ends) -> None:
    ends.client.offer()
    await ends.exchange()
    feeds = _server_sends(ends, {"video": "s-9"})
    ends.wire_is_cut = True
    track = LocalVideoTrack(NumberedPictures(), "camera")
    ends.client.set_tracks([track])
    await ends.until(lambda: ends.listening.sent[-1].description and ends.listening.sent[-1].description.revision == 2)
    ends.wire_is_cut = False

    await ends.server.offer()

    await ends.until(lambda: "s-9" in ends.client.media)
    await ends.until(lambda: any(remote.kind == "video" for remote in ends.server.tracks))
    [video] = [remote for remote in ends.server.tracks if remote.kind == "video"]
    assert picture_number(await video.recv()) >= 1
    described = [(s.description.type, s.description.revision) for s in ends.listening.sent if s.description]
    assert described == [
        (DescriptionType.OFFER, 1),
        (DescriptionType.OFFER, 2),
        (DescriptionType.ANSWER, 2),
        (DescriptionType.OFFER, 3),
    ]
    for feed in feeds:
        feed.stop()


async def test_create_offer_yields_the_next_revision(ends: Ends) -> None:
    ends.client.offer()
    await ends.exchange()

    ends.server.say(Description(type=DescriptionType.CREATE_OFFER, revision=7))

    await ends.until(lambda: ends.server.revision == 8)


async def test_a_description_that_cannot_be_used_fails_the_connection_with_its_number(ends: Ends) -> None:
    ends.client.offer()
    await ends.exchange()

    ends.server.say(Description(type=DescriptionType.OFFER, revision=2, sdp="v=0\r\nm=video 0 nonsense 1\r\n"))

    await ends.until(lambda: ends.listening.errors)
    assert ends.listening.errors[0].code == 53402


def _server_sends(ends: Ends, ids: dict[str, str]) -> list[Any]:
    """Let the server's stack send a numbered picture or a tone under each id; returns what is to be stopped."""
    from appliance.client import encoded_media
    from appliance.client.feeds import Feed
    from appliance.media_engine import TrackKind

    feeds = []
    for kind, subscription_id in ids.items():
        feed = Feed(TrackKind(kind))
        local = LocalVideoTrack(NumberedPictures()) if kind == "video" else LocalAudioTrack(Tone(500))
        feed.attach(local)
        transceiver = ends.server.stack.addTransceiver(feed, direction="sendonly")
        encoded_media.name_sender(transceiver.sender, subscription_id)
        feeds.append(feed)
    return feeds
