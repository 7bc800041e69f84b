"""SQLite on a thread of its own, as aiosqlite runs it, with one trip to the thread and back for each statement.

aiosqlite makes a trip to open a cursor, one to execute, one to fetch and one to close it, and one more to roll back
what never began: most of what a small question costs. Nothing of ours reads row by row, so all rows come at once.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Self

import aiosqlite

_ROWS_KEPT = 64


class OneTripCursor:
    """What SQLAlchemy wants of a cursor (PEP 249, awaited)."""

    arraysize = 1

    def __init__(self, connection: "OneTripConnection") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, operation: str, parameters: Any = ()) -> Self:
        await self._connection.on_thread(self._run, sqlite3.Cursor.execute, operation, parameters)
        return self

    async def executemany(self, operation: str, parameters: Any) -> Self:
        await self._connection.on_thread(self._run, sqlite3.Cursor.executemany, operation, parameters)
        return self

    def _run(self, database: sqlite3.Connection, run: Any, operation: str, parameters: Any) -> None:
        """On the thread."""
        cursor = database.cursor()
        try:
            run(cursor, operation, parameters)
            self.description = cursor.description
            self._rows = cursor.fetchall() if cursor.description else []
            self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()

    async def fetchall(self) -> Sequence[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        self._rows = []


class OneTripConnection(aiosqlite.Connection):
    """A connection whose cursors are these."""

    def cursor(self) -> OneTripCursor:  # type: ignore[override]  # SQLAlchemy's is all that asks
        return OneTripCursor(self)

    _at_work = False

    async def on_thread(self, work: Any, *arguments: Any) -> None:
        """Let the thread do it, after what it was given before."""
        self._at_work = True
        await self._execute(self._work, work, *arguments)  # type: ignore[no-untyped-call]

    def _work(self, work: Any, *arguments: Any) -> None:
        """On the thread."""
        try:
            work(self._conn, *arguments)
        finally:
            self._at_work = False

    async def close(self) -> None:
        """Close; where a disk hangs, as soon as it answers: nobody waits for that."""
        if self._at_work:
            self.stop()
        else:
            await super().close()

    async def rollback(self) -> None:
        """Do nothing where nothing has begun, as after reading."""
        if self.in_transaction:
            await super().rollback()


def connect(database: str, **options: Any) -> OneTripConnection:
    """Return a connection to be awaited, as `aiosqlite.connect` does. Its thread does not hold up the process's end."""
    connection = OneTripConnection(lambda: sqlite3.connect(database, **options), _ROWS_KEPT)
    connection._thread.daemon = True
    return connection
