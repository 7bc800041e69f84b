"""The kiosk on a real Mosquitto (kiosk.md 10, 12)."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from appliance.broker import Broker, BrokerSettings, Will
from appliance.kiosk.inputs import Join, RoomEventSeen
from appliance.kiosk.runner import Kiosk
from appliance.kiosk.settings import MqttSettings
from appliance.kiosk.state import Phase
from appliance.surfaces.mqtt.bridge import MqttBridge
from appliance.system_clock import SystemClock
from tests.support.conditions import until
from tests.support.kiosk_running import ObedientStage, running_kiosk
from tests.support.kiosk_story import FINGER
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_listener import MqttListener

pytestmark = pytest.mark.broker
P = "room-kiosk/hall-2"


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def listener(mosquitto: Mosquitto) -> Iterator[MqttListener]:
    with MqttListener(mosquitto.port, "room-kiosk/#") as listening:
        yield listening


@asynccontextmanager
async def on_mqtt(
    mosquitto: Mosquitto, folder: Path, **settings: Any
) -> AsyncIterator[tuple[Kiosk, ObedientStage, Broker]]:
    """Run a kiosk with a bridge."""
    mqtt = MqttSettings(enabled=True, url=mosquitto.url, allow_insecure=True, **settings)
    broker = Broker(
        BrokerSettings(url=mosquitto.url, client_id="hall-2"),
        will=Will(topic=f"{P}/status", payload=b"offline"),
        random=Random(1),
        backoff_steps_s=(0.05, 0.1, 0.2),
        backoff_least_s=0.02,
    )
    async with running_kiosk() as (kiosk, stage):
        bridge = MqttBridge(broker, mqtt, "hall-2", folder, SystemClock())
        async with broker:
            task = asyncio.create_task(bridge.run(kiosk))
            try:
                yield kiosk, stage, broker
            finally:
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.result()


def events(listener: MqttListener, type: str) -> list[dict[str, Any]]:
    return [json.loads(each.payload) for each in listener.messages if each.topic == f"{P}/event/{type}"]


async def test_it_says_that_it_is_online_and_shows_its_state_and_says_goodbye(
    mosquitto: Mosquitto, listener: MqttListener, tmp_path: Path
) -> None:
    async with on_mqtt(mosquitto, tmp_path) as (kiosk, _, _broker):
        await until("online", lambda: listener.last(f"{P}/status") == b"online")
        await until("state", lambda: (listener.json(f"{P}/state") or {}).get("mqtt") == "connected")
        assert kiosk.state.mqtt == "connected"
    await until("offline", lambda: listener.last(f"{P}/status") == b"offline")


async def test_the_last_state_is_always_sent_and_at_most_two_a_second(
    mosquitto: Mosquitto, listener: MqttListener, tmp_path: Path
) -> None:
    async with on_mqtt(mosquitto, tmp_path) as (kiosk, _, _broker):
        await until("state", lambda: listener.json(f"{P}/state"))
        before = len([each for each in listener.messages if each.topic == f"{P}/state"])
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(200):
            await kiosk.command(Join(room="board"), FINGER)
            await kiosk.command(Join(room="lobby", switch=True), FINGER)
        await until("settled", lambda: kiosk.state.phase is Phase.IN_ROOM and kiosk.state.room is not None)
        await until("last", lambda: listener.json(f"{P}/state")["rev"] == kiosk.state.rev)
        sent = len([each for each in listener.messages if each.topic == f"{P}/state"]) - before
        assert kiosk.state.rev > 50
        assert sent <= 2 * (loop.time() - began) + 2


async def test_a_command_joins_muted_and_is_answered_where_it_asked(
    mosquitto: Mosquitto, listener: MqttListener, tmp_path: Path
) -> None:
    async with on_mqtt(mosquitto, tmp_path) as (kiosk, _, broker):
        await until("online", lambda: listener.last(f"{P}/status") == b"online")
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = "room-kiosk/reply/7"
        properties.CorrelationData = b"abc"
        listener._client.publish(
            f"{P}/command/room.join", b'{"id":"6f1c","room":"board"}', qos=1, properties=properties
        ).wait_for_publish(10)
        await until("in the room", lambda: kiosk.state.phase is Phase.IN_ROOM)
        answers = await until(
            "two answers",
            lambda: (
                [each for each in listener.messages if each.topic == "room-kiosk/reply/7"][1:]
                and [json.loads(each.payload) for each in listener.messages if each.topic == "room-kiosk/reply/7"]
            ),
        )
        assert [(answer["id"], answer["ok"], answer.get("accepted")) for answer in answers] == [
            ("6f1c", True, True),
            ("6f1c", True, None),
        ]
        assert answers[1]["result"] == {"room": "board", "state": "in_room"}
        assert kiosk.state.mic == "muted"
        assert kiosk.state.origin == "mqtt"
        assert broker.mqtt5


async def test_unmuting_is_refused_with_a_reason(mosquitto: Mosquitto, listener: MqttListener, tmp_path: Path) -> None:
    async with on_mqtt(mosquitto, tmp_path, allow_commands=("mic.unmute",)) as (kiosk, _, _broker):
        await until("online", lambda: listener.last(f"{P}/status") == b"online")
        await kiosk.command(Join(), FINGER)
        listener.publish(f"{P}/command/mic.unmute", {"id": "1"})
        answer = await until("answer", lambda: listener.json(f"{P}/response"))
        assert answer["error"]["code"] == "policy_denied"


async def test_a_repeated_id_is_answered_again_but_not_done_again(
    mosquitto: Mosquitto, listener: MqttListener, tmp_path: Path
) -> None:
    async with on_mqtt(mosquitto, tmp_path) as (kiosk, stage, _broker):
        await until("online", lambda: listener.last(f"{P}/status") == b"online")
        await kiosk.command(Join(), FINGER)
        for _ in range(2):
            listener.publish(f"{P}/command/mic.mute", {"id": "same"})
            await asyncio.sleep(0)
        answers = await until(
            "two answers", lambda: [each for each in listener.messages if each.topic == f"{P}/response"][1:]
        )
        assert len(answers) == 1
        assert stage.mutes() == [True]


async def test_a_retained_command_is_ignored_and_cleared(
    mosquitto: Mosquitto, listener: MqttListener, tmp_path: Path
) -> None:
    listener._client.publish(f"{P}/command/room.join", b"{}", qos=1, retain=True).wait_for_publish(10)
    async with on_mqtt(mosquitto, tmp_path) as (kiosk, _, _broker):
        await until("cleared", lambda: listener.last(f"{P}/command/room.join") == b"")
        assert kiosk.state.phase is Phase.IDLE
    with MqttListener(mosquitto.port, f"{P}/command/#", f"{P}/status") as later:
        await until("what is retained came", lambda: later.last(f"{P}/status"))
        assert later.last(f"{P}/command/room.join") is None


@pytest.mark.parametrize("payload", [b"{", b"[]", b"\xff", b'{"room":7}', b'{"id":7}'])
async def test_nonsense_is_answered_and_changes_nothing(
    mosquitto: Mosquitto, listener: MqttListener, tmp_path: Path, payload: bytes
) -> None:
    async with on_mqtt(mosquitto, tmp_path) as (kiosk, stage, _broker):
        await until("online", lambda: listener.last(f"{P}/status") == b"online")
        listener._client.publish(f"{P}/command/room.join", payload, qos=1).wait_for_publish(10)
        answer = await until("answer", lambda: listener.json(f"{P}/response"))
        assert answer["error"]["code"] == "invalid_request"
        assert (kiosk.state.phase, stage.done) == (Phase.IDLE, [])


async def test_whoever_sent_nonsense_is_answered_where_it_asked(
    mosquitto: Mosquitto, listener: MqttListener, tmp_path: Path
) -> None:
    async with on_mqtt(mosquitto, tmp_path):
        await until("online", lambda: listener.last(f"{P}/status") == b"online")
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = "room-kiosk/reply/7"

        listener._client.publish(f"{P}/command/room.join", b"{", qos=1, properties=properties).wait_for_publish(10)

        answer = await until("answer", lambda: listener.json("room-kiosk/reply/7"))
        assert answer["error"]["code"] == "invalid_request"


async def test_a_flood_of_commands_is_limited(mosquitto: Mosquitto, listener: MqttListener, tmp_path: Path) -> None:
    async with on_mqtt(mosquitto, tmp_path) as (_, _, _broker):
        await until("online", lambda: listener.last(f"{P}/status") == b"online")
        for _ in range(60):
            listener._client.publish(f"{P}/command/mic.mute", b"{}", qos=1)
        await until("all answered", lambda: [each for each in listener.messages if each.topic == f"{P}/response"][59:])
        codes = [
            json.loads(each.payload).get("error", {}).get("code")
            for each in listener.messages
            if each.topic == f"{P}/response"
        ]
        assert "rate_limited" in codes
        assert codes.count(None) >= 20


async def test_events_carry_numbers_without_gaps_and_what_was_seen(
    mosquitto: Mosquitto, listener: MqttListener, tmp_path: Path
) -> None:
    async with on_mqtt(mosquitto, tmp_path) as (kiosk, _, _broker):
        kiosk.submit(RoomEventSeen("participant-connected", {"ParticipantIdentity": "anna"}))
        await kiosk.command(Join(), FINGER)
        await until(
            "joined is told", lambda: [e for e in events(listener, "kiosk-state") if e["data"]["to"] == "in_room"]
        )
        seen = events(listener, "participant-connected")
        assert seen[0]["data"] == {"ParticipantIdentity": "anna"}
        assert seen[0]["device_id"] == "hall-2"
        assert events(listener, "kiosk-mic")[0]["data"] == {"value": "live", "origin": "button"}
        assert events(listener, "kiosk-command")[0]["data"]["name"] == "room.join"
        numbers = [json.loads(each.payload)["seq"] for each in listener.messages if "/event/" in each.topic]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_events_while_the_broker_is_dead_arrive_in_order_when_it_is_back(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with on_mqtt(mosquitto, tmp_path) as (kiosk, _, broker):
        await until("connected", lambda: kiosk.state.mqtt == "connected")
        mosquitto.kill()
        await until("noticed", lambda: kiosk.state.mqtt == "connecting")
        await kiosk.command(Join(), FINGER)
        for number in range(5):
            kiosk.submit(RoomEventSeen("track-added", {"TrackSid": f"MT{number}"}))
        await until("in the room all the same", lambda: kiosk.state.phase is Phase.IN_ROOM)
        mosquitto.start()
        with MqttListener(mosquitto.port, f"{P}/#") as listener:
            await until("all five", lambda: len(events(listener, "track-added")) == 5)
            assert [each["data"]["TrackSid"] for each in events(listener, "track-added")] == [
                "MT0",
                "MT1",
                "MT2",
                "MT3",
                "MT4",
            ]
            await until("state", lambda: (listener.json(f"{P}/state") or {}).get("state") == "in_room")
        assert broker.connected


async def test_events_survive_a_restart_of_the_kiosk_and_numbers_go_on(mosquitto: Mosquitto, tmp_path: Path) -> None:
    mosquitto.kill()
    async with on_mqtt(mosquitto, tmp_path) as (kiosk, _, _broker):
        kiosk.submit(RoomEventSeen("participant-connected", {"ParticipantIdentity": "anna"}))
        await kiosk.command(Join(), FINGER)
    mosquitto.start()
    with MqttListener(mosquitto.port, f"{P}/#") as listener:
        async with on_mqtt(mosquitto, tmp_path) as (kiosk, _, _broker):
            await until("told late", lambda: events(listener, "participant-connected"))
            kiosk.submit(RoomEventSeen("participant-disconnected", {"ParticipantIdentity": "anna"}))
            await until("told", lambda: events(listener, "participant-disconnected"))
        numbers = [json.loads(each.payload)["seq"] for each in listener.messages if "/event/" in each.topic]
        assert numbers == sorted(set(numbers))
        assert numbers[0] >= 1
