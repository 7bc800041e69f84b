"""The packet path alone: encrypted datagrams in, encrypted datagrams out, with a network that costs nothing.

    python -m tests.bench.sfu_hot_path [--fan-out 0 1 3 9] [--packets 20000] [--thinned 0 1 2 3] [--profile]

What is left is Python and libsrtp. The difference between two fan-outs is a copy, the rest is a packet that came in. Of
use beside another version of the same minute. `--thinned`: and what it is where subscribers get the picture's temporal
layers up to this one only; 3, all of them again, is what a subscriber costs that was on a narrow line once.
"""

import argparse
import cProfile
import time
from itertools import product
from random import Random
from typing import Any, cast

from pylibsrtp import Policy, Session

from appliance.media_engine import PublishedTrack, RoomMediaPolicy, TrackKind
from appliance.sfu.connection import Connection, ConnectionEvents
from appliance.sfu.consumer import Consumer
from appliance.sfu.description import read_description
from appliance.sfu.port import MediaPort
from appliance.sfu.producer import Producer
from appliance.sids import new_track_sid
from tests.bench.sfu_streams import PLAIN
from tests.support.sfu_harness import CERTIFICATE, CHROMIUM_OFFER, write_rtp
from tests.support.vp8_packets import vp8_packet

VIDEO_PER_AUDIO = 18  # of five: 180 video and 50 audio packets a second
TICK_S = 0.05
PATTERN = ((0, True), (2, True), (1, True), (2, False), (0, False), (2, False), (1, False), (2, False))
"""(temporal layer, needs the base layer alone) of the pictures, as Chromium 156 sends them."""


class FreeSocket:
    """Gives one recording, takes everything."""

    def __init__(self, recording: list[bytes], address: tuple[str, int]) -> None:
        self._waiting = iter(recording)
        self._address = address

    def recvfrom_into(self, view: memoryview) -> tuple[int, tuple[str, int]]:
        data = next(self._waiting, None)
        if data is None:
            raise BlockingIOError
        view[: len(data)] = data
        return len(data), self._address

    def sendto(self, data: memoryview, address: tuple[str, int]) -> int:
        return len(data)

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 8444)


def session(kind: int, key: bytes) -> Session:
    policy = Policy(key=key, ssrc_type=kind, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_256_GCM)
    policy.window_size = 1024
    return Session(policy)


def recording(count: int, key: bytes) -> list[bytes]:
    """Return what a browser with camera and microphone sends, encrypted; three temporal layers, as in simulcast."""
    up = session(Policy.SSRC_ANY_OUTBOUND, key)
    packets = []
    video = audio = 0
    for number in range(count):
        extensions = {2: bytes(3), 3: (number & 0xFFFF).to_bytes(2)}
        if number % 23 < VIDEO_PER_AUDIO:
            frame, place = divmod(video, 6)
            temporal, is_sync = PATTERN[frame % len(PATTERN)]
            head = vp8_packet(frame, temporal, sync=is_sync, first=place == 0, key=frame == 0 and place == 0)
            payload = head + bytes(PLAIN[0].size)
            packet = write_rtp(96, video, frame * 3000, 2001, payload, marker=place == 5, extensions=extensions)
            video += 1
        else:
            packet = write_rtp(111, audio, audio * 960, 1001, bytes(80), extensions={**extensions, 1: b"\x30"})
            audio += 1
        packets.append(up.protect(packet))
    return packets


class Stage:
    """One who publishes, `fan_out` who receive, all keys known.

    `thinned`: the highest temporal layer of the picture that they get, None where none was ever left out.
    """

    def __init__(self, fan_out: int, packets: int, thinned: int | None = None) -> None:
        up = Random(1).randbytes(44)
        self.packets = packets
        self.socket = cast(Any, FreeSocket(recording(packets, up), ("127.0.0.1", 2000)))
        self.port = MediaPort([self.socket], ["127.0.0.1"])
        self._kept: list[Session] = []
        publisher, *others = (self._seat(number, up) for number in range(fan_out + 1))
        for section in [s for s in publisher.sections if s.is_media]:
            track = PublishedTrack(sid=new_track_sid(), client_id="x", kind=TrackKind(section.kind))
            producer = Producer(track, "PA", lambda track: None)
            producer.bind(section.streams)
            for other in others:
                place = other.sections.add_media(section.kind)
                place.consumer = consumer = Consumer(producer, "s")
                consumer.slot = other.new_slot(place)
                consumer.slot.thin(thinned)
                consumer.go_live()
        self.connections = [publisher, *others]

    def _seat(self, number: int, up: bytes) -> Connection:
        events = ConnectionEvents(
            ready=lambda: None,
            ended=lambda reason: None,
            streams_found=lambda: None,
            data_ready=lambda transport: None,
            channel_opened=lambda channel: None,
        )
        connection = Connection(self.port, CERTIFICATE, RoomMediaPolicy(), events, Random(number))
        connection.apply_offer(read_description(CHROMIUM_OFFER))  # no address yet, so no handshake
        kept = (session(Policy.SSRC_ANY_INBOUND, up), session(Policy.SSRC_ANY_OUTBOUND, Random(number).randbytes(44)))
        self._kept += kept
        connection.address, connection.sendto = ("127.0.0.1", 2000 + number), self.socket.sendto
        connection.srtp_receive, connection.srtp_send = (s._srtp[0] for s in kept)
        self.port.path.connections[connection.address] = connection
        return connection

    def run(self) -> float:
        """Forward the whole recording; return the seconds of CPU it took."""
        path, sock = self.port.path, self.socket
        before = -1
        began = time.process_time()
        while path.received != before:
            before = path.received
            path.receive(sock)
            for connection in self.connections:
                connection._arrivals.fresh.clear()
            path._behind.clear()  # a socket that is never empty is no overload here
        return time.process_time() - began


def ticks(stage: Stage, count: int = 2000) -> float:
    """Return the seconds of CPU of so many ticks of everybody, with the packets between them that there are."""
    publisher = stage.connections[0]
    now = time.monotonic()
    began = time.process_time()
    for number in range(count):
        now += TICK_S
        for place in range(11):
            publisher.arrived(((number * 11 + place) & 0xFFFF, now))
        for connection in stage.connections:
            connection.tick(now)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fan-out", type=int, nargs="+", default=[0, 1, 3, 9])
    parser.add_argument("--packets", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--thinned", type=int, nargs="+", default=[])
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    for fan_out, thinned in product(given.fan_out, (None, *given.thinned)):
        stages = [Stage(fan_out, given.packets, thinned) for _ in range(given.rounds)]
        if given.profile:
            cProfile.runctx("stages[0].run()", {}, {"stages": stages}, sort="tottime")
            continue
        least = min(stage.run() for stage in stages)
        idle = ticks(stages[0]) / 2000 * 20 / (fan_out + 1)
        forwarded = stages[0].port.path.forwarded
        layers = "" if thinned is None else f", temporal layers up to {thinned}"
        print(  # noqa: T201
            f"fan-out {fan_out}{layers}: {least / given.packets * 1e6:.2f} us a packet in, {forwarded} out; "
            f"ticks {idle * 1e6:.0f} us a second and participant"
        )


if __name__ == "__main__":
    main()
