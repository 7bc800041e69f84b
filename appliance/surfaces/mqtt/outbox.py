"""The durable outbox: events that survive power cuts until the broker has acknowledged them (kiosk.md 12).

An event is on the card, synced, before it can be published, and leaves only when it was acknowledged, so delivery is at
least once and in order; `seq` rises by one for ever. A thread of its own writes: the loop never waits for the card.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from appliance.clock import Clock, rfc3339

log = logging.getLogger(__name__)

MAX_EVENTS = 10_000
"""With events of a kilobyte well within 16 MiB."""
KEPT_FOR = timedelta(days=7)
GROUP_S = 1.0
"""What is not urgent shares a sync with what comes in this time."""
LOST_AND_TOLD = "kiosk-outbox-dropped"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  class INTEGER NOT NULL,
  at TEXT NOT NULL,
  monotonic_ms INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS event_class ON event (class, seq);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event as it is kept. `data` is JSON; `at` RFC 3339; `seq` 0 until it is on the card."""

    id: str
    type: str
    at: str
    monotonic_ms: int
    boot_id: str
    data: str
    seq: int = 0


def class_of(type: str) -> int:
    """Return how dear an event is when the outbox is full: 2 audit and room, 1 kiosk, 0 track (kiosk.md 12)."""
    if type.startswith("track-"):
        return 0
    if type.startswith(("room-", "participant-")) or type == "kiosk-command":
        return 2
    return 1


def is_urgent(type: str) -> bool:
    """Tell whether an event is synced at once."""
    return type.startswith(("room-", "participant-", "kiosk-issue"))


class Outbox:
    """Use as `async with outbox:`. `append` never waits; `head` and `remove` are for whoever publishes.

    Args:
        dropped: called on the loop with (count, first seq, last seq) when the outbox was full.
        trouble: called on the loop with an issue's code and words: `data_recovered`, `outbox_volatile`.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        dropped: Callable[[int, int, int], None],
        trouble: Callable[[str, str], None],
        max_events: int = MAX_EVENTS,
    ) -> None:
        self._path, self._clock = path, clock
        self._dropped, self._trouble, self._max_events = dropped, trouble, max_events
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.stored = asyncio.Event()
        """Set after each write; for whoever waits for a head."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what waits, then close."""
        ended = self._loop.create_future()
        self._jobs.put(_Job(stop=True, done=ended))
        await ended
        assert self._thread is not None
        self._thread.join()

    def append(self, event: Event) -> None:
        """Keep an event; returns at once, from the event loop."""
        self._jobs.put(_Job(event=event))

    async def head(self) -> Event | None:
        """Return the oldest event, None where there is none."""
        future: asyncio.Future[Event | None] = self._loop.create_future()
        self._jobs.put(_Job(head=True, done=future))
        return await future

    async def remove(self, seq: int) -> None:
        """Forget an event: the broker has it."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put(_Job(remove=seq, done=future))
        await future

    async def count(self) -> int:
        future: asyncio.Future[int] = self._loop.create_future()
        self._jobs.put(_Job(count=True, done=future))
        return await future

    # On the thread

    def _run(self) -> None:
        with closing(self._open()) as database:
            while self._write_and_answer(database, self._collect()):
                pass

    def _open(self) -> sqlite3.Connection:
        """Open the file; a damaged one is set aside, and without a writable card memory has to do."""
        try:
            return _connect(self._path)
        except sqlite3.OperationalError as error:
            self._tell_trouble("outbox_volatile", f"{self._path}: {error}")
        except sqlite3.DatabaseError as error:
            kept = self._path.with_name(f"{self._path.name}.damaged-{self._clock.now():%Y%m%dT%H%M%S}")
            log.warning("%s is damaged (%s), kept as %s", self._path, error, kept.name)
            self._path.replace(kept)
            self._tell_trouble("data_recovered", kept.name)
            return _connect(self._path)
        return _connect(":memory:")

    def _tell_trouble(self, code: str, words: str) -> None:
        self._on_loop(self._trouble, code, words)

    def _collect(self) -> list["_Job"]:
        """Return the next jobs: at once if any is urgent or awaited, else what a second brings."""
        jobs = [self._jobs.get()]
        deadline = self._clock.monotonic() + GROUP_S
        while not jobs[-1].urgent:
            wait_s = deadline - self._clock.monotonic()
            if wait_s <= 0:
                break
            try:
                jobs.append(self._jobs.get(timeout=wait_s))
            except queue.Empty:
                break
        return jobs

    def _write_and_answer(self, database: sqlite3.Connection, jobs: list["_Job"]) -> bool:
        """Do jobs in one transaction; nobody is answered before it is on the card. Returns False to end."""
        results: list[tuple[_Job, object]] = []
        wrote = False
        try:
            with database:
                for job in jobs:
                    if job.event is not None:
                        _insert(database, job.event)
                        wrote = True
                    elif job.remove:
                        database.execute("DELETE FROM event WHERE seq = ?", (job.remove,))
                        results.append((job, None))
                if wrote:
                    self._keep_bounds(database)
        except sqlite3.Error as error:
            log.error("outbox: %s; %d events are lost", error, sum(job.event is not None for job in jobs))
            self._tell_trouble("outbox_volatile", str(error))
            results = [(job, None) for job in jobs if job.remove]
        for job in jobs:
            if job.head:
                results.append((job, _head(database)))
            elif job.count:
                results.append((job, database.execute("SELECT count(*) FROM event").fetchone()[0]))
            elif job.stop:
                results.append((job, None))
        for job, result in results:
            assert job.done is not None
            self._on_loop(_settle, job.done, result)
        if wrote:
            self._on_loop(self.stored.set)
        return not any(job.stop for job in jobs)

    def _keep_bounds(self, database: sqlite3.Connection) -> None:
        """Let go of what is too old, then of the oldest of the lowest class, until the rest fits."""
        oldest = rfc3339(self._clock.now() - KEPT_FOR)
        database.execute("DELETE FROM event WHERE at < ?", (oldest,))
        excess = database.execute("SELECT count(*) FROM event").fetchone()[0] - self._max_events
        if excess <= 0:
            return
        rows = database.execute("SELECT seq FROM event ORDER BY class, seq LIMIT ?", (excess,)).fetchall()
        gone = [row[0] for row in rows]
        database.executemany("DELETE FROM event WHERE seq = ?", rows)
        self._on_loop(self._dropped, len(gone), min(gone), max(gone))

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            log.debug("outbox: the loop is closed")


@dataclass(slots=True)
class _Job:
    event: Event | None = None
    head: bool = False
    remove: int = 0
    count: bool = False
    stop: bool = False
    done: "asyncio.Future[Any] | None" = None

    @property
    def urgent(self) -> bool:
        return self.event is None or is_urgent(self.event.type)


def _settle(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _connect(path: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=5)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_SCHEMA)
        database.execute("SELECT max(seq) FROM event").fetchone()
        # A file that cannot be written shows it only on the first write.
        database.execute("PRAGMA user_version = 1")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _insert(database: sqlite3.Connection, event: Event) -> None:
    database.execute(
        "INSERT INTO event (id, type, class, at, monotonic_ms, boot_id, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (event.id, event.type, class_of(event.type), event.at, event.monotonic_ms, event.boot_id, event.data),
    )


def _head(database: sqlite3.Connection) -> Event | None:
    row = database.execute(
        "SELECT seq, id, type, at, monotonic_ms, boot_id, data FROM event ORDER BY seq LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    seq, id, type, at, monotonic_ms, boot_id, data = row
    return Event(id=id, type=type, at=at, monotonic_ms=monotonic_ms, boot_id=boot_id, data=data, seq=seq)


def age(event: Event, now: datetime) -> timedelta:
    return now - datetime.fromisoformat(event.at)
