"""Every error of the REST API, as the unmodified Python library raises it; and long lists, page by page."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException

from appliance.rooms.parameters import CreationPolicy
from appliance.rooms.rest import RestSettings
from appliance.rooms.room import RoomSettings, RoomType
from appliance.rooms.service import ServiceSettings
from appliance.rooms.store.keys import suspend_account
from tests.support.library_calls import library
from tests.support.manual_clock import ManualClock
from tests.support.rooms_running import RunningRooms, running_rooms


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningRooms]:
    async with running_rooms(tmp_path) as running:
        await running.client("ann").join("lobby")
        yield running


def refused(attempt: Callable[[], Any]) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as caught:
        attempt()
    assert caught.value.uri
    return caught.value.status, caught.value.code


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"unique_name": "lobby"}, 53113),
        ({"unique_name": "RM" + "0" * 32}, 53100),
        ({"unique_name": "x" * 129}, 53101),
        ({"unique_name": "a\tb"}, 53102),
        ({"type": "party"}, 53108),
        ({"status_callback": "nowhere"}, 53111),
        ({"status_callback": "https://example.com/" + "x" * 1024}, 53111),
        ({"status_callback_method": "PUT"}, 53110),
        ({"max_participants": 0}, 53107),
        ({"max_participants": 51}, 53107),
        ({"max_participants": 5, "type": "group-small"}, 53107),
        ({"max_participants": 3, "type": "go"}, 53107),
        ({"max_participant_duration": 599}, 53123),
        ({"max_participant_duration": 86_401}, 53123),
        ({"empty_room_timeout": 0}, 53109),
        ({"unused_room_timeout": 61}, 53109),
        ({"video_codecs": ["AV1"]}, 20001),
        ({"media_region": "moon1"}, 53115),
        ({"audio_only": True, "type": "peer-to-peer"}, 53124),
        ({"record_participants_on_connect": True}, 53122),
        ({"recording_rules": [{"type": "include", "all": True}]}, 53122),
        ({"recording_rules": [{"type": "record"}]}, 53120),
        ({"transcribe_participants_on_connect": True}, 53114),
        ({"unique_name": "x" * 129, "type": "party", "max_participants": 0}, 53101),
        ({"type": "party", "max_participants": 0}, 53108),
        ({"unique_name": "lobby", "max_participants": 0}, 53107),
    ],
)
async def test_a_room_that_cannot_be_made_says_why(running: RunningRooms, given: dict[str, Any], code: int) -> None:
    assert await library(running, lambda video: refused(lambda: video.rooms.create(**given))) == (400, code)


async def test_what_can_be_said_wrongly_of_participants(running: RunningRooms) -> None:
    def use(video: Any) -> list[tuple[int, int]]:
        ann = video.rooms("lobby").participants("ann")
        return [
            refused(lambda: ann.update(status="connected")),
            refused(lambda: ann.subscribe_rules.update(rules=[])),
            refused(lambda: ann.subscribe_rules.update()),
            refused(lambda: ann.anonymize().update()),
            refused(lambda: ann.published_tracks("nothing").fetch()),
            refused(lambda: video.rooms("nowhere").participants("ann").fetch()),
            refused(lambda: video.rooms("nowhere").participants("ann").subscribe_rules.fetch()),
        ]

    assert await library(running, use) == [
        (400, 53209),
        (400, 53215),
        (400, 20001),
        (409, 20409),
        (404, 20404),
        (404, 20404),
        (404, 20404),
    ]


async def test_an_error_of_a_list_comes_without_its_number_which_is_the_librarys_way(running: RunningRooms) -> None:
    def use(video: Any) -> str:
        with pytest.raises(TwilioException) as caught:
            video.rooms.list(status="ended")
        assert not isinstance(caught.value, TwilioRestException)
        return str(caught.value.args[1].status_code)

    assert await library(running, use) == "400"


async def test_quotas_and_policies_have_numbers_of_their_own(tmp_path: Path) -> None:
    strict = running_rooms(
        tmp_path,
        settings=ServiceSettings(max_rooms=1),
        rest=RestSettings(creation=CreationPolicy(reject_legacy_types=True)),
    )
    async with strict as running:

        def use(video: Any) -> list[tuple[int, int]]:
            video.rooms.create()
            return [refused(lambda: video.rooms.create()), refused(lambda: video.rooms.create(type="go"))]

        assert await library(running, use) == [(400, 53119), (400, 53126)]


async def test_rules_of_rooms_that_take_none_have_numbers_of_their_own(running: RunningRooms) -> None:
    account = running.credentials.account_sid
    await running.service.create_room(account, "pair", RoomSettings(type=RoomType.GO))
    await running.client("ann").join("pair")
    joined = await running.client("bob").join("hall")
    await running.service.complete_room(account, "hall")

    def use(video: Any) -> list[tuple[int, int]]:
        ended = video.rooms(joined.room_sid)
        everything = [{"type": "include", "all": True}]
        return [
            refused(lambda: video.rooms("pair").participants("ann").subscribe_rules.update(rules=everything)),
            refused(lambda: ended.participants(joined.participant.sid).subscribe_rules.update(rules=everything)),
            refused(lambda: ended.recording_rules.update(rules=[{"type": "exclude", "all": True}])),
            refused(lambda: ended.update(status="completed")),
        ]

    assert await library(running, use) == [(400, 53117), (400, 53118), (400, 53118), (400, 53112)]


async def test_who_may_not_and_who_asks_too_often_are_told_so(tmp_path: Path) -> None:
    limited = running_rooms(tmp_path, clock=ManualClock(), rest=RestSettings(rate_limit=True))
    async with limited as running:

        def many(video: Any) -> tuple[int, int]:
            for _ in range(20):
                video.rooms.create()
            return refused(lambda: video.rooms.create())

        assert await library(running, many) == (429, 20429)
        await running.store.write(suspend_account(running.credentials.account_sid, running.clock.now()))
        await running.service.keys.look(running.store, lambda sid: None)
        assert await library(running, lambda video: refused(lambda: video.rooms("x").fetch())) == (403, 20403)


async def test_a_store_that_cannot_be_written_is_503(running: RunningRooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.store, "healthy", False)

    assert await library(running, lambda video: refused(lambda: video.rooms.create())) == (503, 20503)


async def test_a_service_that_stops_is_503_to_those_it_knows(running: RunningRooms) -> None:
    await running.service.close()

    def use(video: Any) -> list[tuple[int, int]]:
        return [refused(lambda: video.rooms.create()), refused(lambda: video.rooms("lobby").fetch())]

    assert await library(running, use) == [(503, 20503)] * 2
    async with aiohttp.ClientSession() as http, http.get(f"{running.url}/v1/Rooms") as answer:
        assert answer.status == 401


async def test_a_hundred_and_twenty_rooms_are_listed_whole_whatever_the_page_size(running: RunningRooms) -> None:
    def use(video: Any) -> list[list[str]]:
        for number in range(120):
            video.rooms.create(unique_name=f"page-{number}")
        return [
            [room.unique_name for room in rooms]
            for rooms in (
                video.rooms.list(),
                video.rooms.list(page_size=7),
                video.rooms.stream(page_size=120),
                video.rooms.list(limit=5000),
                video.rooms.list(limit=61, page_size=60),
            )
        ]

    lists = await library(running, use)

    names = [f"page-{number}" for number in reversed(range(120))] + ["lobby"]
    assert lists == [names] * 4 + [names[:61]]
