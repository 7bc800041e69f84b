"""Two clients whose packets get lost, whose path falls silent, or who should not trust the service."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from appliance.client import peer_connection
from appliance.client.connect import connect
from appliance.client.local_tracks import EncodedAudioSource, LocalAudioTrack, LocalVideoTrack
from appliance.client.room import Room, RoomState
from appliance.errors import RoomError
from appliance.rooms.certificates import load_or_make
from tests.support.client_answering_service import AnsweringService, answering_service
from tests.support.client_sources import NumberedH264, NumberedPictures, SoundThread
from tests.support.client_watching import numbers_of, remote_track, until
from tests.support.lossy_relay import LossyRelay, Weather

MOST_SKIPPED = 10
"""Pictures, of 25 a second: what lasts longer is seen as a freeze."""

FAIR = Weather()
DEAD = Weather(loss=1.0)


@dataclass(frozen=True)
class World:
    url: str
    service: AnsweringService
    relay: LossyRelay


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with answering_service() as (url, service):
        port = service.engine._port
        async with LossyRelay(("127.0.0.1", service.engine.port), FAIR) as relay:
            port.candidates = (relay.address,)
            yield World(url, service, relay)


async def two(world: World, *tracks: Any) -> tuple[Room, Room]:
    alice = await connect("alice", url=world.url, name="lab", tracks=tracks)
    bob = await connect("bob", url=world.url, name="lab")
    return alice, bob


@pytest.mark.parametrize("source", [NumberedH264, NumberedPictures], ids=["H.264 as it comes", "VP8"])
async def test_with_every_twentieth_packet_lost_on_both_hops_nothing_freezes_and_sound_is_in_order(
    world: World, source: type[NumberedH264 | NumberedPictures]
) -> None:
    microphone = EncodedAudioSource()
    with SoundThread(microphone, 440):
        alice, bob = await two(world, LocalVideoTrack(source(), "camera"), LocalAudioTrack(microphone, "microphone"))
        track, voice = await remote_track(bob, "camera"), await remote_track(bob, "microphone")
        await numbers_of(track, 5)
        stamps: list[int] = []
        voice.add_packet_sink(lambda payload, timestamp: stamps.append(timestamp))

        world.relay.weather = Weather(loss=0.05, reorder=0.05)
        numbers = await numbers_of(track, 100)
        world.relay.weather = FAIR
    await alice.disconnect()
    await bob.disconnect()

    assert world.relay.down.lost > 5
    assert world.relay.up.lost > 5
    assert numbers == sorted(set(numbers))
    assert max(after - before for before, after in pairwise(numbers)) <= MOST_SKIPPED
    assert numbers[-1] - numbers[0] < 110
    assert stamps == sorted(set(stamps))
    assert len(stamps) > 100


async def test_a_silent_path_is_noticed_and_media_comes_back_over_a_new_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_connection, "SILENCE_LIMIT_S", 1.0)
    monkeypatch.setattr(peer_connection, "CONNECT_DEADLINE_S", 2.0)
    alice, bob = await two(world, LocalVideoTrack(NumberedH264(), "camera"))
    await numbers_of(await remote_track(bob, "camera"), 5)
    seen: list[Any] = []
    bob.on("reconnecting", lambda error: seen.append(error.code))
    bob.on("reconnected", lambda: seen.append("reconnected"))
    world.relay.subject_to = lambda data: True

    world.relay.weather = DEAD
    await until(lambda: seen == [53405])
    world.relay.weather = FAIR

    await until(lambda: seen == [53405, "reconnected"])
    await until(lambda: alice.state is RoomState.CONNECTED)
    numbers = await numbers_of(await remote_track(bob, "camera"), 10)
    assert numbers == sorted(set(numbers))
    await alice.disconnect()
    await bob.disconnect()


async def test_a_path_that_stays_silent_ends_the_room_with_53405(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_connection, "SILENCE_LIMIT_S", 1.0)
    world.service.session_timeout_s = 2.0
    alice, bob = await two(world, LocalVideoTrack(NumberedH264(), "camera"))
    await numbers_of(await remote_track(bob, "camera"), 5)
    ended: list[Any] = []
    bob.on("disconnected", lambda room, error: ended.append(error.code))
    world.relay.subject_to = lambda data: True

    world.relay.weather = DEAD

    await until(lambda: ended == [53405])
    await bob.closed()
    await alice.disconnect()


async def test_a_certificate_that_is_not_trusted_is_named_and_one_with_its_authority_is(tmp_path: Path) -> None:
    certificate, key = load_or_make(tmp_path, ["localhost"], ["127.0.0.1"], datetime.now(UTC))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with answering_service(tls) as (url, _):
        with pytest.raises(
            RoomError, match=r"certificate of wss://127\.0\.0\.1:\d+/signaling is not trusted"
        ) as refusal:
            await connect("alice", url=url, name="lab")
        room = await connect("alice", url=url, name="lab", ca_file=str(certificate))
        await room.disconnect()

    assert refusal.value.code == 53000


async def test_plain_http_behind_https_is_named(tmp_path: Path) -> None:
    async with answering_service() as (url, _):
        with pytest.raises(RoomError, match=r"no secure connection to|cannot reach") as refusal:
            await connect("alice", url=url.replace("http:", "https:"), name="lab")

    assert refusal.value.code == 53000


async def test_a_web_server_that_is_no_rooms_service_is_named() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(RoomError, match="is no rooms service: HTTP status 404"):
            await connect("alice", url=f"http://127.0.0.1:{port}", name="lab")
