"""Status callbacks over HTTP and over MQTT: signed, in order, until they are delivered."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web
from twilio.request_validator import RequestValidator

from appliance.broker import Broker, BrokerSettings
from appliance.rooms.callbacks import HttpSink
from appliance.rooms.mqtt_events import MqttSink
from appliance.rooms.outbox import Outbox, Sink
from appliance.rooms.room import RoomSettings
from appliance.rooms.service import ServiceSettings
from appliance.rooms.settings import CallbackSettings, networks
from appliance.rooms.store.tables import deliveries
from appliance.system_clock import SystemClock
from tests.support.callback_receiver import CallbackReceiver
from tests.support.conditions import until, until_told
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_listener import MqttListener
from tests.support.rooms_admin import administer
from tests.support.rooms_running import RunningRooms, microphone, running_rooms

STORY = [
    "room-created",
    "participant-connected",
    "track-added",
    "track-removed",
    "participant-disconnected",
    "room-ended",
]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def settings_for(callback: str | None, method: str = "POST", *, mqtt: bool = False) -> ServiceSettings:
    rooms = RoomSettings(
        empty_timeout_min=0, unused_timeout_min=0, status_callback=callback, status_callback_method=method
    )
    return ServiceSettings(ad_hoc_settings=rooms, events_over_mqtt=mqtt)


@asynccontextmanager
async def delivering(running: RunningRooms, *sinks: Sink) -> AsyncIterator[None]:
    """Run an outbox for each sink."""
    tasks = []
    for sink in sinks:
        outbox = Outbox(running.store, sink, SystemClock(), Impatient())
        running.service.on_events(outbox.wake)
        tasks.append(asyncio.create_task(outbox.run()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Impatient(Random):
    """Draws the shortest delay there is."""

    def uniform(self, a: float, b: float) -> float:
        return a


def http_sink(running: RunningRooms, **more: Any) -> HttpSink:
    rules = CallbackSettings()
    given = {"allow": networks(rules.allow), "deny": networks(rules.deny)} | more
    return HttpSink(lambda: running.service.keys.primary_token, SystemClock(), **given)


@asynccontextmanager
async def posting(folder: Path, settings: ServiceSettings | None = None, **sink: Any) -> AsyncIterator[RunningRooms]:
    """Run the service with an outbox for HTTP."""
    async with (
        running_rooms(folder, settings) as running,
        http_sink(running, **sink) as http,
        delivering(running, http),
    ):
        yield running


async def tell_story(running: RunningRooms, identity: str = "ann é") -> str:
    """Let somebody come, publish, leave; return the room's SID."""
    ann = running.client(identity)
    joined = await ann.join("lobby", microphone())
    running.service.leave(ann.here)
    return joined.room_sid


async def states(running: RunningRooms, sink: str = "http") -> list[tuple[str, int]]:
    """State and attempts of every delivery to a sink, in order."""
    async with running.store.engine.connect() as connection:
        found = await connection.execute(
            sa.select(deliveries).where(deliveries.c.sink == sink).order_by(deliveries.c.room_sid, deliveries.c.seq)
        )
        return [(row.state, row.attempts) for row in found]


async def first_attempts(running: RunningRooms) -> int:
    """How often the oldest event was attempted."""
    return (await states(running))[0][1]


async def until_states(running: RunningRooms, state: str, count: int, sink: str = "http") -> list[tuple[str, int]]:
    async def seen() -> list[tuple[str, int]]:
        found = await states(running, sink)
        return found if len(found) == count and all(each == state for each, _ in found) else []

    return await until_told(f"all {count} are {state}", seen)


async def test_a_whole_story_arrives_in_order_with_signatures_that_the_library_accepts(tmp_path: Path) -> None:
    with CallbackReceiver() as receiver:
        async with posting(tmp_path, settings_for(receiver.url)) as running:
            await tell_story(running)
            await until("the story arrives", lambda: len(receiver.received) == len(STORY))
            validator = RequestValidator(running.credentials.auth_token)

    assert receiver.events() == STORY
    assert [call.parameters["SequenceNumber"] for call in receiver.received] == list("012345")
    for call in receiver.received:
        assert validator.validate(call.url, call.parameters, call.signature)
        assert call.headers["User-Agent"].startswith("room-kiosk/")
        assert call.headers["I-Twilio-Idempotency-Token"].startswith("EV")
    assert receiver.received[1].parameters["ParticipantIdentity"] == "ann é"
    assert "RoomDuration" in receiver.received[-1].parameters


async def test_a_callback_by_get_carries_its_signature_over_the_whole_address(tmp_path: Path) -> None:
    received: list[tuple[str, str]] = []

    async def take(request: web.Request) -> web.Response:
        received.append((f"http://{request.host}{request.raw_path}", request.headers["X-Twilio-Signature"]))
        return web.Response()

    async with listening(take) as address, posting(tmp_path, settings_for(f"{address}/hook", "GET")) as running:
        await tell_story(running)
        await until("the story arrives", lambda: len(received) == len(STORY))
        validator = RequestValidator(running.credentials.auth_token)

    assert all(validator.validate(url, {}, signature) for url, signature in received)


@asynccontextmanager
async def listening(handler: Any, port: int = 0) -> AsyncIterator[str]:
    """Serve every path by one handler on loopback."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def scripted(*statuses: int) -> tuple[Any, list[str]]:
    """A handler that answers with these statuses in turn, the last one for ever, and what it was told."""
    events: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        form = await request.post()
        events.append(str(form["StatusCallbackEvent"]))
        return web.Response(status=statuses[min(len(events), len(statuses)) - 1])

    return answer, events


async def test_a_failure_is_tried_again_before_the_next_event(tmp_path: Path) -> None:
    handler, events = scripted(503, 500, 200)

    async with listening(handler) as address, posting(tmp_path, settings_for(address)) as running:
        await tell_story(running)
        seen = await until_states(running, "delivered", len(STORY))

    assert events == ["room-created"] * 2 + STORY
    assert [attempts for _, attempts in seen] == [3, 1, 1, 1, 1, 1]


async def test_a_receiver_that_is_away_gets_everything_when_it_is_back(tmp_path: Path) -> None:
    handler, events = scripted(200)
    async with listening(handler) as address:
        port = int(address.rpartition(":")[2])

    async with posting(tmp_path, settings_for(address)) as running:
        await tell_story(running)
        await until_told("the first attempt", lambda: first_attempts(running))
        async with listening(handler, port):
            await until_states(running, "delivered", len(STORY))

    assert events == STORY


async def test_what_was_not_delivered_before_a_restart_is_delivered_after_it(tmp_path: Path) -> None:
    with CallbackReceiver() as receiver:
        async with running_rooms(tmp_path, settings_for(receiver.url)) as running:
            await tell_story(running)
        async with posting(tmp_path, settings_for(receiver.url)) as running:
            await until_states(running, "delivered", len(STORY))

    assert receiver.events() == STORY


async def test_an_event_that_is_refused_dies_after_four_attempts_and_the_next_goes_on(tmp_path: Path) -> None:
    handler, events = scripted(404, 404, 404, 404, 200)

    async with listening(handler) as address, posting(tmp_path, settings_for(address)) as running:
        await tell_story(running)
        await until("the last event arrives", lambda: events[-1:] == ["room-ended"])
        await until_settled(running)
        seen = await states(running)

    assert events == ["room-created"] * 4 + STORY[1:]
    assert seen == [("dead", 4)] + [("delivered", 1)] * 5


async def until_settled(running: RunningRooms) -> None:
    async def settled() -> bool:
        return not any(state == "pending" for state, _ in await states(running))

    await until_told("nothing is pending", settled)


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    elsewhere: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        elsewhere.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with listening(redirect) as address, posting(tmp_path, settings_for(f"{address}/hook")) as running:
        await tell_story(running)
        await until("it was tried", lambda: len(elsewhere) >= 2)

    assert set(elsewhere) == {"/hook"}


async def test_a_receiver_that_is_gone_is_left_alone(tmp_path: Path) -> None:
    handler, events = scripted(410)

    async with listening(handler) as address:
        async with running_rooms(tmp_path, settings_for(address)) as running:
            await tell_story(running)
        async with posting(tmp_path, settings_for(address)) as running:
            await until_states(running, "dead", len(STORY))

    assert events == ["room-created"]


async def test_a_receiver_that_hangs_holds_up_its_own_room_only(tmp_path: Path) -> None:
    release = asyncio.Event()
    heard: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/hangs":
            await release.wait()
        else:
            heard.append(request.path)
        return web.Response()

    async with listening(handler) as address, posting(tmp_path) as running:
        account = running.credentials.account_sid
        await running.service.create_room(account, "one", RoomSettings(status_callback=f"{address}/hangs"))
        await running.service.create_room(account, "two", RoomSettings(status_callback=f"{address}/works"))
        await until("the other room is heard of", lambda: heard)
        release.set()

    assert heard == ["/works"]


@pytest.mark.parametrize("host", ["169.254.1.1", "[fe80::1]"])
async def test_link_local_addresses_are_not_called(tmp_path: Path, host: str) -> None:
    async with posting(tmp_path) as running:
        settings = RoomSettings(status_callback=f"http://{host}:9/x")
        await running.service.create_room(running.credentials.account_sid, "lobby", settings)
        await until_told("the first attempt", lambda: first_attempts(running))
        (delivery,) = await rows_of(running)

    assert "network that callbacks must not go to" in delivery.last_error


async def test_a_name_is_checked_after_it_was_looked_up(tmp_path: Path) -> None:
    called: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response()

    loopback = networks(("127.0.0.0/8", "::1"))
    async with listening(handler) as address, posting(tmp_path, deny=loopback) as running:
        settings = RoomSettings(status_callback=f"http://localhost:{address.rpartition(':')[2]}/x")
        await running.service.create_room(running.credentials.account_sid, "lobby", settings)
        await until_told("the first attempt", lambda: first_attempts(running))
        (delivery,) = await rows_of(running)

    assert "network that callbacks must not go to" in delivery.last_error
    assert called == []


async def rows_of(running: RunningRooms) -> list[Any]:
    async with running.store.engine.connect() as connection:
        return list(await connection.execute(sa.select(deliveries)))


async def test_many_rooms_of_a_receiver_that_hangs_leave_places_for_others(tmp_path: Path) -> None:
    release = asyncio.Event()
    hanging, heard = 0, []

    async def hang(request: web.Request) -> web.Response:
        nonlocal hanging
        hanging += 1
        await release.wait()
        return web.Response()

    async def work(request: web.Request) -> web.Response:
        heard.append(request.path)
        return web.Response()

    async with listening(hang) as slow, listening(work) as quick, posting(tmp_path) as running:
        account = running.credentials.account_sid
        for number in range(40):
            await running.service.create_room(account, f"slow {number}", RoomSettings(status_callback=slow))
        await until("the places at the slow one are taken", lambda: hanging == 4)
        await running.service.create_room(account, "quick", RoomSettings(status_callback=f"{quick}/works"))
        await until("the other receiver is called", lambda: heard)
        assert hanging == 4
        release.set()


async def test_dead_letters_can_be_listed_and_replayed_beside_the_running_service(tmp_path: Path) -> None:
    handler, events = scripted(404, 404, 404, 404, 200)
    async with listening(handler) as address, posting(tmp_path, settings_for(address)) as running:
        room_sid = await tell_story(running)
        await until("the last event arrives", lambda: events[-1:] == ["room-ended"])
        await until_settled(running)
        (dead,) = json.loads(await administer(tmp_path, "callbacks", "list", "--state", "dead", "--json"))
        (shown,) = json.loads(await administer(tmp_path, "callbacks", "show", dead["event_id"]))
        await administer(tmp_path, "callbacks", "replay", dead["event_id"])
        await until("it arrives", lambda: events[-1] == "room-created")
        await until_states(running, "delivered", len(STORY))

    assert (dead["name"], dead["room_sid"], dead["attempts"]) == ("room-created", room_sid, 4)
    assert (shown["last_status"], shown["params"]["SequenceNumber"]) == (404, 0)


async def test_what_is_dropped_is_not_sent(tmp_path: Path) -> None:
    with CallbackReceiver() as receiver:
        async with running_rooms(tmp_path, settings_for(receiver.url)) as running:
            room_sid = await tell_story(running)
            await administer(tmp_path, "callbacks", "drop", "--room", room_sid)
            assert await states(running) == []

    assert receiver.received == []


# --- MQTT -------------------------------------------------------------------------------------------------------------


@pytest.mark.broker
async def test_events_arrive_at_a_real_broker_in_the_envelope(tmp_path: Path) -> None:
    async with AsyncExitStack() as parts:
        mosquitto = parts.enter_context(Mosquitto(tmp_path / "broker"))
        listener = parts.enter_context(MqttListener(mosquitto.port, "room-kiosk-rooms/v1/+/rooms/+/events"))
        running = await parts.enter_async_context(running_rooms(tmp_path, settings_for(None, mqtt=True)))
        broker = Broker(BrokerSettings(url=mosquitto.url, client_id="rooms-test"))
        sink = MqttSink(broker, "room-kiosk-rooms")
        await parts.enter_async_context(broker)
        await parts.enter_async_context(delivering(running, sink))
        room_sid = await tell_story(running)
        await until("the story arrives", lambda: len(listener.messages) == len(STORY))
        await until_states(running, "delivered", len(STORY), "mqtt")

    documents = [json.loads(message.payload) for message in listener.messages]
    account = running.credentials.account_sid
    assert {message.topic for message in listener.messages} == {
        f"room-kiosk-rooms/v1/{account}/rooms/{room_sid}/events"
    }
    assert not any(message.retained for message in listener.messages)
    assert [document["type"] for document in documents] == STORY
    assert [document["seq"] for document in documents] == list(range(6))
    assert [document.get("reason") for document in documents[-2:]] == ["left", "ad-hoc-empty"]
    for document in documents:
        assert document["source"] == "rooms"
        assert all(isinstance(value, str) for value in document["data"].values())
        assert document["data"]["SequenceNumber"] == str(document["seq"])


@pytest.mark.broker
async def test_a_broker_that_is_away_gets_every_event_when_it_is_back(tmp_path: Path) -> None:
    async with AsyncExitStack() as parts:
        mosquitto = parts.enter_context(Mosquitto(tmp_path / "broker"))
        mosquitto.kill()
        running = await parts.enter_async_context(running_rooms(tmp_path, settings_for(None, mqtt=True)))
        broker = Broker(
            BrokerSettings(url=mosquitto.url, client_id="rooms-test"), backoff_steps_s=(0.1,), backoff_least_s=0.05
        )
        sink = MqttSink(broker, "room-kiosk-rooms")
        await parts.enter_async_context(broker)
        await parts.enter_async_context(delivering(running, sink))
        await tell_story(running)
        assert {state for state, _ in await states(running, "mqtt")} == {"pending"}
        mosquitto.start()
        await until_states(running, "delivered", len(STORY), "mqtt")
