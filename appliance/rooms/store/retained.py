"""The retained MQTT topics that are ours: what may have to be cleared after a restart (callbacks.md 17)."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.rooms.store.store import Job, upsert
from appliance.rooms.store.tables import retained_topics


async def retained(connection: AsyncConnection) -> dict[str, str]:
    """Return the room's SID of every topic of ours."""
    return {row.topic: row.room_sid for row in await connection.execute(sa.select(retained_topics))}


def keep_topic(topic: str, room_sid: str, seq: int) -> Job:
    async def job(connection: AsyncConnection) -> None:
        row = {"topic": topic, "room_sid": room_sid, "seq": seq}
        await upsert(connection, retained_topics, row)

    return job


def forget_topic(topic: str) -> Job:
    async def job(connection: AsyncConnection) -> None:
        await connection.execute(sa.delete(retained_topics).where(retained_topics.c.topic == topic))

    return job
