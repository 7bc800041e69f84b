"""The broker connection against a real Mosquitto."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from appliance.broker import Broker, BrokerDown, BrokerRefused, BrokerSettings, Message, Will, matches
from appliance.errors import ConfigurationError
from tests.support.conditions import until
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_listener import MqttListener

pytestmark = pytest.mark.broker
QUICK = {"backoff_steps_s": (0.05, 0.1, 0.2), "backoff_least_s": 0.02, "random": Random(1)}


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


def a_broker(mosquitto: Mosquitto, **changes: object) -> Broker:
    settings = BrokerSettings(url=mosquitto.url, client_id="hall-2")
    return Broker(settings, **(QUICK | changes))  # type: ignore[arg-type]


async def test_a_message_is_published_when_the_broker_has_acknowledged_it(mosquitto: Mosquitto) -> None:
    with MqttListener(mosquitto.port, "a/#") as listener:
        async with a_broker(mosquitto) as broker:
            await until("connected", lambda: broker.connected)
            await broker.publish("a/b", b'{"n":1}')
            await until("arrived", lambda: listener.json("a/b"))
    assert listener.json("a/b") == {"n": 1}


async def test_a_message_of_megabytes_arrives_whole(mosquitto: Mosquitto) -> None:
    with MqttListener(mosquitto.port, "a/#") as listener:
        async with a_broker(mosquitto) as broker:
            await until("connected", lambda: broker.connected)
            await broker.publish("a/b", b"x" * 3_000_000)
            await until("arrived", lambda: listener.last("a/b"))
    assert listener.last("a/b") == b"x" * 3_000_000


async def test_what_is_too_large_for_the_broker_is_refused_and_does_not_cost_the_connection(tmp_path: Path) -> None:
    lost: list[bool] = []
    with (
        Mosquitto(tmp_path / "strict", more="max_packet_size 1000\n") as strict,
        MqttListener(strict.port, "a/#") as listener,
    ):
        async with a_broker(strict) as broker:
            await until("connected", lambda: broker.connected)
            broker.on_disconnected(lambda: lost.append(True))
            with pytest.raises(BrokerRefused) as refused:
                await broker.publish("a/b", b"x" * 2000, properties={"content_type": "text/plain"})
            await broker.publish("a/b", b"x" * 900)
            await until("arrived", lambda: listener.last("a/b"))
            assert lost == []

    assert refused.value.reason_code == 0x95
    assert listener.last("a/b") == b"x" * 900


async def test_no_more_is_on_its_way_than_the_broker_takes() -> None:
    """A broker of this test's own: MQTT 5, Receive Maximum 2, and no acknowledgement until it is told to."""
    seen: list[int] = []
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _packet(reader)
        writer.write(bytes([0x20, 6, 0, 0, 3, 0x21, 0, 2]))  # CONNACK with Receive Maximum
        try:
            while packet := await _packet(reader):
                if packet[0] >> 4 == 3:
                    identifier = packet[1][5:7]  # behind the topic "a/b"
                    seen.append(int.from_bytes(identifier))
                    asyncio.create_task(_acknowledge(writer, identifier, release))  # noqa: RUF006
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        settings = BrokerSettings(url=f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}", client_id="hall-2")
        async with Broker(settings, **QUICK) as broker:  # type: ignore[arg-type]
            await until("connected", lambda: broker.connected)
            async with asyncio.TaskGroup() as publishing:
                for _ in range(7):
                    publishing.create_task(broker.publish("a/b", b"x"))
                await until("two are on their way", lambda: len(seen) == 2)
                await broker.publish("a/b", b"x", qos=0)  # comes behind whatever was sent
                await until("it came too", lambda: len(seen) == 3)
                release.set()

    assert len(seen) == 8


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind = (await reader.readexactly(1))[0]
    length = (await reader.readexactly(1))[0]  # nothing here is longer than 127 bytes
    return kind, await reader.readexactly(length)


async def _acknowledge(writer: asyncio.StreamWriter, identifier: bytes, when: asyncio.Event) -> None:
    await when.wait()
    writer.write(bytes([0x40, 2]) + identifier)


async def test_the_last_will_says_offline_when_the_connection_breaks_and_when_it_is_closed(
    mosquitto: Mosquitto,
) -> None:
    will = Will(topic="k/status", payload=b"offline")
    with MqttListener(mosquitto.port, "k/#") as listener:
        async with a_broker(mosquitto, will=will) as broker:
            await until("connected", lambda: broker.connected)
            await broker.publish("k/status", b"online", retain=True)
            await until("online", lambda: listener.last("k/status") == b"online")
        await until("offline", lambda: listener.last("k/status") == b"offline")

        async with a_broker(mosquitto, will=will) as broker:
            await until("connected again", lambda: broker.connected)
            await broker.publish("k/status", b"online", retain=True)
            await until("online again", lambda: listener.last("k/status") == b"online")
            assert broker._link is not None
            assert broker._link._descriptor is not None
            with socket.socket(fileno=socket.dup(broker._link._descriptor)) as wire:
                wire.shutdown(socket.SHUT_RDWR)
            await until("the will", lambda: listener.last("k/status") == b"offline")


async def test_a_broker_that_is_not_there_harms_nobody(mosquitto: Mosquitto) -> None:
    mosquitto.kill()
    async with a_broker(mosquitto) as broker:
        with pytest.raises(BrokerDown):
            await broker.publish("a/b", b"lost")
        await until("an attempt failed", lambda: broker.last_error)
        mosquitto.start()
        await until("connected", lambda: broker.connected)
        await broker.publish("a/b", b"kept")


async def test_a_killed_broker_fails_what_waits_and_is_found_again(mosquitto: Mosquitto) -> None:
    connects, losses = [], []
    broker = a_broker(mosquitto)

    async def connected() -> None:
        connects.append(1)

    broker.on_connected(connected)
    broker.on_disconnected(lambda: losses.append(1))
    async with broker:
        await until("connected", lambda: broker.connected)
        # More than the broker can acknowledge before it dies.
        waiting = [asyncio.create_task(broker.publish("a/b", b"x" * 100_000)) for _ in range(40)]
        await asyncio.sleep(0)
        mosquitto.kill()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert any(isinstance(outcome, BrokerDown) for outcome in outcomes)
        await until("noticed", lambda: losses)
        mosquitto.start()
        await until("connected again", lambda: len(connects) == 2 and broker.connected)
        await broker.publish("a/b", b"after")


async def test_subscriptions_hold_over_a_reconnect_and_tell_retained_from_live(mosquitto: Mosquitto) -> None:
    got: list[Message] = []
    async with a_broker(mosquitto) as broker:
        await broker.subscribe("k/command/+", got.append)
        await until("connected", lambda: broker.connected)
        with MqttListener(mosquitto.port, "nothing") as other:
            other.publish("k/command/room.join", {"room": "a"})
            await until("first", lambda: len(got) == 1)
        mosquitto.kill()
        mosquitto.start()
        await until("lost and back", lambda: broker.connected)
        with MqttListener(mosquitto.port, "nothing") as other:
            other._client.publish("k/command/room.join", b"{}", qos=1, retain=True).wait_for_publish(10)
            await until("second", lambda: len(got) == 2)
    assert [message.retain for message in got] == [False, True]
    assert got[0].payload == b'{"room": "a"}'


async def test_response_topic_and_correlation_data_come_through(mosquitto: Mosquitto) -> None:
    got: list[Message] = []
    async with a_broker(mosquitto) as broker:
        await broker.subscribe("k/#", got.append)
        await until("connected", lambda: broker.connected)
        properties = {"response_topic": "r/1", "correlation_data": b"\x00\x01", "message_expiry_s": 30}
        await broker.publish("k/a", b"{}", properties=properties)
        await until("arrived", lambda: got)
    assert got[0].properties["response_topic"] == "r/1"
    assert got[0].properties["correlation_data"] == b"\x00\x01"
    assert 0 < got[0].properties["message_expiry_s"] <= 30


async def test_mqtt_3_1_1_works_when_asked_for(mosquitto: Mosquitto) -> None:
    settings = BrokerSettings(url=mosquitto.url, client_id="old", protocol="3.1.1")
    got: list[Message] = []
    async with Broker(settings, **QUICK) as broker:  # type: ignore[arg-type]
        await broker.subscribe("k/#", got.append)
        await until("connected", lambda: broker.connected)
        await broker.publish("k/a", b"{}", properties={"response_topic": "r/1"})
        await until("arrived", lambda: got)
    assert got[0].properties == {}


async def test_a_broker_that_closes_on_mqtt_5_is_tried_with_3_1_1() -> None:
    versions: list[int] = []

    async def old_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(1024)
        versions.append(first[8])  # protocol level, behind the fixed header and the name "MQTT"
        if first[8] == 4:
            writer.write(bytes([0x20, 2, 0, 0]))  # CONNACK of 3.1.1, accepted
            await reader.read()
        writer.close()

    async with await asyncio.start_server(old_broker, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        broker = Broker(BrokerSettings(url=f"mqtt://127.0.0.1:{port}", client_id="new"), **QUICK)  # type: ignore[arg-type]
        async with broker:
            await until("connected", lambda: broker.connected)
    assert versions == [5, 4]
    assert not broker.mqtt5


async def test_refused_credentials_are_not_hammered(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "closed", open_to_all=False) as mosquitto:
        settings = BrokerSettings(url=mosquitto.url, client_id="hall-2", username="hall-2", password="wrong")
        async with Broker(settings, **QUICK) as broker:  # type: ignore[arg-type]
            await until("refused", lambda: broker.last_error)
            refusals = mosquitto.process.log_path.read_text().count("not authorised")
            await asyncio.sleep(0.5)  # ten times the back-off: another attempt would show
            assert mosquitto.process.log_path.read_text().count("not authorised") == refusals


async def test_a_bug_in_a_handler_is_not_swallowed(mosquitto: Mosquitto) -> None:
    def broken(_: Message) -> None:
        raise ZeroDivisionError

    async def use() -> None:
        async with a_broker(mosquitto) as broker:
            await broker.subscribe("k/#", broken)
            await until("connected", lambda: broker.connected)
            await broker.publish("k/a", b"{}")
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(use(), 20)
    assert caught.group_contains(ZeroDivisionError)


@pytest.mark.parametrize(
    ("filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "$SYS/x", False),
        ("a/b", "a", False),
    ],
)
def test_a_filter_matches_as_the_standard_says(filter: str, topic: str, expected: bool) -> None:
    assert matches(filter, topic) is expected


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "mqtt://user:secret@host", "mqtt://host:99999"])
def test_an_address_that_is_none_is_refused_without_printing_a_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Broker(BrokerSettings(url=url, client_id="x"))
    assert "secret" not in str(caught.value)
