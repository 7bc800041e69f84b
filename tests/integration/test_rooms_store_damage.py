"""Rows that hold what nobody of ours wrote: the service starts, goes on without them, and leaves them there."""

import asyncio
import base64
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from appliance.rooms.delivery import Outcome, OutcomeClass
from appliance.rooms.outbox import Outbox
from appliance.rooms.room import RoomSettings
from appliance.rooms.store.deliveries import Due
from appliance.rooms.store.keys import ApiKey, Seal, add_key
from appliance.sids import new_key_sid
from appliance.system_clock import SystemClock
from tests.support.conditions import until
from tests.support.rooms_running import RunningRooms, microphone, running_rooms
from tests.support.rooms_stored import settled

DAMAGES = [
    ("room", "video_codecs", "{not JSON"),
    ("room", "recording_rules", '{"rules": [{"type": "sometimes"}]}'),
    ("room", "type", "seminar"),
    ("room", "emptied", "yesterday"),
    ("room", "max_participants", "many"),
    ("participant", "status", "asleep"),
    ("participant", "rules", '["include"'),
    ("track", "kind", "smell"),
]


def in_file(folder: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Do something to the database that the service has closed."""
    with closing(sqlite3.connect(folder / "rooms.sqlite3")) as database, database:
        return database.execute(statement, values).fetchall()


async def answer(running: RunningRooms, path: str) -> tuple[int, Any]:
    secrets = running.credentials
    login = base64.b64encode(f"{secrets.account_sid}:{secrets.auth_token}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{running.url}/v1/{path}") as found:
        return found.status, await found.json()


@pytest.mark.parametrize(("table", "column", "value"), DAMAGES)
async def test_the_service_starts_without_what_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, table: str, column: str, value: str
) -> None:
    async with running_rooms(tmp_path) as running:
        sid = (await running.client("ann").join("lobby", microphone())).room_sid
        await running.client("bob").join("hall")
    in_file(tmp_path, f"UPDATE {table} SET {column} = ? WHERE {table}.rowid = 1", value)
    (key,) = in_file(tmp_path, f"SELECT sid FROM {table} WHERE {column} = ?", value)

    with caplog.at_level(logging.ERROR):
        async with running_rooms(tmp_path) as running:
            told = [record.getMessage() for record in caplog.records]
            inside = {room.name: len(room.participants) for room in running.service.rooms_now()}
            assert inside == {"hall": 1} if table == "room" else inside == {"hall": 1, "lobby": 0}
            assert running.service.damaged_rows == 1
            assert (await running.client("cid").join("lobby")).room_name == "lobby"
            assert (await answer(running, f"Rooms/{sid}"))[0] == (404 if table == "room" else 200)
            assert (await answer(running, "Rooms?Status=failed"))[1]["rooms"] == []
            status, listed = await answer(running, "Rooms")
            assert (status, sorted(room["unique_name"] for room in listed["rooms"])) == (200, ["hall", "lobby"])

    assert len(told) == 1
    assert all(part in told[0] for part in (key[0], f"table {table}", "mend or delete"))
    kept = "disconnected" if column == "status" else value
    assert in_file(tmp_path, f"SELECT {column} FROM {table} WHERE sid = ?", key[0]) == [(kept,)]


async def test_a_room_that_is_still_damaged_is_told_at_every_start(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        await running.client("ann").join("lobby")
    in_file(tmp_path, "UPDATE room SET video_codecs = 'x'")

    for _ in range(2):
        async with running_rooms(tmp_path) as running:
            assert running.service.damaged_rows == 1
    in_file(tmp_path, """UPDATE room SET video_codecs = '["VP8"]', status = 'in-progress'""")

    async with running_rooms(tmp_path) as running:
        assert running.service.damaged_rows == 0
        assert [room.name for room in running.service.rooms_now()] == ["lobby"]


async def test_pages_go_round_damaged_rooms(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        account = running.credentials.account_sid
        for number in range(6):
            await running.service.create_room(account, f"room {number}", RoomSettings())
            await running.service.complete_room(account, f"room {number}")
        damage = "UPDATE room SET type = 'seminar' WHERE unique_name IN ('room 5', 'room 4', 'room 3', 'room 1')"
        in_file(tmp_path, damage)

        _, first = await answer(running, "Rooms?Status=completed&PageSize=1")
        onward = first["meta"]["next_page_url"].partition("/v1/")[2]
        _, second = await answer(running, onward)

    assert [room["unique_name"] for page in (first, second) for room in page["rooms"]] == ["room 2", "room 0"]
    assert second["meta"]["next_page_url"] is None


class Recorder:
    """A sink that takes everything. Satisfies Sink."""

    name = "http"
    ages = True

    def __init__(self) -> None:
        self.taken: list[str] = []

    def place(self, due: Due) -> str:
        return "here"

    @asynccontextmanager
    async def turn(self, due: Due) -> AsyncIterator[None]:
        yield

    async def ready(self, due: Due) -> None:
        return None

    async def deliver(self, due: Due) -> Outcome:
        self.taken.append(due.name)
        return Outcome(kind=OutcomeClass.DELIVERED)


async def test_an_event_that_is_damaged_is_given_up_and_those_behind_it_are_told(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        account = running.credentials.account_sid
        await running.service.create_room(account, "lobby", RoomSettings(status_callback="http://127.0.0.1:9/"))
        await running.service.complete_room(account, "lobby")
        in_file(tmp_path, "UPDATE event SET params = '{' WHERE seq = 0")
        sink = Recorder()
        outbox = Outbox(running.store, sink, SystemClock(), Random())

        delivering = asyncio.create_task(outbox.run())
        await until("the other one is told", lambda: sink.taken == ["room-ended"] or delivering.done())
        await settled(running)
        delivering.cancel()
        with suppress(asyncio.CancelledError):
            await delivering

        assert outbox.figures.dead == 1
    states = in_file(tmp_path, "SELECT seq, state FROM delivery ORDER BY seq")
    assert states[0] == (0, "dead")


async def test_a_key_that_is_damaged_opens_nothing_and_the_others_do(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        secrets = running.credentials
        key = ApiKey(sid=new_key_sid(), account_sid=secrets.account_sid, secret="x" * 32, created=SystemClock().now())
        await running.store.write(add_key(key, Seal(secrets.service_secret)))
    in_file(tmp_path, "UPDATE api_key SET kind = 'butler' WHERE sid = ?", key.sid)

    async with running_rooms(tmp_path) as running:
        assert running.service.keys.kind_of(key.sid, key.secret) is None
        assert running.service.keys.kind_of(secrets.api_key_sid, secrets.api_key_secret)
