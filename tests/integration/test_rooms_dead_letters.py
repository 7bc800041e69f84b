"""Events that were given up: told over MQTT whenever the broker is there again, counted, logged, kept for a while."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from appliance.broker import Broker, BrokerSettings
from appliance.rooms.callbacks import HttpSink
from appliance.rooms.metrics import Delivery, Metrics
from appliance.rooms.mqtt_events import DeadLetterSink, MqttSink
from appliance.rooms.mqtt_state import Topics
from appliance.rooms.outbox import Outbox
from appliance.rooms.room import RoomSettings
from appliance.rooms.service import ServiceSettings
from appliance.rooms.settings import CallbackSettings, networks
from appliance.rooms.store.changes import KEEP_DELIVERED, prune
from appliance.rooms.store.tables import deliveries, events, rooms
from appliance.system_clock import SystemClock
from tests.support.conditions import until, until_told
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_listener import MqttListener
from tests.support.rooms_admin import administer
from tests.support.rooms_running import RunningRooms, microphone, running_rooms

PREFIX = "room-kiosk-rooms"
DEAD = f"{PREFIX}/v1/+/callbacks/dead"


class Impatient(Random):
    """Draws the shortest delay there is."""

    def uniform(self, a: float, b: float) -> float:
        return a


@asynccontextmanager
async def answering(*statuses: int) -> AsyncIterator[tuple[str, list[str]]]:
    """Listen on loopback, answer with these statuses in turn, the last for ever; give the address and the events."""
    told: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        form = await request.post()
        told.append(str(form["StatusCallbackEvent"]))
        return web.Response(status=statuses[min(len(told), len(statuses)) - 1])

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook?token=hidden", told
    finally:
        await runner.cleanup()


class Deliveries:
    """The outboxes that the program builds, around a service in this process."""

    def __init__(self, running: RunningRooms, broker: Broker | None) -> None:
        rules = CallbackSettings()
        keys = running.service.keys
        self.http = HttpSink(
            lambda: keys.primary_token, SystemClock(), allow=networks(rules.allow), deny=networks(rules.deny)
        )
        self._running = running
        self.outboxes = [self._outbox(self.http, notices=broker is not None)]
        if broker:
            topics = Topics(PREFIX, running.credentials.account_sid)
            told = DeadLetterSink(broker, topics.dead, running.store)
            self.outboxes += [self._outbox(MqttSink(broker, PREFIX)), self._outbox(told)]

    def _outbox(self, sink: Any, *, notices: bool = False) -> Outbox:
        outbox = Outbox(self._running.store, sink, SystemClock(), Impatient(), notices=notices)
        self._running.service.on_events(outbox.wake)
        return outbox

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Deliveries"]:
        async with self.http:
            tasks = [asyncio.create_task(outbox.run()) for outbox in self.outboxes]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


def a_broker(mosquitto: Mosquitto) -> Broker:
    settings = BrokerSettings(url=mosquitto.url, client_id="rooms-test")
    return Broker(settings, backoff_steps_s=(0.1,), backoff_least_s=0.05)


@asynccontextmanager
async def serving(folder: Path, mosquitto: Mosquitto | None = None) -> AsyncIterator[tuple[RunningRooms, Deliveries]]:
    async with AsyncExitStack() as parts:
        settings = ServiceSettings(events_over_mqtt=mosquitto is not None)
        running = await parts.enter_async_context(running_rooms(folder, settings))
        broker = await parts.enter_async_context(a_broker(mosquitto)) if mosquitto else None
        yield running, await parts.enter_async_context(Deliveries(running, broker).running())


async def a_room(running: RunningRooms, callback: str | None, name: str = "lobby") -> str:
    account = running.credentials.account_sid
    return (await running.service.create_room(account, name, RoomSettings(status_callback=callback))).sid


async def state_of(running: RunningRooms, sink: str, seq: int = 0) -> str | None:
    async with running.store.read() as connection:
        found = await connection.execute(
            sa.select(deliveries.c.state).where(deliveries.c.sink == sink, deliveries.c.seq == seq)
        )
        return found.scalar()


async def until_state(running: RunningRooms, sink: str, state: str, seq: int = 0) -> None:
    async def look() -> bool:
        return await state_of(running, sink, seq) == state

    await until_told(f"{sink} {seq} is {state}", look)


# --- over MQTT --------------------------------------------------------------------------------------------------------


@pytest.mark.broker
async def test_a_dead_letter_is_told_even_where_the_broker_was_away_and_the_service_ended_meanwhile(
    tmp_path: Path,
) -> None:
    with Mosquitto(tmp_path / "broker") as mosquitto:
        mosquitto.kill()
        async with answering(404) as (address, _):
            async with serving(tmp_path, mosquitto) as (running, _):
                room = await a_room(running, address)
                await until_state(running, "http", "dead")
                assert await state_of(running, "notice") == "pending"
            mosquitto.start()
            with MqttListener(mosquitto.port, DEAD) as listener:
                async with serving(tmp_path, mosquitto) as (running, _):
                    await until("it is told", lambda: listener.messages)
                    await until_state(running, "notice", "delivered")
                    account = running.credentials.account_sid

    (message,) = listener.messages
    document = json.loads(message.payload)
    assert message.topic == f"{PREFIX}/v1/{account}/callbacks/dead"
    assert (document["type"], document["data"]["RoomSid"]) == ("room-created", room)
    assert document["dead"] == {"sink": "http", "attempts": 4, "status": 404, "error": None}
    assert not message.retained
    assert message.properties["UserProperty"]["event-id"] == document["id"]


@pytest.mark.broker
async def test_every_event_that_dies_with_its_queue_is_told(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as mosquitto, MqttListener(mosquitto.port, DEAD) as listener:
        async with answering(410) as (address, asked):
            async with running_rooms(tmp_path) as running:  # nothing is delivered in this life: a queue forms
                room = await a_room(running, address)
                await running.client("ann").join("lobby", microphone())
            async with serving(tmp_path, mosquitto) as (running, delivering):
                await until("all is told", lambda: len(listener.messages) >= 3)
                await until_state(running, "notice", "delivered", seq=2)
                dead = delivering.outboxes[0].figures.dead

    told = [json.loads(message.payload) for message in listener.messages]
    assert asked == ["room-created"]
    assert dead == len(told) == 3
    assert [document["seq"] for document in told] == [0, 1, 2]
    assert [document["dead"]["attempts"] for document in told] == [1, 0, 0]
    assert {document["data"]["RoomSid"] for document in told} == {room}


@pytest.mark.broker
@pytest.mark.sqlite
async def test_each_sink_has_a_cursor_of_its_own(tmp_path: Path) -> None:
    topic_filter = f"{PREFIX}/v1/+/rooms/+/events"
    with Mosquitto(tmp_path / "broker") as mosquitto, MqttListener(mosquitto.port, topic_filter) as listener:
        async with answering(500) as (address, asked), serving(tmp_path, mosquitto) as (running, _):
            room = await a_room(running, address)
            ann = running.client("ann")
            await ann.join("lobby", microphone())
            await until("MQTT has the whole story", lambda: len(listener.messages) == 3)
            await until("HTTP is still at its first event", lambda: len(asked) >= 2)
            assert await state_of(running, "http") == "pending"

    first = listener.messages[0]
    assert set(asked) == {"room-created"}
    assert first.properties | {"MessageExpiryInterval": 86_400} == {
        "PayloadFormatIndicator": 1,
        "ContentType": "application/json",
        "MessageExpiryInterval": 86_400,
        "UserProperty": {
            "event-id": json.loads(first.payload)["id"],
            "event": "room-created",
            "room-sid": room,
            "seq": "0",
            "v": "1",
        },
    }
    assert 86_390 <= first.properties["MessageExpiryInterval"] <= 86_400


# --- the log and the figures ------------------------------------------------------------------------------------------


@pytest.mark.sqlite
async def test_each_attempt_is_one_line_of_the_log_without_secrets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "appliance.rooms.outbox")
    async with answering(503, 200, 404) as (address, told), serving(tmp_path) as (running, _):
        room = await a_room(running, address)
        await running.client("ann").join("lobby")
        await until_state(running, "http", "delivered")
        await until_state(running, "http", "dead", seq=1)
        async with running.store.read() as connection:
            ids = [row.event_id for row in await connection.execute(sa.select(events).order_by(events.c.seq))]

    lines = [record.getMessage() for record in caplog.records if " to http at " in record.getMessage()]
    assert len(lines) == len(told) == 6
    words = [(ids[0], "retry", "503"), (ids[0], "delivered", "200"), *[(ids[1], "refused", "404")] * 3]
    for line, (event_id, outcome, status) in zip(lines, [*words, (ids[1], "dead", "404")], strict=True):
        assert f"{event_id} of {room} to http at 127.0.0.1: {outcome}, status {status}, " in line
        assert line.endswith(" s")
    whole = "\n".join(lines)
    assert not any(secret in whole for secret in ("hidden", "hook", "AccountSid", "signature", "lobby"))


@pytest.mark.sqlite
async def test_the_figures_tell_what_became_of_attempts(tmp_path: Path) -> None:
    async with answering(503, 200, 404) as (address, _), serving(tmp_path) as (running, delivering):
        await a_room(running, address)
        await running.client("ann").join("lobby")
        await until_state(running, "http", "dead", seq=1)
        await a_room(running, "http://127.0.0.1:9/", "nobody listens")
        delivery = Delivery(outboxes=tuple(delivering.outboxes), http=delivering.http)
        here = (ip_network("127.0.0.0/8"),)
        metrics = Metrics(running.service, running.store, SystemClock(), lambda: 0, delivery, here)

        async def text() -> str:
            answer = await metrics.handle(make_mocked_request("GET", "/metrics").clone(remote="127.0.0.1"))
            assert isinstance(answer.body, bytes)
            return answer.body.decode()

        async def breaker_open() -> str:
            found = await text()
            return found if "callbacks_breaker_open 1.0" in found else ""

        found = await until_told("the breaker is open", breaker_open)

    for line in (
        'callbacks_delivered_total{sink="http"} 1.0',
        'callbacks_attempts_total{class="delivered",sink="http"} 1.0',
        'callbacks_attempts_total{class="refused",sink="http"} 4.0',
        'callbacks_dead_total{sink="http"} 1.0',
        'callbacks_queue_depth{sink="http"} 1.0',
    ):
        assert f"room_kiosk_{line}" in found
    retried = [line for line in found.splitlines() if 'attempts_total{class="retry"' in line]
    assert float(retried[0].split()[-1]) == 11  # the 503, and ten connections refused
    oldest = [line for line in found.splitlines() if "callbacks_oldest_seconds{" in line]
    assert float(oldest[0].split()[-1]) > 0


@pytest.mark.sqlite
async def test_a_request_is_found_in_the_log_by_the_id_of_its_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running_rooms(tmp_path) as running:
        keys = running.credentials
        login = {"Authorization": aiohttp.encode_basic_auth(keys.account_sid, keys.auth_token)}
        async with aiohttp.ClientSession(headers=login) as http:
            async with http.post(f"{running.url}/v1/Rooms", data={"UniqueName": "lobby"}) as made:
                assert made.status == 201
            async with http.get(f"{running.url}/v1/Rooms/nothing") as missing:
                assert missing.status == 404

    lines = caplog.text.splitlines()
    for answer, rest in ((made, "POST /v1/Rooms 201"), (missing, "GET /v1/Rooms/nothing 404")):
        request_id = answer.headers["Twilio-Request-Id"]
        assert [line for line in lines if f"{request_id}: {rest}" in line]


# --- how long they are kept, and who may see them ---------------------------------------------------------------------


async def test_what_was_given_up_is_kept_for_the_retention_and_then_forgotten_in_a_room_that_goes_on(
    tmp_path: Path,
) -> None:
    async with answering(200, 404) as (address, _), serving(tmp_path) as (running, _):
        room = await a_room(running, address)
        await running.client("ann").join("lobby")
        await until_state(running, "http", "dead", seq=1)
        now = running.clock.now()

        async def left(after: timedelta) -> tuple[int, list[str]]:
            await running.store.write(prune(now + after, timedelta(days=30)))
            async with running.store.read() as connection:
                kept = [row.state for row in await connection.execute(sa.select(deliveries))]
                told = (await connection.execute(sa.select(sa.func.count()).select_from(events))).scalar_one()
                assert (await connection.execute(sa.select(rooms.c.sid))).scalar_one() == room
            return told, kept

        assert sorted((await left(timedelta(hours=23)))[1]) == ["dead", "delivered"]
        assert await left(KEEP_DELIVERED + timedelta(hours=1)) == (2, ["dead"])
        assert await left(timedelta(days=31)) == (0, [])


async def test_a_room_with_an_event_that_waits_is_kept_as_long_as_it_may_wait(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        room = await a_room(running, "http://127.0.0.1:9/")
        await running.service.complete_room(running.credentials.account_sid, room)
        now = running.clock.now()

        async def is_kept(after: timedelta) -> bool:
            await running.store.write(prune(now + after, timedelta(days=1)))
            async with running.store.read() as connection:
                return (await connection.execute(sa.select(rooms.c.sid))).scalar() == room

        assert await is_kept(timedelta(hours=71))
        assert not await is_kept(timedelta(hours=73))


async def test_all_that_is_dead_of_a_room_is_replayed_with_its_old_ids(tmp_path: Path) -> None:
    async with answering(410, 200) as (address, told):
        async with running_rooms(tmp_path) as running:
            room = await a_room(running, address)
            await running.client("ann").join("lobby")
        async with serving(tmp_path) as (running, _):
            await until_state(running, "http", "dead", seq=1)
            before = json.loads(await administer(tmp_path, "callbacks", "list", "--room", room, "--json"))
            await administer(tmp_path, "callbacks", "replay", "--room", room)
            await until_state(running, "http", "delivered", seq=1)
            async with running.store.read() as connection:
                found = await connection.execute(sa.select(deliveries).order_by(deliveries.c.seq))
                after = [(row.event_id, row.seq, row.attempts) for row in found]

    assert told == ["room-created", "room-created", "participant-connected"]
    assert [each["state"] for each in before] == ["dead", "dead"]
    assert after == [(each["event_id"], each["seq"], 1) for each in before]
