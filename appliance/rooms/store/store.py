"""The database: opened and brought up to date, written by one task, read by anybody.

    service, outbox ── write(job) ─▶ queue ─▶ one task: all that waits, in one transaction ─▶ futures of the jobs

Nobody who moves media waits for it. While the disk will not take a transaction, jobs stay queued in order and are
tried again; `healthy` is False then.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self, cast

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from appliance.backoff import Backoff, geometric
from appliance.errors import ConfigurationError

log = logging.getLogger(__name__)

Job = Callable[[AsyncConnection], Awaitable[None]]
_RETRY_STEPS_S = geometric(0.1, 2.0, 5.0)
_MAX_JOBS_PER_TRANSACTION = 200
_CLOSING_DEADLINE_S = 2.0
_MAX_READERS = 8  # fewer than the pool holds


READ_ERRORS = (DBAPIError, OSError)
"""What `read` and what is asked of it raise while the database is away."""


class Store:
    """`async with Store(url) as store:`; `url` as SQLAlchemy wants it, with an async driver.

    Raises:
        ConfigurationError: on entering: there is no such database, it cannot be reached, or it is a newer one.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: AsyncEngine | None = None
        self._jobs: asyncio.Queue[tuple[Job, asyncio.Future[None]] | None] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._reads = asyncio.Semaphore(_MAX_READERS)
        self.healthy = True

    async def __aenter__(self) -> Self:
        self._engine = create_async_engine(self._url)
        if self._engine.dialect.name == "sqlite":
            self._look_for_folder(self._engine.url)
            sa.event.listen(self._engine.sync_engine, "connect", _set_up_sqlite)
        try:
            async with self._engine.begin() as connection:
                await connection.run_sync(_migrate)
        except (DBAPIError, CommandError, OSError) as error:
            await self._engine.dispose()
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise ConfigurationError([f"store.url: {self._engine.url!r} cannot be used: {reason}"]) from error
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
        await self._engine.dispose()

    @property
    def engine(self) -> AsyncEngine:
        assert self._engine, "the store is not open"
        return self._engine

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection to read by; a few at a time, so that a flood of readers waits instead of failing."""
        async with self._reads, self.engine.connect() as connection:
            yield connection

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
            except OperationalError as error:
                if self.healthy:
                    log.error("store cannot be written, retrying: %s", error.orig)
                self.healthy = False
                await asyncio.sleep(backoff.next_delay_s())
                continue
            if not self.healthy:
                log.warning("store is written again")
            self.healthy = True
            return


def upsert(connection: AsyncConnection, table: sa.Table, row: dict[str, Any]) -> sa.Executable:
    """Return a statement that inserts the row, or updates the one with its primary key."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(row)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in row if name not in keys}
    return cast(sa.Executable, statement.on_conflict_do_update(index_elements=keys, set_=changed))


def insert_new(connection: AsyncConnection, table: sa.Table, row: dict[str, Any]) -> sa.Executable:
    """Return a statement that inserts the row, and leaves one with its primary key as it is."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return cast(sa.Executable, dialect.insert(table).values(row).on_conflict_do_nothing())


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


def _migrate(connection: sa.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
