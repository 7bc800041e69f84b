"""The same whole system as in tests/e2e, to be killed in parts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Postgres, why_not
from tests.support.stack import Stack, running_stack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running_stack(tmp_path) as running:
        yield running
        # pytest shows it beside a failure only
        print(running.logs())  # noqa: T201


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Postgres() as running:
        yield running


@pytest.fixture
def postgres(cluster: Postgres) -> Postgres:
    """A PostgreSQL that runs, whatever an earlier test did to it."""
    cluster.start()
    return cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> str:
    """The lines of rooms.toml for each kind of store in turn."""
    if request.param == "sqlite":
        return ""
    postgres: Postgres = request.getfixturevalue("postgres")
    return f'[store]\nurl = "{postgres.new_database()}"\n'
