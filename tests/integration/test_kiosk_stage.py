"""The stage: devices open and close with the room, in turn, whatever comes in between."""

import asyncio
from typing import Any, cast

import pytest

from appliance.errors import (
    DeviceMissing,
    RoomMaxParticipantsExceededError,
)
from appliance.kiosk.effects import CloseRoom, MuteMicrophone, SwitchCamera
from appliance.kiosk.inputs import (
    Capturing,
    DeviceFound,
    DeviceGone,
    JoinFailed,
    RoomClosed,
    RoomConnected,
)
from tests.support.conditions import until
from tests.support.kiosk_fakes import FakeRoom
from tests.support.kiosk_story import of_kind
from tests.support.kiosk_theatre import Theatre, order


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
