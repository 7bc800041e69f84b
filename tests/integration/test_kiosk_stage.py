"""The stage: devices open and close with the room, in turn, whatever comes in between."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from appliance.client.local_tracks import LocalTrack
from appliance.client.participants import NetworkQualityStats
from appliance.errors import (
    DeviceMissing,
    ParticipantDuplicateIdentityError,
    RoomCompletedError,
    RoomMaxParticipantsExceededError,
    TrackServerTrackCapacityReachedError,
)
from appliance.kiosk.access import Access
from appliance.kiosk.capture import LiveLamp
from appliance.kiosk.effects import CloseRoom, MuteMicrophone, OpenRoom, SwitchCamera
from appliance.kiosk.inputs import (
    Capturing,
    DeviceFound,
    DeviceGone,
    Input,
    IssueSeen,
    JoinFailed,
    LinkQuality,
    PeopleChanged,
    RoomClosed,
    RoomConnected,
    RoomEventSeen,
    RoomInterrupted,
    RoomLost,
    RoomResumed,
)
from appliance.kiosk.resume import Memory
from appliance.kiosk.settings import RoomsServiceSettings
from appliance.kiosk.stage import Devices, Stage
from appliance.kiosk.state import KioskState, Phase, RoomView
from appliance.media_engine import Dimensions, TrackKind
from appliance.system_clock import SystemClock
from tests.support.conditions import until
from tests.support.kiosk_fakes import FakeCamera, FakeLamps, FakeRoom, FakeScreen, FakeSound
from tests.support.kiosk_story import of_kind

TOKEN = "header.claims.signature"


class Theatre:
    """A stage with everything on it made of memory."""

    def __init__(self) -> None:
        self.sound, self.camera, self.screen, self.lamps = FakeSound(), FakeCamera(), FakeScreen(), FakeLamps()
        self.room = FakeRoom()
        self.told: list[Input] = []
        self.tracks: Sequence[LocalTrack] = ()
        self.refuse: Exception | None = None
        self.slow: asyncio.Event | None = None
        self.connects = 0
        self.has_microphone = self.flows = self.has_screen = True

    async def connect(self, token: str, room: str, tracks: Sequence[LocalTrack]) -> Any:
        self.connects += 1
        self.tracks = tracks
        if self.slow is not None:
            await self.slow.wait()
        if self.refuse is not None:
            raise self.refuse
        if tracks and self.flows:
            asyncio.get_running_loop().call_soon(cast(Any, tracks[0]).emit, "started", tracks[0])
        return self.room

    @asynccontextmanager
    async def stage(self) -> AsyncIterator[Stage]:
        devices = Devices(
            sound=cast(Any, self.sound),
            has_microphone=self.has_microphone,
            camera=self.camera,
            screen=cast(Any, self.screen) if self.has_screen else None,
            lamp=LiveLamp(self.lamps),
        )
        settings = RoomsServiceSettings(url="https://rooms.example", auth="command")
        clock = SystemClock()
        stage = Stage(
            devices,
            connect=self.connect,
            access=Access(settings, "hall-2", clock.now),
            memory=Memory(Path("/nonexistent/resume.json"), enabled=False),
            clock=clock,
            tell=self.told.append,
        )
        async with stage:
            yield stage

    async def heard(self, kind: type[Any], count: int = 1) -> Any:
        await until(f"{count} {kind.__name__}", lambda: len(of_kind(self.told, kind)) >= count)
        return of_kind(self.told, kind)[-1]


def in_room(theatre: Theatre, phase: Phase = Phase.IN_ROOM, spotlight: str | None = None) -> KioskState:
    """The state that follows from what was told last of people."""
    people = of_kind(theatre.told, PeopleChanged)[-1].people
    return KioskState(phase=phase, room=RoomView(name="lobby", people=people, spotlight=spotlight))


def order(attempt: int = 1, **changes: Any) -> OpenRoom:
    return OpenRoom(
        **{"attempt": attempt, "room_name": "lobby", "muted": False, "camera_on": True, "token": TOKEN} | changes
    )


async def test_a_room_opens_microphone_and_camera_and_leaving_closes_them() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        connected = await theatre.heard(RoomConnected)
        theatre.camera.show()
        await until("seen", lambda: theatre.screen.slots.get("self"))
        assert (connected.attempt, connected.sid, connected.participant_sid) == (1, "RM1", "PA0")
        assert (theatre.sound.is_open, theatre.camera.is_open) == (True, True)
        assert theatre.lamps.lit["live"]
        stage.perform(CloseRoom(1))
        assert await theatre.heard(RoomClosed) == RoomClosed(attempt=1)
        assert (theatre.sound.is_open, theatre.camera.is_open) == (False, False)
        assert not theatre.lamps.lit["live"]
        assert theatre.room.disconnects == 1
        assert "self" not in theatre.screen.slots


async def test_the_kiosk_is_in_the_room_with_the_first_packet_and_not_before() -> None:
    theatre = Theatre()
    theatre.flows = False
    async with theatre.stage() as stage:
        stage.perform(order())
        await until("let in", lambda: theatre.tracks)
        for _ in range(20):
            await asyncio.sleep(0)
        assert of_kind(theatre.told, RoomConnected) == []
        microphone = cast(Any, theatre.tracks[0])
        microphone.is_started = True
        microphone.emit("started", microphone)
        await theatre.heard(RoomConnected)


async def test_a_room_to_which_no_packet_flows_is_left_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.kiosk.stage.FIRST_MEDIA_S", 0.05)
    theatre = Theatre()
    theatre.flows = False
    async with theatre.stage() as stage:
        stage.perform(order())
        assert (await theatre.heard(JoinFailed)).code == 53405
        assert (theatre.sound.is_open, theatre.camera.is_open, theatre.room.disconnects) == (False, False, 1)
    assert of_kind(theatre.told, RoomConnected) == []


async def test_without_a_microphone_and_with_the_camera_off_no_packet_is_waited_for() -> None:
    theatre = Theatre()
    theatre.has_microphone = theatre.flows = False
    async with theatre.stage() as stage:
        stage.perform(order(camera_on=False))
        await theatre.heard(RoomConnected)


async def test_without_a_microphone_a_camera_that_opens_and_gives_nothing_does_not_keep_the_kiosk_out() -> None:
    theatre = Theatre()
    theatre.has_microphone = theatre.flows = False
    async with theatre.stage() as stage:
        stage.perform(order())
        await until("let in", lambda: theatre.tracks)
        assert of_kind(theatre.told, RoomConnected) == []
        theatre.camera.lose()  # the driver's deadline for a first picture is over
        gone = await theatre.heard(DeviceGone)
        assert (gone.what, gone.issue) == ("camera", "camera_stalled")
        await theatre.heard(RoomConnected)
        await until("opened again", lambda: theatre.camera.opened == 2)
        theatre.camera.show()
        assert await theatre.heard(DeviceFound) == DeviceFound("camera")
    assert of_kind(theatre.told, JoinFailed) == []


async def test_with_a_microphone_a_lost_camera_is_no_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.kiosk.stage.FIRST_MEDIA_S", 0.05)
    theatre = Theatre()
    theatre.flows = False
    async with theatre.stage() as stage:
        theatre.camera.lose()
        stage.perform(order())
        assert (await theatre.heard(JoinFailed)).code == 53405


async def test_the_live_lamp_is_lit_from_the_first_open_device_to_the_last() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        stage.perform(SwitchCamera(False))
        await until("dark", lambda: not theatre.camera.is_open)
        assert theatre.lamps.lit["live"]
        stage.perform(CloseRoom(1))
        await theatre.heard(RoomClosed)
    assert [lit for lamp, lit in theatre.lamps.history if lamp == "live"] == [True, False]
    assert of_kind(theatre.told, Capturing)[-1].live is False


async def test_muted_and_dark_means_that_the_room_finds_the_tracks_off_and_no_camera_opens() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order(muted=True, camera_on=False))
        await theatre.heard(RoomConnected)
        assert theatre.sound.muted
        assert theatre.camera.opened == 0
        assert [cast(Any, track).is_enabled for track in theatre.tracks] == [False, False]


async def test_muting_closes_the_gate_and_switches_the_track_off() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        for muted in (True, False, True):
            stage.perform(MuteMicrophone(muted))
            assert theatre.sound.muted is muted
            assert cast(Any, theatre.tracks[0]).is_enabled is not muted


async def test_a_refusal_carries_its_number_and_closes_the_devices() -> None:
    theatre = Theatre()
    theatre.refuse = RoomMaxParticipantsExceededError()
    async with theatre.stage() as stage:
        stage.perform(order())
        failed = await theatre.heard(JoinFailed)
        assert (failed.attempt, failed.code) == (1, 53105)
        assert (theatre.sound.is_open, theatre.camera.is_open) == (False, False)


async def test_while_reconnecting_the_devices_stay_open_through_refusals() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        theatre.refuse = OSError("network is unreachable")
        stage.perform(order(2, keep_devices=True))
        failed = await theatre.heard(JoinFailed)
        assert failed.code == 0
        assert (theatre.sound.is_open, theatre.camera.is_open) == (True, True)
        assert theatre.camera.opened == 1


async def test_without_a_token_and_without_a_key_joining_fails_with_words() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order(token=None))
        assert "a join needs a token" in (await theatre.heard(JoinFailed)).message


async def test_cancelling_while_connecting_closes_everything_and_says_so() -> None:
    theatre = Theatre()
    theatre.slow = asyncio.Event()
    async with theatre.stage() as stage:
        stage.perform(order())
        await until("connecting", lambda: theatre.connects)
        stage.perform(CloseRoom(1))
        await theatre.heard(RoomClosed)
        assert (theatre.sound.is_open, theatre.camera.is_open) == (False, False)
        assert of_kind(theatre.told, RoomConnected) == []
        assert of_kind(theatre.told, JoinFailed) == []


async def test_leaving_and_joining_at_once_happen_one_after_the_other() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        stage.perform(CloseRoom(1))
        theatre.room = FakeRoom()
        stage.perform(order(2))
        connected = await theatre.heard(RoomConnected, 2)
        assert connected.attempt == 2
        assert [type(each).__name__ for each in theatre.told if isinstance(each, RoomClosed | RoomConnected)] == [
            "RoomConnected",
            "RoomClosed",
            "RoomConnected",
        ]
        assert (theatre.sound.is_open, theatre.camera.is_open) == (True, True)


async def test_ending_the_program_closes_what_is_open() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
    assert (theatre.sound.is_open, theatre.camera.is_open, theatre.room.disconnects) == (False, False, 1)


async def test_a_lost_camera_is_told_and_the_sound_goes_on() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        theatre.camera.lose()
        gone = await theatre.heard(DeviceGone)
        assert (gone.what, gone.issue) == ("camera", "camera_stalled")
        assert theatre.sound.is_open
        await until("opened again", lambda: theatre.camera.opened == 2)
        theatre.camera.show()
        assert await theatre.heard(DeviceFound) == DeviceFound("camera")


async def test_no_sound_at_all_is_told_and_the_room_is_joined_all_the_same() -> None:
    theatre = Theatre()
    theatre.sound.trouble = DeviceMissing("no card")
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        assert {gone.issue for gone in of_kind(theatre.told, DeviceGone)} == {"mic_absent", "speaker_absent"}
        stage.perform(CloseRoom(1))
        await theatre.heard(RoomClosed)
        theatre.sound.trouble = None
        theatre.room = FakeRoom()
        stage.perform(order(2))
        await theatre.heard(RoomConnected, 2)
        assert {found.what for found in of_kind(theatre.told, DeviceFound)} == {"microphone", "speaker"}


async def test_people_and_their_tracks_reach_state_screen_loudspeaker_and_events() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        anna = theatre.room.come("PA1", "anna")
        theatre.room.publish(anna, "MT1", TrackKind.AUDIO)
        theatre.room.publish(anna, "MT2", TrackKind.VIDEO)
        person = (await theatre.heard(PeopleChanged)).people[0]
        assert (person.name, person.microphone, person.camera, person.video) == ("anna", "on", "on", "MT2")
        assert theatre.sound.voices == {"MT1"}
        stage.look(in_room(theatre))
        assert "MT2" in theatre.screen.slots

        theatre.room.switch(anna, "MT1", False)
        assert of_kind(theatre.told, PeopleChanged)[-1].people[0].microphone == "off"
        theatre.room.unsubscribe(anna, "MT1")
        theatre.room.unsubscribe(anna, "MT2")
        assert theatre.sound.voices == set()
        assert "MT2" not in theatre.screen.slots

        theatre.room.go(anna)
        assert of_kind(theatre.told, PeopleChanged)[-1].people == ()
        events = [event.type for event in of_kind(theatre.told, RoomEventSeen)]
        assert events == [
            "participant-connected",
            "track-added",
            "track-added",
            "track-disabled",
            "participant-disconnected",
        ]
        added = of_kind(theatre.told, RoomEventSeen)[1].data
        assert (added["RoomSid"], added["ParticipantIdentity"], added["TrackSid"], added["TrackKind"]) == (
            "RM1",
            "anna",
            "MT1",
            "audio",
        )
        assert all(isinstance(value, str) for value in added.values())


async def test_who_is_there_already_is_told_with_the_connection() -> None:
    theatre = Theatre()
    anna = theatre.room.come("PA1", "anna")
    theatre.room.publish(anna, "MT1", TrackKind.AUDIO)
    async with theatre.stage() as stage:
        stage.perform(order())
        connected = await theatre.heard(RoomConnected)
        assert [person.name for person in connected.people] == ["anna"]
        assert theatre.sound.voices == {"MT1"}
        events = [event.type for event in of_kind(theatre.told, RoomEventSeen)]
        assert events == ["participant-connected", "track-added"]


async def test_the_links_troubles_are_told() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        theatre.room.emit("reconnecting", ParticipantDuplicateIdentityError())
        theatre.room.emit("reconnected")
        theatre.room.end(ParticipantDuplicateIdentityError())
        assert of_kind(theatre.told, RoomInterrupted)
        assert of_kind(theatre.told, RoomResumed)
        assert (await theatre.heard(RoomLost)).code == 53205


async def test_being_removed_without_a_word_has_no_number_and_an_ended_room_is_an_event() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        theatre.room.end(None)
        assert (await theatre.heard(RoomLost)).code is None
        theatre.room = FakeRoom()
        stage.perform(order(2, keep_devices=True))
        await theatre.heard(RoomConnected, 2)
        theatre.room.end(RoomCompletedError())
        ended = await theatre.heard(RoomEventSeen)
        assert (ended.type, ended.data["RoomStatus"]) == ("room-ended", "completed")


async def test_a_track_that_is_refused_is_an_issue_and_the_call_goes_on() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        theatre.room.local_participant.emit(
            "track_publication_failed", TrackServerTrackCapacityReachedError(), theatre.tracks[0]
        )
        seen = await theatre.heard(IssueSeen)
        assert (seen.code, seen.present) == ("track_failed", True)
        assert stage.call is not None


async def test_each_video_comes_as_large_as_it_is_shown_and_what_is_not_shown_does_not_come() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        for number in range(8):
            person = theatre.room.come(f"PA{number}", f"Person {number}")
            theatre.room.publish(person, f"MT{number}", TrackKind.VIDEO)
        theatre.room.publish(person, "MT-second", TrackKind.VIDEO)
        wanted = theatre.room.steering.wanted

        stage.look(in_room(theatre, spotlight="PA7"))
        assert wanted["MT7"] == (True, Dimensions(width=1543, height=868))
        assert wanted["MT0"] == (True, Dimensions(width=234, height=132))
        assert [sid for sid, (on, _) in wanted.items() if not on] == ["MT5", "MT6", "MT-second"]
        assert set(theatre.screen.slots) - {"self"} == {"MT0", "MT1", "MT2", "MT3", "MT4", "MT7"}

        told = list(theatre.room.steering.history)
        assert told[:2] == [("MT0", True), ("MT0", Dimensions(width=234, height=132))], "never off before it was placed"
        stage.look(in_room(theatre, spotlight="PA7"))
        stage.look(in_room(theatre, Phase.RECONNECTING))
        assert theatre.room.steering.history == told

        stage.look(in_room(theatre, spotlight="PA6"))
        assert wanted["MT6"] == (True, Dimensions(width=1543, height=868))
        assert wanted["MT7"][0] is False
        assert "MT7" not in theatre.screen.slots


async def test_a_video_that_was_switched_off_leaves_initials_and_no_still_picture() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        anna = theatre.room.come("PA1", "anna")
        theatre.room.publish(anna, "MT2", TrackKind.VIDEO)
        stage.look(in_room(theatre))

        theatre.room.switch_off(anna, "MT2")
        off = of_kind(theatre.told, PeopleChanged)[-1].people[0]
        slots = set(theatre.screen.slots)
        theatre.room.switch_off(anna, "MT2", off=False)

        assert (off.video, off.camera, slots) == (None, "on", {"self"})
        assert of_kind(theatre.told, PeopleChanged)[-1].people[0].video == "MT2"
        assert "MT2" in theatre.screen.slots
        assert theatre.room.steering.wanted["MT2"][0] is True, "it is still looked at"


async def test_speakers_and_how_good_the_links_are_reach_the_state() -> None:
    theatre = Theatre()
    theatre.room.come("PA1", "anna")
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        [anna] = theatre.room.participants.values()

        theatre.room.speak(anna)
        theatre.room.local_participant.change_quality(NetworkQualityStats(level=2))
        anna.change_quality(NetworkQualityStats(level=5))
        last = of_kind(theatre.told, PeopleChanged)[-1]
        stage.perform(CloseRoom(1))
        await theatre.heard(RoomClosed)

        assert (last.dominant_speaker, last.people[0].speaking, last.people[0].link) == ("PA1", True, 5)
        assert of_kind(theatre.told, LinkQuality) == [LinkQuality(2), LinkQuality(None)]


async def test_without_a_screen_no_video_is_received_at_all() -> None:
    theatre = Theatre()
    theatre.has_screen = False
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        theatre.room.publish(theatre.room.come("PA1", "anna"), "MT2", TrackKind.VIDEO)

        stage.look(in_room(theatre))

        assert theatre.room.steering.wanted == {"MT2": (False, None)}
