"""What an earlier life of the service left in its store is taken up again (signaling.md 2.9; rest.md 6.7)."""

import logging

from appliance.rooms.events import EndReason
from appliance.rooms.registry import RoomEntry
from appliance.rooms.room import RoomStatus
from appliance.rooms.running import Running
from appliance.rooms.sessions import Sessions, bereft
from appliance.rooms.store.changes import rooms_in_progress, set_aside
from appliance.sids import AccountSid

log = logging.getLogger(__name__)


async def take_up(running: Running, sessions: Sessions, account_sid: AccountSid) -> int:
    """Go on with the rooms that were in progress; those of an account that we have no credentials of have failed.

    Nobody's media survived, but the session time-out begins only now: whoever was in a room may resume in it. What is
    damaged in the store is told and left out; returns how many rows are.
    """
    async with running.store.read(patient=True) as connection:
        left = await rooms_in_progress(connection)
    for damage in left.damaged:
        log.error(
            "store: %s; %s is left out and counts as %s: mend or delete that row while the service is stopped",
            damage.error,
            damage.sid,
            damage.counts_as,
        )
        running.store.write(set_aside(damage))
    people = 0
    for room in left.rooms:
        entry = RoomEntry(room=room)
        running.registry.add(entry)
        if room.account_sid != account_sid:
            log.error("%s belongs to %s, for which there are no credentials any more", room.sid, room.account_sid)
            running.end(entry, RoomStatus.FAILED, EndReason.FAILED)
            continue
        people += len(room.participants)
        for participant in room.participants:
            running.remember(entry, participant, sessions.write(room.sid, participant.sid))
        if room.participants:
            running.apply(entry, bereft(room, running.clock.now()))
    if running.registry:
        log.info("found %d rooms in progress, whose %d participants may resume", len(running.registry), people)
    return len(left.damaged)
