"""A kiosk's media is cut and comes back while its signaling lives: the room goes on, both ends have everything again.

Service and clients are the real ones. The short form has all limits at a quarter; `--long` has them as they are.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aioice.ice
import pytest
import pytest_asyncio

from appliance.client import peer_connection, room_media
from appliance.client.connect import connect
from appliance.client.local_tracks import EncodedAudioSource, LocalAudioTrack, LocalDataTrack, LocalVideoTrack
from appliance.client.peer_connection import PeerConnection
from appliance.client.room import Room, RoomState
from appliance.media_engine import PeerConnectionState
from appliance.rooms.service import ServiceSettings
from appliance.sfu import patience
from appliance.sfu.peer import Peer
from tests.support.client_rooms_service import RunningRooms, running_rooms
from tests.support.client_sources import NumberedH264, SoundThread, strength
from tests.support.client_watching import numbers_of, other, remote_track, until
from tests.support.lossy_relay import LossyRelay, Weather

logger = logging.getLogger(__name__)

QUARTER = 0.25
SESSION_TIMEOUT_S = 30.0
LIMITS = (
    (peer_connection, "SILENCE_LIMIT_S"),
    (peer_connection, "ANSWER_DEADLINE_S"),
    (peer_connection, "CONNECT_DEADLINE_S"),
    (room_media, "CHECK_INTERVAL_S"),
    (room_media, "REPLACEMENT_S"),
    (patience, "SILENCE_REPLACE_S"),
    (patience, "SILENCE_LIMIT_S"),
)
BOTH, UP, DOWN = ("up", "down"), ("up",), ("down",)
FIFTH_OF_A_SECOND = 10  # frames
TONES_HZ = {"kiosk": 440, "watcher": 880}


@pytest.fixture(params=[QUARTER, pytest.param(1.0, marks=pytest.mark.long)], ids=["short", "in full length"])
def scale(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Shorten every limit that has a part in this."""
    for module, name in LIMITS:
        monkeypatch.setattr(module, name, getattr(module, name) * request.param)
    return float(request.param)


@dataclass
class Person:
    """One end: what it publishes, and what its application was told."""

    room: Room
    chat: LocalDataTrack
    told: list[Any] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.room.on("reconnecting", lambda error: self.told.append(error.code))
        for event in ("reconnected", "disconnected", "participant_connected", "participant_disconnected"):
            self.room.on(event, lambda *_, event=event: self.told.append(event))
        self.room.on("track_subscribed", lambda track, *_: self.subscribed.append(track.sid))
        self.room.on("track_unsubscribed", lambda track, *_: self.subscribed.remove(track.sid))


@dataclass
class World:
    rooms: RunningRooms
    relay: LossyRelay
    scale: float
    kiosk: Person
    watcher: Person
    tracks: dict[str, set[str]]
    connection: PeerConnection | None = None
    """The kiosk's, as it was before the cut."""

    def cut(self, ways: Sequence[str]) -> None:
        assert self.kiosk.room._media is not None
        [self.connection] = self.kiosk.room._media.connections
        self.relay.weather = Weather(loss=1.0, ways=tuple(ways))

    def mend(self) -> None:
        self.relay.weather = Weather()

    async def last_for(self, seconds: float) -> None:
        """Let so much time go by, as it is counted here."""
        over = time.monotonic() + seconds * self.scale
        await until(lambda: time.monotonic() >= over, timeout_s=seconds + 10)

    def sids(self) -> dict[str, set[str]]:
        return {"kiosk": set(other(self.watcher.room).tracks), "watcher": set(other(self.kiosk.room).tracks)}

    async def everything_arrives(self) -> None:
        """Picture, sound and message of either at the other, each track once, over one connection."""
        began = time.monotonic()
        for sender, receiver in ((self.kiosk, self.watcher), (self.watcher, self.kiosk)):
            name = sender.room.local_participant.identity
            assert name is not None
            subscribed = receiver.subscribed
            await until(lambda: len(subscribed) == 3, timeout_s=40)  # noqa: B023  awaited here
            numbers = await numbers_of(await remote_track(receiver.room, "camera"), 10)
            assert numbers == sorted(set(numbers))
            logger.info("%s is seen again after %.1f s", name, time.monotonic() - began)
            await tone_comes(await remote_track(receiver.room, "microphone"), TONES_HZ[name])
            await self.message_comes(sender, receiver)
            assert sorted(receiver.subscribed) == sorted(self.tracks[name])
            assert receiver.room.state is RoomState.CONNECTED
            assert receiver.room._media is not None
            assert len(receiver.room._media.connections) == 1
        assert self.sids() == self.tracks

    async def message_comes(self, sender: Person, receiver: Person) -> None:
        heard: list[Any] = []
        (await remote_track(receiver.room, "chat")).on("message", lambda data, _: heard.append(data))
        sender.chat.send("here")
        await until(lambda: heard == ["here"])

    async def is_whole_again(self) -> None:
        """The kiosk has got over it, everything arrives, nobody has left, and the watcher has felt nothing."""
        before = self.connection

        def is_over() -> bool:
            media = self.kiosk.room._media
            assert media is not None
            return any(each is not before and each.is_connected for each in media.connections)

        began = time.monotonic()
        await until(is_over, timeout_s=40)
        logger.info("connected again after %.1f s", time.monotonic() - began)
        await self.everything_arrives()
        assert self.watcher.told == []
        assert self.kiosk.told in ([], [53405, "reconnected"])


async def tone_comes(track: Any, frequency_hz: float) -> None:
    """Wait for a fifth of a second of this tone without a gap: a busy machine makes some."""
    strongest, last = 0.0, deque[Any](maxlen=FIFTH_OF_A_SECOND)
    try:
        async with asyncio.timeout(20):
            async for frame in track.frames():
                last.append(frame)
                if len(last) == FIFTH_OF_A_SECOND:
                    strongest = max(strongest, strength(last, frequency_hz))
                    last.clear()
                if strongest > 0.8:
                    return
    except TimeoutError:
        pytest.fail(f"a tone of {frequency_hz} Hz did not come; the nearest to it had a share of {strongest:.2f}")


@pytest_asyncio.fixture
async def world(scale: float, tmp_path: Path) -> AsyncIterator[World]:
    settings = ServiceSettings(session_timeout_s=SESSION_TIMEOUT_S * scale)
    async with AsyncExitStack() as parts:
        rooms = await parts.enter_async_context(running_rooms(tmp_path, settings))
        engine = rooms.engine
        relay = await parts.enter_async_context(LossyRelay(("127.0.0.1", engine.port), Weather()))
        relay.subject_to = lambda data: True
        engine._port.candidates = (relay.address,)

        async def join(identity: str) -> Person:
            microphone = EncodedAudioSource()
            parts.enter_context(SoundThread(microphone, TONES_HZ[identity]))
            chat = LocalDataTrack("chat")
            tracks = [LocalVideoTrack(NumberedH264(), "camera"), LocalAudioTrack(microphone, "microphone"), chat]
            room = await connect(rooms.token(identity), url=rooms.url, name="lab", tracks=tracks)
            parts.push_async_callback(room.disconnect)
            person = Person(room, chat)
            person.listen()
            return person

        watcher = await join("watcher")
        await until(lambda: watcher.room._media is not None and watcher.room._media.connections[0].is_connected)
        relay.spared = relay.clients
        kiosk = await join("kiosk")
        watcher.told.clear()
        made = World(rooms, relay, scale, kiosk, watcher, {})
        await until(lambda: len(watcher.subscribed) == len(kiosk.subscribed) == 3)
        made.tracks = made.sids()
        await made.everything_arrives()
        yield made


@pytest.mark.parametrize(
    ("ways", "seconds"),
    [
        pytest.param(BOTH, 20.0, id="both ways for 20 s"),
        pytest.param(UP, 13.0, id="up for 13 s"),
        pytest.param(DOWN, 13.0, id="down for 13 s"),
        pytest.param(BOTH, 13.0, id="both ways for 13 s", marks=pytest.mark.long),
        pytest.param(UP, 20.0, id="up for 20 s", marks=pytest.mark.long),
        pytest.param(DOWN, 20.0, id="down for 20 s", marks=pytest.mark.long),
    ],
)
async def test_after_a_cut_both_ends_see_and_hear_each_other_again_and_nobody_has_left(
    world: World, ways: tuple[str, ...], seconds: float
) -> None:
    world.cut(ways)
    await world.last_for(seconds)
    world.mend()

    await world.is_whole_again()
    if ways != UP:  # else the service has it replaced, of which nothing is told where it is quick
        assert world.kiosk.told == [53405, "reconnected"]


@pytest.mark.parametrize("late", [False, pytest.param(True, marks=pytest.mark.long)], ids=["never", "late"])
async def test_offers_that_are_answered_late_or_never_keep_nobody_out(
    world: World, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    hears = Peer.describe
    unheard: list[tuple[Peer, Sequence[PeerConnectionState]]] = []

    def deaf(peer: Peer, states: Sequence[PeerConnectionState]) -> None:
        if peer.sid == world.kiosk.room.local_participant.sid:
            unheard.append((peer, states))
        else:
            hears(peer, states)

    monkeypatch.setattr(Peer, "describe", deaf)
    world.cut(BOTH)
    await world.last_for(8.0)
    world.mend()
    await world.last_for(6.0)  # beyond the moment at which the service asks for a connection
    monkeypatch.setattr(Peer, "describe", hears)
    for peer, states in unheard if late else ():
        peer.describe(states)

    await world.is_whole_again()
    assert world.kiosk.told == [53405, "reconnected"]


async def test_a_path_on_which_answers_take_most_of_a_second_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.1)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 3)
    before = world.kiosk.room._media and world.kiosk.room._media.connections

    world.relay.weather = Weather(delay_s=0.4)
    await world.last_for(20.0)

    assert world.kiosk.told == []
    assert world.kiosk.room._media
    assert world.kiosk.room._media.connections == before
    await world.everything_arrives()
