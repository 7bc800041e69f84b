"""What a participant is given of the others' videos: senders and estimates made by hand, a clock of the test."""

from collections.abc import Callable
from itertools import pairwise
from typing import Self

import pytest

from appliance.media_engine import (
    Dimensions,
    Happening,
    LayersWanted,
    PublishedTrack,
    ReceivingHint,
    ReceivingProfile,
    ReceivingWishes,
    SwitchedOff,
    SwitchOffMode,
    TrackKind,
    TrackPriority,
    VideoMode,
)
from appliance.sfu import rtcp
from appliance.sfu.allotment import Allotment
from appliance.sfu.consumer import Consumer
from appliance.sfu.layer_hints import LayerHints
from appliance.sfu.pressure import Pressure
from appliance.sfu.producer import Producer
from appliance.sids import ParticipantSid, new_track_sid
from tests.support.sfu_harness import CHROMIUM_OFFER, Harness, Participant, write_rtp
from tests.support.vp8_packets import vp8_packet

SIZES = ((320, 180), (1280, 720))
RATES_BPS = (160_000, 600_000)
PICTURES_PER_S = 20


class Sender:
    """Somebody who sends 320x180 at 160 kbit/s and 1280x720 at 600 kbit/s, in pictures of two and of four packets."""

    def __init__(self, harness: Harness, number: int) -> None:
        ssrcs = (2001, 2003)
        offer = CHROMIUM_OFFER.replace(
            "a=ssrc-group:FID 2001 2002", "a=ssrc-group:FID 2001 2002\na=ssrc-group:SIM 2001 2003\na=ssrc:2003 cname:x"
        )
        self.participant = Participant(harness, number, offer)
        section = next(s for s in self.participant.connection.sections if s.kind == "video")
        track = PublishedTrack(sid=new_track_sid(), client_id="x", kind=TrackKind.VIDEO)
        self.producer = Producer(track, f"PA{number}", lambda flowing: None)
        self.producer.bind(section.streams)
        self.ssrcs = ssrcs
        self.sending = [True, True]
        self.keys_asked = [True, True]
        self.sequence = [100, 60_000]
        self.picture = [0, 500]

    def send_picture(self, number: int) -> None:
        for data in self.participant.take()[1]:
            for report in rtcp.read_compound(data):
                if isinstance(report, rtcp.KeyframeRequest):
                    self.keys_asked[self.ssrcs.index(report.ssrc)] = True
        for layer, ssrc in enumerate(self.ssrcs):
            if not self.sending[layer]:
                continue
            parts = 2 + 2 * layer
            size = RATES_BPS[layer] // 8 // PICTURES_PER_S // parts
            for part in range(parts):
                key = part == 0 and self.keys_asked[layer]
                temporal, first = (0, 2, 1, 2)[number % 4], part == 0
                payload = vp8_packet(self.picture[layer], temporal, sync=False, first=first, key=key, size=SIZES[layer])
                payload += bytes(size - len(payload))
                packet = write_rtp(96, self.sequence[layer], 4500 * number, ssrc, payload, marker=part == parts - 1)
                self.participant.send(packet)
                self.sequence[layer] += 1
            self.keys_asked[layer] = False
            self.picture[layer] += 1


class Room:
    """Senders, and one who receives them all through an allotment; `run` lets time pass."""

    def __init__(self, senders: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("appliance.sfu.forwarding.monotonic", lambda: self.now)
        harness = Harness()
        self.senders = [Sender(harness, number) for number in range(senders)]
        self.bob = Participant(harness, senders)
        self.told: list[Happening] = []
        self.speaker: ParticipantSid | None = None
        self.pressure = Pressure()
        self.timers: list[Callable[[], None]] = []
        self.padded = 0
        self.allotment = Allotment(self.told.append, lambda: self.speaker, self.pressure, self.later)
        self.hints = LayerHints(self.told.append)
        self.consumers: list[Consumer] = []
        self.estimate_bps: Callable[[], float | None] = lambda: None
        self.pictures = 0
        for participant in (self.bob, *(sender.participant for sender in self.senders)):
            participant.connection.now = lambda: self.now
        connection = self.bob.connection
        for sender in self.senders:
            consumer = Consumer(sender.producer, "s")
            sections = connection.sections
            place = sections.free_place("video", in_answer=False) or sections.add_media("video")
            place.consumer = consumer
            consumer.slot = connection.new_slot(place)
            consumer.go_live()
            self.consumers.append(consumer)

    def later(self, delay_s: float, call: Callable[[], None]) -> Self:
        self.timers.append(call)
        return self

    def cancel(self) -> None:
        """Forget the timers."""
        self.timers.clear()

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * PICTURES_PER_S)):
            for _ in range(5):
                self.now += 0.2 / PICTURES_PER_S
                timers, self.timers = self.timers, []
                for call in timers:
                    call()
            self.pictures += 1
            for sender in self.senders:
                sender.send_picture(self.pictures)
                sender.participant.connection.tick(self.now)
            estimate = self.estimate_bps()
            if estimate is not None and self.pictures % 5 == 0:
                self.bob.connection.downlink.estimated(rtcp.BitrateEstimate(int(estimate), (1,)), self.now)
            self.allotment.tick(self.bob.connection, self.consumers, self.now)
            self.hints.tick([sender.producer for sender in self.senders], self.now)
            self.padded += sum(len(p.payload) for p in self.bob.take_media() if p.payload_type == 97)

    def heights(self) -> list[int | None]:
        """Return the height of each picture that comes to Bob, None for none."""
        found: list[int | None] = []
        for sender, consumer in zip(self.senders, self.consumers, strict=True):
            source = consumer.slot.source if consumer.slot is not None else None
            found.append(None if source is None else SIZES[sender.ssrcs.index(source.ssrc)][1])
        return found

    def wish(self, hints: dict[int, ReceivingHint] | None = None, **profile: object) -> None:
        by_sid = {self.senders[number].producer.track.sid: hint for number, hint in (hints or {}).items()}
        self.allotment.wish(ReceivingWishes(profile=ReceivingProfile(**profile), hints=by_sid))  # type: ignore[arg-type]

    def full_at(self, bitrate_bps: float) -> None:
        """Let Bob's estimates say that the path is full at this rate."""
        link = self.bob.connection.downlink
        link.estimated(rtcp.BitrateEstimate(max(int(link.video_bps), 2 * int(bitrate_bps)), (1,)), self.now)
        self.estimate_bps = lambda: bitrate_bps


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Room:
    return Room(1, monkeypatch)


def test_without_wishes_a_video_comes_as_large_as_it_can(one: Room) -> None:
    one.run(3)
    assert one.heights() == [720]
    assert one.told == []


def test_what_is_shown_small_comes_small_and_large_again_when_it_is_shown_large(one: Room) -> None:
    one.run(3)
    one.wish({0: ReceivingHint(dimensions=Dimensions(width=320, height=180))})
    one.run(1)
    assert one.heights() == [180]
    one.wish({0: ReceivingHint(dimensions=Dimensions(width=1280, height=720))})
    one.run(2)
    assert one.heights() == [720]


def test_sizes_by_priority_hold_where_no_hint_tells_one(one: Room) -> None:
    one.wish(render_dimensions={TrackPriority.STANDARD: Dimensions(width=320, height=180)})
    one.run(3)
    assert one.heights() == [180]


def test_what_is_not_looked_at_is_off_and_told_so_once(one: Room) -> None:
    one.run(1)
    one.wish({0: ReceivingHint(visible=False)})
    one.run(2)
    sid = one.senders[0].producer.track.sid
    assert one.heights() == [None]
    assert one.told == [SwitchedOff(off=frozenset({sid}))]
    one.wish()
    one.run(2)
    assert one.heights() == [720]
    assert one.told[1:] == [SwitchedOff(on=frozenset({sid}))]


def test_a_full_path_brings_the_small_layer_at_once(one: Room) -> None:
    one.run(3)
    one.full_at(300_000)
    one.run(1)
    assert one.heights() == [180]
    assert one.told == []


def test_a_path_too_thin_for_anything_switches_off_where_that_is_wished(one: Room) -> None:
    one.wish()
    one.run(3)
    one.full_at(30_000)
    one.run(1)
    assert one.heights() == [None]
    assert len(one.told) == 1


@pytest.mark.parametrize("wished", [False, True])
def test_it_stays_on_at_its_least_where_switching_off_is_not_wished(one: Room, wished: bool) -> None:
    if wished:
        one.wish(switch_off=SwitchOffMode.DISABLED)
    one.run(3)
    one.full_at(30_000)
    one.run(1)
    slot = one.consumers[0].slot
    assert one.heights() == [180]
    assert slot is not None
    assert slot.temporal == 0
    assert one.told == []


def test_switching_off_waits_for_congestion_where_it_is_to_be_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(3, monkeypatch)
    room.bob.connection.downlink.budget.proven_bps = 30_000
    room.wish(switch_off=SwitchOffMode.DETECTED)
    room.run(2)
    assert room.heights() == [180, 180, 180]
    room.full_at(80_000)
    room.run(1)
    assert room.heights().count(None) >= 1


def test_a_machine_without_time_brings_less_as_a_path_does_and_all_of_it_once_it_has(one: Room) -> None:
    one.wish(switch_off=SwitchOffMode.DETECTED)
    one.run(3)

    one.pressure.share = 0.3
    one.run(1)
    assert one.heights() == [180]
    one.pressure.share = 0.05
    one.run(1)
    assert one.heights() == [None]
    one.pressure.share = 1.0
    one.run(3)
    assert one.heights() == [720]


def test_a_layer_that_stops_is_left_and_taken_again_when_it_comes(one: Room) -> None:
    one.run(3)
    one.senders[0].sending[1] = False
    one.run(2)
    assert one.heights() == [180]
    one.senders[0].sending[1] = one.senders[0].keys_asked[1] = True
    one.run(3)
    assert one.heights() == [720]


def test_the_speaker_comes_large_in_a_presentation(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(3, monkeypatch)
    room.wish(mode=VideoMode.PRESENTATION, active_speaker_priority=TrackPriority.HIGH, max_bitrate_bps=1_000_000)
    room.speaker = ParticipantSid("PA1")
    room.run(3)
    assert room.heights() == [180, 720, 180]
    room.speaker = ParticipantSid("PA2")
    room.allotment.hurry()
    room.run(3)
    assert room.heights() == [180, 180, 720]


def test_nothing_flaps_while_estimates_and_rates_tremble(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(2, monkeypatch)
    room.wish()
    room.run(3)
    room.full_at(700_000)
    room.run(5)
    trembling = iter(range(10**6))
    room.estimate_bps = lambda: 700_000 * (1 + 0.02 * ((next(trembling) * 7919) % 11 - 5) / 5)
    seen = []
    for _ in range(120):
        room.run(0.25)
        seen.append(tuple(room.heights()))
    changes = sum(before != after for before, after in pairwise(seen))
    assert changes <= 4, seen


def test_padding_asks_whether_the_path_carries_what_is_wanted(one: Room) -> None:
    """Estimates stay as low as Chromium leaves them behind a small layer; only padding can show that there is more."""
    one.bob.connection.downlink.budget.proven_bps = 200_000
    one.estimate_bps = lambda: 210_000
    one.run(2)
    assert one.heights() == [180]
    one.run(10)
    assert one.heights() == [720]
    assert 20_000 < one.padded < 300_000


def test_little_padding_goes_out_too(one: Room) -> None:
    one.bob.connection.downlink.budget.proven_bps = 110_000
    one.run(5)
    assert one.padded > 0


def test_publishers_hear_what_layers_nobody_has_a_use_for(one: Room) -> None:
    one.run(3)
    one.wish({0: ReceivingHint(dimensions=Dimensions(width=320, height=180))})
    one.run(4)
    assert one.told == []
    one.run(3)
    sid = one.senders[0].producer.track.sid
    assert one.told == [LayersWanted(track_sid=sid, layers=(True, False))]
    one.hints.repeat(sid)
    assert one.told[1:] == [LayersWanted(track_sid=sid, layers=(True, False))]
    one.wish()
    one.run(0.5)
    assert one.told[2:] == [LayersWanted(track_sid=sid, layers=(True, True))]
