"""Everything that rests on the store of the rooms service is tested on SQLite and on PostgreSQL alike.

And what most tests of the service begin from: a running one, and somebody who calls its REST API.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support import rooms_running
from tests.support.library_calls import Caller
from tests.support.migrated import migrated_sqlite
from tests.support.postgres import Postgres, why_not
from tests.support.rooms_running import RunningRooms, running_rooms

ON_EVERY_STORE = (
    "test_rooms_accounts",
    "test_rooms_dead_letters",
    "test_rooms_events",
    "test_rooms_rest",
    "test_rooms_rest_participants",
    "test_rooms_rest_resources",
    "test_rooms_resuming",
    "test_rooms_joining",
    "test_rooms_inside",
    "test_rooms_ends",
    "test_rooms_store",
    "test_rooms_unrecorded",
)
MIGRATING = ("test_rooms_store",)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everywhere = metafunc.module.__name__.rpartition(".")[2] in ON_EVERY_STORE
    if everywhere and not metafunc.definition.get_closest_marker("sqlite"):
        metafunc.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Postgres() as running:
        yield running


@pytest.fixture(autouse=True)
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `running_rooms` use this kind of database: one for each folder, so that the same folder is a restart.

    It is up to date when it is opened, except for the tests of the store, which see the migrations at work.
    """
    from_nothing = request.module.__name__.rpartition(".")[2] in MIGRATING
    if getattr(request, "param", "sqlite") == "sqlite":
        if not from_nothing:
            monkeypatch.setattr(rooms_running, "database_of", lambda folder: migrated_sqlite(folder / "rooms.sqlite3"))
        return
    cluster: Postgres = request.getfixturevalue("postgres")
    urls: dict[Path, str] = {}

    def database_of(folder: Path) -> str:
        if folder not in urls:
            urls[folder] = cluster.new_database() if from_nothing else cluster.new_migrated_database()
        return urls[folder]

    monkeypatch.setattr(rooms_running, "database_of", database_of)


@pytest.fixture(autouse=True)
def nothing_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what this machine's environment says of regions and proxies from the libraries under test."""
    for name in ("TWILIO_REGION", "TWILIO_EDGE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningRooms]:
    """The rooms service as it comes; a module that needs another kind has a fixture of its own by this name."""
    async with running_rooms(tmp_path) as running:
        yield running


@pytest.fixture
async def call(running: RunningRooms) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(running, session)
