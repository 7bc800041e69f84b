"""Tracks, subscribe rules, anonymizing, and stays that end by themselves: by the unmodified library, and by hand."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from twilio.base.exceptions import TwilioRestException

from appliance.media_engine import TrackKind, TrackPriority
from appliance.rooms.conversation import Removed, UpdateRequest
from appliance.rooms.publishing import TrackWish
from appliance.rooms.store.tables import events as events_table
from appliance.rooms.subscribe_rules import EXCLUDE_ALL
from tests.support.library_calls import Caller, library
from tests.support.manual_clock import ManualClock
from tests.support.rooms_running import Client, RunningRooms, microphone, running_rooms

AUDIO_ONLY = [{"type": "include", "kind": "audio"}]
TRACK_FIELDS = {
    "sid", "participant_sid", "room_sid", "name", "date_created", "date_updated", "enabled", "kind", "url",
}  # fmt: skip


def camera(name: str = "cam", **more: Any) -> TrackWish:
    return TrackWish(id=f"id-{name}", kind=TrackKind.VIDEO, name=name, **more)


def received(running: RunningRooms, client: Client) -> frozenset[str]:
    """Return what the engine is asked to give somebody."""
    return frozenset(running.engine.peer(client.joined.participant.sid).wanted)


# --- tracks -----------------------------------------------------------------------------------------------------------


async def test_the_library_lists_and_finds_published_and_subscribed_tracks(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    await ann.join("lobby", microphone(), camera())
    await bob.join("lobby", microphone("bob's"))

    def use(video: Any) -> None:
        participant = video.rooms("lobby").participants("ann")
        published = participant.published_tracks.list()
        assert {(each.name, each.kind, each.enabled) for each in published} == {
            ("mic", "audio", True),
            ("cam", "video", True),
        }
        assert participant.published_tracks("mic").fetch().sid in {each.sid for each in published}
        assert participant.published_tracks(published[0].sid).fetch().name == published[0].name
        assert len(participant.published_tracks.list(limit=1)) == 1

        subscriber = video.rooms("lobby").participants("bob")
        subscribed = subscriber.subscribed_tracks.list(page_size=1)
        assert {each.sid for each in subscribed} == {each.sid for each in published}
        found = subscriber.subscribed_tracks(subscribed[0].sid).fetch()
        assert (found.publisher_sid, found.participant_sid) == (
            ann.joined.participant.sid,
            bob.joined.participant.sid,
        )
        for missing in (participant.published_tracks("nothing"), subscriber.subscribed_tracks(subscribed[0].name)):
            with pytest.raises(TwilioRestException) as caught:
                missing.fetch()
            assert (caught.value.status, caught.value.code) == (404, 20404)

    await library(running, use)


async def test_a_track_has_exactly_its_fields(running: RunningRooms, call: Caller) -> None:
    await running.client("ann").join("lobby", microphone())
    await running.client("bob").join("lobby")

    _, published, _ = await call("GET", "/v1/Rooms/lobby/Participants/ann/PublishedTracks")
    _, subscribed, _ = await call("GET", "/v1/Rooms/lobby/Participants/bob/SubscribedTracks")

    assert set(published["published_tracks"][0]) == TRACK_FIELDS
    assert set(subscribed["subscribed_tracks"][0]) == TRACK_FIELDS | {"publisher_sid"}
    assert subscribed["subscribed_tracks"][0]["url"].startswith(call.url)
    assert subscribed["meta"]["key"] == "subscribed_tracks"


async def test_who_has_left_publishes_and_receives_nothing(running: RunningRooms, call: Caller) -> None:
    ann = running.client("ann")
    joined = await ann.join("lobby", microphone())
    await running.client("bob").join("lobby", microphone("bob's"))
    await call("POST", "/v1/Rooms/lobby/Participants/ann", {"Status": "disconnected"})
    address = f"/v1/Rooms/lobby/Participants/{joined.participant.sid}"

    published = await call("GET", f"{address}/PublishedTracks")
    subscribed = await call("GET", f"{address}/SubscribedTracks")

    assert (published[0], published[1]["published_tracks"]) == (200, [])
    assert (subscribed[0], subscribed[1]["subscribed_tracks"]) == (200, [])


async def test_pages_of_tracks_lead_on_and_back(running: RunningRooms, call: Caller) -> None:
    await running.client("ann").join("lobby", *(microphone(f"mic-{number}") for number in range(5)))
    path = "/v1/Rooms/lobby/Participants/ann/PublishedTracks?PageSize=2"
    pages = []
    while path:
        _, page, _ = await call("GET", path)
        pages.append([each["sid"] for each in page["published_tracks"]])
        path = (page["meta"]["next_page_url"] or "").removeprefix(call.url)
    _, back, _ = await call("GET", page["meta"]["previous_page_url"].removeprefix(call.url))

    assert [len(sids) for sids in pages] == [2, 2, 1]
    assert len({sid for sids in pages for sid in sids}) == 5
    assert [each["sid"] for each in back["published_tracks"]] == pages[1]


# --- subscribe rules --------------------------------------------------------------------------------------------------


async def test_the_library_reads_and_replaces_the_rules_and_the_media_follows(running: RunningRooms) -> None:
    ann, bob = running.client("ann"), running.client("bob")
    await ann.join("lobby", microphone(), camera())
    await bob.join("lobby")
    sids = {each.name: each.sid for each in ann_tracks(running, ann)}
    told = len(ann.told)

    def use(video: Any) -> None:
        rules = video.rooms("lobby").participants("bob").subscribe_rules
        first = rules.fetch()
        assert (first.date_created, first.date_updated) == (None, None)
        assert first.rules == [
            {"type": "include", "all": True, "publisher": None, "track": None, "kind": None, "priority": None}
        ]
        changed = rules.update(rules=AUDIO_ONLY)
        assert changed.rules[0]["kind"] == "audio"
        assert changed.date_created == changed.date_updated != None  # noqa: E711
        assert rules.fetch().rules == rules.update(rules=changed.rules).rules

    await library(running, use)

    assert received(running, bob) == {sids["mic"]}
    assert len(ann.told) == told, "nobody else hears of it"
    subscribed = running.service.received_by(bob.joined.room_sid, bob.joined.participant.sid)
    assert [each.track.name for each in subscribed] == ["mic"]


def ann_tracks(running: RunningRooms, ann: Client) -> Any:
    return running.service.published_by(ann.joined.room_sid, ann.joined.participant.sid)


async def test_rules_are_looked_at_again_whenever_the_room_changes(running: RunningRooms, call: Caller) -> None:
    bob = running.client("bob")
    await bob.join("lobby")
    rules = [{"type": "include", "publisher": "ann", "priority": "high"}]
    await call("POST", "/v1/Rooms/lobby/Participants/bob/SubscribeRules", {"Rules": json.dumps(rules)})

    ann = running.client("ann")
    await ann.join("lobby", camera(priority=TrackPriority.HIGH), microphone())
    named = received(running, bob)
    tracks = ann_tracks(running, ann)
    ann.service.update(ann.here, update(2, camera(), microphone()))
    lowered = received(running, bob)
    ann.service.update(ann.here, update(3, camera(priority=TrackPriority.HIGH), microphone()))
    raised = received(running, bob)
    ann.service.update(ann.here, update(4, microphone()))
    unpublished = received(running, bob)

    camera_sid = next(each.sid for each in tracks if each.name == "cam")
    assert [named, lowered, raised, unpublished] == [{camera_sid}, set(), {camera_sid}, set()]


def update(revision: int, *tracks: TrackWish) -> Any:
    return UpdateRequest(revision=revision, tracks=tracks)


async def test_whoever_connects_without_automatic_subscription_has_an_exclude_rule(
    running: RunningRooms, call: Caller
) -> None:
    await running.client("ann").join("lobby", rules=EXCLUDE_ALL)

    _, body, _ = await call("GET", "/v1/Rooms/lobby/Participants/ann/SubscribeRules")

    assert [(rule["type"], rule["all"]) for rule in body["rules"]] == [("exclude", True)]


async def test_bad_rules_are_refused_and_the_old_ones_stay(running: RunningRooms, call: Caller) -> None:
    await running.client("ann").join("lobby")
    path = "/v1/Rooms/lobby/Participants/ann/SubscribeRules"
    await call("POST", path, {"Rules": json.dumps(AUDIO_ONLY)})

    refused = await call("POST", path, {"Rules": "[]"})
    missing = await call("POST", path)
    _, body, _ = await call("GET", path)

    assert (refused[0], refused[1]["code"]) == (400, 53215)
    assert (missing[0], missing[1]["code"], missing[1]["message"]) == (
        400,
        20001,
        "Missing required parameter Rules in the post body",
    )
    assert body["rules"][0]["kind"] == "audio"


async def test_rules_cannot_change_where_nobody_is(running: RunningRooms, call: Caller) -> None:
    rules = {"Rules": json.dumps(AUDIO_ONLY)}
    await call("POST", "/v1/Rooms", {"UniqueName": "pair", "Type": "go"})
    await running.client("bob").join("pair")
    ann = running.client("ann")
    joined = await ann.join("lobby")
    await running.client("carl").join("lobby")
    path = f"/v1/Rooms/{joined.room_sid}/Participants/{joined.participant.sid}/SubscribeRules"
    await call("POST", path, rules)

    go = await call("POST", "/v1/Rooms/pair/Participants/bob/SubscribeRules", rules)
    nobody = await call("POST", "/v1/Rooms/lobby/Participants/dora/SubscribeRules", rules)
    await call("POST", "/v1/Rooms/lobby/Participants/ann", {"Status": "disconnected"})
    left = await call("POST", path, rules)
    await call("POST", "/v1/Rooms/lobby", {"Status": "completed"})
    ended = await call("POST", path, {"Rules": "no rules"})
    last = await call("GET", path)

    codes = [(answer[0], answer[1]["code"]) for answer in (go, nobody, left, ended)]
    assert codes == [(400, 53117), (404, 20404), (404, 20404), (400, 53118)]
    assert (last[0], last[1]["rules"][0]["kind"]) == (200, "audio")
    assert last[1]["date_created"] is not None


async def test_rules_survive_a_restart(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running, aiohttp.ClientSession() as session:
        call = Caller(running, session)
        await call("POST", "/v1/Rooms", {"UniqueName": "lobby"})
        joined = await running.client("ann").join("lobby")
        path = f"/v1/Rooms/lobby/Participants/{joined.participant.sid}/SubscribeRules"
        _, before, _ = await call("POST", path, {"Rules": json.dumps(AUDIO_ONLY)})
    async with running_rooms(tmp_path) as running, aiohttp.ClientSession() as session:
        _, after, _ = await Caller(running, session)("GET", path)

    assert after == before


# --- leaving and being forgotten --------------------------------------------------------------------------------------


async def test_the_library_anonymizes_who_has_left(running: RunningRooms) -> None:
    ann = running.client("ann")
    joined = await ann.join("lobby", microphone())
    await running.client("bob").join("lobby")
    sid = joined.participant.sid

    def use(video: Any) -> None:
        participants = video.rooms("lobby").participants
        with pytest.raises(TwilioRestException) as caught:
            participants(sid).anonymize().update()
        assert (caught.value.status, caught.value.code) == (409, 20409)
        participants(sid).update(status="disconnected")
        gone = participants(sid).anonymize().update()
        again = participants(sid).anonymize().update()
        assert (gone.identity, again.identity, participants(sid).fetch().identity) == (sid, sid, sid)
        assert gone.url.endswith(f"{sid}/Anonymize")
        assert [each.identity for each in participants.list(status="disconnected", identity="ann")] == []

    await library(running, use)

    assert isinstance(ann.told[-1], Removed)
    async with running.store.read() as connection:
        events = (await connection.execute(sa.select(events_table.c.params))).scalars().all()
    assert len(events) >= 6
    assert "ann" not in {params.get("ParticipantIdentity") for params in events}
    assert "bob" in {params.get("ParticipantIdentity") for params in events}


# --- when rooms and stays end by themselves ---------------------------------------------------------------------------


async def test_a_room_that_nobody_uses_ends_on_time_even_across_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running_rooms(tmp_path, clock=clock) as running, aiohttp.ClientSession() as session:
        call = Caller(running, session)
        _, unused, _ = await call("POST", "/v1/Rooms", {"UnusedRoomTimeout": "2"})
        _, emptied, _ = await call("POST", "/v1/Rooms", {"UniqueName": "emptied", "EmptyRoomTimeout": "3"})
        ann = running.client("ann")
        await ann.join("emptied")
        clock.advance(60)
        running.service.leave(ann.here)
        clock.advance(59)
        running.service.expire()
        _, page, _ = await call("GET", "/v1/Rooms")
        assert len(page["rooms"]) == 2
    clock.advance(1)
    async with running_rooms(tmp_path, clock=clock) as running, aiohttp.ClientSession() as session:
        call = Caller(running, session)

        async def status(room: Any) -> str:
            return str((await call("GET", f"/v1/Rooms/{room['sid']}"))[1]["status"])

        await call("POST", "/v1/Rooms", {"UniqueName": "after"})  # answered after whatever was stored before
        assert [await status(unused), await status(emptied)] == ["completed", "in-progress"]
        clock.advance(119)
        running.service.expire()
        assert await status(emptied) == "in-progress"
        clock.advance(1)
        running.service.expire()
        await call("POST", "/v1/Rooms")  # answered after whatever was stored before
        assert await status(emptied) == "completed"


async def test_nobody_stays_longer_than_the_room_allows_and_no_room_lasts_longer_than_a_day(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running_rooms(tmp_path, clock=clock) as running, aiohttp.ClientSession() as session:
        call = Caller(running, session)
        await call("POST", "/v1/Rooms", {"UniqueName": "lobby", "MaxParticipantDuration": "600"})
        ann = running.client("ann")
        await ann.join("lobby")
        clock.advance(600)
        running.service.expire()
        assert ann.failures == [53216]

        await call("POST", "/v1/Rooms", {"UniqueName": "long", "MaxParticipantDuration": "86400"})
        clock.advance(3600)
        await running.client("bob").join("long")
        clock.advance(timedelta(hours=23).total_seconds())
        running.service.expire()
        _, made, _ = await call("POST", "/v1/Rooms", {"UniqueName": "long"})
        assert made["status"] == "in-progress"


# --- the description --------------------------------------------------------------------------------------------------


@pytest.mark.sqlite
async def test_the_description_names_every_route_and_needs_no_password(running: RunningRooms) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{running.url}/openapi.json") as answer:
        document = await answer.json()

    assert (answer.status, document["openapi"]) == (200, "3.1.0")
    assert {
        (path, method) for path, item in document["paths"].items() for method in item if method != "parameters"
    } >= {
        ("/v1/Rooms", "post"),
        ("/v1/Rooms/{Room}/Participants/{Participant}/SubscribeRules", "post"),
        ("/v1/Rooms/{Room}/Participants/{Participant}/Anonymize", "post"),
    }
    names = [
        operation["operationId"]
        for item in document["paths"].values()
        for m, operation in item.items()
        if m != "parameters"
    ]
    assert len(names) == len(set(names)) == 21


async def test_many_calls_at_once_all_find_their_answer(running: RunningRooms, call: Caller) -> None:
    await running.client("ann").join("lobby", microphone())
    paths = ["/v1/Rooms/lobby", "/v1/Rooms/lobby/Participants/ann/PublishedTracks", "/v1/Recordings"] * 10

    answers = await asyncio.gather(*(call("GET", path) for path in paths))

    assert {status for status, _, _ in answers} == {200}
    assert len({headers["Twilio-Request-Id"] for _, _, headers in answers}) == len(paths)
