"""The MQTT sink: room events on one topic for each room, and the presence of the service (callbacks.md 14-18)."""

import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from appliance import __version__
from appliance.broker import Broker, BrokerDown, BrokerRefused, Will
from appliance.clock import rfc3339
from appliance.rooms.delivery import Outcome, OutcomeClass
from appliance.rooms.mqtt_state import RetainedStates
from appliance.rooms.store.deliveries import Due

log = logging.getLogger(__name__)

EVENT_EXPIRY_S = 86_400
WILL_DELAY_S = 5
"""A service that is back within it was never offline."""
JSON_PROPERTIES: Mapping[str, Any] = {"content_type": "application/json", "payload_format": 1}
_PERMANENT_REASONS = (0x87, 0x90, 0x99)
_LOOK_AGAIN_S = 1.0


def node_id() -> str:
    """Return the name of this machine as a topic level."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()) or "rooms"


def service_status(prefix: str, node: str, status: str, since: datetime) -> Will:
    """Return the retained message that says whether the service is `online` or `offline`."""
    document = {"status": status, "node_id": node, "version": __version__, "since": rfc3339(since)}
    return Will(
        topic=f"{prefix}/v1/service/{node}/status",
        payload=json.dumps(document).encode(),
        delay_s=WILL_DELAY_S,
        properties=JSON_PROPERTIES,
    )


def event_topic(prefix: str, due: Due) -> str:
    return f"{prefix}/v1/{due.account_sid}/rooms/{due.room_sid}/events"


def event_payload(due: Due) -> bytes:
    """Return the envelope of kiosk.md 12; all values in `data` are texts, as in the HTTP callback."""
    envelope: dict[str, object] = {
        "v": 1,
        "id": due.event_id,
        "type": due.name,
        "seq": due.seq,
        "ts": rfc3339(due.occurred_at),
        "source": "rooms",
    }
    if due.reason:
        envelope["reason"] = due.reason
    envelope["data"] = {name: str(value) for name, value in due.params.items()}
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


class MqttSink:
    """Satisfies Sink."""

    name = "mqtt"

    def __init__(self, broker: Broker, prefix: str, states: RetainedStates | None = None) -> None:
        self._states = states
        self._broker = broker
        self._prefix = prefix
        self._connected = asyncio.Event()
        broker.on_connected(self._on_connected)

    async def _on_connected(self) -> None:
        self._connected.set()

    @asynccontextmanager
    async def turn(self, due: Due) -> AsyncIterator[None]:
        """There is one receiver, and it takes as much as comes."""
        yield

    async def ready(self, due: Due) -> None:
        """Wait for a connection: nothing is handed to a broker that is away."""
        while not self._broker.connected:
            self._connected.clear()
            try:
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._connected.wait()
            except TimeoutError:
                continue

    async def deliver(self, due: Due) -> Outcome:
        """Publish once; delivered means that the broker has acknowledged."""
        properties = {
            **JSON_PROPERTIES,
            "message_expiry_s": EVENT_EXPIRY_S,
            "user": {
                "event-id": due.event_id,
                "event": due.name,
                "room-sid": due.room_sid,
                "seq": str(due.seq),
                "v": "1",
            },
        }
        topic = event_topic(self._prefix, due)
        try:
            if self._states:
                await self._states.before(due)
            await self._broker.publish(topic, event_payload(due), qos=1, retain=False, properties=properties)
        except BrokerDown as error:
            return Outcome(kind=OutcomeClass.RETRY, error=str(error))
        except BrokerRefused as error:
            permanent = error.reason_code in _PERMANENT_REASONS
            kind = OutcomeClass.REJECTED if permanent else OutcomeClass.RETRY
            return Outcome(kind=kind, status=error.reason_code, error=str(error))
        return Outcome(kind=OutcomeClass.DELIVERED)


def dead_payload(due: Due, outcome: Outcome) -> bytes:
    """Return what is told of a callback that was given up: the event's own envelope, and why."""
    envelope = json.loads(event_payload(due))
    envelope["dead"] = {
        "sink": due.sink,
        "attempts": due.attempts + 1,
        "status": outcome.status,
        "error": outcome.error,
    }
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


class DeadLetterNotices:
    """Tells of callbacks that were given up, on a topic of their own; what a broker misses is in the store."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()

    def note(self, due: Due, outcome: Outcome) -> None:
        self._waiting.put_nowait(dead_payload(due, outcome))

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            payload = await self._waiting.get()
            properties = {**JSON_PROPERTIES, "message_expiry_s": EVENT_EXPIRY_S}
            try:
                await self._broker.publish(self._topic, payload, qos=1, properties=properties)
            except (BrokerDown, BrokerRefused) as error:
                log.warning("a dead letter could not be told: %s", error)
