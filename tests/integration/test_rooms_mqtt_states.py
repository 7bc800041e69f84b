"""What is retained at a real broker: rooms, participants, tracks, names; cleared when they are gone."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from appliance.broker import Broker, BrokerRefused, BrokerSettings
from appliance.rooms.mqtt_events import MqttSink
from appliance.rooms.mqtt_state import RetainedStates, Topics, topic_key
from appliance.rooms.outbox import Outbox
from appliance.rooms.service import ServiceSettings
from appliance.rooms.store.deliveries import head_of_queue
from appliance.system_clock import SystemClock
from tests.support.conditions import until, until_told
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_listener import MqttListener
from tests.support.processes import Program, appliance, wait_for
from tests.support.rooms_running import RunningRooms, microphone, running_rooms

pytestmark = pytest.mark.broker
PREFIX = "room-kiosk-rooms"


@asynccontextmanager
async def publishing(folder: Path, mosquitto: Mosquitto, username: str | None = None) -> AsyncIterator[RunningRooms]:
    """Run the service with its MQTT half."""
    async with running_rooms(folder, ServiceSettings(events_over_mqtt=True)) as running:
        settings = BrokerSettings(url=mosquitto.url, client_id="rooms-test", username=username)
        broker = Broker(settings, backoff_steps_s=(0.1,), backoff_least_s=0.05)
        topics = Topics(PREFIX, running.credentials.account_sid)
        service = running.service
        states = RetainedStates(broker, topics, running.store, service.rooms_now, service.room_now)
        service.on_states(states.changed)
        outbox = Outbox(running.store, MqttSink(broker, PREFIX, states), SystemClock(), Random())
        service.on_events(outbox.wake)
        async with broker:
            tasks = [asyncio.create_task(states.run()), asyncio.create_task(outbox.run())]
            try:
                yield running
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


def retained_now(mosquitto: Mosquitto) -> dict[str, Any]:
    """What somebody who comes now is given, by topic, without the account; waits for a marker that comes after it."""
    with MqttListener(mosquitto.port, f"{PREFIX}/#", "marker") as listener:
        listener.publish("marker", 1)
        wait_for("the marker", lambda: any(each.topic == "marker" for each in listener.messages), every_s=0.01)
        kept = [message for message in listener.messages if message.retained and message.payload]
        return {message.topic.split("/", 3)[3]: json.loads(message.payload) for message in kept}


async def until_retained(mosquitto: Mosquitto, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(200):
        found = await asyncio.to_thread(retained_now, mosquitto)
        if len(found) == count:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{count} topics expected, there are {sorted(found)}")


async def test_a_late_subscriber_sees_exactly_what_lives(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as mosquitto:
        async with publishing(tmp_path, mosquitto) as running:
            ann, bob = running.client("ann"), running.client("bob")
            joined = await ann.join("lobby / é", microphone())
            await bob.join("lobby / é")
            seen = await until_retained(mosquitto, 5)
            room, pa = joined.room_sid, joined.participant.sid
            track = joined.participant.tracks[0].sid
            assert seen[f"rooms/{room}/state"]["participant_count"] == 2
            assert "status_callback" not in seen[f"rooms/{room}/state"]
            assert seen[f"names/{topic_key('lobby / é')}/state"]["room_sid"] == room
            assert seen[f"rooms/{room}/participants/{pa}/state"]["identity"] == "ann"
            assert seen[f"rooms/{room}/participants/{pa}/tracks/{track}/state"]["kind"] == "audio"

            running.service.link_lost(bob.here)
            for _ in range(200):
                seen = await asyncio.to_thread(retained_now, mosquitto)
                statuses = {value.get("identity"): value.get("status") for value in seen.values()}
                if statuses["bob"] == "reconnecting":
                    break
            assert (statuses["ann"], statuses["bob"]) == ("connected", "reconnecting")

            running.service.leave(ann.here)
            seen = await until_retained(mosquitto, 3)
            assert not any("tracks" in topic for topic in seen)
            assert running.service.room_now(room)
            await running.service.complete_room(running.credentials.account_sid, room)
            seen = await until_retained(mosquitto, 1)  # its last state, for an hour

    assert seen[f"rooms/{room}/state"]["status"] == "completed"


async def test_a_broker_that_forgot_everything_is_told_again(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as mosquitto:
        async with publishing(tmp_path, mosquitto) as running:
            await running.client("ann").join("lobby")
            before = await until_retained(mosquitto, 3)
            mosquitto.kill()
            mosquitto.start()
            assert await until_retained(mosquitto, 3) == before


async def test_what_was_gone_while_the_service_was_away_is_cleared(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as mosquitto:
        async with publishing(tmp_path, mosquitto) as running:
            ann = running.client("ann")
            room = (await ann.join("lobby")).room_sid
            await until_retained(mosquitto, 3)
        async with running_rooms(tmp_path) as running:  # no MQTT in this life
            if running.service.room_now(room):
                await running.service.complete_room(running.credentials.account_sid, room)
        async with publishing(tmp_path, mosquitto):
            await until_retained(mosquitto, 0)


async def test_states_come_before_their_event_and_say_how_long_they_hold(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as mosquitto, MqttListener(mosquitto.port, f"{PREFIX}/v1/+/#") as listener:
        async with publishing(tmp_path, mosquitto) as running:
            ann = running.client("ann")
            joined = await ann.join("lobby", microphone())
            room, pa, mt = joined.room_sid, joined.participant.sid, joined.participant.tracks[0].sid
            last = f"{PREFIX}/v1/{running.credentials.account_sid}/rooms/{room}/events"
            await until("the track is told", lambda: (listener.json(last) or {}).get("type") == "track-added")
            running.service.leave(ann.here)
            await until("the room's end is told", lambda: (listener.json(last) or {}).get("type") == "room-ended")

    heard = [each for each in listener.messages if each.topic.endswith(("/state", "/events"))]
    said = [(each.topic.split("/", 3)[3], each) for each in heard]
    for topic, each in said:
        if not topic.endswith("events"):
            assert each.retained
            assert each.properties["UserProperty"]["room-sid"] == room
            assert each.properties.get("ContentType") == ("application/json" if each.payload else None)
    person, track = f"rooms/{room}/participants/{pa}/state", f"rooms/{room}/participants/{pa}/tracks/{mt}/state"
    finals = [
        (topic, each.properties.get("MessageExpiryInterval"), json.loads(each.payload)["status"])
        for topic, each in said
        if topic in (person, f"rooms/{room}/state") and each.payload
    ]
    assert (person, 60, "disconnected") in finals
    assert (f"rooms/{room}/state", 3600, "completed") in finals
    assert {expiry for _, expiry, status in finals if status in ("in-progress", "connected")} == {None}
    order = [json.loads(each.payload)["type"] if topic.endswith("events") else topic for topic, each in said]
    cleared = [topic for topic, each in said if not each.payload]
    assert {person, track, "names/lobby/state"} <= set(cleared)
    for state, event in (
        ("names/lobby/state", "room-created"),
        (person, "participant-connected"),
        (track, "track-removed"),
        (person, "participant-disconnected"),
        (f"rooms/{room}/state", "room-ended"),
    ):
        assert order.index(state) < order.index(event)
    seqs = [int(each.properties["UserProperty"]["seq"]) for topic, each in said if topic.endswith("events")]
    assert seqs == list(range(6))


@asynccontextmanager
async def listening(mosquitto: Mosquitto, username: str, heard: list[str]) -> AsyncIterator[Broker]:
    """Subscribe to everything as this user; keep the topics of what comes."""
    async with Broker(BrokerSettings(url=mosquitto.url, client_id=username, username=username)) as broker:
        await until("connected", lambda: broker.connected)
        await broker.subscribe("#", lambda message: heard.append(message.topic))
        yield broker


async def test_the_access_control_of_the_guide_lets_everybody_do_their_part_and_no_more(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "callbacks.md").read_text()
    (tmp_path / "acl").write_text(re.findall(r"```text\n(user rooms.*?)```", guide, re.S)[0])
    heard: dict[str, list[str]] = {"application": [], "kiosk": []}
    with Mosquitto(tmp_path / "broker", more=f"user root\nacl_file {tmp_path / 'acl'}\n") as mosquitto:
        async with AsyncExitStack() as parts:
            people = {name: await parts.enter_async_context(listening(mosquitto, name, heard[name])) for name in heard}
            running = await parts.enter_async_context(publishing(tmp_path, mosquitto, username="rooms"))
            room = (await running.client("ann").join("lobby")).room_sid
            account = f"{PREFIX}/v1/{running.credentials.account_sid}"
            events = f"{account}/rooms/{room}/events"
            await until("both events come to both", lambda: all(each.count(events) == 2 for each in heard.values()))
            for broker in people.values():
                with pytest.raises(BrokerRefused) as refused:
                    await broker.publish(events, b"{}")
                assert refused.value.reason_code == 0x87

            async def nothing_waits() -> bool:
                async with running.store.read() as connection:
                    return await head_of_queue(connection, "mqtt", room) is None

            await until_told("all is acknowledged", nothing_waits)

    assert f"{account}/names/lobby/state" in heard["kiosk"]
    assert f"{account}/rooms/{room}/state" in heard["kiosk"]


def test_a_name_becomes_one_topic_level() -> None:
    assert topic_key("a/b #+é_.-Z") == "a%2Fb%20%23%2B%C3%A9_.-Z"


async def test_a_restart_within_the_will_delay_says_nothing_of_being_offline(tmp_path: Path) -> None:
    said: list[str] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = lambda _client, _data, message: said.append(json.loads(message.payload)["status"])
    client.on_connect = lambda client, *_: client.subscribe(f"{PREFIX}/v1/service/+/status")
    addresses = ("--http", "127.0.0.1:0", "--https", "", "--media-port", "0", "--advertise", "127.0.0.1")
    with Mosquitto(tmp_path / "broker") as mosquitto:
        client.connect("127.0.0.1", mosquitto.port)
        client.loop_start()
        rooms = Program("rooms", appliance("rooms", "--state-dir", str(tmp_path / "state"), *addresses), tmp_path)
        rooms.arguments += ["--ready-file", str(rooms.ready_path), "--mqtt-url", mosquitto.url]
        with rooms:
            await until("it is online", lambda: said == ["online"])
            rooms.kill()
            rooms.start(wait=False)
            await until("it is online again", lambda: said[-1:] == ["online"] and len(said) > 1, within_s=20)
            started_within_delay = said == ["online", "online"]
            rooms.wait_ready()
            url = rooms.ready["http"]
            async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
                figures = await answer.text()
        client.disconnect()
        client.loop_stop()

    # On a machine too slow to start within five seconds the will comes first, and rightly.
    assert started_within_delay or said[:3] == ["online", "offline", "online"]
    assert "room_kiosk_rooms_in_progress 0.0" in figures
    assert 'room_kiosk_callbacks_delivered_total{sink="http"} 0.0' in figures
    assert 'room_kiosk_callbacks_queue_depth{sink="mqtt"} 0.0' in figures
