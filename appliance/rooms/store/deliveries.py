"""What is due to whom: the queues of the outbox, one for each room and sink (callbacks.md 9)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.rooms.store.columns import DamagedRow, Unreadable
from appliance.rooms.store.store import Job, upsert
from appliance.rooms.store.tables import deliveries, events, rooms

NOTICE = "notice"
"""The sink that hears of dead letters: a queue like the others, so that none is lost while the broker is away."""


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """The head of a queue: an event that waits to be delivered, and where to. `attempts` that were made so far."""

    event_id: str
    sink: str
    account_sid: str
    room_sid: str
    seq: int
    name: str
    occurred_at: datetime
    params: Mapping[str, str | int]
    reason: str | None
    attempts: int
    next_at: datetime | None
    status_callback: str | None
    status_callback_method: str


_pending = sa.and_(deliveries.c.sink == sa.bindparam("sink"), deliveries.c.state == DeliveryState.PENDING.value)
_WAITING_ROOMS = (
    sa.select(deliveries.c.room_sid)
    .join(events, events.c.event_id == deliveries.c.event_id)
    .where(_pending)
    .group_by(deliveries.c.room_sid)
    .order_by(sa.func.min(events.c.occurred_at))
)
_HEAD = (
    sa.select(
        events,
        deliveries.c.sink,
        deliveries.c.attempts,
        deliveries.c.next_at,
        rooms.c.status_callback,
        rooms.c.status_callback_method,
    )
    .join(deliveries, deliveries.c.event_id == events.c.event_id)
    .join(rooms, rooms.c.sid == events.c.room_sid)
    .where(_pending, deliveries.c.room_sid == sa.bindparam("room"))
    .order_by(deliveries.c.seq)
    .limit(1)
)


async def waiting_rooms(connection: AsyncConnection, sink: str) -> list[str]:
    """Return the rooms with something pending for this sink, the one that waits longest first."""
    return [row.room_sid for row in await connection.execute(_WAITING_ROOMS, {"sink": sink})]


async def head_of_queue(connection: AsyncConnection, sink: str, room_sid: str) -> Due | None:
    """Return the pending event with the lowest number, or None where all is done.

    Raises:
        DamagedRow: it cannot be read.
    """
    row = (await connection.execute(_HEAD, {"sink": sink, "room": room_sid})).first()
    if not row:
        return None
    for name, value in row._mapping.items():
        if isinstance(value, Unreadable) or (name == "params" and not isinstance(value, dict)):
            reason = value.reason if isinstance(value, Unreadable) else f"{value!r} is no object"
            raise DamagedRow(events.name, row.event_id, f"{name}: {reason}")
    return Due(**row._mapping)


def give_up_damaged(error: DamagedRow, sink: str, now: datetime) -> Job:
    """Return the job that lets an event count as dead that cannot be read, so that those behind it are told."""
    values = {"state": DeliveryState.DEAD.value, "last_error": str(error), "finished_at": now, "next_at": None}

    async def job(connection: AsyncConnection) -> None:
        mine = sa.and_(deliveries.c.event_id == error.key, deliveries.c.sink == sink)
        await connection.execute(sa.update(deliveries).where(mine).values(values))

    return job


def write_outcome(
    due: Due,
    state: DeliveryState,
    *,
    now: datetime,
    next_at: datetime | None = None,
    status: int | None = None,
    error: str | None = None,
    attempted: bool = True,
    notice: bool = False,
) -> Job:
    """Return the job that notes an attempt.

    Args:
        next_at: when to try again, where it stays pending.
        status: the HTTP status, or the reason code of the broker, where there was an answer.
        attempted: False where it was given up without one.
        notice: let the event be due to the sink `notice`, in the same transaction.
    """
    values: dict[str, Any] = {
        "state": state.value,
        "attempts": due.attempts + attempted,
        "next_at": next_at,
        "last_status": status,
        "last_error": error,
        "finished_at": None if state is DeliveryState.PENDING else now,
    }
    mine = sa.and_(deliveries.c.event_id == due.event_id, deliveries.c.sink == due.sink)
    told: dict[str, Any] = {
        "event_id": due.event_id,
        "sink": NOTICE,
        "room_sid": due.room_sid,
        "seq": due.seq,
        "state": DeliveryState.PENDING.value,
        "attempts": 0,
        "next_at": None,
        "finished_at": None,
    }

    async def job(connection: AsyncConnection) -> None:
        await connection.execute(sa.update(deliveries).where(mine).values(values))
        if notice:
            await upsert(connection, deliveries, told)

    return job


# --- for who administers the service (callbacks.md 11) ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An event on its way to one sink, or dead."""

    event_id: str
    sink: str
    room_sid: str
    seq: int
    name: str
    occurred_at: datetime
    params: Mapping[str, str | int]
    state: str
    attempts: int
    next_at: datetime | None
    last_status: int | None
    last_error: str | None
    finished_at: datetime | None


def _letters() -> "sa.Select[Any]":
    columns = [deliveries.c[name] for name in ("sink", "state", "attempts", "next_at", "last_status", "last_error")]
    of_event = [events.c[name] for name in ("event_id", "room_sid", "seq", "name", "occurred_at", "params")]
    query = sa.select(*of_event, *columns, deliveries.c.finished_at)
    return query.join(deliveries, deliveries.c.event_id == events.c.event_id)


async def list_letters(
    connection: AsyncConnection, *, room_sid: str | None, states: tuple[DeliveryState, ...], limit: int
) -> list[Letter]:
    """Return what waits or is dead, by room, in order."""
    query = _letters().where(deliveries.c.state.in_([state.value for state in states]))
    if room_sid:
        query = query.where(deliveries.c.room_sid == room_sid)
    rows = await connection.execute(query.order_by(deliveries.c.room_sid, deliveries.c.seq).limit(limit))
    return [Letter(**row._mapping) for row in rows]


async def letters_of_event(connection: AsyncConnection, event_id: str) -> list[Letter]:
    """Return an event once for each sink."""
    rows = await connection.execute(_letters().where(events.c.event_id == event_id).order_by(deliveries.c.sink))
    return [Letter(**row._mapping) for row in rows]


def replay(*, event_id: str | None = None, room_sid: str | None = None) -> Job:
    """Return the job that lets dead deliveries of an event, or of a room, be tried again; id, number and time stay."""

    async def job(connection: AsyncConnection) -> None:
        again = {"state": DeliveryState.PENDING.value, "attempts": 0, "next_at": None, "finished_at": None}
        dead = deliveries.c.state == DeliveryState.DEAD.value
        await connection.execute(sa.update(deliveries).where(_those(event_id, room_sid), dead).values(again))

    return job


def drop(*, event_id: str | None = None, room_sid: str | None = None) -> Job:
    """Return the job that forgets what is pending or dead, of an event or of a room."""

    async def job(connection: AsyncConnection) -> None:
        undelivered = deliveries.c.state != DeliveryState.DELIVERED.value
        await connection.execute(sa.delete(deliveries).where(_those(event_id, room_sid), undelivered))

    return job


def _those(event_id: str | None, room_sid: str | None) -> "sa.ColumnElement[bool]":
    if not event_id and not room_sid:
        raise ValueError("an event or a room has to be named")
    return deliveries.c.event_id == event_id if event_id else deliveries.c.room_sid == room_sid


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """How much waits for one sink, and since when."""

    sink: str
    depth: int
    oldest: datetime


async def queue_figures(connection: AsyncConnection) -> list[QueueFigures]:
    rows = await connection.execute(
        sa.select(deliveries.c.sink, sa.func.count().label("depth"), sa.func.min(events.c.occurred_at).label("oldest"))
        .join(events, events.c.event_id == deliveries.c.event_id)
        .where(deliveries.c.state == DeliveryState.PENDING.value)
        .group_by(deliveries.c.sink)
    )
    return [QueueFigures(sink=row.sink, depth=row.depth, oldest=row.oldest) for row in rows]
