"""Databases that are up to date from the start: copies of one that the real migrations made, once in each process.

What tests the migrations themselves opens an empty one instead.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from appliance.rooms.store.store import migrate


@cache
def _template() -> bytes:
    with TemporaryDirectory(prefix="rooms-template-") as folder:
        path = Path(folder) / "rooms.sqlite3"
        engine = sa.create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            migrate(connection)
        engine.dispose()
        return path.read_bytes()


def migrated_sqlite(path: Path) -> str:
    """Return the address of the database in this file, which is made where it is not there yet."""
    if path.parent.is_dir() and not path.exists():
        path.write_bytes(_template())
    return f"sqlite+aiosqlite:///{path}"
