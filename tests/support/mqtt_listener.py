"""An MQTT client on a real broker that keeps what arrives."""

import json
import threading
from dataclasses import dataclass, field
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions


@dataclass(frozen=True)
class MqttMessage:
    topic: str
    payload: bytes
    retained: bool
    properties: dict[str, Any] = field(default_factory=dict)
    """By MQTT's own names, such as `MessageExpiryInterval`; `UserProperty` is a mapping."""


class MqttListener:
    """Subscribed when `with` is entered; connects again by itself."""

    def __init__(self, port: int, *filters: str) -> None:
        self._port = port
        self._filters = filters
        self._subscribed = threading.Event()
        self.messages: list[MqttMessage] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.messages.append(
            MqttMessage(message.topic, bytes(message.payload), message.retain, _properties(message))
        )
        self._client.reconnect_delay_set(1, 1)

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe([(name, SubscribeOptions(qos=1, retainAsPublished=True)) for name in self._filters])

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(10), "the broker did not acknowledge the subscription"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def last(self, topic: str) -> bytes | None:
        payloads = [message.payload for message in self.messages if message.topic == topic]
        return payloads[-1] if payloads else None

    def json(self, topic: str) -> Any:
        """Return the newest payload of a topic, or None."""
        payload = self.last(topic)
        return json.loads(payload) if payload else None

    def publish(self, topic: str, value: Any) -> None:
        self._client.publish(topic, json.dumps(value).encode(), qos=1).wait_for_publish(10)


def _properties(message: mqtt.MQTTMessage) -> dict[str, Any]:
    found: dict[str, Any] = message.properties.json() if message.properties else {}  # type: ignore[no-untyped-call]
    if "UserProperty" in found:
        found["UserProperty"] = dict(found["UserProperty"])
    return found
