"""Media from one aiortc client to others through the engine, on loopback."""

import asyncio
from collections.abc import AsyncIterator

import aioice.ice
import pytest

from appliance.media_engine import Connected, TrackFlowing, TrackKind
from appliance.sfu.engine import EmbeddedEngine
from appliance.sids import RoomSid, new_room_sid
from tests.support.sfu_clients import NumberedVideo, SfuClient, Tone, eventually


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice never offers 127.0.0.1 by itself."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture
async def engine() -> AsyncIterator[EmbeddedEngine]:
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    yield engine
    await engine.close()


@pytest.fixture
def room() -> RoomSid:
    return new_room_sid()


async def test_a_track_reaches_whoever_joins_later_with_the_first_answer(engine: EmbeddedEngine, room: RoomSid) -> None:
    alice, bob = SfuClient(engine, room, "alice"), SfuClient(engine, room, "bob")
    audio, video = alice.add_media(Tone(), TrackKind.AUDIO), alice.add_media(NumberedVideo(), TrackKind.VIDEO)
    try:
        await alice.join()
        await eventually(lambda: bool(alice.saw(Connected)), "alice connected")
        await bob.join(receive=frozenset({audio, video}))
        await eventually(lambda: bob.frames_of(audio) > 20 and bob.frames_of(video) > 20, "frames at bob")
    finally:
        await asyncio.gather(alice.leave(), bob.leave())

    assert [d.type for d in bob.descriptions] == ["answer"]
    assert {h.track_sid for h in alice.saw(TrackFlowing)} == {audio, video}


async def test_those_who_are_there_are_offered_what_a_newcomer_publishes(engine: EmbeddedEngine, room: RoomSid) -> None:
    alice, bob = SfuClient(engine, room, "alice"), SfuClient(engine, room, "bob")
    for client in (alice, bob):
        client.add_media(Tone(), TrackKind.AUDIO)
        client.add_media(NumberedVideo(), TrackKind.VIDEO)
    tracks = {client.name: frozenset(track.sid for track in client.published) for client in (alice, bob)}
    try:
        await alice.join(receive=tracks["bob"])
        await bob.join(receive=tracks["alice"])
        await eventually(
            lambda: (
                all(alice.frames_of(sid) > 20 for sid in tracks["bob"])
                and all(bob.frames_of(sid) > 20 for sid in tracks["alice"])
            ),
            "frames on both sides",
        )
    finally:
        await asyncio.gather(alice.leave(), bob.leave())

    assert [d.type for d in alice.descriptions] == ["answer", "offer"]
