"""Resources of the REST API to the last field, and what of them a list or a name finds."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from appliance.media_engine import TrackFailed
from appliance.rooms.conversation import UpdateRequest
from appliance.rooms.rest import RestSettings
from appliance.rooms.room import RoomSettings
from tests.support.conditions import until
from tests.support.library_calls import Caller
from tests.support.manual_clock import ManualClock
from tests.support.rooms_running import RunningRooms, microphone, running_rooms
from tests.support.rooms_stored import settled

NINE = datetime(2025, 3, 1, 9, 0, 0, 750_000, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now=NINE)


@pytest.fixture
async def running(tmp_path: Path, clock: ManualClock) -> AsyncIterator[RunningRooms]:
    async with running_rooms(tmp_path, clock=clock) as running:
        yield running


async def test_a_room_by_default_and_when_it_has_ended(running: RunningRooms, call: Caller, clock: ManualClock) -> None:
    status, room, _ = await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})
    url = f"{running.url}/v1/Rooms/{room['sid']}"
    new = {
        "sid": room["sid"],
        "status": "in-progress",
        "date_created": "2025-03-01T09:00:00Z",
        "date_updated": "2025-03-01T09:00:00Z",
        "account_sid": running.credentials.account_sid,
        "enable_turn": True,
        "unique_name": "lobby",
        "status_callback": None,
        "status_callback_method": "POST",
        "end_time": None,
        "duration": None,
        "type": "group",
        "max_participants": 50,
        "max_participant_duration": 14400,
        "max_concurrent_published_tracks": 170,
        "record_participants_on_connect": False,
        "video_codecs": ["VP8", "H264"],
        "media_region": "us1",
        "audio_only": False,
        "empty_room_timeout": 5,
        "unused_room_timeout": 5,
        "large_room": False,
        "url": url,
        "links": {
            "participants": f"{url}/Participants",
            "recordings": f"{url}/Recordings",
            "transcriptions": f"{url}/Transcriptions",
            "recording_rules": f"{url}/RecordingRules",
        },
    }
    assert (status, room) == (201, new)

    clock.advance(90.5)
    status, ended, _ = await call("POST", "/v1/Rooms/lobby", {"Status": "completed"})

    over = "2025-03-01T09:01:31Z"
    assert (status, ended) == (
        202,
        new | {"status": "completed", "end_time": over, "date_updated": over, "duration": 91},
    )
    assert (await call("GET", f"/v1/Rooms/{room['sid']}"))[1] == ended


async def test_a_room_that_connecting_made_has_no_timeouts(running: RunningRooms, call: Caller) -> None:
    await running.client("ann").join("lobby")

    _, room, _ = await call("GET", "/v1/Rooms/lobby")

    assert (room["empty_room_timeout"], room["unused_room_timeout"]) == (0, 0)
    assert (room["type"], room["max_participants"], room["max_participant_duration"]) == ("group", 50, 14400)


async def test_a_participant_while_it_is_there_and_when_it_has_left(
    running: RunningRooms, call: Caller, clock: ManualClock
) -> None:
    await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})
    joined = await running.client("ann").join("lobby")
    path = f"/v1/Rooms/{joined.room_sid}/Participants/{joined.participant.sid}"
    url = running.url + path
    there = {
        "sid": joined.participant.sid,
        "room_sid": joined.room_sid,
        "account_sid": running.credentials.account_sid,
        "status": "connected",
        "identity": "ann",
        "date_created": "2025-03-01T09:00:00Z",
        "date_updated": "2025-03-01T09:00:00Z",
        "start_time": "2025-03-01T09:00:00Z",
        "end_time": None,
        "duration": None,
        "url": url,
        "links": {
            "published_tracks": f"{url}/PublishedTracks",
            "subscribed_tracks": f"{url}/SubscribedTracks",
            "subscribe_rules": f"{url}/SubscribeRules",
            "anonymize": f"{url}/Anonymize",
        },
    }
    assert (await call("GET", "/v1/Rooms/lobby/Participants/ann"))[:2] == (200, there)
    assert (await call("POST", "/v1/Rooms/lobby/Participants/ann"))[:2] == (202, there), "without Status: unchanged"

    clock.advance(60)
    status, gone, _ = await call("POST", path, {"Status": "disconnected"})
    clock.advance(60)

    over = "2025-03-01T09:01:00Z"
    left = there | {"status": "disconnected", "end_time": over, "date_updated": over, "duration": 60}
    assert (status, gone) == (202, left)
    assert (await call("POST", path, {"Status": "disconnected"}))[:2] == (202, left), "it has left once"
    _, anonymous, _ = await call("POST", f"{path}/Anonymize")
    del left["links"]
    assert anonymous == left | {"identity": joined.participant.sid, "url": f"{url}/Anonymize"}


async def test_a_track_was_updated_when_it_was_first_muted(
    running: RunningRooms, call: Caller, clock: ManualClock
) -> None:
    ann = running.client("ann")
    await ann.join("lobby", microphone())
    path = "/v1/Rooms/lobby/Participants/ann/PublishedTracks/mic"
    _, before, _ = await call("GET", path)
    clock.advance(5)

    running.service.update(ann.here, UpdateRequest(revision=2, tracks=(microphone(enabled=False),)))

    _, after, _ = await call("GET", path)
    assert (before["enabled"], before["date_updated"]) == (True, None)
    assert after == before | {"enabled": False, "date_updated": "2025-03-01T09:00:05Z"}


async def test_a_track_that_does_not_get_there_is_not_among_the_subscribed(running: RunningRooms, call: Caller) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    await ann.join("lobby", microphone("one"), microphone("two"))
    await bob.join("lobby")
    path = "/v1/Rooms/lobby/Participants/bob/SubscribedTracks"
    _, before, _ = await call("GET", path)
    one = next(track.sid for track in ann.joined.participant.tracks if track.name == "one")

    running.engine.peer(ann.joined.participant.sid).say(TrackFailed(track_sid=one, code=53404, message="no codec"))
    await until("it is gone", lambda: bob.seen)

    _, after, _ = await call("GET", path)
    assert [sorted(each["name"] for each in page["subscribed_tracks"]) for page in (before, after)] == [
        ["one", "two"],
        ["two"],
    ]


# --- what a list shows ------------------------------------------------------------------------------------------------


async def test_who_is_listed_depends_on_the_room_and_the_status_asked_for(
    running: RunningRooms, call: Caller, clock: ManualClock
) -> None:
    await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})
    ann, bob, carl = (running.client(who) for who in ("ann", "bob", "carl"))
    for client in (ann, bob, carl):
        joined = await client.join("lobby")
        clock.advance(1)
    running.service.link_lost(bob.here)
    running.service.leave(carl.here)
    await settled(running)
    address = f"/v1/Rooms/{joined.room_sid}/Participants"

    async def listed(query: str) -> list[str]:
        return [each["identity"] for each in (await call("GET", address + query))[1]["participants"]]

    statuses = ("", "?Status=connected", "?Status=reconnecting", "?Status=disconnected")
    assert [await listed(query) for query in statuses] == [["bob", "ann"], ["ann"], ["bob"], ["carl"]]
    assert await listed("?Identity=carl") == []
    assert await listed("?DateCreatedAfter=2025-03-01T09:00:01Z&DateCreatedBefore=2025-03-01T09:00:02Z") == ["bob"]
    found = [(await call("GET", f"{address}/{who}"))[0] for who in ("ann", "bob", "carl", carl.joined.participant.sid)]
    assert found == [200, 200, 404, 200], "by identity while present, by SID always"

    await call("POST", "/v1/Rooms/lobby", {"Status": "completed"})

    assert [await listed(query) for query in statuses] == [["carl", "bob", "ann"], [], [], ["carl", "bob", "ann"]]


async def test_an_empty_room_has_an_empty_list(call: Caller) -> None:
    await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})

    status, page, _ = await call("GET", "/v1/Rooms/lobby/Participants")

    assert (status, page["participants"]) == (200, [])


async def test_rooms_are_found_by_all_filters_together(call: Caller, clock: ManualClock) -> None:
    for name in ("lobby", "hall"):
        await call("POST", "/v1/Rooms", {"UniqueName": name})
        await call("POST", f"/v1/Rooms/{name}", {"Status": "completed"})
        clock.advance(86_400)
    await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})

    async def listed(query: str) -> list[Any]:
        return [(each["unique_name"], each["status"]) for each in (await call("GET", f"/v1/Rooms?{query}"))[1]["rooms"]]

    assert await listed("UniqueName=lobby") == [("lobby", "in-progress")]
    assert await listed("UniqueName=lobby&Status=completed") == [("lobby", "completed")]
    assert await listed("Status=completed") == [("hall", "completed"), ("lobby", "completed")]
    assert await listed("Status=completed&DateCreatedAfter=2025-03-02") == [("hall", "completed")]
    assert await listed("Status=completed&DateCreatedBefore=2025-03-02") == [("lobby", "completed")]
    assert await listed("Status=completed&DateCreatedAfter=2025-03-03&DateCreatedBefore=2025-03-02") == []
    assert await listed("Status=failed") == []


# --- names and SIDs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Lobby", "Lobby"),
        ("caf\u00e9", "caf%C3%A9"),  # one code point
        ("cafe\u0301", "cafe%CC%81"),  # two
        ("a%2Fb", "a%252Fb"),  # decoded once
        ("a+b", "a+b"),
        ("\U0001f600" * 128, "%F0%9F%98%80" * 128),  # 128 code points, 512 bytes
    ],
)
async def test_names_are_compared_code_point_by_code_point(call: Caller, name: str, path: str) -> None:
    others = ["lobby", "LOBBY", "cafe", "a/b", "a b", "\U0001f600" * 127]
    for other in others:
        assert (await call("POST", "/v1/Rooms", {"UniqueName": other}))[0] == 201
    assert (await call("GET", f"/v1/Rooms/{path}"))[0] == 404

    status, made, _ = await call("POST", "/v1/Rooms", {"UniqueName": name})

    assert status == 201
    assert (await call("GET", f"/v1/Rooms/{path}"))[1]["sid"] == made["sid"]


async def test_sids_are_compared_exactly(call: Caller) -> None:
    _, room, _ = await call("POST", "/v1/Rooms")
    other = room["sid"][:2] + room["sid"][2:].upper()

    assert (await call("GET", f"/v1/Rooms/{other}"))[0] == (404 if other != room["sid"] else 200)
    assert room["unique_name"] == room["sid"]


# --- how rooms stay and end -------------------------------------------------------------------------------------------


async def test_who_is_reconnecting_keeps_its_room(running: RunningRooms, call: Caller, clock: ManualClock) -> None:
    account = running.credentials.account_sid
    await running.service.create_room(account, "made", RoomSettings(empty_timeout_min=1))
    for name in ("made", "ad hoc"):
        client = running.client("ann")
        await client.join(name)
        running.service.link_lost(client.here)
    clock.advance(29)
    running.service.expire()
    await settled(running)
    assert len((await call("GET", "/v1/Rooms"))[1]["rooms"]) == 2

    clock.advance(1)  # the session time-out: now they have left
    running.service.expire()
    clock.advance(59)
    running.service.expire()
    await settled(running)
    assert [each["unique_name"] for each in (await call("GET", "/v1/Rooms"))[1]["rooms"]] == ["made"]
    clock.advance(1)
    running.service.expire()
    await settled(running)
    assert (await call("GET", "/v1/Rooms"))[1]["rooms"] == []


# --- around every answer ----------------------------------------------------------------------------------------------


@pytest.mark.sqlite
async def test_the_id_of_a_request_is_in_the_log(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "appliance.rooms.rest"):
        answers = [
            await call("GET", "/v1/Rooms"),
            await call("POST", "/v1/Rooms", b"{}", headers={"Content-Type": "application/json"}),
            await call("GET", "/v1/Nothing"),
            await call("GET", "/v1/Rooms", headers={"Authorization": "Bearer x"}),
        ]

    assert [status for status, _, _ in answers] == [200, 201, 404, 401]
    for status, _, headers in answers:
        assert any(headers["Twilio-Request-Id"] in line and line.endswith(f" {status}") for line in caplog.messages), (
            caplog.text
        )
    assert any("application/json" in line for line in caplog.messages), "parameters that were ignored are told"


@pytest.mark.sqlite
async def test_pages_of_other_origins_are_told_nothing(call: Caller) -> None:
    from_elsewhere = {"Origin": "https://evil.example"}
    asked = await call("OPTIONS", "/v1/Rooms", headers=from_elsewhere)
    got = await call("GET", "/v1/Rooms", headers=from_elsewhere)

    assert (asked[0], got[0]) == (405, 200)
    assert not [name for _, _, headers in (asked, got) for name in headers if name.startswith("Access-Control")]


@pytest.mark.sqlite
async def test_errors_lead_to_the_configured_pages(tmp_path: Path) -> None:
    rest = RestSettings(more_info_prefix="https://docs.example.org/errors/")
    async with running_rooms(tmp_path, rest=rest) as running, aiohttp.ClientSession() as http:
        _, body, _ = await Caller(running, http)("GET", "/v1/Rooms/x")

    assert body["more_info"] == "https://docs.example.org/errors/20404"
