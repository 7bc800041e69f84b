"""One room: who speaks in it, from the streams that the packet path wrote levels to."""

from dataclasses import dataclass, field, replace

from appliance.media_engine import PublishedTrack, TrackKind
from appliance.sfu.loudness import SILENCE
from appliance.sfu.pressure import Pressure
from appliance.sfu.producer import LEVEL_LASTS_S, InStream, Producer
from appliance.sfu.router import Router
from appliance.sids import ParticipantSid, TrackSid
from tests.support.sfu_harness import Harness, write_rtp

TICK_S = 0.05


@dataclass(eq=False)
class Listener:
    """A member that keeps what it is told."""

    told: list[ParticipantSid | None] = field(default_factory=list)

    def tracks_changed(self) -> None:
        pass

    def loudest_changed(self, loudest: ParticipantSid | None) -> None:
        self.told.append(loudest)


class Room:
    """A router, its clock, and a microphone for each of two people."""

    def __init__(self) -> None:
        self.router = Router(Pressure())
        self.now = 1000.0
        self.member = Listener()
        self.router.enter(self.member)
        self.harness = Harness()
        self.alice, self.bob = (self.microphone(name, number) for number, name in enumerate(("alice", "bob")))

    def microphone(self, owner: str, ssrc: int) -> Producer:
        [person] = self.harness.participants(1)
        track = PublishedTrack(sid=TrackSid(f"MT{owner}{ssrc}"), client_id=owner, kind=TrackKind.AUDIO)
        producer = Producer(track, owner, lambda track: None)
        producer.bind([InStream(person.connection, ssrc)])
        self.router.add(producer)
        return producer

    def pass_time(self, seconds: float, levels: dict[Producer, int]) -> None:
        for _ in range(round(seconds / TICK_S)):
            for producer, level in levels.items():
                producer.streams[0].level, producer.streams[0].last_at = level, self.now
            self.router.listen(self.now)
            self.now += TICK_S


def test_everyone_in_the_room_hears_who_speaks_and_a_newcomer_on_entering() -> None:
    room = Room()

    room.pass_time(2.0, {room.alice: 30, room.bob: 70})
    newcomer = Listener()
    room.router.enter(newcomer)

    assert room.member.told == newcomer.told == ["alice"]


def test_a_newcomer_to_a_silent_room_is_told_nothing() -> None:
    room = Room()
    room.pass_time(2.0, {room.alice: 90})
    newcomer = Listener()

    room.router.enter(newcomer)

    assert newcomer.told == []


def test_a_stream_that_stops_is_silence_whatever_its_last_packet_said() -> None:
    room = Room()
    room.pass_time(2.0, {room.alice: 30})
    assert room.alice.level(room.now) == 30

    room.pass_time(LEVEL_LASTS_S, {})
    silent = room.alice.level(room.now)
    room.pass_time(2.0, {room.bob: 35})

    assert silent == SILENCE
    assert room.member.told == ["alice", "bob"]


def test_who_mutes_is_dropped_at_once_though_its_packets_go_on() -> None:
    room = Room()
    room.pass_time(2.0, {room.alice: 30})

    room.alice.track = replace(room.alice.track, enabled=False)
    room.pass_time(TICK_S, {room.alice: 30})

    assert room.member.told == ["alice", None]


def test_who_leaves_is_dropped_at_once() -> None:
    room = Room()
    room.pass_time(2.0, {room.alice: 30})

    room.router.remove(room.alice)
    room.pass_time(TICK_S, {})

    assert room.member.told == ["alice", None]


def test_of_several_microphones_of_one_participant_the_loudest_counts() -> None:
    room = Room()
    second = room.microphone("alice", 7)

    room.pass_time(2.0, {room.alice: 90, second: 25, room.bob: 40})

    assert room.member.told == ["alice"]


def test_the_packet_path_writes_the_level_that_a_packet_says_without_its_voice_flag() -> None:
    harness = Harness()
    [person] = harness.participants(1)
    section = next(s for s in person.connection.sections if s.kind == "audio")
    stream = section.streams[0]

    person.send(write_rtp(111, 1, 0, stream.ssrc, extensions={person.connection.audio_level_id: bytes([0x80 | 33])}))

    assert stream.level == 33
