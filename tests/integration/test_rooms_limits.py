"""Every limit of the REST API and of the account: what is still taken, what is not, and when it is again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from appliance.errors import RoomError
from appliance.rooms.authentication import FAILURE_WINDOW_S
from appliance.rooms.rest import RestSettings
from appliance.rooms.service import ServiceSettings
from tests.support.library_calls import Caller, basic
from tests.support.manual_clock import ManualClock
from tests.support.rooms_running import Client, RunningRooms, running_rooms
from tests.support.rooms_stored import settled


@asynccontextmanager
async def calling(
    folder: Path, settings: ServiceSettings | None = None, *, rate_limit: bool = False
) -> AsyncIterator[tuple[RunningRooms, Caller, ManualClock]]:
    clock = ManualClock()
    async with (
        running_rooms(folder, settings, clock=clock, rest=RestSettings(rate_limit=rate_limit)) as running,
        aiohttp.ClientSession() as http,
    ):
        yield running, Caller(running, http), clock


async def refused(client: Client, room: str) -> int:
    with pytest.raises(RoomError) as caught:
        await client.join(room)
    return caught.value.code


async def test_eighty_reads_and_twenty_writes_fit_into_a_second(tmp_path: Path) -> None:
    async with calling(tmp_path, rate_limit=True) as (_, call, clock):
        reads = [await call("GET", "/v1/Rooms?PageSize=1") for _ in range(82)]
        writes = [await call("POST", "/v1/Rooms") for _ in range(21)]
        clock.advance(1)
        later = [(await call(method, "/v1/Rooms"))[0] for method in ("GET", "POST")]

    assert [status for status, _, _ in reads] == [200] * 80 + [429] * 2
    assert [status for status, _, _ in writes] == [201] * 20 + [429]  # reads take nothing away from writes
    status, body, headers = reads[-1]
    assert (status, body["code"], body["message"]) == (429, 20429, "Too Many Requests")
    assert headers["Retry-After"] == "1"
    assert later == [200, 201]


async def test_the_limit_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    async with calling(tmp_path) as (_, call, _clock):
        assert {(await call("GET", "/v1/Rooms?PageSize=1"))[0] for _ in range(90)} == {200}


async def test_who_guesses_may_guess_again_after_a_minute_and_is_counted_alone(tmp_path: Path) -> None:
    async with calling(tmp_path) as (running, call, clock):
        keys = running.credentials
        wrong = [basic(keys.account_sid, "guess"), basic(keys.api_key_sid, "guess"), basic("SK" + "0" * 32, "guess")]

        async def guess(number: int) -> tuple[int, int, str | None]:
            status, body, headers = await call("GET", "/v1/Rooms", headers={"Authorization": wrong[number % 3]})
            return status, body["code"], headers.get("Retry-After")

        statuses = [await guess(number) for number in range(21)]
        assert statuses == [(401, 20003, None)] * 20 + [(429, 20429, "60")]
        assert (await call("GET", "/v1/Rooms"))[0] == 200  # with the right password, from the same address
        clock.advance(FAILURE_WINDOW_S)
        assert (await guess(0))[0] == 401


async def test_guesses_at_different_doors_count_together(tmp_path: Path) -> None:
    async with calling(tmp_path) as (running, call, _clock):
        wrong = {"Authorization": basic(running.credentials.account_sid, "guess")}

        statuses = [
            (await call("POST", path, headers=wrong))[0]
            for _ in range(11)
            for path in ("/v1/Rooms", "/join/lobby/invitations")
        ]

    assert statuses == [401] * 20 + [429] * 2


async def test_a_seat_in_the_account_is_free_again_when_somebody_leaves(tmp_path: Path) -> None:
    async with calling(tmp_path, ServiceSettings(max_participants=2)) as (running, _, _clock):
        ann, bob, bob_again = running.client("ann"), running.client("bob"), running.client("bob")
        await ann.join("lobby")
        await bob.join("hall")
        assert await refused(running.client("carl"), "lobby") == 53206

        await bob_again.join("hall")  # it takes the place of its former self
        running.service.leave(ann.here)

        assert (await running.client("carl").join("lobby")).room_name == "lobby"


async def test_a_room_fits_into_the_account_again_when_another_ends(tmp_path: Path) -> None:
    async with calling(tmp_path, ServiceSettings(max_rooms=1)) as (_, call, _clock):
        _, first, _ = await call("POST", "/v1/Rooms", {"UniqueName": "one"})
        status, body, _ = await call("POST", "/v1/Rooms", {"UniqueName": "two"})
        assert (status, body["code"], body["message"]) == (400, 53119, "The concurrent Rooms quota was exceeded")

        await call("POST", f"/v1/Rooms/{first['sid']}", {"Status": "completed"})

        assert (await call("POST", "/v1/Rooms", {"UniqueName": "two"}))[0] == 201


async def test_an_ended_room_can_be_read_for_as_many_days_as_the_settings_say(tmp_path: Path) -> None:
    async with calling(tmp_path, ServiceSettings(retention_days=2)) as (running, call, clock):
        ann = running.client("ann")
        joined = await ann.join("lobby")
        running.service.leave(ann.here)
        room = f"/v1/Rooms/{joined.room_sid}"
        paths = (room, f"{room}/Participants", f"{room}/Participants/{joined.participant.sid}")

        clock.advance(2 * 86_400 - 60)
        running.service.expire()
        await settled(running)
        before = [(await call("GET", path))[0] for path in paths]
        clock.advance(3600)  # old rooms are looked for every hour
        running.service.expire()
        await settled(running)
        after = [(await call("GET", path))[0] for path in paths]

    assert (before, after) == ([200] * 3, [404] * 3)
