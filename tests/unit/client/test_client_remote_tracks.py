"""Tracks that we receive: what reaches whom, and that nothing is kept for nobody."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from appliance.client import remote_tracks
from appliance.client.decoding import TimestampUnwrapper, VideoDecoding, is_keyframe, nal_unit_types
from appliance.client.remote_tracks import RemoteAudioTrack, RemoteDataTrack, RemoteVideoTrack


class Section:
    """An Incoming that a test fills."""

    def __init__(self) -> None:
        self.deliver: Callable[[str, bytes, int, bool], None] | None = None
        self.keyframes_asked = 0

    def request_keyframe(self) -> None:
        self.keyframes_asked += 1


def test_every_sink_gets_every_opus_packet_as_it_came() -> None:
    track, section = RemoteAudioTrack("MT1", "microphone"), Section()
    first: list[Any] = []
    second: list[Any] = []

    def put(payload: bytes, timestamp: int) -> None:
        second.append((payload, timestamp))

    track.add_packet_sink(lambda payload, timestamp: first.append((payload, timestamp)))
    track.add_packet_sink(put)
    track.receive_from(section)
    assert section.deliver is not None
    section.deliver("opus", b"one", 960, False)
    track.remove_packet_sink(put)
    section.deliver("opus", b"two", 1920, False)

    assert first == [(b"one", 960), (b"two", 1920)]
    assert second == [(b"one", 960)]


def test_the_first_packet_starts_a_voice_once() -> None:
    track, section = RemoteAudioTrack("MT1", "microphone"), Section()
    told: list[Any] = []
    track.on("started", told.append)
    track.receive_from(section)
    assert section.deliver is not None

    section.deliver("opus", b"one", 960, False)
    section.deliver("opus", b"two", 1920, False)

    assert told == [track]


def test_another_section_takes_over_and_the_old_one_delivers_no_more() -> None:
    track, old, new = RemoteAudioTrack("MT1", "microphone"), Section(), Section()

    track.receive_from(old)
    track.receive_from(new)

    assert old.deliver is None
    assert new.deliver is not None
    track.end()
    assert new.deliver is None


async def test_an_unwatched_video_asks_for_nothing_and_decodes_nothing() -> None:
    track, section = RemoteVideoTrack("MT1", "camera"), Section()
    track.receive_from(section)
    assert section.deliver is not None

    section.deliver("VP8", b"\x00frame", 0, False)

    assert section.keyframes_asked == 0
    assert track._decoding is None


async def test_whoever_looks_makes_it_ask_for_a_keyframe_and_who_looks_away_ends_the_decoding() -> None:
    track, section = RemoteVideoTrack("MT1", "camera"), Section()
    track.receive_from(section)

    track.set_frame_slot(lambda picture: None)
    asked = section.keyframes_asked
    track.set_frame_slot(None)

    assert asked == 1
    assert track._decoding is None


def test_mute_is_told_once_per_change() -> None:
    track = RemoteAudioTrack("MT1", "microphone")
    told: list[str] = []
    for event in ("enabled", "disabled"):
        track.on(event, lambda _, event=event: told.append(event))

    for enabled in (True, False, False, True):
        track.switch(enabled)

    assert told == ["disabled", "enabled"]


def test_messages_are_text_or_bytes_with_their_track() -> None:
    track = RemoteDataTrack("MT1", "chat", ordered=False, max_retransmits=3)
    heard: list[Any] = []
    track.on("message", lambda data, sender: heard.append((data, sender)))

    track.receive("text")
    track.receive(b"bytes")

    assert heard == [("text", track), (b"bytes", track)]
    assert not track.reliable


async def test_a_reader_gets_no_more_after_the_track_has_ended() -> None:
    track = RemoteAudioTrack("MT1", "microphone")
    reading = asyncio.create_task(anext(track.frames(), None))
    await asyncio.sleep(0)

    track.end()

    assert await reading is None


async def test_who_looks_at_a_track_that_has_ended_gets_nothing_and_begins_no_decoding() -> None:
    video, audio = RemoteVideoTrack("MT1", "camera"), RemoteAudioTrack("MT2", "microphone")
    section = Section()
    for track in (video, audio):
        track.end()

    video.set_frame_slot(lambda picture: None)
    video.receive_from(section)
    seen = [picture async for picture in video.frames()]
    heard = [frame async for frame in audio.frames()]

    assert (seen, heard, video._decoding, section.deliver) == ([], [], None, None)


async def test_of_two_who_look_the_first_to_go_after_the_end_does_not_begin_the_decoding_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[str] = []

    class Decoding(VideoDecoding):
        def __init__(self, name: str, *rest: Any) -> None:
            begun.append(name)
            super().__init__(name, *rest)

    monkeypatch.setattr(remote_tracks, "VideoDecoding", Decoding)
    track = RemoteVideoTrack("MT1", "camera")
    reading = [asyncio.create_task(anext(track.frames(), None)) for _ in range(2)]
    await asyncio.sleep(0)

    track.end()
    await asyncio.gather(*reading)

    assert begun == ["video MT1"]


def test_keyframes_are_recognised() -> None:
    assert is_keyframe("VP8", b"\x10\x02\x00")
    assert not is_keyframe("VP8", b"\x11\x02\x00")
    assert not is_keyframe("VP8", b"")
    idr = b"\x00\x00\x00\x01\x67sps\x00\x00\x00\x01\x68pps\x00\x00\x01\x65idr"
    assert is_keyframe("H264", idr)
    assert nal_unit_types(idr) == [7, 8, 5]
    assert not is_keyframe("H264", b"\x00\x00\x00\x01\x41slice")
    assert nal_unit_types(b"\x00\x00\x01") == []


def test_timestamps_count_on_beyond_32_bits_and_may_step_back_a_little() -> None:
    line = TimestampUnwrapper()

    assert [line.unwrap(stamp) for stamp in (0xFFFF_F000, 0xFFFF_FF00, 0x100, 0x80)] == [0, 3840, 4352, 4224]
