"""The REST API on loopback: by the unmodified helper library, and by hand where the library is too well-behaved."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException

from appliance.rooms.conversation import Removed, RoomEnded
from appliance.rooms.rest import RestSettings
from tests.support.library_calls import Caller, basic, library
from tests.support.manual_clock import ManualClock
from tests.support.rooms_running import RunningRooms, microphone, running_rooms

ROOM_FIELDS = {
    "sid", "status", "date_created", "date_updated", "account_sid", "enable_turn", "unique_name", "status_callback",
    "status_callback_method", "end_time", "duration", "type", "max_participants", "max_participant_duration",
    "max_concurrent_published_tracks", "record_participants_on_connect", "video_codecs", "media_region", "audio_only",
    "empty_room_timeout", "unused_room_timeout", "large_room", "url", "links",
}  # fmt: skip
PARTICIPANT_FIELDS = {
    "sid", "room_sid", "account_sid", "status", "identity", "date_created", "date_updated", "start_time", "end_time",
    "duration", "url", "links",
}  # fmt: skip


# --- the unmodified library -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api_key", [False, True])
async def test_the_library_makes_finds_lists_and_completes_a_room(running: RunningRooms, api_key: bool) -> None:
    def use(video: Any) -> None:
        made = video.rooms.create(unique_name="lobby", type="group", max_participants=5, video_codecs=["H264"])
        assert made.status == "in-progress"
        assert isinstance(made.date_created, datetime)
        assert (made.max_participants, made.video_codecs, made.end_time) == (5, ["H264"], None)
        assert video.rooms("lobby").fetch().sid == video.rooms(made.sid).fetch().sid == made.sid
        assert [room.sid for room in video.rooms.list()] == [made.sid]
        ended = made.update(status="completed")
        assert (ended.status, isinstance(ended.end_time, datetime)) == ("completed", True)
        assert ended.duration == (ended.end_time - ended.date_created).total_seconds()
        assert [room.sid for room in video.rooms.list(status="completed", unique_name="lobby")] == [made.sid]
        assert video.rooms.list() == []

    await library(running, use, api_key=api_key)


async def test_the_library_gets_errors_with_code_and_status(running: RunningRooms) -> None:
    def use(video: Any) -> list[tuple[int, int]]:
        video.rooms.create(unique_name="lobby")
        attempts = [
            lambda: video.rooms.create(unique_name="lobby"),
            lambda: video.rooms("nowhere").fetch(),
            lambda: video.rooms("lobby").update(status="in-progress"),
            lambda: video.rooms("lobby").participants("ann").fetch(),
            lambda: video.rooms.create(max_participants=51),
        ]
        found = []
        for attempt in attempts:
            with pytest.raises(TwilioRestException) as caught:
                attempt()
            found.append((caught.value.status, caught.value.code))
        return found

    assert await library(running, use) == [(400, 53113), (404, 20404), (400, 53112), (404, 20404), (400, 53107)]


async def test_the_library_sees_and_removes_participants(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    joined = await ann.join("lobby", microphone())
    await bob.join("lobby")

    def use(video: Any) -> None:
        room = video.rooms("lobby")
        assert [each.identity for each in room.participants.list()] == ["bob", "ann"]
        assert [each.sid for each in room.participants.list(identity="ann")] == [joined.participant.sid]
        found = room.participants("ann").fetch()
        assert (found.sid, found.room_sid, found.status) == (joined.participant.sid, joined.room_sid, "connected")
        gone = room.participants(found.sid).update(status="disconnected")
        assert (gone.status, gone.duration is not None) == ("disconnected", True)
        assert [each.identity for each in room.participants.list()] == ["bob"]
        assert [each.identity for each in room.participants.list(status="disconnected")] == ["ann"]
        assert room.participants(found.sid).update(status="disconnected").status == "disconnected"
        with pytest.raises(TwilioRestException) as caught:
            room.participants("ann").fetch()
        assert caught.value.code == 20404

    await library(running, use)
    assert isinstance(ann.told[-1], Removed)


async def test_the_library_pages_through_a_hundred_rooms_in_two_requests(running: RunningRooms) -> None:
    def use(video: Any) -> list[str]:
        for number in range(100):
            video.rooms.create(unique_name=f"room {number}")
        pages = []
        page = video.rooms.page(page_size=50)
        while page:
            rooms = list(page)
            pages.append([room.unique_name for room in rooms])
            last, page = page, page.next_page()
        back = last.previous_page()
        assert [room.unique_name for room in back] == pages[0]
        assert len(video.rooms.list(limit=7)) == 7
        assert len(video.rooms.list(limit=5000)) == 100
        assert [len(names) for names in pages] == [50, 50]
        return [name for names in pages for name in names]

    names = await library(running, use)

    assert names == [f"room {number}" for number in reversed(range(100))]


async def test_completing_by_the_library_ends_the_calls(running: RunningRooms) -> None:
    ann = running.client("ann")
    await ann.join("lobby")

    await library(running, lambda video: video.rooms("lobby").update(status="completed"))

    assert ann.told[-1] == RoomEnded()


async def test_dates_filter_from_and_before(tmp_path: Path) -> None:
    clock = ManualClock(now=datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC))
    async with running_rooms(tmp_path, clock=clock) as running:
        noon = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

        def use(video: Any) -> list[int]:
            video.rooms.create(unique_name="lobby")
            counts = [
                {"date_created_after": noon},
                {"date_created_after": noon + timedelta(seconds=1)},
                {"date_created_before": noon},
                {"date_created_before": noon + timedelta(seconds=1)},
                {"date_created_after": noon + timedelta(days=1), "date_created_before": noon},
            ]
            return [len(video.rooms.list(**given)) for given in counts]

        assert await library(running, use) == [1, 0, 0, 1, 0]


# --- by hand ----------------------------------------------------------------------------------------------------------


async def test_a_room_has_exactly_its_fields_and_absolute_addresses(call: Caller) -> None:
    status, room, headers = await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})

    assert (status, set(room), set(room["links"])) == (
        201,
        ROOM_FIELDS,
        {"participants", "recordings", "transcriptions", "recording_rules"},
    )
    assert room["url"] == f"{call.url}/v1/Rooms/{room['sid']}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", room["date_created"])
    assert re.fullmatch("RQ[0-9a-f]{32}", headers["Twilio-Request-Id"])
    assert headers["Content-Type"].startswith("application/json")


async def test_a_participant_has_exactly_its_fields(running: RunningRooms, call: Caller) -> None:
    joined = await running.client("ann").join("lobby")

    _, participant, _ = await call("GET", "/v1/Rooms/lobby/Participants/ann")

    assert set(participant) == PARTICIPANT_FIELDS
    assert participant["links"]["published_tracks"] == (
        f"{call.url}/v1/Rooms/{joined.room_sid}/Participants/{joined.participant.sid}/PublishedTracks"
    )


@pytest.mark.sqlite
async def test_an_error_has_exactly_four_keys(call: Caller) -> None:
    status, body, headers = await call("GET", "/v1/Rooms/no%2Fpe")

    assert status == 404
    assert body == {
        "code": 20404,
        "message": "The requested resource /Rooms/no/pe was not found",
        "more_info": "https://www.twilio.com/docs/errors/20404",
        "status": 404,
    }
    assert headers["Twilio-Request-Id"]


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer x", "Basic", "Basic ###", basic("AC" + "0" * 32, "x"), basic("x", ""), "Basic " + "A" * 4000],
)
async def test_who_is_not_known_gets_401_even_for_paths_that_are_not_there(
    running: RunningRooms, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with aiohttp.ClientSession() as session:
        for path in ("/v1/Rooms", "/v1/Nothing", "/", "/v2"):
            async with session.get(running.url + path, headers=headers) as answer:
                body = await answer.json()
                assert (answer.status, body["code"], body["message"]) == (401, 20003, "Authenticate")
                assert answer.headers["WWW-Authenticate"] == 'Basic realm="room-kiosk"'


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/rooms", 404, 20404),
        ("GET", "/v1", 404, 20404),
        ("GET", "/v1/Rooms/x/y/z", 404, 20404),
        ("GET", "/v1/Rooms//Participants", 404, 20404),
        ("GET", "/v1/Rooms/%FF", 404, 20404),
        ("GET", "/v1/Rooms/a%00b", 404, 20404),
        ("GET", "/v1/Rooms/a%0Ab", 404, 20404),
        ("GET", "/v1/Rooms/lobby/Participants/x/PublishedTracks", 404, 20404),
        ("DELETE", "/v1/Rooms", 405, 20004),
        ("PUT", "/v1/Rooms/lobby", 405, 20004),
        ("POST", "/v1/Rooms/lobby/Participants", 405, 20004),
        ("GET", "/v1/Rooms?PageToken=x", 400, 21481),
        ("GET", "/v1/Rooms?PageSize=0", 400, 20001),
        ("GET", "/v1/Rooms?Status=ended", 400, 20001),
        ("GET", "/v1/Rooms?DateCreatedAfter=never", 400, 20001),
        ("GET", "/v1/Rooms?UniqueName=%FF", 400, 20001),
        ("GET", "/v1/Rooms/lobby/Participants?Status=gone", 400, 20001),
    ],
)
async def test_what_cannot_be_answered_says_why(
    running: RunningRooms, call: Caller, method: str, path: str, status: int, code: int
) -> None:
    await running.client("ann").join("lobby")

    got, body, headers = await call(method, path)

    assert (got, body["code"], body["status"]) == (status, code, status)
    assert status != 405 or "GET" in headers["Allow"]


@pytest.mark.sqlite
@pytest.mark.parametrize(("path", "status"), [("/v1/Rooms/", 200), ("/v1/Rooms/lobby/Participants/", 200)])
async def test_a_trailing_slash_is_no_difference_and_no_redirect(
    running: RunningRooms, call: Caller, path: str, status: int
) -> None:
    await running.client("ann").join("lobby")

    assert (await call("GET", path))[0] == status


async def test_a_name_with_a_slash_is_found_when_it_is_encoded(call: Caller) -> None:
    _, made, _ = await call("POST", "/v1/Rooms", {"UniqueName": "a/b ü"})

    status, found, _ = await call("GET", "/v1/Rooms/a%2Fb%20%C3%BC")

    assert (status, found["sid"]) == (200, made["sid"])


async def test_of_many_creates_at_once_exactly_one_wins(call: Caller) -> None:
    answers = await asyncio.gather(*(call("POST", "/v1/Rooms", {"UniqueName": "lobby"}) for _ in range(10)))

    assert sorted(status for status, _, _ in answers) == [201] + [400] * 9
    assert {body["code"] for status, body, _ in answers if status == 400} == {53113}


async def test_a_name_is_free_again_when_its_room_has_ended(call: Caller) -> None:
    _, first, _ = await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})
    assert (await call("POST", "/v1/Rooms/lobby", {"Status": "completed"}))[0] == 202

    _, second, _ = await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})

    assert second["sid"] != first["sid"]
    assert (await call("GET", f"/v1/Rooms/{first['sid']}"))[1]["status"] == "completed"


async def test_completing_twice_is_53112_and_without_status_20001(call: Caller) -> None:
    _, room, _ = await call("POST", "/v1/Rooms")
    path = f"/v1/Rooms/{room['sid']}"

    missing = (await call("POST", path))[1]
    first = await call("POST", path, {"Status": "completed"})
    second = await call("POST", path, {"Status": "completed"})

    assert (missing["code"], missing["message"]) == (20001, "Missing required parameter Status in the post body")
    assert (first[0], second[0], second[1]["code"]) == (202, 400, 53112)


@pytest.mark.sqlite
async def test_a_violation_makes_no_room(call: Caller) -> None:
    status, body, _ = await call("POST", "/v1/Rooms", {"UniqueName": "lobby", "MaxParticipants": "0"})

    assert (status, body["code"]) == (400, 53107)
    assert (await call("GET", "/v1/Rooms"))[1]["rooms"] == []


@pytest.mark.sqlite
async def test_a_body_of_another_type_carries_no_parameters(call: Caller) -> None:
    headers = {"Content-Type": "application/json"}
    status, room, _ = await call("POST", "/v1/Rooms", b'{"UniqueName": "lobby"}', headers=headers)

    assert (status, room["unique_name"]) == (201, room["sid"])


@pytest.mark.sqlite
async def test_a_body_that_is_too_large_is_413(call: Caller) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    status, body, _ = await call("POST", "/v1/Rooms", b"UniqueName=" + b"x" * 65_536, headers=form)

    assert (status, body["code"]) == (413, 20413)


@pytest.mark.sqlite
async def test_bytes_that_are_no_form_are_refused(call: Caller) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    status, body, _ = await call("POST", "/v1/Rooms", b"UniqueName=\xff\xfe", headers=form)

    assert (status, body["code"]) == (400, 20001)


@pytest.mark.sqlite
async def test_a_host_header_that_is_none_is_refused(call: Caller) -> None:
    status, body, _ = await call("GET", "/v1/Rooms", headers={"Host": "evil.example/x"})

    assert (status, body["code"]) == (400, 20001)


@pytest.mark.sqlite
async def test_the_public_address_is_used_where_it_is_configured(tmp_path: Path) -> None:
    rest = RestSettings(public_base_url="https://video.example.org/api/")
    async with running_rooms(tmp_path, rest=rest) as running, aiohttp.ClientSession() as session:
        _, page, _ = await Caller(running, session)("GET", "/v1/Rooms?PageSize=5")

    assert page["meta"]["url"] == "https://video.example.org/api/v1/Rooms?PageSize=5&Page=0"


async def test_rooms_made_between_two_pages_change_neither(call: Caller) -> None:
    sids = [(await call("POST", "/v1/Rooms"))[1]["sid"] for _ in range(6)]
    _, first, _ = await call("GET", "/v1/Rooms?PageSize=3")
    await call("POST", "/v1/Rooms")
    await call("POST", f"/v1/Rooms/{sids[5]}", {"Status": "completed"})

    _, second, _ = await call("GET", first["meta"]["next_page_url"].removeprefix(call.url))

    assert [room["sid"] for room in first["rooms"] + second["rooms"]] == sids[::-1]


async def test_an_ended_room_lists_who_was_there(running: RunningRooms, call: Caller) -> None:
    ann = running.client("ann")
    joined = await ann.join("lobby")
    running.service.leave(ann.here)
    address = f"/v1/Rooms/{joined.room_sid}/Participants"

    # The end of the room is stored behind the scenes; a create is answered after whatever came before it.
    await call("POST", "/v1/Rooms")
    listed = [(await call("GET", address + query))[1]["participants"] for query in ("", "?Status=connected")]

    assert [[each["identity"] for each in page] for page in listed] == [["ann"], []]


async def test_health_needs_no_password(running: RunningRooms) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/healthz", "/readyz"):
            async with session.get(running.url + path) as answer:
                assert (answer.status, await answer.json()) == (200, {"status": "ok"})
