"""Data channels: what a participant sends on the channel of a data track goes to everyone who subscribes to it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from time import monotonic

from aiortc.exceptions import InvalidStateError

from appliance.sfu.allowance import Allowance
from appliance.sfu.consumer import Consumer
from appliance.sfu.description import MAX_MESSAGE_SIZE
from appliance.sfu.producer import Producer, Reliability
from appliance.sfu.transport import DataChannel, SecureTransport

logger = logging.getLogger(__name__)

MOST_BUFFERED_BYTES = 4 * 1024 * 1024
"""Beyond this a receiver does not keep up; what comes on top is lost to it rather than to the memory of all."""
_MOST_MESSAGES_BEFORE_OPEN = 256

# What a participant may send: beyond it, messages are dropped, and the first of them is logged (rest.md 14).
MOST_CHANNELS = 32
_MESSAGES = (500.0, 1000.0)
_BYTES = (1_000_000.0, 2_000_000.0)

Message = str | bytes


class OutChannel:
    """A channel towards a subscriber, label = subscription id (signaling.md 3.3).

    Messages that come while it opens are kept, the newest of them if there are too many.
    """

    def __init__(self, label: str, reliability: Reliability) -> None:
        self.label = label
        self._reliability = reliability
        self._channel: DataChannel | None = None
        self._early: deque[Message] = deque(maxlen=_MOST_MESSAGES_BEFORE_OPEN)
        self._complained = False
        self._closed = False

    def open(self, transport: SecureTransport) -> None:
        """Open it, once the association can be used; later calls do nothing."""
        if self._channel is None and not self._closed:
            self._channel = transport.open_channel(
                self.label,
                ordered=self._reliability.ordered,
                max_packet_life_time=self._reliability.max_packet_life_time,
                max_retransmits=self._reliability.max_retransmits,
            )
            self._channel.on("open", self._opened)

    def _opened(self) -> None:
        while self._early:
            self.send(self._early.popleft())

    def send(self, message: Message) -> None:
        """Pass a message on: text stays text, bytes stay bytes."""
        if self._closed:
            return
        if self._channel is None or self._channel.readyState == "connecting":
            self._early.append(message)
            return
        if self._channel.bufferedAmount > MOST_BUFFERED_BYTES:
            self._complain("does not keep up, messages are lost to it")
            return
        try:
            self._channel.send(message)
        except (InvalidStateError, ValueError) as error:  # closed by the client; larger than it takes
            self._complain(str(error) or "is closed")

    def _complain(self, what: str) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("data channel %s %s", self.label, what)

    def close(self) -> None:
        self._closed = True
        self._early.clear()
        if self._channel is not None:
            self._channel.close()


class _InChannel:
    """A channel that the client opened, and what may still come on it."""

    def __init__(self, channel: DataChannel) -> None:
        self.channel = channel
        self.dropped = 0
        self._messages = Allowance(*_MESSAGES)
        self._bytes = Allowance(*_BYTES)

    def admits(self, message: Message, now: float) -> bool:
        """Tell whether a message may go on: of the size that we said we take, and not one of too many."""
        size = len(message.encode()) if isinstance(message, str) else len(message)
        if size <= MAX_MESSAGE_SIZE and self._messages.take(now) and self._bytes.take(now, size):
            return True
        if self.dropped == 0:
            logger.warning("data channel %.80s: too large a message or too many, they are dropped", self.channel.label)
        self.dropped += 1
        return False


class DataRelay:
    """The data channels of one participant's connection.

    `published` finds the data track that a channel's label names, or None (yet); `on_available` is called when a
    track's channel is open, so that it can be subscribed to.
    """

    def __init__(self, published: Callable[[str], Producer | None], on_available: Callable[[Producer], None]) -> None:
        self._published = published
        self._on_available = on_available
        self._channels: dict[str, _InChannel] = {}
        self._subscribed: list[OutChannel] = []
        self._transport: SecureTransport | None = None

    def transport_ready(self, transport: SecureTransport) -> None:
        """SCTP has been started: open what waits."""
        self._transport = transport
        for channel in self._subscribed:
            channel.open(transport)

    def channel_opened(self, channel: DataChannel) -> None:
        """The client opened a channel, for a data track of its own. A second of that name is refused, and too many."""
        if channel.label in self._channels or len(self._channels) >= MOST_CHANNELS:
            channel.close()
            return
        incoming = self._channels[channel.label] = _InChannel(channel)
        channel.on("message", lambda message: self._message(incoming, message))
        channel.on("close", lambda: self._closed(incoming))
        self.bind(channel.label)

    def _closed(self, incoming: _InChannel) -> None:
        label = incoming.channel.label
        if self._channels.get(label) is incoming:
            del self._channels[label]

    def bind(self, label: str) -> None:
        """Make a track available whose publication and channel are both here, whichever came first."""
        incoming, producer = self._channels.get(label), self._published(label)
        if incoming is not None and producer is not None:
            channel = incoming.channel
            producer.reliability = Reliability(channel.ordered, channel.maxPacketLifeTime, channel.maxRetransmits)
            self._on_available(producer)

    def _message(self, incoming: _InChannel, message: Message) -> None:
        producer = self._published(incoming.channel.label)
        if producer is None or not incoming.admits(message, monotonic()):
            return
        producer.flows()
        for consumer in tuple(producer.consumers):
            if consumer.channel is not None:
                consumer.channel.send(message)

    def subscribe(self, consumer: Consumer) -> None:
        """Give a subscription its channel."""
        assert consumer.producer.reliability is not None
        consumer.channel = OutChannel(consumer.id, consumer.producer.reliability)
        self._subscribed = [channel for channel in self._subscribed if not channel._closed]
        self._subscribed.append(consumer.channel)
        if self._transport is not None:
            consumer.channel.open(self._transport)

    def close(self) -> None:
        """Forget all channels; the connection that carried them is closed by its owner."""
        self._channels.clear()
        self._subscribed.clear()
