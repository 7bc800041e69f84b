"""What the REST API reads: rooms and participants, one by one or page by page. Damaged rows count as not there."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.rooms.room import Participant, ParticipantStatus, Room, RoomStatus
from appliance.rooms.store.columns import DamagedRow
from appliance.rooms.store.tables import participant_of, participants, room_of, rooms
from appliance.rooms.store.window import Window

log = logging.getLogger(__name__)
T = TypeVar("T")

ROWS_AT_ONCE = 10
"""Made one after the other: a quarter of a millisecond's work, a whole one on a Pi."""

# Made once: making a statement anew costs about as much as asking for what it says.
_key: "sa.BindParameter[str]" = sa.bindparam("key")
_ROOMS = sa.select(rooms).where(rooms.c.account_sid == sa.bindparam("account"))
_ROOM_BY_SID = _ROOMS.where(rooms.c.sid == _key)
_ROOM_BY_NAME = _ROOMS.where(rooms.c.unique_name == _key, rooms.c.status == RoomStatus.IN_PROGRESS.value)
_PARTICIPANTS = sa.select(participants).where(participants.c.room_sid == sa.bindparam("room"))
_PARTICIPANT_BY_SID = _PARTICIPANTS.where(participants.c.sid == _key)
_PARTICIPANT_BY_IDENTITY = _PARTICIPANTS.where(
    participants.c.identity == _key, participants.c.status != ParticipantStatus.DISCONNECTED.value
)


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
    query = _ROOM_BY_SID if sid else _ROOM_BY_NAME
    row = (await connection.execute(query, {"account": account_sid, "key": sid or name})).first()
    return _made(row, room_of) if row else None


async def find_participant(
    connection: AsyncConnection, room_sid: str, *, sid: str = "", identity: str = ""
) -> Participant | None:
    """Return the participant of this SID in any status, or the present one of this identity."""
    query = _PARTICIPANT_BY_SID if sid else _PARTICIPANT_BY_IDENTITY
    row = (await connection.execute(query, {"room": room_sid, "key": sid or identity})).first()
    return _made(row, participant_of) if row else None


def _made(row: Row[Any], make: Callable[[Row[Any]], T]) -> T | None:
    try:
        return make(row)
    except DamagedRow as error:
        log.warning("left out: %s", error)
        return None


async def list_rooms(connection: AsyncConnection, chosen: RoomFilter, window: Window) -> tuple[list[Room], bool]:
    """Return a page, and whether there is more in the direction of the window."""
    query = sa.select(rooms).where(rooms.c.account_sid == chosen.account_sid, rooms.c.status == chosen.status.value)
    if chosen.name is not None:
        query = query.where(rooms.c.unique_name == chosen.name)
    query = _between(query, rooms.c.created, chosen.created_from, chosen.created_before)
    return await _page(connection, query, (rooms.c.created, rooms.c.sid), window, room_of)


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
    return await _page(connection, query, (participants.c.started, participants.c.sid), window, participant_of)


def _between(
    query: "sa.Select[Any]", column: "sa.Column[Any]", since: datetime | None, before: datetime | None
) -> "sa.Select[Any]":
    if since:
        query = query.where(column >= since)
    return query.where(column < before) if before else query


async def _page(
    connection: AsyncConnection,
    query: "sa.Select[Any]",
    key: "tuple[sa.Column[Any], sa.Column[Any]]",
    window: Window,
    make: Callable[[Row[Any]], T],
) -> tuple[list[T], bool]:
    """Read one row more than asked for: whether it is there tells whether there is another page."""
    created, sid = key
    if window.key:
        place = sa.tuple_(created, sid)
        mark = sa.tuple_(sa.literal(window.key.created, created.type), sa.literal(window.key.sid))
        query = query.where(place > mark if window.backwards else place < mark)
    order = (created.asc(), sid.asc()) if window.backwards else (created.desc(), sid.desc())
    query = query.order_by(*order).limit(window.size + 1)
    made = await _all_made(connection, query, make)
    # A page full of damaged rows would be an empty one, with no key for the next to begin at.
    while damaged := [each for each, value in made if value is None]:
        query = query.where(sid.not_in(damaged))
        made = await _all_made(connection, query, make)
    found = [value for _, value in made[: window.size] if value is not None]
    return (found[::-1] if window.backwards else found), len(made) > window.size


async def _all_made(
    connection: AsyncConnection, query: "sa.Select[Any]", make: Callable[[Row[Any]], T]
) -> list[tuple[str, T | None]]:
    """Return what was made of each row, by SID."""
    made: list[tuple[str, T | None]] = []
    for row in await connection.execute(query):
        made.append((row.sid, _made(row, make)))
        if len(made) % ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)  # packets wait for nothing longer than that
    return made
