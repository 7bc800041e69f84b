"""Two people in a call go on undisturbed while others send the engine whatever harms."""

import asyncio
import gc
import hmac
import logging
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pylibsrtp
import pytest
from aiortc.rtcsctptransport import (
    SCTP_DATA_FIRST_FRAG,
    DataChunk,
    ForwardTsnChunk,
    HeartbeatChunk,
    InitChunk,
    SackChunk,
    serialize_packet,
    tsn_plus_one,
)
from google_crc32c import value as crc32c

from appliance.media_engine import Connected, Description, DescriptionType, PeerConnectionState, TrackKind
from appliance.sfu.connection import Connection
from appliance.sfu.data_relay import MOST_CHANNELS
from appliance.sfu.producer import InStream
from appliance.sfu.transport import MOST_HELD_BYTES, SecureTransport
from appliance.sids import TrackSid
from tests.support.conditions import until
from tests.support.sfu_clients import SfuClient, Tone, sfu_room
from tests.support.sfu_harness import CHROMIUM_OFFER, write_rtp


@dataclass
class Call:
    """Alice speaks to bob; mallory is in the room too."""

    alice: SfuClient
    bob: SfuClient
    mallory: SfuClient
    voice: TrackSid
    chat: TrackSid
    random: Random = field(default_factory=lambda: Random(6))
    errors: list[dict[str, Any]] = field(default_factory=list)

    async def goes_on(self) -> None:
        """Wait until bob hears and reads something that came after now."""
        heard, read = self.bob.frames_of(self.voice), len(self.bob.messages_of(self.chat))
        self.alice.channel_of(self.chat).send(f"after {read}")
        await until("bob hears alice", lambda: self.bob.frames_of(self.voice) > heard + 10)
        await until("bob reads alice", lambda: len(self.bob.messages_of(self.chat)) > read)
        assert not self.errors, self.errors

    @property
    def dtls(self) -> Any:
        assert self.mallory.pc.sctp is not None
        return self.mallory.pc.sctp.transport

    async def send(self, datagram: bytes) -> None:
        """Send from the address that is mallory's."""
        await self.dtls.transport._send(datagram)


@asynccontextmanager
async def call() -> AsyncIterator[Call]:
    async with sfu_room("alice", "bob", "mallory") as (alice, bob, mallory):
        voice, chat = alice.add_media(Tone(), TrackKind.AUDIO), alice.add_data()
        mallory.add_media(Tone(), TrackKind.AUDIO)
        mallory.add_data()
        await alice.join()
        await until("alice is connected", lambda: bool(alice.saw(Connected)))
        await bob.join(receive=frozenset({voice, chat}))
        await mallory.join(receive=frozenset({voice}), channels=frozenset({"hints"}))
        await until("mallory hears alice", lambda: mallory.frames_of(voice) > 0)
        await until("mallory's channel", lambda: "hints" in mallory.channels)
        await until("bob's channel", lambda: chat in bob.subscriptions and bob.subscriptions[chat].id in bob.channels)
        scene = Call(alice, bob, mallory, voice, chat)
        asyncio.get_running_loop().set_exception_handler(lambda _, context: scene.errors.append(context))
        await scene.goes_on()
        yield scene


def junk(random: Random) -> bytes:
    """Return a datagram of a kind that passes the first look, and is worth nothing."""
    first = random.choice(
        [b"", b"\x00\x01", b"\x16\xfe\xfd", b"\x80\x60", b"\x80\xc8", b"\x90\xef", b"\xbf\xff", b"\xff"]
    )
    body = random.randbytes(random.choice([0, 1, 8, 11, 12, 20, 100, 1200, 2040, 4000]))
    if first == b"\x00\x01":
        body = body[: len(body) // 4 * 4]
        name = f"{random.getrandbits(32):08x}:them".encode()
        body = struct.pack("!HH", 6, len(name)) + name + bytes(-len(name) % 4) + body
        return struct.pack("!HHI12s", 1, len(body), 0x2112A442, random.randbytes(12)) + body
    return first + body


def engine_bytes() -> int:
    """Return how much memory the engine's own code holds, once what it let go is gone."""
    gc.collect()
    mine = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/appliance/sfu/*")])
    return sum(entry.size for entry in mine.statistics("filename"))


async def test_a_stranger() -> None:
    async with call() as scene:
        target = ("127.0.0.1", scene.alice.engine.port)

        async def flood(datagrams: int) -> None:
            for number in range(datagrams):
                stranger.sendto(junk(scene.random), target)
                if number % 16 == 0:
                    await asyncio.sleep(0)

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            await flood(2000)
            await scene.goes_on()
            known = len(scene.alice.engine._port.path.connections)
            tracemalloc.start()
            try:
                await flood(1000)
                await scene.goes_on()
                before = engine_bytes()
                await flood(4000)
                await scene.goes_on()
                grown = engine_bytes() - before
            finally:
                tracemalloc.stop()
            assert len(scene.alice.engine._port.path.connections) == known
            # Had one datagram in twenty left something behind, it would be more than this.
            assert grown < 20_000
            stranger.setblocking(False)
            with pytest.raises(BlockingIOError):
                stranger.recv(1)  # and no answer to any of it


async def rtp(scene: Call) -> None:
    # None of the streams that mallory's own sender has: it would stumble over the numbers.
    streams = [scene.random.getrandbits(32) for _ in range(300)]
    for _ in range(800):
        packet = write_rtp(
            scene.random.choice([0, 96, 97, 127]),
            scene.random.getrandbits(16),
            scene.random.getrandbits(32),
            scene.random.choice(streams),
            scene.random.randbytes(scene.random.choice([0, 1, 3, 1000])),
            extensions=scene.random.choice(
                [None, {scene.random.randint(1, 14): scene.random.choice([b"0", b"1", b"xyzw"])}]
            ),
        )
        with suppress(pylibsrtp.Error):  # it protects no number that is far behind
            protected = scene.dtls._tx_srtp.protect(packet)
            await scene.send(protected)
            await scene.send(protected)
            await scene.send(protected[: scene.random.randint(0, len(protected))])


async def rtcp(scene: Call) -> None:
    for _ in range(1500):
        parts = b""
        for _ in range(scene.random.randint(1, 8)):
            body = scene.random.randbytes(4 * scene.random.randint(1, 30))
            kind = scene.random.choice([200, 201, 202, 203, 204, 205, 206])
            parts += struct.pack("!BBH", 0x80 | scene.random.getrandbits(6), kind, len(body) // 4) + body
        await scene.send(scene.dtls._tx_srtp.protect_rtcp(parts[:1300]))


async def nacks(scene: Call) -> None:
    """Ask for everything again, as often as a packet holds."""
    assert scene.mallory.peer is not None
    assert scene.mallory.peer._connection is not None
    slot = next(iter(scene.mallory.peer._connection._slots.values()))
    for _ in range(300):
        everything = b"".join(struct.pack("!HH", scene.random.getrandbits(16), 0xFFFF) for _ in range(250))
        body = struct.pack("!II", 1, slot.ssrc) + everything
        await scene.send(scene.dtls._tx_srtp.protect_rtcp(struct.pack("!BBH", 0x81, 205, len(body) // 4) + body))


async def dtls_records(scene: Call) -> None:
    for _ in range(600):
        await scene.send(bytes([scene.random.randint(20, 63)]) + scene.random.randbytes(scene.random.randint(0, 400)))


async def sctp_nonsense(scene: Call) -> None:
    sctp: Any = scene.mallory.pc.sctp
    for number in range(400):
        body = scene.random.randbytes(scene.random.randint(0, 200))
        chunk: Any = DataChunk(flags=scene.random.getrandbits(3))
        chunk.tsn, chunk.stream_id = scene.random.getrandbits(32), scene.random.getrandbits(16)
        chunk.protocol, chunk.user_data = scene.random.choice([50, 51, 53, 56, 57, 9]), body
        if number % 7 == 0:
            chunk = ForwardTsnChunk()
            chunk.cumulative_tsn, chunk.streams = scene.random.getrandbits(32), [(1, 2), (65535, 9)]
        if number % 11 == 0:
            chunk = SackChunk()
            chunk.cumulative_tsn, chunk.gaps = scene.random.getrandbits(32), [(5, 2)]
        packet = serialize_packet(sctp._local_port, sctp._remote_port, sctp._remote_verification_tag, chunk)
        await scene.dtls._send_data(packet)
        await scene.dtls._send_data(packet[:12] + body)
    init: Any = InitChunk()
    init.initiate_tag, init.inbound_streams, init.outbound_streams, init.advertised_rwnd = 1, 1, 1, 1
    await scene.dtls._send_data(serialize_packet(sctp._local_port, sctp._remote_port, 0, init))


async def sctp_that_takes_for_ever(scene: Call) -> None:
    """A parameter of length 0, which aiortc would read for ever; acknowledgements of everything, again and again."""
    sctp: Any = scene.mallory.pc.sctp
    beat, acknowledged = HeartbeatChunk(), SackChunk()
    beat.params = [(1, b"x")]
    acknowledged.cumulative_tsn, acknowledged.gaps = sctp._last_received_tsn, [(0, 65535)] * 200
    endless = serialize_packet(sctp._local_port, sctp._remote_port, sctp._remote_verification_tag, beat)
    endless = endless[:18] + bytes(2) + endless[20:]
    checksum = struct.pack("<L", crc32c(endless[:8] + bytes(4) + endless[12:]))
    for _ in range(20):
        await scene.dtls._send_data(endless[:8] + checksum + endless[12:])
        await scene.dtls._send_data(
            serialize_packet(sctp._local_port, sctp._remote_port, sctp._remote_verification_tag, acknowledged)
        )


async def messages_without_end(scene: Call) -> None:
    sctp: Any = scene.mallory.pc.sctp
    tsn = sctp._local_tsn
    for number in range(2500):
        chunk = DataChunk(flags=SCTP_DATA_FIRST_FRAG if number == 0 else 0)
        chunk.tsn, chunk.stream_id, chunk.protocol, chunk.user_data = tsn, 1, 53, bytes(1100)
        tsn = tsn_plus_one(tsn)
        await scene.dtls._send_data(
            serialize_packet(sctp._local_port, sctp._remote_port, sctp._remote_verification_tag, chunk)
        )
        if number % 8 == 0:
            await asyncio.sleep(0)
    assert scene.mallory.peer is not None
    assert scene.mallory.peer._connection is not None
    association = scene.mallory.peer._connection._transport._sctp
    held = [stream.reassembly for stream in association._inbound_streams.values()] if association is not None else []
    assert sum(len(chunk.user_data) for chunks in held for chunk in chunks) <= MOST_HELD_BYTES + 1024 * 1024 + 1200


async def channels_and_messages(scene: Call) -> None:
    channels = [scene.mallory.pc.createDataChannel(f"extra-{number}") for number in range(2 * MOST_CHANNELS)]
    for _ in range(3000):
        scene.mallory.channels["hints"].send("x" * 200)
    await until(
        "some are refused", lambda: sum(channel.readyState == "closed" for channel in channels) >= MOST_CHANNELS
    )


async def checks(scene: Call) -> None:
    """Checks with the right password, from mallory's address and from others."""
    ice = scene.dtls.transport._connection
    name = f"{ice.remote_username}:{ice.local_username}".encode()
    body = struct.pack("!HH", 6, len(name)) + name + bytes(-len(name) % 4) + struct.pack("!HH", 0x25, 0)
    target = ("127.0.0.1", scene.alice.engine.port)
    for _ in range(40):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            for _ in range(20):
                signed = struct.pack("!HHI12s", 1, len(body) + 24, 0x2112A442, scene.random.randbytes(12)) + body
                integrity = hmac.digest(ice.remote_password.encode(), signed, "sha1")
                other.sendto(signed + struct.pack("!HH", 8, 20) + integrity, target)
            await asyncio.sleep(0)
    assert len(scene.alice.engine._port.path.connections) < 40


async def descriptions(scene: Call) -> None:
    peer = scene.mallory.peer
    assert peer is not None
    lines = (scene.mallory.pc.localDescription.sdp or "").splitlines()
    texts = [CHROMIUM_OFFER, "", "v=0", "m=" * 1000, "\0" * 100]
    for number in range(60):
        changed = list(lines)
        for _ in range(3):
            changed[scene.random.randrange(len(changed))] = scene.random.choice(lines)
        texts.append("\r\n".join(changed))
        kind = scene.random.choice([DescriptionType.OFFER, DescriptionType.ANSWER])
        said = Description(type=kind, revision=1000 + number, sdp=scene.random.choice(texts))
        pc_id = scene.random.choice([scene.mallory.pc_id, "another"])
        peer.describe((PeerConnectionState(id=pc_id, description=said),))
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "attack",
    [
        rtp,
        rtcp,
        nacks,
        dtls_records,
        sctp_nonsense,
        sctp_that_takes_for_ever,
        messages_without_end,
        channels_and_messages,
        checks,
        descriptions,
    ],
    ids=lambda attack: attack.__name__,
)
async def test_a_participant(attack: Callable[[Call], Awaitable[None]], caplog: pytest.LogCaptureFixture) -> None:
    async with call() as scene:
        scene.mallory._listen = lambda happening: None  # type: ignore[method-assign]  # what it is told, it ignores
        await attack(scene)
        await scene.goes_on()
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

        await scene.mallory.leave()
        gc.collect()
        known = [entry for entry in gc.get_objects() if isinstance(entry, Connection | SecureTransport)]
        assert len(known) == 4, "alice's and bob's"
        assert len({id(owner) for owner in scene.alice.engine._port.path.connections.values()}) == 2
        streams = [entry for entry in gc.get_objects() if isinstance(entry, InStream)]
        assert {id(stream.connection) for stream in streams} <= {id(entry) for entry in known}
        assert len(scene.alice.engine._port.handshakes) == 0
        await scene.goes_on()
