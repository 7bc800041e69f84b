"""The store: what happens to calls and callers while it cannot be written, and how it is opened."""

import asyncio
import sqlite3
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError

from appliance.errors import ConfigurationError, RoomError
from appliance.rooms.conversation import UpdateRequest
from appliance.rooms.room import RoomSettings, create_room
from appliance.rooms.service import StoreUnavailable
from appliance.rooms.store import pages, tables
from appliance.rooms.store.store import Store
from appliance.rooms.store.tables import events, rooms
from appliance.rooms.store.window import Window
from appliance.sids import new_account_sid, new_room_sid
from tests.support import rooms_running
from tests.support.conditions import until
from tests.support.postgres import Postgres
from tests.support.rooms_running import RunningRooms, microphone, running_rooms


class FullDisk:
    """A job that fails as on a full disk until it is told to let go."""

    def __init__(self) -> None:
        self.full = True

    async def __call__(self, connection: Any) -> None:
        if self.full:
            raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))


async def fill(running: RunningRooms) -> FullDisk:
    disk = FullDisk()
    running.store.write(disk)
    await until("the store has noticed", lambda: not running.store.healthy)
    return disk


async def test_a_full_disk_refuses_newcomers_and_leaves_calls_alone(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        ann, bob = running.client("ann"), running.client("bob")
        await ann.join("lobby", microphone())
        await bob.join("lobby")
        disk = await fill(running)

        with pytest.raises(RoomError) as caught:
            await running.client("cid").join("lobby")
        assert caught.value.code == 53104
        with pytest.raises(RoomError) as caught:
            await running.client("cid").join("hall")
        assert caught.value.code == 53103
        with pytest.raises(StoreUnavailable):
            await running.service.create_room(running.credentials.account_sid, "hall", RoomSettings())
        async with aiohttp.ClientSession() as http, http.get(f"{running.url}/readyz") as answer:
            assert answer.status == 503
        running.service.update(ann.here, UpdateRequest(revision=2, tracks=(microphone(enabled=False),)))
        assert [state.tracks[0].enabled for state in bob.seen] == [False]

        disk.full = False
        await until("it is written again", lambda: running.store.healthy)
        assert (await running.client("cid").join("lobby")).room_name == "lobby"
        async with running.store.read() as connection:
            names = [row.name for row in await connection.execute(sa.select(events).order_by(events.c.seq))]
        assert names[-2:] == ["track-disabled", "participant-connected"]


async def test_jobs_are_written_in_the_order_of_the_calls(tmp_path: Path) -> None:
    done: list[int] = []

    def job(number: int) -> Any:
        async def write(connection: Any) -> None:
            done.append(number)

        return write

    async with Store(rooms_running.database_of(tmp_path)) as store:
        await asyncio.gather(*(store.write(job(number)) for number in range(500)))

    assert done == list(range(500))


async def test_what_is_queued_when_the_store_closes_is_still_written(tmp_path: Path) -> None:
    async with Store(rooms_running.database_of(tmp_path)) as store:

        async def make(connection: Any) -> None:
            await connection.execute(sa.text("CREATE TABLE queued (n INTEGER)"))

        store.write(make)

    async with Store(rooms_running.database_of(tmp_path)) as store, store.read() as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM queued"))).scalar_one() == 0


async def test_a_job_that_the_database_will_never_take_ends_the_writer(tmp_path: Path) -> None:
    async def bad(connection: Any) -> None:
        await connection.execute(sa.insert(rooms).values({"sid": "RM1"}))

    async with Store(rooms_running.database_of(tmp_path)) as store:
        done = store.write(bad)
        with pytest.raises(IntegrityError):
            await store.watch()
        with pytest.raises(IntegrityError):
            await done


async def test_a_flood_of_readers_waits_its_turn(tmp_path: Path) -> None:
    async with Store(rooms_running.database_of(tmp_path)) as store:

        async def read() -> int:
            async with store.read() as connection:
                return int((await connection.execute(sa.text("SELECT 1"))).scalar_one())

        assert sum(await asyncio.gather(*(read() for _ in range(300)))) == 300


@pytest.mark.sqlite
@pytest.mark.parametrize("what", ["no folder", "no database", "a newer one"])
async def test_a_store_that_cannot_be_used_is_told_at_the_start(tmp_path: Path, what: str) -> None:
    path = tmp_path / ("nowhere/a.sqlite3" if what == "no folder" else "a.sqlite3")
    if what == "no database":
        path.write_bytes(b"this is no database at all, " * 100)
    if what == "a newer one":
        async with Store(f"sqlite+aiosqlite:///{path}"):
            pass
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()

    with pytest.raises(ConfigurationError, match=r"^store\.url: .* cannot be used: "):
        async with Store(f"sqlite+aiosqlite:///{path}"):
            pass


async def test_the_tables_of_the_code_are_those_that_the_migrations_make(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from appliance.rooms.store.tables import metadata

    def differences(connection: sa.Connection) -> list[Any]:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
        # Constraints and indexes stand in the migrations alone; tables and columns have to agree.
        return [each for each in found if isinstance(each, tuple) and each[0].endswith(("_table", "_column"))]

    async with Store(rooms_running.database_of(tmp_path)) as store, store.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_database_that_goes_away_is_written_again_when_it_is_back(tmp_path: Path) -> None:
    """The connections of the pool die with the server, as when it restarts; none of our jobs may."""
    async with Store(rooms_running.database_of(tmp_path)) as store:
        if store.engine.dialect.name != "postgresql":
            pytest.skip("SQLite is in this process")

        async def make(connection: Any) -> None:
            await connection.execute(sa.text("CREATE TABLE kept (n INTEGER)"))

        await store.write(make)
        async with store.engine.connect() as other:
            end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            await other.execute(sa.text(f"{end_all} AND datname = current_database()"))

        async def put(connection: Any) -> None:
            await connection.execute(sa.text("INSERT INTO kept VALUES (1)"))

        await store.write(put)
        async with store.read() as connection:
            assert (await connection.execute(sa.text("SELECT count(*) FROM kept"))).scalar_one() == 1


async def ask(store: Store, question: str = "SELECT 1") -> object:
    async with store.read() as connection:
        return (await connection.execute(sa.text(question))).scalar_one()


@pytest.mark.sqlite
async def test_who_reads_from_a_disk_that_hangs_is_told_so(tmp_path: Path) -> None:
    answers = threading.Event()
    async with Store(rooms_running.database_of(tmp_path), read_within_s=0.3) as store:

        @sa.event.listens_for(store.engine.sync_engine, "checkout")
        def with_disk(connection: Any, record: Any, proxy: Any) -> None:
            connection.create_function("disk", 0, lambda: answers.wait(60))

        with pytest.raises(StoreUnavailable, match="cannot be read now"):
            await ask(store, "SELECT disk()")
        assert not answers.is_set()
        assert await ask(store) == 1
        answers.set()
        assert await ask(store, "SELECT disk()") == 1


async def test_who_reads_from_a_server_that_hangs_is_told_so_in_time(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    async with Store(rooms_running.database_of(tmp_path), read_within_s=1.0) as store:
        if store.engine.dialect.name != "postgresql":
            pytest.skip("SQLite is in this process")
        server: Postgres = request.getfixturevalue("postgres")
        assert await asyncio.gather(*(ask(store) for _ in range(3))) == [1, 1, 1]
        written: list[int] = []

        async def note(connection: Any) -> None:
            await connection.execute(sa.text("SELECT 1"))
            written.append(1)

        server.pause()
        try:
            # Three connections that are open, and new ones; all far below what a statement may take.
            async with asyncio.timeout(20):
                outcomes = await asyncio.gather(*(ask(store) for _ in range(12)), return_exceptions=True)
            waiting = store.write(note)
        finally:
            server.resume()

        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        await waiting
        assert written == [1]
        assert await ask(store) == 1


async def test_a_long_page_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0
    made_in: list[int] = []

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def room_of(row: Any) -> Any:
        made_in.append(turns)
        return tables.room_of(row)

    monkeypatch.setattr(pages, "room_of", room_of)
    account, now = new_account_sid(), datetime.now(UTC)
    made = [create_room(new_room_sid(), account, None, RoomSettings(), now).room for _ in range(200)]
    async with Store(rooms_running.database_of(tmp_path)) as store:
        async with store.engine.begin() as connection:
            await connection.execute(sa.insert(rooms), [tables.room_row(room) for room in made])
        counting = asyncio.create_task(count())
        async with store.read() as connection:
            found, more = await pages.list_rooms(connection, pages.RoomFilter(account_sid=account), Window(size=199))
        counting.cancel()

    assert (len(found), more) == (199, True)
    assert max(Counter(made_in).values()) <= pages.ROWS_AT_ONCE
