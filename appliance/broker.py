"""An MQTT connection that comes back by itself: last will, reconnecting, acknowledged publish.

MQTT 5, falling back to 3.1.1 where the broker does not speak it. Nothing is queued here: whoever must not lose a
message keeps it until `publish` has returned.
"""

import asyncio
import logging
import random as random_module
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from appliance.backoff import BROKER_STEPS_S, Backoff
from appliance.broker_link import (
    WRONG_VERSION,
    BrokerDown,
    BrokerRefused,
    BrokerSettings,
    Handler,
    Link,
    Message,
    Mute,
    Subscription,
    Will,
)
from appliance.errors import ConfigurationError

__all__ = ["Broker", "BrokerDown", "BrokerRefused", "BrokerSettings", "Handler", "Message", "Will", "matches"]

log = logging.getLogger(__name__)

REFUSED_RETRY_S = 300.0
"""After refused credentials (kiosk.md 17)."""
HEALTHY_AFTER_S = 10.0
"""A connection that held so long begins the back-off anew."""
GOODBYE_S = 1.0

_BAD_CREDENTIALS = frozenset({0x86, 0x87, 0x8C})
"""CONNACK: bad user name or password, not authorised, bad method (MQTT 5, 3.2.2.2)."""


class Broker:
    """A connection that comes back by itself. Use as `async with broker:`; a broker that is absent harms nobody.

    Args:
        random: for the jitter of the back-off.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        will: Will | None = None,
        random: random_module.Random | None = None,
        backoff_steps_s: tuple[float, ...] = BROKER_STEPS_S,
        backoff_least_s: float = 1.0,
    ) -> None:
        self.settings = settings
        self.address = _address(settings.url)
        self._will = will
        self._backoff = Backoff(random or random_module.Random(), backoff_steps_s, backoff_least_s)
        self._version: Literal[3, 5] = 3 if settings.protocol == "3.1.1" else 5
        self._link: Link | None = None
        self._subscriptions: list[Subscription] = []
        self._on_connected: list[Callable[[], Awaitable[None]]] = []
        self._on_disconnected: list[Callable[[], None]] = []
        self._stack = AsyncExitStack()
        self._told_absent = False
        self.last_error: str | None = None
        """Why there is no connection, in words; None while there is one."""

    @property
    def connected(self) -> bool:
        return self._link is not None and self._link.alive

    @property
    def mqtt5(self) -> bool:
        """Whether the connection, or the next attempt, speaks MQTT 5."""
        return self._version == 5

    def on_connected(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Await `callback` after each connect, once everything is subscribed again, in the order of registration."""
        self._on_connected.append(callback)

    def on_disconnected(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each loss of an established connection."""
        self._on_disconnected.append(callback)

    async def __aenter__(self) -> Self:
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._task = tasks.create_task(self._run(), name=f"broker {self.address[0]}")
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self._say_goodbye()
        self._task.cancel()
        await self._stack.__aexit__(*details)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: Literal[0, 1] = 1,
        retain: bool = False,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        """Publish, and with QoS 1 wait for the acknowledgement.

        Args:
            properties: `response_topic` str, `correlation_data` bytes, `message_expiry_s` int, `content_type` str,
                `payload_format` 1 for UTF-8 text, `user` mapping of str to str; left out where the connection is 3.1.1.

        Raises:
            BrokerDown: not connected, or the connection was lost while waiting.
            BrokerRefused: the broker did not want it.
        """
        await self._live().publish(topic, payload, qos, retain, properties or {})

    async def subscribe(self, filter: str, handler: Handler, *, qos: Literal[0, 1] = 1) -> None:
        """Subscribe now and after every reconnect; returns at once where there is no connection.

        Raises:
            BrokerRefused: the broker does not allow it.
        """
        subscription = Subscription(filter, handler, qos)
        self._subscriptions.append(subscription)
        if self._link is not None and self._link.alive:
            with suppress(BrokerDown):  # subscribed when it is back
                await self._link.subscribe(subscription)

    def _live(self) -> "Link":
        if self._link is None or not self._link.alive:
            raise BrokerDown(f"no connection to the broker: {self.last_error or 'not yet connected'}")
        return self._link

    async def _say_goodbye(self) -> None:
        link = self._link
        if link is None or not link.alive:
            return
        # An orderly disconnect does not make the broker send the will (MQTT 5, 3.14.4).
        if self._will is not None:
            with suppress(BrokerDown, BrokerRefused, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    will = self._will
                    await link.publish(will.topic, will.payload, will.qos, will.retain, will.properties)
        link.disconnect()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            since = loop.time()
            delay_s = None
            try:
                await self._hold_connection()
            except BrokerRefused as error:
                self.last_error = str(error)
                delay_s = self._after_refusal(error.reason_code)
            except (OSError, BrokerDown) as error:
                self.last_error = str(error) or type(error).__name__
            if loop.time() - since > HEALTHY_AFTER_S:
                self._backoff.reset()
            self._tell_once()
            await asyncio.sleep(self._backoff.next_delay_s() if delay_s is None else delay_s)

    def _tell_once(self) -> None:
        if not self._told_absent:
            log.warning("broker %s:%d: %s; trying again", *self.address[:2], self.last_error)
            self._told_absent = True

    def _after_refusal(self, reason_code: int) -> float | None:
        if reason_code == WRONG_VERSION and self.settings.protocol == "auto" and self.mqtt5:
            self._version = 3
            return 0.0
        return REFUSED_RETRY_S if reason_code in _BAD_CREDENTIALS else None

    async def _hold_connection(self) -> None:
        """Connect, and return when the connection is over: by BrokerDown."""
        link = Link(self.settings, self._version, self._will, self._deliver)
        try:
            await link.connect(*self.address)
            for subscription in list(self._subscriptions):
                await link.subscribe(subscription)
            self._link, self.last_error = link, None
            self._told_absent = False
            log.info("broker %s:%d: connected, %s", *self.address[:2], "MQTT 5" if self.mqtt5 else "MQTT 3.1.1")
            for callback in self._on_connected:
                await callback()
            await link.over
        except Mute:
            # Brokers older than MQTT 5 may just close on its CONNECT packet.
            if self.settings.protocol == "auto":
                self._version = 3 if self.mqtt5 else 5
            raise
        finally:
            link.close()
            if self._link is link:
                self._link = None
                for callback_lost in self._on_disconnected:
                    callback_lost()

    def _deliver(self, message: Message) -> None:
        for subscription in self._subscriptions:
            if matches(subscription.filter, message.topic):
                subscription.handler(message)


def matches(filter: str, topic: str) -> bool:
    """Tell whether a topic falls under a filter with `+` and `#` (MQTT 5, 4.7)."""
    wanted, given = filter.split("/"), topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return not (position == 0 and topic.startswith("$"))
        if position >= len(given) or level not in ("+", given[position]):
            return False
    return len(wanted) == len(given)


def _address(url: str) -> tuple[str, int, str]:
    """Return host, port and scheme. Raise ConfigurationError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError([f"broker address {url!r}: {error}"]) from None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.username or parts.password:
        raise ConfigurationError(
            ["broker address: must be mqtt://host[:port] or mqtts://host[:port], no password in it"]
        )
    return parts.hostname, port or (8883 if parts.scheme == "mqtts" else 1883), parts.scheme
