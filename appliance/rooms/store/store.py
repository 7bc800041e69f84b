"""The database: opened and brought up to date, written by one task, read by anybody.

    service, outbox ── write(job) ─▶ queue ─▶ one task: all that waits, in one transaction ─▶ futures of the jobs

Nobody who moves media waits for it. While the disk will not take a transaction, or the database server is away, jobs
stay queued in order and are tried again; `healthy` is False then. A job may so run twice, even after a commit whose
answer was lost: it must come to the same.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self, cast

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from appliance.backoff import Backoff, geometric
from appliance.errors import ConfigurationError, RoomKioskError
from appliance.rooms.store import sqlite_driver

log = logging.getLogger(__name__)

Job = Callable[[AsyncConnection], Awaitable[None]]
_RETRY_STEPS_S = geometric(0.1, 2.0, 5.0)
_MAX_JOBS_PER_TRANSACTION = 200
_CLOSING_DEADLINE_S = 2.0
_GOODBYE_WITHIN_S = 0.5
_MAX_READERS = 8  # fewer than the pool holds
_CONNECT_WITHIN_S = 5.0
_ANSWER_WITHIN_S = 30.0
READ_WITHIN_S = 5.0
_OUTAGES = ("08", "40", "53", "55", "57", "58")
"""SQLSTATE classes: connection, rollback, resources, not in the state, operator's intervention, system (PostgreSQL,
appendix A)."""
_CONDITION_WITHIN_S = 2.0
_READ_ONLY = "25006"  # of a server that is a standby now


class StoreUnavailable(RoomKioskError):
    """The database is away, or cannot take more, for now: ask again later."""


def is_outage(error: BaseException) -> bool:
    """Tell what passes, as a full disk or a server that restarts, from what is wrong with a statement: a bug."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated or isinstance(error, OperationalError):
            return True
        state = getattr(error.orig, "sqlstate", None) or ""
        return state[:2] in _OUTAGES or state == _READ_ONLY
    return isinstance(error, OSError)


class Store:
    """`async with Store(url) as store:`; `url` as SQLAlchemy wants it, with an async driver.

    `read_within_s`: who reads is told after so many seconds that the database hangs. Who writes waits as long as it
    likes: a job stays queued.

    Raises:
        ConfigurationError: on entering: there is no such database, it may not be used, or it is a newer one.
        StoreUnavailable: on entering: the database server cannot be reached now.
    """

    def __init__(self, url: str, read_within_s: float = READ_WITHIN_S) -> None:
        self._url = url
        self._read_within_s = read_within_s
        self._engine: AsyncEngine | None = None
        self._jobs: asyncio.Queue[tuple[Job, asyncio.Future[None]] | None] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._reads = asyncio.Semaphore(_MAX_READERS)
        self.healthy = True

    async def __aenter__(self) -> Self:
        url = sa.make_url(self._url)
        if url.get_backend_name() == "sqlite":
            self._look_for_folder(url)
            self._engine = create_async_engine(url, connect_args={"async_creator_fn": sqlite_driver.connect})
            sa.event.listen(self._engine.sync_engine, "connect", _set_up_sqlite)
        else:
            from appliance.rooms.store.postgres_driver import HastyConnection  # an extra that may not be installed

            deadlines = {"timeout": _CONNECT_WITHIN_S, "command_timeout": _ANSWER_WITHIN_S}
            self._engine = create_async_engine(url, connect_args={**deadlines, "connection_class": HastyConnection})
            sa.event.listen(self._engine.sync_engine, "checkout", _leave_dead_connection)
        try:
            async with self._engine.begin() as connection:
                await connection.run_sync(migrate)
        except (DBAPIError, CommandError, OSError) as error:
            await self._engine.dispose()
            problem = f"store.url: {url!r} cannot be used: {_reason(error)}"
            if is_outage(error) and url.get_backend_name() != "sqlite":
                raise StoreUnavailable(problem) from error
            raise ConfigurationError([problem]) from error
        except BaseException:
            await self._engine.dispose()
            raise
        self._writer = asyncio.create_task(self._write_all(), name="store writer")
        return self

    @staticmethod
    def _look_for_folder(url: sa.URL) -> None:
        """Say what is wrong before anything is opened: a failed opening leaves a thread of aiosqlite behind.

        Raises:
            ConfigurationError: the folder of the database file is not there.
        """
        folder = Path(url.database or ".").parent
        if not folder.is_dir():
            raise ConfigurationError([f"store.url: {url!r} cannot be used: there is no folder {folder}"])

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is queued, within a deadline, and close."""
        assert self._engine
        assert self._writer
        self._jobs.put_nowait(None)
        with suppress(TimeoutError, DBAPIError):
            await asyncio.wait_for(self._writer, _CLOSING_DEADLINE_S)
        # A server that hangs is not waited for once more by every connection's goodbye.
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_WITHIN_S):
                await self._engine.dispose()

    @property
    def engine(self) -> AsyncEngine:
        assert self._engine, "the store is not open"
        return self._engine

    @asynccontextmanager
    async def read(self, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a connection to read by; a few at a time, so that a flood of readers waits instead of failing.

        Args:
            patient: it has to be read however long it takes, as at the start.

        Raises:
            StoreUnavailable: the database is away, before or while it is read, or hangs.
        """
        try:
            async with (
                asyncio.timeout(None if patient else self._read_within_s),
                self._reads,
                self.engine.connect() as connection,
            ):
                yield connection
        except (DBAPIError, OSError) as error:
            if not is_outage(error):
                raise
            raise StoreUnavailable(f"the store cannot be read now: {_reason(error)}") from error

    async def condition(self) -> str:
        """Return `ok`, or what is wrong in words; asks the database, which nobody may have done since it went away."""
        if not self.healthy:
            return "store cannot be written"
        try:
            async with asyncio.timeout(_CONDITION_WITHIN_S), self.read() as connection:
                await connection.execute(sa.select(1))
        except (StoreUnavailable, TimeoutError):
            return "store cannot be read"
        return "ok"

    def write(self, job: Job) -> "asyncio.Future[None]":
        """Queue a job. The future is done once it is committed; jobs commit in the order of the calls."""
        done = asyncio.get_running_loop().create_future()
        # Not everybody waits for the outcome; what goes wrong for good is told by `watch`.
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._jobs.put_nowait((job, done))
        return done

    async def watch(self) -> None:
        """Return never; raise what ended the writer.

        Raises:
            DBAPIError: the database refused a job for what it holds: a bug.
        """
        assert self._writer
        await asyncio.shield(self._writer)

    async def _write_all(self) -> None:
        while (first := await self._jobs.get()) is not None:
            batch = [first]
            stopping = False
            while not stopping and not self._jobs.empty() and len(batch) < _MAX_JOBS_PER_TRANSACTION:
                another = self._jobs.get_nowait()
                stopping = another is None
                batch += [another] if another else []
            try:
                await self._commit([job for job, _ in batch])
            except BaseException as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error) if isinstance(error, Exception) else done.cancel()
                raise
            for _, done in batch:
                if not done.done():
                    done.set_result(None)
            if stopping:
                return

    async def _commit(self, jobs: list[Job]) -> None:
        backoff = Backoff(Random(), _RETRY_STEPS_S, least_s=0.05)
        while True:
            try:
                async with self.engine.begin() as connection:
                    for job in jobs:
                        await job(connection)
            except (DBAPIError, OSError) as error:
                if not is_outage(error):
                    raise
                if self.healthy:
                    log.error("store cannot be written, retrying: %s", _reason(error))
                self.healthy = False
                await asyncio.sleep(backoff.next_delay_s())
                continue
            if not self.healthy:
                log.warning("store is written again")
            self.healthy = True
            return


def _reason(error: BaseException) -> str:
    """Return what happened without the statement, which holds values."""
    reason = error.orig if isinstance(error, DBAPIError) else error
    return str(reason) or type(reason).__name__


async def upsert(connection: AsyncConnection, table: sa.Table, row: dict[str, Any]) -> None:
    """Insert the row, or update the one with its primary key."""
    await connection.execute(_inserting(connection.dialect.name, table, tuple(row), updates=True), row)


async def insert_new(connection: AsyncConnection, table: sa.Table, row: dict[str, Any]) -> None:
    """Insert the row, and leave one with its primary key as it is."""
    await connection.execute(_inserting(connection.dialect.name, table, tuple(row), updates=False), row)


@cache
def _inserting(dialect: str, table: sa.Table, columns: tuple[str, ...], *, updates: bool) -> sa.Executable:
    """Return a statement for rows of these columns. Making it anew each time is dearer than all the rest."""
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    keys = [column.name for column in table.primary_key]
    if not updates:
        return cast(sa.Executable, statement.on_conflict_do_nothing(index_elements=keys))
    changed = {name: statement.excluded[name] for name in columns if name not in keys}
    return cast(sa.Executable, statement.on_conflict_do_update(index_elements=keys, set_=changed))


def _leave_dead_connection(connection: Any, record: Any, proxy: Any) -> None:
    """Let the pool take another connection where the server has closed this one meanwhile, as a restart does."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _set_up_sqlite(connection: Any, record: Any) -> None:
    """Set up a new connection; close it where that fails, since nobody else would, and it owns a thread."""
    try:
        cursor = connection.cursor()
        # WAL: readers and the writer do not wait for each other. FULL: what was promised survives a power cut.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        connection.close()
        raise


def migrate(connection: sa.Connection) -> None:
    """Bring the database behind this connection up to date, in the transaction that is open."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
