"""What those who are in a room do and see, over links that break: a real store, and an engine that moves nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import RoomError
from appliance.media_engine import Lost, TrackFailed, TrackKind
from appliance.rooms.conversation import (
    Changed,
    Resumed,
    ResumeRequest,
    Stopping,
    Superseded,
    UpdateRequest,
)
from appliance.rooms.publishing import TrackWish
from appliance.rooms.room import ParticipantStatus, RoomStatus
from appliance.rooms.store.tables import tracks
from tests.support.conditions import until
from tests.support.manual_clock import ManualClock
from tests.support.rooms_running import Client, RunningRooms, microphone, offer, running_rooms
from tests.support.rooms_stored import event_names, rows, settled


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def running(tmp_path: Path, clock: ManualClock) -> AsyncIterator[RunningRooms]:
    async with running_rooms(tmp_path, clock=clock) as running:
        yield running


async def test_muting_is_told_to_the_others(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    await ann.join("lobby", microphone())
    await bob.join("lobby")

    running.service.update(ann.here, UpdateRequest(revision=2, tracks=(microphone(enabled=False),)))
    await settled(running)

    assert [state.tracks[0].enabled for state in bob.seen] == [False]
    assert (await event_names(running))[-1] == "track-disabled"


async def test_an_update_that_is_old_changes_no_track(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    await ann.join("lobby", microphone())
    await bob.join("lobby")

    running.service.update(ann.here, UpdateRequest(revision=1, tracks=()))

    assert bob.seen == []


async def test_a_track_that_cannot_be_published_fails_alone_and_once(running: RunningRooms) -> None:
    ann = running.client("ann")
    await ann.join("lobby", microphone())
    twice = TrackWish(id="id-2", kind=TrackKind.AUDIO, name="mic")

    running.service.update(ann.here, UpdateRequest(revision=2, tracks=(microphone(), twice)))
    running.service.update(ann.here, UpdateRequest(revision=3, tracks=(microphone(), twice)))

    published = [message.published for message in ann.told if isinstance(message, Changed) and message.published]
    assert len(published) == 1
    assert [(state.id, state.error_code) for state in published[0].tracks] == [("id-mic", None), ("id-2", 53304)]
    assert published[0].revision > ann.joined.published.revision


async def test_a_track_in_no_codec_of_the_room_fails_before_it_has_a_sid(running: RunningRooms) -> None:
    ann = running.client("ann")
    await ann.join("lobby", microphone())
    running.engine.peer(ann.joined.participant.sid).unusable = frozenset({TrackKind.VIDEO})
    camera = TrackWish(id="id-cam", kind=TrackKind.VIDEO, name="cam")

    running.service.update(ann.here, UpdateRequest(revision=2, tracks=(microphone(), camera)))

    [published] = [message.published for message in ann.told if isinstance(message, Changed) and message.published]
    assert [(state.id, state.sid, state.error_code) for state in published.tracks][1:] == [("id-cam", None, 53404)]


async def test_a_track_that_the_engine_cannot_take_is_unpublished(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    sid = (await ann.join("lobby", microphone())).participant.tracks[0].sid
    await bob.join("lobby")

    running.engine.peer(ann.joined.participant.sid).say(TrackFailed(track_sid=sid, code=53404, message="no codec"))
    await until("bob sees it go", lambda: bob.seen)
    await settled(running)

    assert bob.seen[-1].tracks == ()
    assert (await event_names(running))[-1] == "track-removed"


async def test_leaving_an_ad_hoc_room_last_ends_it(running: RunningRooms) -> None:
    ann = running.client("ann")
    joined = await ann.join("lobby", microphone())
    told = len(ann.told)

    running.service.leave(ann.here)
    await settled(running)

    assert len(ann.told) == told
    room = await running.service.find_room(running.credentials.account_sid, joined.room_sid)
    assert room
    assert room.status is RoomStatus.COMPLETED
    assert await rows(running, tracks) == []
    await until("the engine is told", lambda: not any(running.engine.peers.values()))


async def test_lost_media_ends_the_stay_with_53405(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    joined = await ann.join("lobby")
    await bob.join("lobby")

    running.engine.peer(joined.participant.sid).say(Lost(reason="nothing for 30 s"))
    await until("ann is told", lambda: ann.failures)

    assert ann.failures == [53405]
    assert bob.seen[-1].state == "disconnected"


# --- links ------------------------------------------------------------------------------------------------------------


def sync(client: Client, **more: Any) -> ResumeRequest:
    given = {"token": client.token, "session": client.here.session, "revision": 1, "tracks": (microphone(),)}
    return ResumeRequest(**(given | {"peer_connections": (offer(),)} | more))


async def test_a_lost_link_is_reconnecting_and_a_resumed_one_connected(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    await ann.join("lobby", microphone())
    await bob.join("lobby")

    running.service.link_lost(ann.here)
    told: list[Any] = []
    await running.service.resume(sync(ann), told.append)

    assert [state.state for state in bob.seen] == [ParticipantStatus.RECONNECTING, ParticipantStatus.CONNECTED]
    (resumed,) = told
    assert isinstance(resumed, Resumed)
    assert (resumed.session, [state.identity for state in resumed.participants]) == (ann.here.session, ["bob"])
    assert [state.id for state in resumed.peer_connections] == ["pc"]
    assert "participant-disconnected" not in await event_names(running)


async def test_a_resume_tells_what_was_missed(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    await ann.join("lobby", microphone())
    running.service.link_lost(ann.here)
    await bob.join("lobby", microphone())
    told: list[Any] = []

    await running.service.resume(sync(ann), told.append)

    assert [state.identity for state in told[0].participants] == ["bob"]
    peer = running.engine.peer(ann.joined.participant.sid)
    assert peer.wanted == {bob.joined.participant.tracks[0].sid}


async def test_the_older_socket_is_superseded_and_says_nothing_any_more(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    await ann.join("lobby", microphone())
    await bob.join("lobby")

    await running.service.resume(sync(ann), lambda message: None)
    running.service.link_lost(ann.here)
    running.service.leave(ann.here)

    assert isinstance(ann.told[-1], Superseded)
    assert bob.seen == []


async def test_a_session_that_stays_away_too_long_has_left(running: RunningRooms, clock: ManualClock) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    await ann.join("lobby", microphone())
    await bob.join("lobby")
    running.service.link_lost(ann.here)

    clock.advance(29.9)
    running.service.expire()
    assert bob.seen[-1].state == "reconnecting"
    clock.advance(0.2)
    running.service.expire()

    assert (bob.seen[-1].state, len(bob.seen[-1].tracks)) == ("disconnected", 1)
    with pytest.raises(RoomError) as caught:
        await running.service.resume(sync(ann), lambda message: None)
    assert caught.value.code == 53002


@pytest.mark.parametrize(("change", "code"), [({"session": "unknown"}, 53001), ({"token": "x"}, 20101)])
async def test_a_resume_that_cannot_be_is_refused(running: RunningRooms, change: dict[str, str], code: int) -> None:
    ann = running.client("ann")
    await ann.join("lobby", microphone())

    with pytest.raises(RoomError) as caught:
        await running.service.resume(sync(ann, **change), lambda message: None)
    assert caught.value.code == code


async def test_nobody_resumes_the_session_of_somebody_else(running: RunningRooms) -> None:
    ann = running.client("ann")
    await ann.join("lobby", microphone())

    with pytest.raises(RoomError) as caught:
        await running.service.resume(sync(ann, token=running.token("eve")), lambda message: None)
    assert caught.value.code == 20103


async def test_a_token_that_expired_ends_at_the_next_resume(running: RunningRooms, clock: ManualClock) -> None:
    ann = running.client("ann")
    await ann.join("lobby", microphone())
    clock.advance(3 * 3600)

    with pytest.raises(RoomError) as caught:
        await running.service.resume(sync(ann), lambda message: None)
    assert caught.value.code == 20104


async def test_stopping_closes_every_link(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        ann = running.client("ann")
        await ann.join("lobby")

        await running.service.close()

        assert isinstance(ann.told[-1], Stopping)
