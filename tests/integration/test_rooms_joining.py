"""How clients get into a room, and why not: a real store, and an engine that moves nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import RoomError
from appliance.media_engine import PeerFailed
from appliance.rooms.conversation import (
    Changed,
    JoinRequest,
)
from appliance.rooms.room import RoomSettings
from appliance.rooms.service import ServiceSettings
from appliance.rooms.store.tables import participants, rooms, tracks
from appliance.rooms.subscribe_rules import EXCLUDE_ALL
from tests.support.conditions import until
from tests.support.rooms_running import Client, RunningRooms, microphone, running_rooms
from tests.support.rooms_stored import event_names, rows, settled


async def refused(client: Client, room: str | None = None, **more: Any) -> int:
    with pytest.raises(RoomError) as caught:
        await client.join(room, **more)
    return caught.value.code


async def test_the_first_client_makes_the_room_and_is_told_everything(running: RunningRooms) -> None:
    ann = running.client("ann")

    joined = await ann.join("lobby", microphone())

    assert (joined.room_name, joined.participant.identity, joined.participants) == ("lobby", "ann", ())
    assert [state.id for state in joined.published.tracks] == ["id-mic"]
    assert joined.published.tracks[0].sid == joined.participant.tracks[0].sid
    assert [state.description.type for state in joined.peer_connections if state.description] == ["answer"]
    assert await event_names(running) == ["room-created", "participant-connected", "track-added"]


async def test_what_was_told_by_joined_is_in_the_store_by_then(running: RunningRooms) -> None:
    joined = await running.client("ann").join("lobby", microphone())

    assert [row.sid for row in await rows(running, participants)] == [joined.participant.sid]
    assert [row.name for row in await rows(running, tracks)] == ["mic"]


async def test_two_see_and_receive_each_other(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    await ann.join("lobby", microphone())

    joined = await bob.join("lobby", microphone())

    assert [state.identity for state in joined.participants] == ["ann"]
    assert [(state.identity, state.state) for state in ann.seen] == [("bob", "connected")]
    subscribed = await until(
        "ann is given bob's microphone",
        lambda: [message.subscribed for message in ann.told if isinstance(message, Changed) and message.subscribed],
    )
    assert [entry.track_sid for entry in subscribed[-1].tracks] == [joined.participant.tracks[0].sid]


@pytest.mark.sqlite
async def test_who_wants_nothing_receives_nothing(running: RunningRooms) -> None:
    await running.client("ann").join("lobby", microphone())

    joined = await running.client("bob").join("lobby", rules=EXCLUDE_ALL)

    assert running.engine.peer(joined.participant.sid).wanted == frozenset()


async def test_two_that_come_at_once_meet_in_one_room(running: RunningRooms) -> None:
    clients = [running.client(f"guest {n}") for n in range(8)]

    joined = await asyncio.gather(*(client.join("lobby") for client in clients))

    assert len({each.room_sid for each in joined}) == 1
    assert (await event_names(running)).count("room-created") == 1


async def test_without_a_name_the_token_says_which_room(running: RunningRooms) -> None:
    assert (await running.client("ann", room="lobby").join(None)).room_name == "lobby"


async def test_without_any_name_a_room_called_by_its_sid_is_made(running: RunningRooms) -> None:
    joined = await running.client("ann").join(None)

    assert joined.room_name == joined.room_sid


async def test_the_newer_of_one_identity_wins(running: RunningRooms) -> None:
    older, newer, bob = running.client("ann"), running.client("ann"), running.client("bob")
    await older.join("lobby", microphone())
    await bob.join("lobby")

    joined = await newer.join("lobby")

    assert older.failures == [53205]
    assert [(state.identity, state.state) for state in bob.seen] == [("ann", "disconnected"), ("ann", "connected")]
    assert [state.identity for state in joined.participants] == ["bob"]
    names = await event_names(running)
    assert names[-3:] == ["track-removed", "participant-disconnected", "participant-connected"]


async def test_a_guest_cannot_take_the_place_of_somebody_who_is_none(running: RunningRooms) -> None:
    kiosk = running.client("hall-2")
    await kiosk.join("lobby")
    guest = Client(running.service, running.token("hall-2", "lobby", guest=True))

    assert await refused(guest, "lobby") == 53205
    assert kiosk.failures == []


async def test_a_full_room_refuses_and_stays_as_it_is(tmp_path: Path) -> None:
    settings = ServiceSettings(ad_hoc_settings=RoomSettings(max_participants=1))
    async with running_rooms(tmp_path, settings) as running:
        ann = running.client("ann")
        await ann.join("lobby")

        assert await refused(running.client("bob"), "lobby") == 53105
        assert await event_names(running) == ["room-created", "participant-connected"]
        assert ann.seen == []


async def test_the_quota_of_participants_holds(tmp_path: Path) -> None:
    async with running_rooms(tmp_path, ServiceSettings(max_participants=1)) as running:
        await running.client("ann").join("lobby")

        assert await refused(running.client("bob"), "hall") == 53206
        assert len(await rows(running, rooms)) == 1


async def test_the_quota_of_rooms_holds(tmp_path: Path) -> None:
    async with running_rooms(tmp_path, ServiceSettings(max_rooms=1)) as running:
        await running.client("ann").join("lobby")

        assert await refused(running.client("bob"), "hall") == 53103


async def test_without_ad_hoc_rooms_only_rooms_that_are_there_can_be_joined(tmp_path: Path) -> None:
    async with running_rooms(tmp_path, ServiceSettings(ad_hoc_rooms=False)) as running:
        account = running.credentials.account_sid
        assert await refused(running.client("ann"), "lobby") == 53106

        await running.service.create_room(account, "lobby", RoomSettings())

        assert (await running.client("ann").join("lobby")).room_name == "lobby"


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("grant", "asked", "code"),
    [
        ("lobby", "hall", 20106),
        (None, "x" * 129, 53101),
        (None, "bell\x07", 53102),
        (None, "RM" + "0" * 32, 53106),
        ("RM" + "0" * 32, "hall", 53106),
        ("RM" + "0" * 32, None, 53106),
    ],
)
async def test_a_room_that_cannot_be_joined_has_a_code(
    running: RunningRooms, grant: str | None, asked: str | None, code: int
) -> None:
    assert await refused(running.client("ann", room=grant), asked) == code
    assert await rows(running, rooms) == []


async def test_a_room_that_has_ended_cannot_be_joined_by_its_sid(running: RunningRooms) -> None:
    ann = running.client("ann")
    sid = (await ann.join("lobby")).room_sid
    running.service.leave(ann.here)
    await settled(running)

    assert await refused(running.client("ann"), sid) == 53118
    assert await refused(running.client("ann", room=sid), "lobby") == 20106
    assert (await running.client("ann").join("lobby")).room_sid != sid


@pytest.mark.sqlite
async def test_a_forged_token_is_refused(running: RunningRooms) -> None:
    client = running.client("ann")
    client.token = client.token[:-4] + "AAAA"

    assert await refused(client, "lobby") == 20107


async def test_connecting_without_an_offer_is_refused_and_makes_no_room(running: RunningRooms) -> None:
    with pytest.raises(RoomError) as caught:
        await running.service.admit(JoinRequest(token=running.token("ann"), room="lobby"), lambda message: None)

    assert caught.value.code == 53004
    assert (await running.client("bob").join("lobby")).participants == ()


async def test_an_offer_that_cannot_be_used_changes_nothing(running: RunningRooms) -> None:
    bob = running.client("bob")
    await bob.join("lobby")
    running.engine.before_answer = lambda peer: peer.listener(PeerFailed(code=53403, message="bad sdp"))

    assert await refused(running.client("ann"), "lobby") == 53403
    assert bob.seen == []
    assert [row.identity for row in await rows(running, participants)] == ["bob"]


async def test_an_offer_that_cannot_be_used_makes_no_room(running: RunningRooms) -> None:
    running.engine.before_answer = lambda peer: peer.listener(PeerFailed(code=53403, message="bad sdp"))
    ann = running.client("ann")

    assert await refused(ann, "lobby") == 53403
    assert await rows(running, rooms) == []
    assert await running.service.find_room(running.credentials.account_sid, "lobby") is None


async def test_a_client_that_gives_up_while_it_joins_leaves_nothing_behind(running: RunningRooms) -> None:
    arrived = asyncio.Event()

    def silent(peer: Any) -> None:
        peer.say = lambda happening: None
        arrived.set()

    running.engine.before_answer = silent
    joining = asyncio.create_task(running.client("ann").join("lobby"))
    await arrived.wait()
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining

    assert running.engine.peers == {} or not any(running.engine.peers.values())
    assert await rows(running, rooms) == []


# --- between joining and the commit -----------------------------------------------------------------------------------


async def test_who_is_removed_before_it_was_welcomed_is_told_by_the_refusal(running: RunningRooms) -> None:
    account = running.credentials.account_sid
    await running.service.create_room(account, "lobby", RoomSettings())
    written = asyncio.Event()

    async def slow(connection: Any) -> None:
        await written.wait()

    running.store.write(slow)
    older, newer, bob = running.client("ann"), running.client("ann"), running.client("bob")
    joining = [asyncio.create_task(client.join("lobby")) for client in (older, bob)]
    await until("both are in", lambda: len(peers_of(running)) == 2)
    first = peers_of(running)[0]
    joining.append(asyncio.create_task(newer.join("lobby")))
    await until("the older one was dropped", lambda: first.closed)
    ending = asyncio.create_task(running.service.complete_room(account, "lobby"))
    written.set()
    outcomes = await asyncio.gather(*joining, return_exceptions=True)
    await ending

    assert [getattr(outcome, "code", None) for outcome in outcomes] == [53205, 53118, 53118]
    assert older.told == newer.told == bob.told == []


def peers_of(running: RunningRooms) -> list[Any]:
    return [peer for peers in running.engine.peers.values() for peer in peers]
