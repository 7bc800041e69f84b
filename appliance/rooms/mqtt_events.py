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
from appliance.rooms.store.deliveries import NOTICE, Due, Letter, letters_of_event
from appliance.rooms.store.store import Store, StoreUnavailable

log = logging.getLogger(__name__)

EVENT_EXPIRY_S = 86_400
WILL_DELAY_S = 5
"""A service that is back within it was never offline."""
JSON_PROPERTIES: Mapping[str, Any] = {"content_type": "application/json", "payload_format": 1}
_PERMANENT_REASONS = (0x87, 0x90, 0x95, 0x99)
"""Not authorised, topic name invalid, packet too large, payload format invalid."""
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
    ages = True

    def __init__(self, broker: Broker, prefix: str, states: RetainedStates | None = None) -> None:
        self._states = states
        self._broker = broker
        self._prefix = prefix
        self._connected = asyncio.Event()
        broker.on_connected(self._on_connected)

    async def _on_connected(self) -> None:
        self._connected.set()

    def place(self, due: Due) -> str:
        return self._broker.address[0]

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
        try:
            await self._tell(due)
        except (BrokerDown, StoreUnavailable) as error:
            return Outcome(kind=OutcomeClass.RETRY, error=str(error))
        except BrokerRefused as error:
            permanent = error.reason_code in _PERMANENT_REASONS
            kind = OutcomeClass.REJECTED if permanent else OutcomeClass.RETRY
            return Outcome(kind=kind, status=error.reason_code, error=str(error))
        return Outcome(kind=OutcomeClass.DELIVERED)

    async def _tell(self, due: Due) -> None:
        if self._states:
            await self._states.before(due)
        await self._publish(event_topic(self._prefix, due), event_payload(due), due)

    async def _publish(self, topic: str, payload: bytes, due: Due) -> None:
        user = {"event-id": due.event_id, "event": due.name, "room-sid": due.room_sid, "seq": str(due.seq), "v": "1"}
        properties = {**JSON_PROPERTIES, "message_expiry_s": EVENT_EXPIRY_S, "user": user}
        await self._broker.publish(topic, payload, qos=1, retain=False, properties=properties)


def dead_payload(due: Due, letter: Letter) -> bytes:
    """Return what is told of a callback that was given up: the event's own envelope, and why."""
    envelope = json.loads(event_payload(due))
    envelope["dead"] = {
        "sink": letter.sink,
        "attempts": letter.attempts,
        "status": letter.last_status,
        "error": letter.last_error,
    }
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


class DeadLetterSink(MqttSink):
    """Tells of callbacks that were given up, on a topic of their own. Satisfies Sink."""

    name = NOTICE
    ages = False  # what died of age is told all the same

    def __init__(self, broker: Broker, topic: str, store: Store) -> None:
        super().__init__(broker, topic)
        self._topic = topic
        self._store = store

    async def _tell(self, due: Due) -> None:
        async with self._store.read() as connection:
            letters = await letters_of_event(connection, due.event_id)
        for letter in letters:
            if letter.sink not in (self.name, MqttSink.name):  # dropped meanwhile: nothing is to tell
                await self._publish(self._topic, dead_payload(due, letter), due)
