"""Forgetting who somebody was: the identity gives way to the participant's SID (rest.md 8.2)."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.rooms.store.store import Job
from appliance.rooms.store.tables import events, participants
from appliance.sids import ParticipantSid, RoomSid


def anonymize(room_sid: RoomSid, sid: ParticipantSid) -> Job:
    """Return the job that replaces an identity, in the participant's row and in every event that names it.

    Doing it twice changes nothing. What has been delivered is out of reach.
    """

    async def job(connection: AsyncConnection) -> None:
        await connection.execute(sa.update(participants).where(participants.c.sid == sid).values(identity=sid))
        told = await connection.execute(
            sa.select(events.c.event_id, events.c.params).where(events.c.room_sid == room_sid)
        )
        # The database's own JSON operators differ; a room has few enough events to look through here.
        for event_id, params in told.all():
            if params.get("ParticipantSid") == sid:
                anonymous = {**params, "ParticipantIdentity": sid}
                await connection.execute(
                    sa.update(events).where(events.c.event_id == event_id).values(params=anonymous)
                )

    return job
