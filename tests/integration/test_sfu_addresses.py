"""One UDP port on IPv4 and IPv6 at once, and what clients are told of it."""

import socket
from unittest.mock import patch

import aioice.ice
import pytest

from appliance.errors import RoomError
from appliance.media_engine import Connected, Negotiate, TrackKind
from appliance.sfu.engine import EmbeddedEngine
from appliance.sids import new_room_sid
from tests.support.conditions import until
from tests.support.sfu_clients import NumberedVideo, SfuClient

pytestmark = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")

BOTH = ("127.0.0.1", "::1")


def candidates(client: SfuClient) -> list[str]:
    """Return the addresses that the first answer names, best first."""
    negotiated = client.saw(Negotiate)[0].peer_connections[0].description
    lines = [line.split() for line in negotiated.sdp.splitlines() if line.startswith("a=candidate:")]
    assert {int(line[5]) for line in lines} == {client.engine.port}, "one port for all"
    priority = {line[4]: int(line[3]) for line in lines}
    return sorted(priority, key=lambda address: -priority[address])


async def test_a_client_with_ipv6_and_one_with_ipv4_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = await EmbeddedEngine.open(hosts=BOTH)
    room = new_room_sid()
    try:
        old, new = SfuClient(engine, room, "old"), SfuClient(engine, room, "new")
        video = old.add_media(NumberedVideo(), TrackKind.VIDEO)
        reply = new.add_media(NumberedVideo(), TrackKind.VIDEO)
        try:
            monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
            await old.join(receive=frozenset({reply}))
            await until("IPv4 connected", lambda: bool(old.saw(Connected)))
            monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["::1"])
            await new.join(receive=frozenset({video}))
            await until("IPv6 connected", lambda: bool(new.saw(Connected)))

            await until("one way", lambda: new.frames_of(video) > 20)
            await until("the other way", lambda: old.frames_of(reply) > 20)
            assert old.peer is not None
            assert new.peer is not None
            assert (old.peer.figures().address, new.peer.figures().address) == BOTH
            assert candidates(new) == list(BOTH)
        finally:
            await old.leave()
            await new.leave()
    finally:
        await engine.close()


@pytest.mark.parametrize(
    ("hosts", "advertised", "told"),
    [
        (BOTH, (), list(BOTH)),
        (BOTH, ("2001:db8::7", "203.0.113.7"), ["2001:db8::7", "203.0.113.7"]),
        (BOTH, ("203.0.113.7",), ["203.0.113.7"]),
        (("127.0.0.1",), ("2001:db8::7", "203.0.113.7", "192.168.1.7"), ["203.0.113.7", "192.168.1.7"]),
        (("::1",), ("2001:db8::7", "203.0.113.7"), ["2001:db8::7"]),
    ],
    ids=["own addresses", "both families", "one family", "bound to IPv4", "bound to IPv6"],
)
async def test_clients_are_told_the_advertised_addresses_of_the_families_that_are_bound(
    hosts: tuple[str, ...], advertised: tuple[str, ...], told: list[str]
) -> None:
    engine = await EmbeddedEngine.open(hosts=hosts, advertised_addresses=advertised)
    with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"]):
        client = SfuClient(engine, new_room_sid(), "anna")
        try:
            await client.join()
            await until("the answer", lambda: bool(client.saw(Negotiate)))

            assert candidates(client) == told
        finally:
            await client.leave()
            await engine.close()


async def test_an_engine_that_is_closed_takes_nobody_in() -> None:
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    await engine.close()
    client = SfuClient(engine, new_room_sid(), "late")
    try:
        with pytest.raises(RoomError) as refused:
            await client.join()

        assert refused.value.code == 53305
    finally:
        await client.leave()
