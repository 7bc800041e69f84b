"""What the service writes: a change of a room with its events, and what is left over of earlier lives."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.rooms.delivery import GIVE_UP_ROOM_ENDED_AFTER
from appliance.rooms.room import Change, Participant, ParticipantStatus, Room, RoomStatus
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
        await connection.execute(upsert(connection, rooms, room_row(change.room)))
        for participant in change.participants.values():
            await _write_participant(connection, participant, change.room)
        for event, event_id in numbered:
            await connection.execute(insert_new(connection, events, event_row(event, event_id, change.room)))
            for sink in sinks:
                await connection.execute(
                    insert_new(connection, deliveries, delivery_row(event, event_id, change.room, sink))
                )

    return job


async def _write_participant(connection: AsyncConnection, participant: Participant, room: Room) -> None:
    await connection.execute(upsert(connection, participants, participant_row(participant, room.sid)))
    await connection.execute(sa.delete(tracks).where(tracks.c.participant_sid == participant.sid))
    if participant.status is ParticipantStatus.DISCONNECTED:
        return
    rows = [track_row(track, participant.sid, place) for place, track in enumerate(participant.tracks)]
    if rows:
        await connection.execute(sa.insert(tracks), rows)


async def rooms_in_progress(connection: AsyncConnection) -> list[Room]:
    """Return the rooms that had not ended when the service last stopped, with those who were in them."""
    found = []
    selected = await connection.execute(
        sa.select(rooms).where(rooms.c.status == RoomStatus.IN_PROGRESS.value).order_by(rooms.c.created)
    )
    for row in selected:
        inside = await connection.execute(
            sa.select(participants)
            .where(participants.c.room_sid == row.sid)
            .where(participants.c.status != ParticipantStatus.DISCONNECTED.value)
            .order_by(participants.c.started)
        )
        present = [await _with_tracks(connection, participant) for participant in inside]
        found.append(room_of(row, tuple(present)))
    return found


async def _with_tracks(connection: AsyncConnection, row: "sa.Row[tuple[object, ...]]") -> Participant:
    own = await connection.execute(
        sa.select(tracks).where(tracks.c.participant_sid == row.sid).order_by(tracks.c.position)
    )
    return participant_of(row, tuple(track_of(track) for track in own))


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
