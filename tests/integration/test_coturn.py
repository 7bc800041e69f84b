"""Debian's coturn, its example configuration and our time-limited credentials, with clients that have no other way."""

import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import aioice.ice
import pytest
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer, RTCPeerConnection

from appliance.media_engine import Connected, TrackKind
from appliance.rooms.ice import TurnServer
from appliance.sfu.engine import EmbeddedEngine
from appliance.sids import new_room_sid
from appliance.signaling.states import IceServer
from tests.support.conditions import until
from tests.support.coturn import TRANSPORTS, Coturn
from tests.support.sfu_clients import NumberedVideo, SfuClient, Tone


@pytest.fixture(scope="module")
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    with Coturn(tmp_path_factory.mktemp("coturn")) as running:
        yield running


def relayed(engine: EmbeddedEngine, name: str, server: IceServer) -> SfuClient:
    """Return a client whose only ICE server is this one."""
    ice_server = RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)
    configuration = RTCConfiguration(iceServers=[ice_server], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
    with patch("tests.support.sfu_clients.RTCPeerConnection", lambda _: RTCPeerConnection(configuration)):
        return SfuClient(engine, new_room_sid(), name)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_that_has_only_the_relay_sends_and_receives(
    coturn: Coturn, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(coturn.certificate))
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    turn = TurnServer(urls=(coturn.url(transport),), secret=coturn.secret)
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    alice, bob = (relayed(engine, name, turn.for_client(name, time.time())) for name in ("alice", "bob"))
    bob.room = alice.room
    try:
        video = alice.add_media(NumberedVideo(), TrackKind.VIDEO)
        tone = alice.add_media(Tone(), TrackKind.AUDIO)
        await alice.join()
        await until("alice connected", lambda: bool(alice.saw(Connected)))
        await bob.join(receive=frozenset({video, tone}))

        await until("pictures", lambda: bob.frames_of(video) > 20)
        await until("sound", lambda: bob.frames_of(tone) > 20)
        for client in (alice, bob):
            candidates = [line for line in client.pc.localDescription.sdp.splitlines() if "candidate:" in line]
            assert candidates
            assert all("typ relay" in line for line in candidates)
    finally:
        await alice.leave()
        await bob.leave()
        await engine.close()


async def test_credentials_that_have_expired_or_are_made_up_open_nothing(
    coturn: Coturn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    right = TurnServer(urls=(coturn.url("udp"),), secret=coturn.secret)
    wrong = TurnServer(urls=(coturn.url("udp"),), secret="guessed")
    for server in (right.for_client("late", time.time() - 90_000), wrong.for_client("mallory", time.time())):
        ice_server = RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[ice_server]))
        connection.addTransceiver("audio")
        try:
            await connection.setLocalDescription(await connection.createOffer())
            assert "typ relay" not in connection.localDescription.sdp
        finally:
            await connection.close()
