"""The media port on a real machine: both families, a port that is taken, addresses that are told."""

import asyncio
import socket
from contextlib import closing, suppress

import pytest
from aioice import stun as aioice_stun
from OpenSSL import SSL

from appliance.errors import ConfigurationError
from appliance.media_engine import (
    Description,
    DescriptionType,
    Happening,
    Negotiate,
    PeerConnectionState,
    RoomMediaPolicy,
)
from appliance.sfu.engine import EmbeddedEngine
from appliance.sids import new_participant_sid, new_room_sid
from tests.support.sfu_harness import CHROMIUM_OFFER

DTLS_HANDSHAKE = 22


def has_ipv6() -> bool:
    try:
        with closing(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


async def answer_of(engine: EmbeddedEngine) -> str:
    """Join with a browser's offer and return our answer to it."""
    told: asyncio.Queue[Happening] = asyncio.Queue()
    offer = Description(type=DescriptionType.OFFER, revision=1, sdp=CHROMIUM_OFFER)
    engine.join(
        new_room_sid(),
        new_participant_sid(),
        RoomMediaPolicy(),
        told.put_nowait,
        tracks=(),
        receive=frozenset(),
        peer_connections=(PeerConnectionState(id="pc", description=offer),),
    )
    happening = await asyncio.wait_for(told.get(), 5)
    assert isinstance(happening, Negotiate)
    description = happening.peer_connections[0].description
    assert description is not None
    return description.sdp or ""


def values(sdp: str, name: str) -> list[str]:
    return [line.partition(":")[2] for line in sdp.split("\r\n") if line.startswith(f"a={name}:")]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here"))]
)
async def test_a_check_on_either_family_is_answered_with_the_address_it_came_from(host: str) -> None:
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1", "::1"))
    try:
        sdp = await answer_of(engine)
        ufrag, password = values(sdp, "ice-ufrag")[0], values(sdp, "ice-pwd")[0]
        assert f"udp {126 << 24 | 65535 << 8 | 255} 127.0.0.1 {engine.port} typ host" in sdp
        check = aioice_stun.Message(aioice_stun.Method.BINDING, aioice_stun.Class.REQUEST, transaction_id=b"t" * 12)
        check.attributes["USERNAME"] = f"{ufrag}:Bj7u"
        check.add_message_integrity(password.encode())
        with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)) as sock:
            sock.setblocking(False)
            sock.bind((host, 0))
            loop = asyncio.get_running_loop()
            await loop.sock_sendto(sock, bytes(check), (host, engine.port))
            data = await asyncio.wait_for(loop.sock_recv(sock, 2048), 5)
            own = sock.getsockname()[:2]
        answer = aioice_stun.parse_message(data)
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == own
    finally:
        await engine.close()


def client_hello() -> bytes:
    client = SSL.Connection(SSL.Context(SSL.DTLS_CLIENT_METHOD), None)
    client.set_connect_state()
    with suppress(SSL.WantReadError):
        client.do_handshake()
    return client.bio_read(2048)


async def test_a_handshake_is_answered_where_the_client_speaks_though_it_checked_elsewhere_first() -> None:
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    loop = asyncio.get_running_loop()
    try:
        sdp = await answer_of(engine)
        check = aioice_stun.Message(aioice_stun.Method.BINDING, aioice_stun.Class.REQUEST, transaction_id=b"t" * 12)
        check.attributes["USERNAME"] = f"{values(sdp, 'ice-ufrag')[0]}:Bj7u"
        check.add_message_integrity(values(sdp, "ice-pwd")[0].encode())
        with (
            closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as first,
            closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as chosen,
        ):
            for sock in (first, chosen):
                sock.setblocking(False)
                sock.bind(("127.0.0.1", 0))
                await loop.sock_sendto(sock, bytes(check), ("127.0.0.1", engine.port))
                await asyncio.wait_for(loop.sock_recv(sock, 2048), 5)

            await loop.sock_sendto(chosen, client_hello(), ("127.0.0.1", engine.port))

            flight = await asyncio.wait_for(loop.sock_recv(chosen, 2048), 5)
            assert flight[0] == DTLS_HANDSHAKE
            with pytest.raises(BlockingIOError):
                first.recv(2048)
    finally:
        await engine.close()


async def test_only_addresses_of_a_bound_family_are_told_in_the_order_given() -> None:
    engine = await EmbeddedEngine.open(
        hosts=("127.0.0.1",), advertised_addresses=("192.0.2.9", "2001:db8::9", "127.0.0.1")
    )
    try:
        sdp = await answer_of(engine)
    finally:
        await engine.close()

    told = [value.split()[4] for value in values(sdp, "candidate")]
    assert told[:2] == ["192.0.2.9", "127.0.0.1"]
    assert "2001:db8::9" not in told


async def test_a_port_that_is_taken_is_an_error_that_names_it() -> None:
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    try:
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{engine.port}/udp"):
            await EmbeddedEngine.open(hosts=("127.0.0.1",), port=engine.port)
    finally:
        await engine.close()


async def test_a_closed_engine_gives_the_port_back_and_may_be_closed_again() -> None:
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    port = engine.port
    await answer_of(engine)

    await engine.close()
    await engine.close()

    again = await EmbeddedEngine.open(hosts=("127.0.0.1",), port=port)
    assert again.port == port
    await again.close()
