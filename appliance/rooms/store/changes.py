"""What the service writes: a change of a room with its events, and what is left over of earlier lives."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.rooms.delivery import GIVE_UP_ROOM_ENDED_AFTER
from appliance.rooms.room import Change, Participant, ParticipantStatus, Room, RoomStatus
from appliance.rooms.store.columns import DamagedRow
from appliance.rooms.store.store import Job, insert_new, upsert
from appliance.rooms.store.tables import (
    deliveries,
    delivery_row,
    event_row,
    events,
    participant_of,
    participant_row,
    participants,
    room_of,
    room_row,
    rooms,
    track_of,
    track_row,
    tracks,
)
from appliance.sids import new_event_sid

KEEP_DELIVERED = timedelta(hours=24)


def write_change(change: Change, sinks: Sequence[str]) -> Job:
    """Return the job that stores a change: rows, events and what is due to each sink, in one transaction.

    Event ids are chosen here, so that a retried transaction keeps them.
    """
    numbered = [(event, new_event_sid()) for event in change.events]

    async def job(connection: AsyncConnection) -> None:
        await upsert(connection, rooms, room_row(change.room))
        for participant in change.participants.values():
            await _write_participant(connection, participant, change.room)
        for event, event_id in numbered:
            await insert_new(connection, events, event_row(event, event_id, change.room))
            for sink in sinks:
                await insert_new(connection, deliveries, delivery_row(event, event_id, change.room, sink))

    return job


async def _write_participant(connection: AsyncConnection, participant: Participant, room: Room) -> None:
    await upsert(connection, participants, participant_row(participant, room.sid))
    await connection.execute(sa.delete(tracks).where(tracks.c.participant_sid == participant.sid))
    if participant.status is ParticipantStatus.DISCONNECTED:
        return
    rows = [track_row(track, participant.sid, place) for place, track in enumerate(participant.tracks)]
    if rows:
        await connection.execute(sa.insert(tracks), rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A row that cannot be read, and the room or participant that has to be left out for it: its table and SID."""

    error: DamagedRow
    table: sa.Table
    sid: str

    @property
    def counts_as(self) -> str:
        """The status it has in the store from now on."""
        return RoomStatus.FAILED.value if self.table is rooms else ParticipantStatus.DISCONNECTED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What an earlier life left: the rooms in progress with those who were in them, and what cannot be read."""

    rooms: tuple[Room, ...]
    damaged: tuple[Damage, ...]


async def rooms_in_progress(connection: AsyncConnection) -> Left:
    """Return the rooms that had not ended when the service last stopped, and rows that `set_aside` put aside before."""
    found: list[Room] = []
    damaged: list[Damage] = []
    aside = sa.and_(rooms.c.status == RoomStatus.FAILED.value, rooms.c.ended.is_(None))
    in_progress = rooms.c.status == RoomStatus.IN_PROGRESS.value
    selected = await connection.execute(sa.select(rooms).where(in_progress | aside).order_by(rooms.c.created))
    for row in selected:
        try:
            room_of(row)
            present = await _present(connection, row.sid, damaged)
            if row.status == RoomStatus.IN_PROGRESS.value:
                found.append(room_of(row, present))
        except DamagedRow as error:
            damaged.append(Damage(error=error, table=rooms, sid=row.sid))
    return Left(rooms=tuple(found), damaged=tuple(damaged))


async def _present(connection: AsyncConnection, room_sid: str, damaged: list[Damage]) -> tuple[Participant, ...]:
    inside = await connection.execute(
        sa.select(participants)
        .where(participants.c.room_sid == room_sid)
        .where(participants.c.status != ParticipantStatus.DISCONNECTED.value)
        .order_by(participants.c.started)
    )
    present = []
    for row in inside:
        try:
            present.append(await _with_tracks(connection, row))
        except DamagedRow as error:
            damaged.append(Damage(error=error, table=participants, sid=row.sid))
    return tuple(present)


async def _with_tracks(connection: AsyncConnection, row: "sa.Row[tuple[object, ...]]") -> Participant:
    own = await connection.execute(
        sa.select(tracks).where(tracks.c.participant_sid == row.sid).order_by(tracks.c.position)
    )
    return participant_of(row, tuple(track_of(track) for track in own))


def set_aside(damage: Damage) -> Job:
    """Return the job that lets a damaged room or participant count as over, so that its name is free again.

    It has no end, and so is never forgotten; nothing else of the row changes.
    """

    async def job(connection: AsyncConnection) -> None:
        row = damage.table.c.sid == damage.sid
        await connection.execute(sa.update(damage.table).where(row).values(status=damage.counts_as))

    return job


def prune(now: datetime, keep: timedelta) -> Job:
    """Return the job that forgets what is too old: deliveries made, and after `keep` those given up and ended rooms.

    A room with an event that still waits stays as long as it may wait (callbacks.md 9, 10).
    """
    delivered_before, before = now - KEEP_DELIVERED, now - keep

    async def job(connection: AsyncConnection) -> None:
        for state, than in (("delivered", delivered_before), ("dead", before)):
            done = sa.and_(deliveries.c.state == state, deliveries.c.finished_at < than)
            await connection.execute(sa.delete(deliveries).where(done))
        # A room that is never left for long would else keep its events for ever.
        due = sa.exists().where(deliveries.c.event_id == events.c.event_id)
        await connection.execute(sa.delete(events).where(events.c.occurred_at < before, ~due))
        waits = sa.exists().where(deliveries.c.room_sid == rooms.c.sid, deliveries.c.state == "pending")
        over = sa.or_(rooms.c.ended < now - GIVE_UP_ROOM_ENDED_AFTER, ~waits)
        # Participants, tracks, events and deliveries of the room go with it.
        await connection.execute(sa.delete(rooms).where(rooms.c.ended < before, over))

    return job
