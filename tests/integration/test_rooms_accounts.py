"""A suspended account is refused everywhere, without a restart; and what belongs to another account is not there."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from appliance.errors import RoomError
from appliance.rooms.conversation import ResumeRequest
from appliance.rooms.invitations import Invitation, write_invitation
from appliance.rooms.room import RoomSettings, RoomStatus
from appliance.rooms.store.keys import suspend_account
from appliance.rooms.store.tables import events, rooms
from appliance.sids import new_account_sid
from tests.support.conditions import until
from tests.support.library_calls import Caller
from tests.support.rooms_admin import administer
from tests.support.rooms_running import Client, RunningRooms, microphone, offer, running_rooms
from tests.support.rooms_stored import event_names, rows, settled


@asynccontextmanager
async def calling(folder: Path) -> AsyncIterator[tuple[RunningRooms, Caller]]:
    """Run the service, let it follow its store, and give what calls its REST API."""
    async with running_rooms(folder) as running, aiohttp.ClientSession() as http:
        following = asyncio.create_task(running.service.watch_keys())
        try:
            yield running, Caller(running, http)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def refused(client: Client, room: str) -> int:
    with pytest.raises(RoomError) as caught:
        await client.join(room)
    return caught.value.code


@pytest.mark.sqlite  # the command line; what it writes is looked at below on every store
async def test_a_suspended_account_is_refused_until_it_may_be_used_again(tmp_path: Path) -> None:
    async with calling(tmp_path) as (running, call):
        ann = running.client("ann")
        await ann.join("lobby", microphone())

        await administer(tmp_path, "account", "suspend")
        await until("the service knows", lambda: running.service.keys.suspended)

        for method in ("GET", "POST"):
            status, body, _ = await call(method, "/v1/Rooms")
            assert (status, body["code"], body["message"]) == (403, 20403, "Forbidden")
        assert (await call("GET", "/v1/Nothing"))[0] == 403
        assert await refused(running.client("bob"), "lobby") == 20103
        shown = json.loads(await administer(tmp_path, "account", "show"))
        assert (shown["sid"], shown["suspended_at"] is None) == (running.credentials.account_sid, False)

        # Whoever is in a room stays (tokens.md 2), and has to be active to come back.
        assert ann.failures == []
        running.service.link_lost(ann.here)
        assert await resumed(ann) == 20103

        await administer(tmp_path, "account", "resume")
        await until("the service knows", lambda: not running.service.keys.suspended)
        assert (await call("GET", "/v1/Rooms"))[0] == 200
        assert await resumed(ann) is None


async def resumed(client: Client) -> int | None:
    """Resume a session; return the code of the refusal, if any."""
    request = ResumeRequest(
        token=client.token,
        session=client.joined.session,
        revision=2,
        tracks=(microphone(),),
        peer_connections=(offer(),),
    )
    try:
        await client.service.resume(request, client.told.append)
    except RoomError as error:
        return error.code
    return None


async def test_a_wrong_password_of_a_suspended_account_is_just_wrong(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        await running.store.write(suspend_account(running.credentials.account_sid, running.clock.now()))
    async with running_rooms(tmp_path) as running, aiohttp.ClientSession() as http:  # as after a restart
        call = Caller(running, http)
        wrong = {"Authorization": aiohttp.encode_basic_auth(running.credentials.account_sid, "guess")}

        assert (await call("GET", "/v1/Rooms"))[0] == 403
        assert (await call("GET", "/v1/Rooms", headers=wrong))[0] == 401


async def test_nobody_is_invited_into_rooms_of_a_suspended_account(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        await running.store.write(suspend_account(running.credentials.account_sid, running.clock.now()))
    async with running_rooms(tmp_path) as running, aiohttp.ClientSession() as http:
        call = Caller(running, http)
        secret = running.credentials.service_secret.encode()
        expires_at = int(running.clock.now().timestamp()) + 600
        invitation = write_invitation(Invitation(room="lobby", expires_at=expires_at), secret)

        invited = await call("POST", "/join/lobby/invitations")
        asked = await call("POST", "/join/lobby/token", json={"invitation": invitation, "name": "Ann"})

    assert [(status, body["code"]) for status, body, _ in (invited, asked)] == [(403, 20403)] * 2


async def test_what_belongs_to_another_account_is_not_there(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running, aiohttp.ClientSession() as http:
        call = Caller(running, http)
        foreign = await running.service.create_room(new_account_sid(), "lobby", RoomSettings())
        paths = ("", "/Participants", "/RecordingRules", "/Recordings")

        for key in (foreign.sid, "lobby"):
            assert {(await call("GET", f"/v1/Rooms/{key}{path}"))[0] for path in paths} == {404}
            assert (await call("POST", f"/v1/Rooms/{key}", {"Status": "completed"}))[0] == 404
        assert (await call("GET", "/v1/Rooms"))[1]["rooms"] == []
        assert await refused(running.client("ann"), foreign.sid) == 53106
        assert (await call("POST", "/v1/Rooms", {"UniqueName": "lobby"}))[0] == 201


async def test_rooms_of_an_account_that_is_no_more_fail_at_the_start(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        settings = RoomSettings(status_callback="http://127.0.0.1:9/")
        lost = await running.service.create_room(running.credentials.account_sid, "lobby", settings)
        await running.client("ann").join("lobby", microphone())
    (tmp_path / "credentials.json").unlink()  # as the service itself advises where it is damaged

    async with running_rooms(tmp_path) as running:
        await settled(running)
        (room,) = await rows(running, rooms)
        ended = [row for row in await rows(running, events) if row.name == "room-ended"]

        assert (room.sid, room.status) == (lost.sid, RoomStatus.FAILED)
        assert [(row.params["RoomStatus"], row.reason) for row in ended] == [("failed", "failed")]
        assert (await event_names(running))[-3:] == ["track-removed", "participant-disconnected", "room-ended"]
        assert running.service.rooms_now() == []
        assert (await running.client("ann").join("lobby")).room_sid != lost.sid
