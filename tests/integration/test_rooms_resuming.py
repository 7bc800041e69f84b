"""After the service died: who was in a room resumes in it with the same session, or leaves it properly."""

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.errors import RoomError
from appliance.media_engine import DescriptionType
from appliance.rooms.conversation import Changed, Joined, Resumed, ResumeRequest
from appliance.rooms.recording_rules import NOTHING_RECORDED
from appliance.rooms.room import Room, RoomSettings, RoomStatus
from appliance.rooms.sessions import Sessions
from appliance.rooms.store.tables import participants, rooms
from appliance.rooms.subscribe_rules import EXCLUDE_ALL, INCLUDE_ALL
from appliance.sids import ParticipantSid, RoomSid
from tests.support.conditions import until
from tests.support.manual_clock import ManualClock
from tests.support.rooms_running import Client, RunningRooms, microphone, offer, running_rooms


async def resume(running: RunningRooms, who: str, joined: Joined) -> tuple[Client, Resumed]:
    """Let somebody come back with what it was told before, and its last offer."""
    client = running.client(who)
    tracks = tuple(microphone() for _ in joined.published.tracks)
    request = ResumeRequest(
        token=client.token, session=joined.session, revision=7, tracks=tracks, peer_connections=(offer(key="old"),)
    )
    client.attachment = await running.service.resume(request, client.told.append)
    return client, next(message for message in client.told if isinstance(message, Resumed))


async def test_a_call_goes_on_after_the_service_was_killed(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        ann = await running.client("ann").join("lobby", microphone())
        bob = await running.client("bob").join("lobby", microphone())

    async with running_rooms(tmp_path) as running:
        ann_again, ann_now = await resume(running, "ann", ann)
        assert [(each.identity, each.state) for each in ann_now.participants] == [("bob", "reconnecting")]
        bob_again, bob_now = await resume(running, "bob", bob)

        assert (ann_now.session, ann_now.room_sid) == (ann.session, ann.room_sid)
        assert ann_now.participant.sid == ann.participant.sid
        assert [track.sid for track in ann_now.published.tracks] == [track.sid for track in ann.published.tracks]
        assert ann_now.published.revision > ann.published.revision
        assert ann_now.subscribed.revision > bob.subscribed.revision
        (asked,) = ann_now.peer_connections
        assert asked.description
        assert asked.id != "old"
        assert (asked.description.type, asked.description.revision) == (DescriptionType.CREATE_OFFER, 1)
        revisions = [state.revision for state in ann_again.seen if state.identity == "bob"]
        assert revisions == sorted(set(revisions))
        assert revisions[0] > ann_now.participants[0].revision > bob.participant.revision
        assert bob_again.told[0] == bob_now

        # The new offer of each is answered, and what the other publishes is given.
        for now in (ann_now, bob_now):
            peer = running.engine.peer(now.participant.sid)
            peer.describe((offer(revision=2, key=now.peer_connections[0].id),))
        given = await until(
            "ann is given bob's microphone",
            lambda: [told.subscribed for told in ann_again.told if isinstance(told, Changed) and told.subscribed],
        )
        assert [entry.track_sid for entry in given[-1].tracks] == [bob.published.tracks[0].sid]


async def test_the_rules_of_who_resumes_hold_still(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        await running.client("ann").join("lobby", microphone())
        bob = await running.client("bob").join("lobby", rules=EXCLUDE_ALL)

    async with running_rooms(tmp_path) as running:
        await resume(running, "bob", bob)
        assert running.engine.peer(bob.participant.sid).wanted == frozenset()


async def test_who_resumes_is_listed_with_the_tracks_it_receives_again(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        ann = await running.client("ann").join("lobby", microphone())
        bob = await running.client("bob").join("lobby")

    async with running_rooms(tmp_path) as running:
        await resume(running, "bob", bob)
        received = running.service.received_by(bob.room_sid, bob.participant.sid)
        assert [(each.track.sid, each.publisher_sid) for each in received] == [
            (ann.published.tracks[0].sid, ann.participant.sid)
        ]


async def test_who_does_not_come_back_in_time_has_left_and_the_room_ends_with_its_events(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running_rooms(tmp_path, clock=clock) as running:
        ann = await running.client("ann").join("hall", microphone())
    async with running_rooms(tmp_path, clock=clock) as running:
        clock.advance(29)
        running.service.expire()
        assert running.service.room_now(ann.room_sid)
        clock.advance(2)
        running.service.expire()
        room = await until_ended(running, ann.room_sid)
        assert room.status is RoomStatus.COMPLETED
        assert room.next_seq == 6

        with pytest.raises(RoomError) as caught:
            await resume(running, "ann", ann)
        assert caught.value.code == 53118
    async with running_rooms(tmp_path, clock=clock) as running:
        with pytest.raises(RoomError) as caught:
            await resume(running, "ann", ann)
        assert caught.value.code == 53118


async def test_who_comes_back_too_late_to_a_room_that_goes_on_is_told_so(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running_rooms(tmp_path, clock=clock) as running:
        account = running.credentials.account_sid
        await running.service.create_room(account, "lobby", RoomSettings())
        ann = await running.client("ann").join("lobby")
    async with running_rooms(tmp_path, clock=clock) as running:
        clock.advance(31)
        running.service.expire()
        with pytest.raises(RoomError) as caught:
            await resume(running, "ann", ann)
        room = running.service.room_now(ann.room_sid)

    assert caught.value.code == 53002
    assert room
    assert room.participants == ()


async def until_ended(running: RunningRooms, sid: str) -> Room:
    for _ in range(500):
        room = await running.service.find_room(running.credentials.account_sid, sid)
        if room and room.status is not RoomStatus.IN_PROGRESS:
            return room
    raise AssertionError("it was not written")


async def test_a_session_that_nobody_wrote_is_unknown(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        joined = await running.client("ann").join("lobby")
        forged = replace(joined, session=joined.session[:-1] + ("A" if joined.session[-1] != "A" else "B"))
        with pytest.raises(RoomError) as caught:
            await resume(running, "ann", forged)

    assert caught.value.code == 53001


async def test_the_session_of_another_is_of_no_use(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        joined = await running.client("ann").join("lobby")
    async with running_rooms(tmp_path) as running:
        with pytest.raises(RoomError) as caught:
            await resume(running, "eve", joined)

    assert caught.value.code == 20103


async def test_who_connects_anew_instead_takes_the_place_of_its_former_self(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        before = await running.client("ann").join("lobby")
    async with running_rooms(tmp_path) as running:
        after = await running.client("ann").join("lobby")
        room = running.service.room_now(before.room_sid)

    assert (after.room_sid, after.participants) == (before.room_sid, ())
    assert room
    assert [each.sid for each in room.participants] == [after.participant.sid]


def test_a_session_says_whose_it_is_to_whoever_knows_the_secret() -> None:
    room, participant = RoomSid("RM" + "1" * 32), ParticipantSid("PA" + "2" * 32)
    session = Sessions("secret").write(room, participant)

    assert Sessions("secret").read(session) == (room, participant)
    assert Sessions("another").read(session) is None
    assert all(Sessions("secret").read(text) is None for text in ("", "RM.PA.x", session + "x", "\ud800" * 3))


async def test_rows_of_before_the_latest_columns_are_read_with_what_was_meant_then(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        ann = await running.client("ann").join("lobby", microphone())

        async def forget(connection: AsyncConnection) -> None:
            await connection.execute(sa.update(rooms).values(recording_rules=sa.null()))
            await connection.execute(sa.update(participants).values(guest=None, rules=sa.null()))

        await running.store.write(forget)

    async with running_rooms(tmp_path) as running:
        (room,) = running.service.rooms_now()
        (participant,) = room.participants
        assert (room.settings.recording_rules, room.recording_created) == (NOTHING_RECORDED, None)
        assert (participant.guest, participant.rules, participant.rules_created) == (False, INCLUDE_ALL, None)
        _, now = await resume(running, "ann", ann)
        assert now.participant.sid == ann.participant.sid
