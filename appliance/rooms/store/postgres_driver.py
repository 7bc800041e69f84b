"""asyncpg's connection, but one that is given up is let go at once. Imported where the store is PostgreSQL only."""

from typing import Any

import asyncpg  # type: ignore[import-untyped]


class HastyConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg is untyped
    """Says goodbye without waiting where it is given up.

    SQLAlchemy sets a time for the goodbye of a connection that it gives up, as when whoever waits for an answer has had
    enough, and for no other; a server that hangs would take all of it, and the reader would wait on.
    """

    __slots__ = ()

    async def close(self, *, timeout: Any = None) -> None:
        if timeout is None:
            await super().close()
        else:
            self.terminate()
