"""What a rooms service in this process has stored, and when it has."""

from typing import Any

import sqlalchemy as sa

from appliance.rooms.store.tables import events
from tests.support.rooms_running import RunningRooms


async def rows(running: RunningRooms, table: sa.Table) -> list[Any]:
    async with running.store.engine.connect() as connection:
        return list(await connection.execute(sa.select(table)))


async def event_names(running: RunningRooms) -> list[str]:
    async with running.store.engine.connect() as connection:
        found = await connection.execute(sa.select(events.c.name).order_by(events.c.room_sid, events.c.seq))
        return [row.name for row in found]


async def settled(running: RunningRooms) -> None:
    """Wait until all that was asked to be stored is stored."""

    async def nothing(connection: Any) -> None:
        return None

    await running.store.write(nothing)
