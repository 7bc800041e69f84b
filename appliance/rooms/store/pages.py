"""What the REST API reads: rooms and participants, one by one or page by page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.rooms.room import Participant, ParticipantStatus, Room, RoomStatus
from appliance.rooms.store.tables import participant_of, participants, room_of, rooms
from appliance.rooms.store.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomFilter:
    account_sid: str
    status: RoomStatus = RoomStatus.IN_PROGRESS
    name: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantFilter:
    room_sid: str
    statuses: tuple[ParticipantStatus, ...]
    identity: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


async def find_room(connection: AsyncConnection, account_sid: str, *, sid: str = "", name: str = "") -> Room | None:
    """Return the room of this SID in any status, or the one in progress of this name (rest.md 5.1)."""
    query = sa.select(rooms).where(rooms.c.account_sid == account_sid)
    if sid:
        query = query.where(rooms.c.sid == sid)
    else:
        query = query.where(rooms.c.unique_name == name, rooms.c.status == RoomStatus.IN_PROGRESS.value)
    row = (await connection.execute(query)).first()
    return room_of(row) if row else None


async def find_participant(
    connection: AsyncConnection, room_sid: str, *, sid: str = "", identity: str = ""
) -> Participant | None:
    """Return the participant of this SID in any status, or the present one of this identity."""
    query = sa.select(participants).where(participants.c.room_sid == room_sid)
    if sid:
        query = query.where(participants.c.sid == sid)
    else:
        present = participants.c.status != ParticipantStatus.DISCONNECTED.value
        query = query.where(participants.c.identity == identity, present)
    row = (await connection.execute(query)).first()
    return participant_of(row) if row else None


async def list_rooms(connection: AsyncConnection, chosen: RoomFilter, window: Window) -> tuple[list[Room], bool]:
    """Return a page, and whether there is more in the direction of the window."""
    query = sa.select(rooms).where(rooms.c.account_sid == chosen.account_sid, rooms.c.status == chosen.status.value)
    if chosen.name is not None:
        query = query.where(rooms.c.unique_name == chosen.name)
    query = _between(query, rooms.c.created, chosen.created_from, chosen.created_before)
    rows, more = await _page(connection, query, rooms.c.created, rooms.c.sid, window)
    return [room_of(row) for row in rows], more


async def list_participants(
    connection: AsyncConnection, chosen: ParticipantFilter, window: Window
) -> tuple[list[Participant], bool]:
    """Return a page, and whether there is more in the direction of the window."""
    query = sa.select(participants).where(
        participants.c.room_sid == chosen.room_sid,
        participants.c.status.in_([status.value for status in chosen.statuses]),
    )
    if chosen.identity is not None:
        query = query.where(participants.c.identity == chosen.identity)
    query = _between(query, participants.c.started, chosen.created_from, chosen.created_before)
    rows, more = await _page(connection, query, participants.c.started, participants.c.sid, window)
    return [participant_of(row) for row in rows], more


def _between(
    query: "sa.Select[Any]", column: "sa.Column[Any]", since: datetime | None, before: datetime | None
) -> "sa.Select[Any]":
    if since:
        query = query.where(column >= since)
    return query.where(column < before) if before else query


async def _page(
    connection: AsyncConnection,
    query: "sa.Select[Any]",
    created: "sa.Column[Any]",
    sid: "sa.Column[Any]",
    window: Window,
) -> tuple[list[Any], bool]:
    """Read one row more than asked for: whether it is there tells whether there is another page."""
    if window.key:
        place = sa.tuple_(created, sid)
        mark = sa.tuple_(sa.literal(window.key.created, created.type), sa.literal(window.key.sid))
        query = query.where(place > mark if window.backwards else place < mark)
    order = (created.asc(), sid.asc()) if window.backwards else (created.desc(), sid.desc())
    rows = list(await connection.execute(query.order_by(*order).limit(window.size + 1)))
    more = len(rows) > window.size
    rows = rows[: window.size]
    return (rows[::-1] if window.backwards else rows), more
