"""Everything that rests on the store of the rooms service is tested on SQLite and on PostgreSQL alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import rooms_running
from tests.support.migrated import migrated_sqlite
from tests.support.postgres import Postgres, why_not

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
