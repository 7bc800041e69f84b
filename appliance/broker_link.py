"""One MQTT connection from CONNECT to its end, driven by the event loop. The only file to know paho.

Whoever wants a connection that comes back uses `appliance.broker`, which gives every connection a link, and so a paho
client, of its own: nothing that a lost connection still held is sent again out of turn.
"""

import asyncio
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from paho.mqtt.client import Client, MQTTMessage, connack_string
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from appliance.errors import RoomKioskError

CONNECT_TIMEOUT_S = 5.0
"""Name lookup aside: for TCP, for TLS, and again for CONNACK."""
ANSWER_TIMEOUT_S = 20.0
"""A broker that does not acknowledge for so long is as good as gone."""
PACKET_TOO_LARGE = 0x95
"""What a broker would part with us over (MQTT 5, 3.2.2.3.6); we refuse it ourselves."""
_MOST_IN_FLIGHT = 20  # paho's own bound, above which it would queue
_AROUND_PUBLISH = 5 + 2 + 2  # fixed header, length of the topic, packet identifier
WRONG_VERSION = 0x84
"""CONNACK: unsupported protocol version (MQTT 5, 3.2.2.2)."""


class BrokerDown(RoomKioskError):
    """No connection, or it was lost before the broker acknowledged: nobody knows whether the message arrived."""


class BrokerRefused(RoomKioskError):
    """The broker acknowledged with a reason of refusal (MQTT 5, 3.4.2.1)."""

    def __init__(self, what: str, reason_code: int) -> None:
        super().__init__(f"the broker refused {what}: reason 0x{reason_code:02x}")
        self.reason_code = reason_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """Published by the broker when the connection is lost, and by us before an orderly disconnect."""

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 1
    retain: bool = True
    delay_s: int = 0
    """How long the broker waits for us to come back before it publishes; MQTT 5 only (3.1.3.2.2)."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """As of a publish; MQTT 5 only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Where the broker is and who we are there.

    Args:
        url: `mqtt://host[:1883]`, or `mqtts://host[:8883]` with the certificate verified.
        ca_file: what to trust instead of the system's authorities.
        session_expiry_s: how long the broker keeps our session; needs `clean_start` False to be of use.
    """

    url: str
    client_id: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    keepalive_s: int = 30
    clean_start: bool = True
    session_expiry_s: int = 0
    protocol: Literal["auto", "5", "3.1.1"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What arrived. `properties`: `response_topic`, `correlation_data`, `message_expiry_s`; empty with 3.1.1."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Mapping[str, Any] = field(default_factory=dict)


Handler = Callable[[Message], None]
"""Called on the event loop; must return at once."""


@dataclass(frozen=True, slots=True)
class Subscription:
    filter: str
    handler: Handler
    qos: Literal[0, 1]


class Mute(BrokerDown):
    """The connection was closed before CONNACK."""


class Link:
    """One paho client from CONNECT to the end of its connection, driven by the loop's readers and writers."""

    def __init__(self, settings: BrokerSettings, version: Literal[3, 5], will: Will | None, deliver: Handler) -> None:
        self._settings = settings
        self._v5 = version == 5
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._acks: dict[int, asyncio.Future[None]] = {}
        self._welcome: asyncio.Future[None] = self._loop.create_future()
        self.over: asyncio.Future[None] = self._loop.create_future()
        """Raises BrokerDown when the connection ends, or what a handler raised."""
        self._descriptor: int | None = None
        self._housekeeping: asyncio.TimerHandle | None = None
        self._places = asyncio.Semaphore(_MOST_IN_FLIGHT)
        self._most_bytes: int | None = None
        self._client = self._make_client(settings, version, will)

    def _make_client(self, settings: BrokerSettings, version: Literal[3, 5], will: Will | None) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            settings.client_id,
            clean_session=None if self._v5 else settings.clean_start,
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.password)
        if settings.url.startswith("mqtts:"):
            context = ssl.create_default_context(cafile=settings.ca_file)
            if settings.cert_file:
                context.load_cert_chain(settings.cert_file, settings.key_file)
            client.tls_set_context(context)
        if will is not None:
            client.will_set(
                will.topic, will.payload, will.qos, will.retain, _will_properties(will) if self._v5 else None
            )
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    @property
    def alive(self) -> bool:
        return self._welcome.done() and not self.over.done()

    async def connect(self, host: str, port: int, _: str) -> None:
        """Return after CONNACK. Raise OSError, BrokerDown or BrokerRefused."""
        await _in_thread(lambda: self._dial(host, port), self._client)
        sock = self._client.socket()
        if sock is None:
            raise BrokerDown("closed while connecting")
        self._descriptor = sock.fileno()
        self._loop.add_reader(self._descriptor, self._readable)
        self._client.on_socket_register_write = lambda *_: self._want_write()
        if self._client.want_write():
            self._want_write()
        self._housekeeping = self._loop.call_later(1.0, self._keep_house)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.wait([self._welcome, self.over], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise BrokerDown("no CONNACK in time") from None
        if self._welcome.done():
            self._welcome.result()
        else:
            self.over.exception()
            raise Mute("closed before CONNACK")

    def _dial(self, host: str, port: int) -> None:
        if not self._v5:
            self._client.connect(host, port, self._settings.keepalive_s)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if self._settings.session_expiry_s:
            properties.SessionExpiryInterval = self._settings.session_expiry_s
        self._client.connect(
            host, port, self._settings.keepalive_s, clean_start=self._settings.clean_start, properties=properties
        )

    async def publish(
        self, topic: str, payload: bytes, qos: Literal[0, 1], retain: bool, properties: Mapping[str, Any]
    ) -> None:
        packet = _publish_properties(properties) if self._v5 and properties else None
        extra = len(packet.pack()) if packet else 1  # type: ignore[no-untyped-call]  # paho's properties have no types
        size = _AROUND_PUBLISH + len(topic.encode()) + len(payload) + extra
        if self._most_bytes is not None and size > self._most_bytes:
            raise BrokerRefused(f"a message of {size} bytes, more than its {self._most_bytes}", PACKET_TOO_LARGE)
        if not qos:
            await self._send(topic, payload, qos, retain, packet)
            return
        async with self._places:
            if self.over.done():
                raise BrokerDown("connection lost while waiting to send")
            await self._send(topic, payload, qos, retain, packet)

    async def _send(
        self, topic: str, payload: bytes, qos: Literal[0, 1], retain: bool, packet: Properties | None
    ) -> None:
        info = self._client.publish(topic, payload, qos, retain, packet)
        if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_QUEUE_SIZE):
            raise BrokerDown(f"could not send: {info.rc.name}")
        if qos:
            await self._acknowledged(info.mid, topic)

    async def subscribe(self, subscription: Subscription) -> None:
        # Retain As Published tells a retained command from a live one (kiosk.md 10).
        options = SubscribeOptions(qos=subscription.qos, retainAsPublished=True)
        result, mid = (
            self._client.subscribe(subscription.filter, options=options)
            if self._v5
            else self._client.subscribe(subscription.filter, subscription.qos)
        )
        if result != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise BrokerDown(f"could not send: {result.name}")
        await self._acknowledged(mid, subscription.filter)

    async def _acknowledged(self, mid: int, what: str) -> None:
        ack = self._acks[mid] = self._loop.create_future()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await ack
        except TimeoutError:
            self._end(BrokerDown(f"no acknowledgement of {what} in {ANSWER_TIMEOUT_S:g} s"))
            raise BrokerDown(f"no acknowledgement of {what}") from None
        finally:
            self._acks.pop(mid, None)

    def disconnect(self) -> None:
        with suppress(OSError, ValueError):
            self._client.disconnect()
            self._client.loop_write()

    def close(self) -> None:
        """Free socket, timer and whoever still waits."""
        self._stop_watching()
        sock = self._client.socket()
        if sock is not None:
            with suppress(OSError):
                sock.close()
        self._end(BrokerDown("connection closed"))

    # What the loop calls

    def _readable(self) -> None:
        try:
            self._client.loop_read()
            # What TLS has decrypted already, the selector does not see.
            while isinstance(sock := self._client.socket(), ssl.SSLSocket) and sock.pending():
                self._client.loop_read()
        except (OSError, ValueError, IndexError, KeyError, TypeError, struct.error) as error:
            self._end(BrokerDown(f"the broker sent what cannot be read: {error!r}"))

    def _want_write(self) -> None:
        if self._descriptor is not None:
            self._loop.add_writer(self._descriptor, self._writable)

    def _writable(self) -> None:
        try:
            self._client.loop_write()
        except (OSError, ValueError) as error:
            self._end(BrokerDown(f"write failed: {error!r}"))
        if self._descriptor is not None and not self._client.want_write():
            self._loop.remove_writer(self._descriptor)

    def _keep_house(self) -> None:
        self._client.loop_misc()  # pings, and notices their absence
        if not self.over.done():
            self._housekeeping = self._loop.call_later(1.0, self._keep_house)

    def _stop_watching(self) -> None:
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._descriptor = None

    def _end(self, error: BaseException) -> None:
        if self.over.done():
            return
        self._stop_watching()
        self.over.set_exception(error)
        self.over.exception()  # seen: nobody need wait for it
        for ack in self._acks.values():
            if not ack.done():
                ack.set_exception(BrokerDown("connection lost before the acknowledgement"))

    # What paho calls, always from the three above

    def _on_connect(self, client: Client, data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        if self._welcome.done():
            return
        if reason.is_failure:
            code = reason.value if self._v5 else _V311_REASONS.get(reason.value, reason.value)
            self._welcome.set_exception(BrokerRefused(f"the connection ({connack_string(reason)})", code))
            self._welcome.exception()
        else:
            self._heed(properties)
            self._welcome.set_result(None)

    def _heed(self, properties: Properties | None) -> None:
        """Keep to what the broker can take (MQTT 5, 3.2.2.3.3 and 3.2.2.3.6); paho reads neither."""
        self._places = asyncio.Semaphore(min(_MOST_IN_FLIGHT, getattr(properties, "ReceiveMaximum", _MOST_IN_FLIGHT)))
        self._most_bytes = getattr(properties, "MaximumPacketSize", None)

    def _on_disconnect(self, client: Client, data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        self._end(BrokerDown(f"connection lost: {reason}"))

    def _on_publish(self, client: Client, data: Any, mid: int, reason: ReasonCode, properties: Any) -> None:
        self._settle(mid, [reason], "a message")

    def _on_subscribe(self, client: Client, data: Any, mid: int, reasons: list[ReasonCode], properties: Any) -> None:
        self._settle(mid, reasons, "a subscription")

    def _settle(self, mid: int, reasons: list[ReasonCode], what: str) -> None:
        ack = self._acks.get(mid)
        if ack is None or ack.done():
            return
        refused = next((reason.value for reason in reasons if reason.value >= 0x80), None)
        if refused is None:
            ack.set_result(None)
        else:
            ack.set_exception(BrokerRefused(what, refused))

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no filter of ours can have asked for it
        try:
            self._deliver(
                Message(
                    topic=topic,
                    payload=bytes(message.payload),
                    qos=message.qos,
                    retain=message.retain,
                    properties=_read_properties(message.properties),
                )
            )
        except Exception as error:  # noqa: BLE001 - a bug of a handler ends the program, not just this callback
            self._end(error)


_V311_REASONS: Mapping[int, int] = {1: WRONG_VERSION, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}
"""CONNACK return codes of 3.1.1 (3.2.2.3) as reason codes of MQTT 5."""


async def _in_thread(work: Callable[[], Any], client: Client) -> None:
    """Run a blocking connect on a daemon thread: the loop's executor would make the program wait for it at its end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    abandoned = threading.Event()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except (OSError, ValueError) as failure:  # ValueError: a certificate for another name
            error = failure if isinstance(failure, OSError) else OSError(str(failure))
        if abandoned.is_set() and (sock := client.socket()) is not None:
            sock.close()
            return
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="broker connect", daemon=True).start()
    try:
        await done
    except asyncio.CancelledError:
        abandoned.set()
        raise


def _will_properties(will: Will) -> Properties | None:
    if not will.delay_s and not will.properties:
        return None
    packed = _pack(PacketTypes.WILLMESSAGE, will.properties)
    if will.delay_s:
        packed.WillDelayInterval = will.delay_s
    return packed


def _publish_properties(given: Mapping[str, Any]) -> Properties:
    return _pack(PacketTypes.PUBLISH, given)


def _pack(kind: int, given: Mapping[str, Any]) -> Properties:
    packed = Properties(kind)  # type: ignore[no-untyped-call]
    names = {
        "response_topic": "ResponseTopic",
        "correlation_data": "CorrelationData",
        "message_expiry_s": "MessageExpiryInterval",
        "content_type": "ContentType",
        "payload_format": "PayloadFormatIndicator",
    }
    for name, value in given.items():
        if name == "user":
            packed.UserProperty = list(value.items())
        else:
            setattr(packed, names[name], value)
    return packed


def _read_properties(packed: Properties | None) -> Mapping[str, Any]:
    names = {
        "ResponseTopic": "response_topic",
        "CorrelationData": "correlation_data",
        "MessageExpiryInterval": "message_expiry_s",
        "ContentType": "content_type",
    }
    if packed is None:
        return {}
    return {ours: getattr(packed, theirs) for theirs, ours in names.items() if hasattr(packed, theirs)}
