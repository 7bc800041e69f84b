"""Which codec is spoken in a room, and what becomes of those who do not have it."""

import pytest
from aiortc import RTCRtpSender
from aiortc.mediastreams import MediaStreamTrack

from appliance.media_engine import RoomMediaPolicy, TrackKind
from tests.support.conditions import until
from tests.support.sfu_clients import NumberedVideo, SfuClient, Tone, sfu_room

BOTH = ("VP8", "H264")


def speaks_only(client: SfuClient, codec: str, track: MediaStreamTrack | None = None) -> None:
    """Leave one video codec in the client's offers."""
    if track is None:
        client.pc.addTransceiver("video", direction="recvonly")
    (transceiver,) = (one for one in client.pc.getTransceivers() if one.kind == "video")
    known = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([one for one in known if one.mimeType in (f"video/{codec}", "video/rtx")])


@pytest.mark.parametrize("order", [("VP8", "H264"), ("H264", "VP8")])
async def test_a_client_sends_with_the_first_codec_of_its_room(order: tuple[str, ...]) -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        video = alice.add_media(NumberedVideo(160, 120), TrackKind.VIDEO)
        await alice.join(policy=RoomMediaPolicy(video_codecs=order))
        await bob.join(frozenset({video}), policy=RoomMediaPolicy(video_codecs=order))
        await until("Bob sees Alice", lambda: bob.frames_of(video) > 5)
        assert alice.peer is not None
        assert alice.peer._published[video].codec == order[0]


async def test_who_cannot_receive_a_codec_is_told_so_when_it_is_known_and_hears_all_the_same() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        video = alice.add_media(NumberedVideo(160, 120), TrackKind.VIDEO)
        audio = alice.add_media(Tone(), TrackKind.AUDIO)
        speaks_only(alice, "H264", track=NumberedVideo())
        speaks_only(bob, "VP8")
        await alice.join(policy=RoomMediaPolicy(video_codecs=BOTH))
        await bob.join(frozenset({video, audio}), policy=RoomMediaPolicy(video_codecs=BOTH))

        await until("Bob is told", lambda: video in bob.subscriptions and bob.subscriptions[video].error_code == 53404)
        await until("Bob hears Alice", lambda: bob.frames_of(audio) > 10)
        assert bob.subscriptions[video].id is None
        assert bob.subscriptions[audio].error_code is None
