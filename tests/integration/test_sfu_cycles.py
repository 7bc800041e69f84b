"""Joining and leaving many times leaves nothing behind."""

import asyncio
import gc
from unittest.mock import patch

import aioice.ice
import psutil
import pytest

from appliance.media_engine import Connected, TrackKind
from appliance.sfu.connection import Connection
from appliance.sfu.consumer import Consumer, OutSlot
from appliance.sfu.engine import EmbeddedEngine
from appliance.sfu.peer import Peer
from appliance.sfu.producer import InStream, Producer
from appliance.sids import new_room_sid
from tests.support.conditions import until
from tests.support.sfu_clients import SfuClient, Tone


async def visit(engine: EmbeddedEngine, host: SfuClient) -> None:
    """Join beside the host, hear it, be heard by it, and leave."""
    assert host.peer is not None
    guest = SfuClient(engine, host.room, "guest")
    track, chat = guest.add_media(Tone(), TrackKind.AUDIO), guest.add_data()
    host.peer.receive(frozenset({track, chat}))
    await guest.join(receive=frozenset(track.sid for track in host.published))
    await until("the guest hears the host", lambda: guest.frames_of(host.published[0].sid) > 0)
    await until("the host hears the guest", lambda: host.frames_of(track) > 0)
    await guest.leave()
    await until("the host is rid of the guest", lambda: not host.subscriptions)
    await until("settled", lambda: not host.subscriptions and host.peer is not None and host.peer._offer is None)


async def cycles(count: int) -> list[int]:
    """Run so many visits and return the memory in use after each, in bytes."""
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    resident = []
    try:
        with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"]):
            host = SfuClient(engine, new_room_sid(), "host")
            host.add_media(Tone(), TrackKind.AUDIO)
            await host.join()
            await until("the host is connected", lambda: bool(host.saw(Connected)))
            for _ in range(count):
                await visit(engine, host)
                host.happenings.clear()
                resident.append(psutil.Process().memory_info().rss)
            assert len(engine._peers) == 1
            assert len({id(c) for c in engine._port.path.connections.values()}) == 1
            assert len(host.peer._connection.sections.all if host.peer and host.peer._connection else ()) <= 4
            await host.leave()
        assert not engine._peers
        assert not engine._routers
        assert not engine._port._connections
        assert not engine._port.path.connections
    finally:
        await engine.close()
    return resident


async def test_nothing_is_left_of_those_who_came_and_went() -> None:
    gc.collect()
    kinds = (Connection, Peer, Producer, Consumer, InStream, OutSlot)
    before = [sum(isinstance(thing, kind) for thing in gc.get_objects()) for kind in kinds]

    await cycles(6)
    await asyncio.sleep(0)

    gc.collect()
    assert [sum(isinstance(thing, kind) for thing in gc.get_objects()) for kind in kinds] == before


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_hundred_and_fifty_visits_leave_memory_flat() -> None:
    resident = await cycles(150)

    # The client's own aiortc settles over the first visits; a leak of ours would go on growing.
    assert resident[-1] - resident[49] < 8 * 1024 * 1024
