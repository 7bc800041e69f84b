"""How stays and rooms end, and what is kept of them: a real store, and an engine that moves nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.errors import RoomError
from appliance.rooms.conversation import (
    Removed,
    RoomEnded,
)
from appliance.rooms.room import RoomSettings, RoomStatus
from appliance.rooms.store.tables import events, participants, rooms, tracks
from appliance.sids import new_room_sid
from tests.support.manual_clock import ManualClock
from tests.support.rooms_running import RunningRooms, microphone, running_rooms
from tests.support.rooms_stored import event_names, rows, settled


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def running(tmp_path: Path, clock: ManualClock) -> AsyncIterator[RunningRooms]:
    async with running_rooms(tmp_path, clock=clock) as running:
        yield running


async def test_completing_a_room_tells_everybody_and_everything(running: RunningRooms) -> None:
    account = running.credentials.account_sid
    ann, bob = running.client("ann"), running.client("bob")
    await ann.join("lobby", microphone("a"), microphone("b"))
    await bob.join("lobby", microphone("c"))

    room = await running.service.complete_room(account, "lobby")

    assert room
    assert room.status is RoomStatus.COMPLETED
    assert [client.told[-1] for client in (ann, bob)] == [RoomEnded(), RoomEnded()]
    ends = (await event_names(running))[-6:]
    assert (ends.count("track-removed"), ends.count("participant-disconnected"), ends[-1]) == (3, 2, "room-ended")
    with pytest.raises(RoomError) as caught:
        await running.service.complete_room(account, room.sid)
    assert caught.value.code == 53112
    assert await running.service.complete_room(account, "lobby") is None
    assert await running.service.complete_room(account, new_room_sid()) is None


async def test_a_kick_ends_one_stay_without_an_error(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    joined = await ann.join("lobby")
    await bob.join("lobby")

    await running.service.remove_participant(running.credentials.account_sid, joined.room_sid, joined.participant.sid)

    assert isinstance(ann.told[-1], Removed)
    assert bob.seen[-1].state == "disconnected"


async def test_a_room_that_nobody_joins_ends_by_itself(running: RunningRooms, clock: ManualClock) -> None:
    account = running.credentials.account_sid
    room = await running.service.create_room(account, "lobby", RoomSettings(unused_timeout_min=1))

    clock.advance(60)
    running.service.expire()
    await settled(running)

    ended = await running.service.find_room(account, room.sid)
    assert ended
    assert ended.status is RoomStatus.COMPLETED
    assert [row.reason for row in await rows(running, events)] == [None, "unused-timeout"]


async def test_a_stay_ends_with_53216_when_the_room_says_so(running: RunningRooms, clock: ManualClock) -> None:
    ann = running.client("ann")
    await ann.join("lobby")

    clock.advance(14_400)
    running.service.expire()

    assert ann.failures == [53216]


async def test_a_deadline_that_passed_while_the_service_was_down_fires_at_the_start(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running_rooms(tmp_path, clock=clock) as running:
        account = running.credentials.account_sid
        made = await running.service.create_room(account, "lobby", RoomSettings(unused_timeout_min=1))
    clock.advance(3600)

    async with running_rooms(tmp_path, clock=clock) as running:
        await settled(running)
        room = await running.service.find_room(account, made.sid)

    assert room
    assert room.status is RoomStatus.COMPLETED


async def test_old_rooms_are_forgotten_with_all_that_was_in_them(running: RunningRooms, clock: ManualClock) -> None:
    ann = running.client("ann")
    await ann.join("lobby", microphone())
    running.service.leave(ann.here)

    clock.advance(31 * 86_400)
    running.service.expire()
    await settled(running)

    for table in (rooms, participants, tracks, events):
        assert await rows(running, table) == []
