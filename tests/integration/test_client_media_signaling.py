"""Media signaling of a client over real data channels: what it tells, hears, and shows of it."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest_asyncio

from appliance.client.connect import connect
from appliance.client.link_report import NetworkQualityConfiguration
from appliance.client.local_tracks import LocalTrack, LocalVideoTrack
from appliance.client.options import BandwidthProfileOptions, VideoBandwidthProfile
from appliance.client.room import Room
from appliance.media_engine import Dimensions, TrackPriority
from appliance.signaling.quality import MediaLevels, ParticipantQuality, QualityReply, QualityReport
from appliance.signaling.side_channels import (
    ActiveSpeaker,
    Channel,
    EncodingHint,
    HintResult,
    PublisherHint,
    PublisherHintResults,
    PublisherHints,
    Ready,
    RenderHint,
    RenderHintResults,
    RenderHints,
    TrackPriorityWish,
    TrackResult,
    TrackSwitchOff,
)
from tests.support.client_answering_service import AnsweringService, answering_service
from tests.support.client_sources import NumberedPictures
from tests.support.client_watching import numbers_of, other, remote_track, until

BY_HAND = BandwidthProfileOptions(video=VideoBandwidthProfile(client_track_switch_off_control="manual"))
EVERYTHING: dict[str, Any] = {
    "dominant_speaker": True,
    "network_quality": NetworkQualityConfiguration(local=3, remote=1),
    "bandwidth_profile": BY_HAND,
}


@pytest_asyncio.fixture
async def world() -> AsyncIterator[tuple[str, AnsweringService]]:
    async with answering_service() as found:
        yield found


@pytest_asyncio.fixture
async def service(world: tuple[str, AnsweringService]) -> AnsweringService:
    return world[1]


@pytest_asyncio.fixture
async def join(world: tuple[str, AnsweringService]) -> AsyncIterator[Callable[..., Any]]:
    joined: list[Room] = []

    async def joining(identity: str, *tracks: LocalTrack, **options: Any) -> Room:
        room = await connect(identity, url=world[0], name="lab", tracks=tracks, **options)
        joined.append(room)
        return room

    yield joining
    for room in joined:
        await room.disconnect()


def heard_of(room: Any, *events: str) -> list[Any]:
    heard: list[Any] = []
    for event in events:
        room.on(event, lambda *arguments, event=event: heard.append((event, *arguments)))
    return heard


async def ready(service: AnsweringService, identity: str, count: int) -> None:
    await until(lambda: len(service.member(identity).heard(Ready)) == count)


async def test_only_what_is_asked_for_is_opened_and_ready_is_the_first_word(
    join: Any, service: AnsweringService
) -> None:
    await join("alice", dominant_speaker=True)
    await join("bob", **EVERYTHING)
    await join("carol", preferred_video_codecs="auto", receive_transcriptions=True)

    for identity, count in (("alice", 1), ("bob", 5), ("carol", 2)):
        await ready(service, identity, count)
    assert service.member("alice").open == {Channel.ACTIVE_SPEAKER}
    assert service.member("carol").open == {Channel.PUBLISHER_HINTS, Channel.TRANSCRIPTIONS}


async def test_whoever_speaks_is_the_dominant_speaker_also_before_we_know_them(
    join: Any, service: AnsweringService
) -> None:
    service.grants_late = True
    alice = await join("alice", dominant_speaker=True)
    heard = heard_of(alice, "dominant_speaker_changed")
    await ready(service, "alice", 1)
    bob = await join("bob")
    await until(lambda: alice.participants)
    [person] = alice.participants.values()

    for sid in (person.sid, person.sid, "PA-of-nobody", person.sid, None, person.sid):
        service.say("alice", Channel.ACTIVE_SPEAKER, ActiveSpeaker(participant=sid))
    await until(lambda: len(heard) == 5)
    assert alice.dominant_speaker is person
    await bob.disconnect()

    await until(lambda: alice.dominant_speaker is None)
    assert [speaker for _, speaker in heard] == [person, None, person, None, person, None]


async def test_a_report_with_real_figures_is_sent_a_second_after_each_answer(
    join: Any, service: AnsweringService
) -> None:
    alice = await join("alice", LocalVideoTrack(NumberedPictures(), "camera"), **EVERYTHING)
    bob = await join("bob", **EVERYTHING)
    await numbers_of(await remote_track(bob, "camera"), 5)

    def reported(identity: str, count: int) -> bool:
        return len(service.member(identity).heard(QualityReport)) >= count

    reply = QualityReply(local=ParticipantQuality(level=4))
    for identity in ("alice", "bob"):
        for count in range(1, 4):
            await until(partial(reported, identity, count))
            service.say(identity, Channel.NETWORK_QUALITY, reply)

    sent, received = (service.member(who).heard(QualityReport)[-1] for who in ("alice", "bob"))
    assert (sent.report_level, sent.remote_report_level) == (3, 1)
    assert sent.video.send.bitrate is not None
    assert sent.video.send.bitrate > 10_000
    assert received.video.recv.bitrate is not None
    assert received.video.recv.bitrate > 10_000
    assert received.video.recv.fraction_lost == 0
    assert received.ice.recv is not None
    assert received.ice.recv >= received.video.recv.bitrate
    assert alice.local_participant.network_quality_level == 4


async def test_levels_of_ours_and_of_others_are_shown_where_they_change(join: Any, service: AnsweringService) -> None:
    alice = await join("alice", **EVERYTHING)
    await join("bob")
    await until(lambda: alice.participants)
    [bob] = alice.participants.values()
    ours = heard_of(alice.local_participant, "network_quality_level_changed")
    theirs = heard_of(bob, "network_quality_level_changed")
    await ready(service, "alice", 5)
    audio = MediaLevels(send=5, recv=3)
    detailed = ParticipantQuality(level=3, audio=audio, video=MediaLevels(send=4, recv=4))

    for local, remote in ((5, 4), (5, 4)):
        remotes = {bob.sid: ParticipantQuality(level=remote), "PA-of-nobody": ParticipantQuality(level=1)}
        reply = QualityReply(local=ParticipantQuality(level=local), remotes=remotes)
        service.say("alice", Channel.NETWORK_QUALITY, reply)
    service.say("alice", Channel.NETWORK_QUALITY, QualityReply(local=detailed))

    await until(lambda: len(ours) == 2)
    assert [arguments[1:] for arguments in ours] == [(5, None), (3, detailed)]
    assert [arguments[1:] for arguments in theirs] == [(4, None)]
    assert (bob.network_quality_level, bob.network_quality_stats) == (4, None)

    alice.local_participant.set_network_quality_configuration(NetworkQualityConfiguration(local=1, remote=2))
    await until(lambda: [m for m in service.member("alice").heard(QualityReport) if m.remote_report_level == 2])


async def test_a_switched_off_video_is_told_on_track_publication_participant_and_room(
    join: Any, service: AnsweringService
) -> None:
    await join("alice", LocalVideoTrack(NumberedPictures(), "camera"))
    bob = await join("bob", **EVERYTHING)
    track = await remote_track(bob, "camera")
    alice = other(bob)
    publication = alice.tracks[track.sid]
    heard = [
        heard_of(track, "switched_off", "switched_on"),
        heard_of(publication, "track_switched_off", "track_switched_on"),
        heard_of(alice, "track_switched_off", "track_switched_on"),
        heard_of(bob, "track_switched_off", "track_switched_on"),
    ]
    await ready(service, "bob", 5)

    service.say("bob", Channel.TRACK_SWITCH_OFF, TrackSwitchOff(off=(track.sid, "MT-of-nobody")))
    await until(lambda: track.is_switched_off)
    service.say("bob", Channel.TRACK_SWITCH_OFF, TrackSwitchOff(off=(track.sid,)))
    service.say("bob", Channel.TRACK_SWITCH_OFF, TrackSwitchOff(on=(track.sid,)))
    await until(lambda: not track.is_switched_off)

    assert heard == [
        [("switched_off", track), ("switched_on", track)],
        [("track_switched_off", track), ("track_switched_on", track)],
        [("track_switched_off", track, publication), ("track_switched_on", track, publication)],
        [("track_switched_off", track, publication, alice), ("track_switched_on", track, publication, alice)],
    ]


async def test_a_track_that_was_off_before_it_came_is_off(join: Any, service: AnsweringService) -> None:
    alice = await join("alice")
    bob = await join("bob", **EVERYTHING)
    await ready(service, "bob", 5)
    bobs = service.member("bob")
    publishing = LocalVideoTrack(NumberedPictures(), "camera")
    alice.local_participant.add(publishing)
    await until(lambda: service.member("alice").sids)
    [sid] = service.member("alice").sids.values()

    service.say("bob", Channel.TRACK_SWITCH_OFF, TrackSwitchOff(off=(sid,)))
    track = await remote_track(bob, "camera")

    await until(lambda: track.is_switched_off)
    assert bobs.open >= {Channel.TRACK_SWITCH_OFF}


async def test_priorities_and_what_is_looked_at_reach_the_service(join: Any, service: AnsweringService) -> None:
    await join("alice", LocalVideoTrack(NumberedPictures(), "camera"))
    bob = await join("bob", **EVERYTHING)
    track = await remote_track(bob, "camera")
    member = service.member("bob")
    await ready(service, "bob", 5)

    track.set_priority(TrackPriority.HIGH)
    track.set_priority(None)
    track.switch_off()
    await until(lambda: len(member.heard(RenderHints)) == 1)
    track.switch_on()
    track.set_content_preferences(render_dimensions=Dimensions(width=320, height=180))
    await until(lambda: len(member.heard(TrackPriorityWish)) == 2)
    assert len(member.heard(RenderHints)) == 1  # the answer paces us
    service.say("bob", Channel.RENDER_HINTS, RenderHintResults(id=1, hints=(TrackResult(track=track.sid),)))

    await until(lambda: len(member.heard(RenderHints)) == 2)
    assert [wish.subscribe for wish in member.heard(TrackPriorityWish)] == [TrackPriority.HIGH, None]
    size = Dimensions(width=320, height=180)
    assert member.heard(RenderHints) == [
        RenderHints(id=1, hints=(RenderHint(track=track.sid, enabled=False),)),
        RenderHints(id=2, hints=(RenderHint(track=track.sid, enabled=True, render_dimensions=size),)),
    ]


async def test_a_video_that_nobody_takes_is_not_wanted_until_somebody_does(
    join: Any, service: AnsweringService
) -> None:
    await join("alice", LocalVideoTrack(NumberedPictures(), "camera"))
    bob = await join("bob", bandwidth_profile=BandwidthProfileOptions())
    track = await remote_track(bob, "camera")
    member = service.member("bob")

    await until(lambda: len(member.heard(RenderHints)) == 1)
    service.say("bob", Channel.RENDER_HINTS, RenderHintResults(id=1))
    await numbers_of(track, 3)
    await until(lambda: len(member.heard(RenderHints)) == 2)
    service.say("bob", Channel.RENDER_HINTS, RenderHintResults(id=2))

    await until(lambda: len(member.heard(RenderHints)) == 3)
    assert [[hint.enabled for hint in hints.hints] for hints in member.heard(RenderHints)] == [[False], [True], [False]]


async def test_over_a_new_connection_everything_is_told_again_on_new_channels(
    join: Any, service: AnsweringService
) -> None:
    await join("alice", LocalVideoTrack(NumberedPictures(), "camera"))
    bob = await join("bob", **EVERYTHING)
    track = await remote_track(bob, "camera")
    member = service.member("bob")
    await ready(service, "bob", 5)
    track.set_priority(TrackPriority.HIGH)
    track.set_content_preferences(render_dimensions=Dimensions(width=64, height=36))
    await until(lambda: member.heard(RenderHints) and member.heard(TrackPriorityWish))
    labels = dict(member.channels)

    bob._media.replace()

    await ready(service, "bob", 10)
    assert not set(labels.values()) & set(member.channels.values())
    await until(lambda: len(member.heard(RenderHints)) >= 2 and len(member.heard(TrackPriorityWish)) == 2)
    assert member.heard(RenderHints)[-1].hints == member.heard(RenderHints)[0].hints
    service.say("bob", Channel.TRACK_SWITCH_OFF, TrackSwitchOff(off=(track.sid,)))
    await until(lambda: track.is_switched_off)


async def test_a_publish_priority_is_told_to_everybody(join: Any) -> None:
    alice = await join("alice", LocalVideoTrack(NumberedPictures(), "camera"))
    bob = await join("bob")
    await remote_track(bob, "camera")
    heard = heard_of(bob, "track_publish_priority_changed")
    [publication] = alice.local_participant.tracks.values()

    publication.set_priority(TrackPriority.HIGH)

    await until(lambda: heard)
    [seen] = other(bob).tracks.values()
    assert heard == [("track_publish_priority_changed", TrackPriority.HIGH, seen, other(bob))]
    assert seen.publish_priority is TrackPriority.HIGH


async def test_a_video_that_nobody_receives_is_held_back_as_the_service_hints(
    join: Any, service: AnsweringService
) -> None:
    camera = NumberedPictures()
    alice = await join("alice", LocalVideoTrack(camera, "camera"), preferred_video_codecs="auto")
    bob = await join("bob")
    track = await remote_track(bob, "camera")
    await numbers_of(track, 3)
    await ready(service, "alice", 1)
    [sid] = alice.local_participant.tracks
    member = service.member("alice")

    def hint(id: int, sid: str, *layers: tuple[int, bool]) -> PublisherHints:
        encodings = tuple(EncodingHint(layer_index=index, enabled=enabled) for index, enabled in layers)
        return PublisherHints(id=id, hints=(PublisherHint(track=sid, encodings=encodings),))

    for message in (hint(1, "MT-of-nobody", (0, True)), hint(2, sid, (0, True), (1, True)), hint(3, sid, (0, False))):
        service.say("alice", Channel.PUBLISHER_HINTS, message)
    await until(lambda: len(member.heard(PublisherHintResults)) == 3)
    await until(lambda: camera.reads_waiting == 0)
    read = camera.number
    service.say("alice", Channel.PUBLISHER_HINTS, hint(4, sid, (0, True)))
    await numbers_of(track, 3)

    results = [(answer.id, answer.hints[0].result) for answer in member.heard(PublisherHintResults)]
    assert results == [
        (1, HintResult.UNKNOWN_TRACK),
        (2, HintResult.COULD_NOT_APPLY_HINT),
        (3, HintResult.OK),
        (4, HintResult.OK),
    ]
    assert camera.number > read
