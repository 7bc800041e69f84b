"""A client whose network changes under it stays in the room: the real service beyond two cables, in namespaces."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.client.connect import connect
from appliance.client.local_tracks import LocalDataTrack, LocalVideoTrack
from appliance.client.peer_connection import PeerConnection
from appliance.client.room import Room, RoomState
from tests.support.client_rooms_service import RunningRooms, running_rooms
from tests.support.client_sources import NumberedPictures
from tests.support.client_watching import numbers_of, other, remote_track, until
from tests.support.network_namespaces import SERVICE_ADDRESS, LoopInside, TwoMachines, inside, two_machines, why_not

logger = logging.getLogger(__name__)

REASON = why_not()
pytestmark = [pytest.mark.root, pytest.mark.skipif(REASON is not None, reason=REASON or "")]


@dataclass
class FarEnd:
    """The service and a participant beside it, on the service's loop."""

    rooms: RunningRooms
    bob: Room
    seen: list[str] = field(default_factory=list)

    def watch(self) -> None:
        events = ("participant_reconnecting", "participant_reconnected", "participant_disconnected")
        for event in events:
            self.bob.on(event, lambda *_, event=event: self.seen.append(event))


@dataclass
class World:
    machines: TwoMachines
    far: LoopInside
    end: FarEnd
    alice: Room
    note: LocalDataTrack
    seen: list[str] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)

    def connections(self) -> tuple[PeerConnection, ...]:
        assert self.alice._media is not None
        return self.alice._media.connections

    async def numbers_at_bob(self, count: int) -> list[int]:
        async def take() -> list[int]:
            return await numbers_of(await remote_track(self.end.bob, "camera"), count)

        return await self.far.do(take())

    async def heard_at_bob(self, text: str) -> list[str]:
        """Send a message and return what has arrived when it has."""
        heard: list[str] = []

        async def listen() -> None:
            (await remote_track(self.end.bob, "note")).on("message", lambda data, _: heard.append(data))

        await self.far.do(listen())
        self.note.send(text)
        await until(lambda: text in heard)
        return heard


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async def begin(parts: AsyncExitStack) -> FarEnd:
        rooms = await parts.enter_async_context(running_rooms(tmp_path, host=SERVICE_ADDRESS))
        camera, chat = LocalVideoTrack(NumberedPictures(), "camera"), LocalDataTrack("chat")
        bob = await connect(rooms.token("bob"), url=rooms.url, name="lab", tracks=[camera, chat])
        parts.push_async_callback(bob.disconnect)
        end = FarEnd(rooms, bob)
        end.watch()
        return end

    with two_machines() as machines, LoopInside(machines.service) as far, inside(machines.kiosk):
        parts = AsyncExitStack()
        end = await far.do(begin(parts))
        camera, note = LocalVideoTrack(NumberedPictures(), "camera"), LocalDataTrack("note")
        token = end.rooms.token("alice")
        alice = await connect(token, url=end.rooms.url, name="lab", tracks=[camera, note], network_quality=True)
        made = World(machines, far, end, alice, note)
        alice.local_participant.on("network_quality_level_changed", lambda level, _: made.levels.append(level))
        for event in ("reconnecting", "reconnected", "disconnected"):
            alice.on(event, lambda *_, event=event: made.seen.append(event))
        try:
            await numbers_of(await remote_track(alice, "camera"), 5)
            await made.numbers_at_bob(5)
            yield made
        finally:
            await alice.disconnect()
            await far.do(parts.aclose())


def pull_and_use_the_other(machines: TwoMachines) -> None:
    machines.pull("first")
    machines.plug("second")


def new_lease(machines: TwoMachines) -> None:
    machines.lease("first", 77)


@pytest.mark.parametrize("change", [pull_and_use_the_other, new_lease])
async def test_the_room_is_kept_and_media_comes_back_both_ways(
    world: World, change: Callable[[TwoMachines], None], record_property: Callable[[str, object], None]
) -> None:
    sid, before = world.alice.local_participant.sid, world.connections()

    began = time.monotonic()
    change(world.machines)
    await until(lambda: world.seen == ["reconnecting", "reconnected"])
    reconnected_s = time.monotonic() - began
    numbers = await numbers_of(await remote_track(world.alice, "camera"), 5)
    there = await world.numbers_at_bob(5)
    media_s = time.monotonic() - began

    logger.info(
        "%s: reconnected after %.2f s, pictures both ways after %.2f s", change.__name__, reconnected_s, media_s
    )
    record_property("reconnected_s", reconnected_s)
    record_property("media_s", media_s)
    assert world.alice.state is RoomState.CONNECTED
    assert await world.heard_at_bob("over the other one") == ["over the other one"]
    await until(lambda: world.alice.local_participant.network_quality_level)
    assert 0 in world.levels
    assert world.alice.local_participant.sid == sid
    assert not set(before) & set(world.connections())
    assert numbers == sorted(set(numbers))
    assert there == sorted(set(there))
    assert "participant_disconnected" not in world.end.seen


async def test_a_cable_that_is_put_back_at_once_changes_nothing(world: World) -> None:
    before = world.connections()

    world.machines.pull("first")
    world.machines.plug("first")
    there = await world.numbers_at_bob(25)

    assert there == sorted(set(there))
    assert world.connections() == before
    assert world.seen == []


async def test_who_is_without_any_network_for_a_while_comes_back(world: World) -> None:
    world.machines.pull("first")
    await until(lambda: world.seen == ["reconnecting"])
    await until(lambda: not world.connections()[0].is_connected)

    world.machines.plug("second")

    await until(lambda: world.seen == ["reconnecting", "reconnected"])
    numbers = await numbers_of(await remote_track(world.alice, "camera"), 5)
    assert numbers == sorted(set(numbers))
    assert await world.numbers_at_bob(5)
    assert other(world.alice).identity == "bob"
