"""What is out of scope: nothing is recorded, rules about it are kept, and no client breaks (rest.md 6.3, 12)."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException

from appliance.rooms.parameters import CreationPolicy
from appliance.rooms.rest import RestSettings
from tests.support.library_calls import Caller, library
from tests.support.manual_clock import ManualClock
from tests.support.rooms_running import RunningRooms, running_rooms

RULES = "/v1/Rooms/lobby/RecordingRules"
NOTHING = [{"type": "exclude", "all": True}]
NO_VIDEO = [{"type": "exclude", "kind": "video"}, {"type": "exclude", "publisher": "ann", "track": "a\0b \U0001f600"}]
INCLUDE = [{"type": "include", "all": True}]


@asynccontextmanager
async def calling(
    folder: Path, clock: ManualClock | None = None, *, ignore: bool = False
) -> AsyncIterator[tuple[RunningRooms, Caller]]:
    rest = RestSettings(creation=CreationPolicy(ignore_unsupported=ignore))
    async with running_rooms(folder, clock=clock, rest=rest) as running, aiohttp.ClientSession() as http:
        yield running, Caller(running, http)


async def test_the_library_finds_nothing_recorded_and_does_not_break(tmp_path: Path) -> None:
    def use(video: Any) -> None:
        room = video.rooms.create(unique_name="lobby")
        assert video.rooms(room.sid).recordings.list() == []
        assert video.rooms("lobby").transcriptions.list() == []
        assert video.recordings.list() == video.compositions.list() == video.composition_hooks.list() == []
        rules = video.rooms("lobby").recording_rules
        assert rules.fetch().rules == [{"type": "exclude", "all": True}]
        assert rules.update(rules=[{"type": "exclude", "all": True}]).room_sid == room.sid
        codes = []
        for attempt in (
            lambda: rules.update(rules=[{"type": "include", "all": True}]),
            lambda: rules.update(rules=[{"type": "record"}]),
            lambda: rules.update(),
            lambda: video.recordings("RT" + "0" * 32).fetch(),
            lambda: video.recording_settings().fetch(),
            lambda: video.composition_settings().fetch(),
        ):
            with pytest.raises(TwilioRestException) as caught:
                attempt()
            codes.append((caught.value.status, caught.value.code))
        assert codes == [(400, 53122), (400, 53120), (400, 20001)] + [(404, 20404)] * 3

    async with calling(tmp_path) as (running, _):
        await library(running, use)


async def test_rules_that_record_nothing_are_kept_over_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    async with calling(tmp_path, clock) as (_, call):
        _, room, _ = await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})
        first = await call("GET", RULES)
        status, posted, _ = await call("POST", RULES, {"Rules": json.dumps(NO_VIDEO)})
        clock.advance(60)
        _, again, _ = await call("POST", RULES, {"Rules": json.dumps({"rules": NO_VIDEO[:1]})})

    assert first[1] == {"room_sid": room["sid"], "rules": NOTHING, "date_created": None, "date_updated": None}
    assert (status, posted["rules"], posted["date_created"]) == (200, NO_VIDEO, posted["date_updated"])
    assert again["date_created"] == posted["date_created"] < again["date_updated"]
    async with calling(tmp_path, clock) as (_, call):
        assert (await call("GET", RULES))[1] == again | {"rules": NO_VIDEO[:1]}


async def test_rules_given_with_a_new_room_are_kept_too(tmp_path: Path) -> None:
    async with calling(tmp_path) as (_, call):
        await call("POST", "/v1/Rooms", {"UniqueName": "lobby", "RecordingRules": json.dumps(NO_VIDEO)})

        _, found, _ = await call("GET", RULES)

    assert (found["rules"], found["date_created"]) == (NO_VIDEO, None)


@pytest.mark.parametrize(("rules", "code"), [(INCLUDE, 53122), ([*NOTHING, *INCLUDE], 53122), ([], 53120)])
async def test_rules_that_are_refused_change_nothing(tmp_path: Path, rules: Any, code: int) -> None:
    async with calling(tmp_path) as (_, call):
        await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})
        await call("POST", RULES, {"Rules": json.dumps(NO_VIDEO)})

        status, body, _ = await call("POST", RULES, {"Rules": json.dumps(rules)})

        assert (status, body["code"]) == (400, code)
        assert (await call("GET", RULES))[1]["rules"] == NO_VIDEO


async def test_the_rules_of_a_room_that_ended_stay_as_they_were(tmp_path: Path) -> None:
    async with calling(tmp_path) as (_, call):
        _, room, _ = await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})
        await call("POST", RULES, {"Rules": json.dumps(NO_VIDEO)})
        await call("POST", "/v1/Rooms/lobby", {"Status": "completed"})
        path = f"/v1/Rooms/{room['sid']}/RecordingRules"

        status, body, _ = await call("POST", path, {"Rules": json.dumps(NOTHING)})

        assert (status, body["code"]) == (400, 53118)
        assert (await call("GET", path))[1]["rules"] == NO_VIDEO


async def test_what_is_ignored_because_the_settings_say_so_leaves_a_warning_and_is_not_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = {
        "UniqueName": "lobby",
        "RecordParticipantsOnConnect": "true",
        "RecordingRules": json.dumps(INCLUDE),
        "TranscribeParticipantsOnConnect": "true",
    }
    async with calling(tmp_path, ignore=True) as (_, call):
        with caplog.at_level(logging.WARNING, "appliance.rooms"):
            status, room, _ = await call("POST", "/v1/Rooms", wanted)
            posted = await call("POST", RULES, {"Rules": json.dumps(INCLUDE)})
        malformed = await call("POST", RULES, {"Rules": "[{}]"})

    assert (status, room["record_participants_on_connect"]) == (201, False)
    assert (posted[0], posted[1]["rules"]) == (200, NOTHING)
    assert (malformed[0], malformed[1]["code"]) == (400, 53120)
    ignored = [record.args[0] for record in caplog.records if isinstance(record.args, tuple)]
    assert ignored == [
        "RecordParticipantsOnConnect",
        "RecordingRules",
        "TranscribeParticipantsOnConnect",
        room["sid"],
    ]
