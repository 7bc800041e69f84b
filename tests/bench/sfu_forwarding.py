"""CPU per forwarded packet of the embedded engine's packet path: real sockets, real SRTP, no handshakes.

    python -m tests.bench.sfu_forwarding [--people 4] [--seconds 5]

Everyone in a room publishes 180 video packets/s of 1.05 kB and 50 Opus packets/s (media-engine.md 2) and receives
everybody else. The engine runs in this process, the people in a child; only this process's CPU time counts. The figure
is of use beside others of the same machine and minute only.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import socket
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection as PipeEnd
from random import Random

from pylibsrtp import Policy, Session

from appliance.media_engine import PublishedTrack, RoomMediaPolicy, TrackKind
from appliance.sfu.connection import Connection, ConnectionEvents
from appliance.sfu.consumer import Consumer
from appliance.sfu.description import read_description
from appliance.sfu.port import MediaPort, open_sockets
from appliance.sfu.producer import Producer
from appliance.sids import new_track_sid
from tests.support.sfu_harness import CERTIFICATE, CHROMIUM_OFFER, write_rtp

PROFILE = Policy.SRTP_PROFILE_AEAD_AES_256_GCM
VIDEO_PER_S, AUDIO_PER_S = 180, 50


def session(kind: int, key: bytes) -> Session:
    policy = Policy(key=key, ssrc_type=kind, srtp_profile=PROFILE)
    policy.window_size = 1024
    return Session(policy)


def key(number: int, way: str) -> bytes:
    return Random(f"{number} {way}").randbytes(44)


def people(count: int, port: int, seconds: float, pipe: PipeEnd) -> None:
    """Send and drain, in a process of its own."""
    sockets = []
    for _ in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        sockets.append(sock)
    pipe.send([sock.getsockname() for sock in sockets])
    pipe.recv()
    sessions = [session(Policy.SSRC_ANY_OUTBOUND, key(n, "up")) for n in range(count)]
    buffer = bytearray(2048)
    began, video, audio, got, sent = time.monotonic(), 0, 0, 0, 0
    while (passed := time.monotonic() - began) < seconds:
        while video < passed * VIDEO_PER_S:  # a frame of six packets at once, as cameras make them
            for _ in range(6):
                for sock, srtp in zip(sockets, sessions, strict=True):
                    extensions = {3: (video & 0xFFFF).to_bytes(2, "big"), 2: b"\0\0\0"}
                    packet = write_rtp(
                        96, video, video // 6 * 3000, 2001, b"\x10\x00" + bytes(1000), extensions=extensions
                    )
                    sock.sendto(srtp.protect(packet), ("127.0.0.1", port))
                    sent += 1
                video += 1
        while audio < passed * AUDIO_PER_S:
            for sock, srtp in zip(sockets, sessions, strict=True):
                packet = write_rtp(111, audio, audio * 960, 1001, bytes(80), extensions={1: b"\x30"})
                sock.sendto(srtp.protect(packet), ("127.0.0.1", port))
                sent += 1
            audio += 1
        for sock in sockets:
            try:
                while True:
                    sock.recv_into(buffer)
                    got += 1
            except BlockingIOError:
                pass
        time.sleep(0.002)
    pipe.send((sent, got))


def seat(
    port: MediaPort, sock: socket.socket, number: int, address: tuple[str, int]
) -> tuple[Connection, list[Session]]:
    """Make a connection that needs no handshake."""
    events = ConnectionEvents(
        ready=lambda: None,
        ended=lambda reason: None,
        streams_found=lambda: None,
        data_ready=lambda transport: None,
        channel_opened=lambda channel: None,
    )
    connection = Connection(port, CERTIFICATE, RoomMediaPolicy(), events, Random(number))
    kept = [
        session(Policy.SSRC_ANY_INBOUND, key(number, "up")),
        session(Policy.SSRC_ANY_OUTBOUND, key(number, "down")),
    ]
    connection.sections.apply_offer(read_description(CHROMIUM_OFFER))
    for section in connection.sections:
        if section.is_media:
            connection._bind_streams(section)
    connection.transport_cc_id, connection.audio_level_id = 3, 1
    connection.address, connection.sendto = address, sock.sendto
    connection.srtp_receive, connection.srtp_send = (s._srtp[0] for s in kept)
    port.path.connections[address] = connection
    return connection, kept


def subscribe_all(connections: Sequence[Connection]) -> None:
    for publisher in connections:
        for section in [s for s in publisher.sections if s.is_media]:
            track = PublishedTrack(sid=new_track_sid(), client_id="x", kind=TrackKind(section.kind))
            producer = Producer(track, "PA", lambda track: None)
            producer.bind(section.streams)
            for other in connections:
                if other is not publisher:
                    place = other.sections.add_media(section.kind)
                    place.consumer = consumer = Consumer(producer, "s")
                    consumer.slot = other.new_slot(place)
                    consumer.go_live()


async def measure(count: int, seconds: float) -> dict[str, float]:
    [sock] = open_sockets(["127.0.0.1"], 0)
    port = MediaPort([sock], ["127.0.0.1"])
    mine, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=people, args=(count, port.number, seconds, theirs))
    child.start()
    addresses = await asyncio.to_thread(mine.recv)
    seats = [seat(port, sock, number, address) for number, address in enumerate(addresses)]
    subscribe_all([connection for connection, _ in seats])
    port.start()
    before = resource.getrusage(resource.RUSAGE_SELF)
    mine.send("go")
    end = time.monotonic() + seconds + 0.5
    while time.monotonic() < end:
        await asyncio.sleep(0.05)
        for connection, _ in seats:
            connection.tick(time.monotonic())
    after = resource.getrusage(resource.RUSAGE_SELF)
    sent, got = await asyncio.to_thread(mine.recv)
    child.join(5)
    port.close()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "people": count,
        "packets_in": port.path.received,
        "packets_forwarded": port.path.forwarded,
        "sent": sent,
        "delivered": got,
        "cpu_s": round(cpu, 3),
        "us_per_forwarded": round(cpu / max(1, port.path.forwarded) * 1e6, 1),
        "user_share": round((after.ru_utime - before.ru_utime) / cpu, 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measure(given.people, given.seconds))))  # noqa: T201
