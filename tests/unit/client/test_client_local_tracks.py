"""Tracks that we send: muting, sources, messages; and the feeds that draw from them."""

import asyncio
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import pytest

from appliance.client.feeds import Continuation, Feed
from appliance.client.local_tracks import (
    OPUS_SILENCE,
    EncodedAudioSource,
    EncodedFrame,
    LocalAudioTrack,
    LocalDataTrack,
    LocalVideoTrack,
)
from appliance.media_engine import TrackKind


@dataclass(frozen=True)
class Packet:
    data: bytes
    timestamp: int
    level: int | None = None


class Pictures:
    """A VideoSource that gives what it is told to."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    async def read(self) -> Any:
        frame = await self.queue.get()
        if isinstance(frame, Exception):
            raise frame
        return frame


class EncodedPictures(Pictures):
    """An EncodedVideoSource."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.bitrates: list[int] = []

    def request_keyframe(self) -> None:
        self.asked += 1

    def set_bitrate(self, bitrate_bps: int) -> None:
        self.bitrates.append(bitrate_bps)


def picture(pts: int) -> av.VideoFrame:
    frame = av.VideoFrame(64, 48, "yuv420p")
    frame.pts, frame.time_base = pts, Fraction(1, 90_000)
    return frame


def test_a_track_has_an_id_and_its_name_defaults_to_it() -> None:
    track = LocalDataTrack()

    assert track.name == track.id
    assert LocalDataTrack("chat").name == "chat"
    assert LocalDataTrack().id != track.id


async def test_opus_packets_go_through_as_they_are() -> None:
    source = EncodedAudioSource()
    track = LocalAudioTrack(source)
    source.put(Packet(b"sound", 960))

    sent = await track.next_media()

    assert bytes(sent) == b"sound"
    assert (sent.pts, sent.time_base) == (960, Fraction(1, 48_000))


async def test_muting_drops_what_waits_and_turns_what_comes_into_silence() -> None:
    source = EncodedAudioSource()
    track = LocalAudioTrack(source)
    source.put(Packet(b"said before the button", 960))

    track.disable()
    source.put(Packet(b"said after the button", 1920))
    sent = await track.next_media()

    assert (bytes(sent), sent.pts) == (OPUS_SILENCE, 1920)


async def test_loudness_goes_with_what_is_heard_and_silence_is_127() -> None:
    source = EncodedAudioSource()
    track = LocalAudioTrack(source)
    source.put(Packet(b"said", 960, level=9))
    source.put(Packet(b"said softly", 1920, level=41))

    heard = [(bytes(await track.next_media()), track.level) for _ in range(2)]
    track.disable()
    source.put(Packet(b"said after the button", 2880, level=9))
    muted = (bytes(await track.next_media()), track.level)

    assert heard == [(b"said", 9), (b"said softly", 41)]
    assert muted == (OPUS_SILENCE, 127)


async def test_a_card_that_gives_nothing_is_silence_and_not_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.client.local_tracks.DRY_SOURCE_S", 0.0)
    track = LocalAudioTrack(EncodedAudioSource())

    sent = await track.next_media()

    assert bytes(sent) == OPUS_SILENCE


def test_enabling_twice_is_told_once() -> None:
    track = LocalAudioTrack(EncodedAudioSource())
    told: list[str] = []
    for event in ("enabled", "disabled"):
        track.on(event, lambda _, event=event: told.append(event))

    track.enable()
    track.disable()
    track.disable()
    track.enable()

    assert told == ["disabled", "enabled"]


async def test_of_too_many_opus_packets_the_newest_ten_are_kept() -> None:
    source = EncodedAudioSource()
    for number in range(30):
        source.put(Packet(b"%d" % number, number * 960))

    assert [(await source.take()).data for _ in range(10)] == [b"%d" % number for number in range(20, 30)]


async def test_an_encoded_track_begins_with_a_keyframe_and_asks_for_one() -> None:
    source = EncodedPictures()
    track = LocalVideoTrack(source)
    track.resumed()
    for number, keyframe in ((1, False), (2, True), (3, False)):
        source.queue.put_nowait(EncodedFrame(b"%d" % number, number * 3000, keyframe))

    sent = [bytes(await track.next_media()) for _ in range(2)]

    assert sent == [b"2", b"3"]
    assert source.asked == 1


async def test_after_a_camera_was_off_an_encoded_track_waits_for_the_next_keyframe() -> None:
    source = EncodedPictures()
    track = LocalVideoTrack(source)
    source.queue.put_nowait(EncodedFrame(b"first", 0, True))
    await track.next_media()

    track.disable()
    track.enable()
    for frame in (EncodedFrame(b"between", 3000, False), EncodedFrame(b"key", 6000, True)):
        source.queue.put_nowait(frame)

    assert bytes(await track.next_media()) == b"key"
    assert source.asked == 1


async def test_a_disabled_raw_track_shows_black_and_leaves_its_source_alone() -> None:
    source = Pictures()
    track = LocalVideoTrack(source)
    track.disable()

    black = await track.next_media()

    assert max(bytes(black.planes[0])) == 16
    assert source.queue.empty()


def test_a_running_track_takes_another_source_of_its_own_sort_only() -> None:
    track = LocalVideoTrack(EncodedPictures())
    track.restart(EncodedPictures())

    with pytest.raises(ValueError, match="raw and encoded"):
        track.restart(Pictures())


def test_messages_wait_for_the_channel_the_newest_hundred() -> None:
    track, sent = LocalDataTrack(), []
    for number in range(150):
        track.send(str(number))

    track.opened(sent.append)
    track.send("last")

    assert sent == [*map(str, range(50, 150)), "last"]


def test_when_a_channel_is_replaced_the_old_one_may_close_later() -> None:
    track = LocalDataTrack()
    old: list[Any] = []
    new: list[Any] = []
    first, second = old.append, new.append
    track.opened(first)
    track.opened(second)

    track.closed(first)
    track.send("over the new one")

    assert (old, new) == ([], ["over the new one"])


def test_a_message_is_text_or_bytes_and_limits_exclude_each_other() -> None:
    with pytest.raises(TypeError, match="str or bytes, not int"):
        LocalDataTrack().send(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not both"):
        LocalDataTrack(max_packet_life_time=1, max_retransmits=1)


# --- feeds -----------------------------------------------------------------------------------------------------------


def test_timestamps_of_one_source_keep_their_distances_from_zero() -> None:
    line = Continuation(90_000)

    assert [line.place(pts, 0.0) for pts in (7000, 10_000, 13_000)] == [0, 3000, 6000]


def test_another_source_continues_after_the_time_that_has_passed() -> None:
    line = Continuation(90_000)
    line.place(1_000_000, 10.0)

    line.interrupt()

    assert line.place(5, 12.0) == 2 * 90_000
    assert line.place(3005, 12.1) == 2 * 90_000 + 3000


def test_a_source_whose_clock_goes_back_does_not_take_the_line_with_it() -> None:
    line = Continuation(48_000)
    line.place(96_000, 1.0)

    assert line.place(0, 1.02) == 960
    assert line.place(960, 1.04) == 1920


async def test_a_feed_draws_from_one_track_after_another() -> None:
    first, second = Pictures(), Pictures()
    feed = Feed(TrackKind.VIDEO)
    feed.attach(LocalVideoTrack(first))
    first.queue.put_nowait(picture(90_000))
    one = await feed.recv()
    waiting = asyncio.create_task(feed.recv())
    await asyncio.sleep(0)

    feed.attach(LocalVideoTrack(second))
    second.queue.put_nowait(picture(5))
    two = await waiting

    assert one.pts == 0
    assert two.pts > 0
    feed.stop()


async def test_a_picture_that_was_read_before_the_switch_is_not_sent_after_it() -> None:
    source = Pictures()
    track = LocalVideoTrack(source)
    feed = Feed(TrackKind.VIDEO)
    feed.attach(track)
    waiting = asyncio.create_task(feed.recv())
    await asyncio.sleep(0)
    source.queue.put_nowait(picture(90_000))

    track.disable()
    sent = await waiting

    assert max(bytes(sent.planes[0])) == 16
    feed.stop()


async def test_a_source_that_fails_stops_its_track_not_the_feed(caplog: pytest.LogCaptureFixture) -> None:
    broken, whole = Pictures(), Pictures()
    track = LocalVideoTrack(broken, "camera")
    feed = Feed(TrackKind.VIDEO)
    feed.attach(track)
    broken.queue.put_nowait(OSError("cable pulled"))
    waiting = asyncio.create_task(feed.recv())
    for _ in range(5):
        await asyncio.sleep(0)

    assert track.is_stopped
    assert "cable pulled" in caplog.text
    feed.attach(LocalVideoTrack(whole))
    whole.queue.put_nowait(picture(1))
    assert (await waiting).width == 64
    feed.stop()


async def test_key_frame_requests_and_bit_rates_reach_the_source() -> None:
    source = EncodedPictures()
    feed = Feed(TrackKind.VIDEO)
    feed.request_keyframe()
    feed.attach(LocalVideoTrack(source))

    feed.request_keyframe()
    feed.set_bitrate(750_000)

    assert source.asked == 2  # once for the beginning
    assert source.bitrates == [750_000]
    feed.stop()
