"""The service's own data channels to one participant (signaling.md 5.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from aiortc.exceptions import InvalidStateError

from appliance.media_engine import ChannelClosed, ChannelMessage, ChannelOpened, DataPeer, Happening
from appliance.sfu.allowance import Allowance
from appliance.sfu.data_relay import MOST_BUFFERED_BYTES, Message
from appliance.sfu.transport import DataChannel, SecureTransport

logger = logging.getLogger(__name__)

MOST_CHARACTERS = 32_768
_MESSAGES = (100.0, 400.0)
"""Of a client on all its channels, per second and at once: it says a few in a second; what is beyond it is dropped."""


class OwnChannels:
    """Satisfies DataPeer, for as long as the participant stays: one after the other, its connections carry them.

    A channel that is wanted opens on the connection there is, else on the next. From the moment at which the client may
    have heard of it, its end is told, and its label is spent until it is no longer wanted.

    `emit` tells the listener; `on_wanted` is called when channels are wanted that have nothing to carry them.
    """

    def __init__(self, emit: Callable[[Happening], None], on_wanted: Callable[[], None]) -> None:
        self._emit = emit
        self._on_wanted = on_wanted
        self._wanted: frozenset[str] = frozenset()
        self._spent: set[str] = set()
        self._channels: dict[str, DataChannel] = {}
        self._transport: SecureTransport | None = None
        self._messages_allowed = Allowance(*_MESSAGES)

    # --- DataPeer

    def open_channels(self, labels: frozenset[str]) -> None:
        self._wanted = labels
        self._spent &= labels
        for label in self._channels.keys() - labels:
            self._channels.pop(label).close()
        self._open_missing()
        if self.need_transport:
            self._on_wanted()

    def send(self, label: str, text: str) -> None:
        channel = self._channels.get(label)
        if channel is None or channel.readyState != "open":
            return
        if channel.bufferedAmount > MOST_BUFFERED_BYTES:
            logger.warning("channel %s does not keep up, a message is lost to it", label)
            return
        try:
            channel.send(text)
        except (InvalidStateError, ValueError) as error:  # larger than the client takes
            logger.warning("channel %s: %s", label, error)

    # --- the connection that carries them

    @property
    def need_transport(self) -> bool:
        """Tell whether a channel waits for an association to open it on."""
        return self._carrier is None and bool(self._wanted - self._spent)

    @property
    def _carrier(self) -> SecureTransport | None:
        return self._transport if self._transport is not None and not self._transport.has_ended else None

    def transport_ready(self, transport: SecureTransport) -> None:
        """SCTP has been started: open what waits."""
        self._transport = transport
        self._open_missing()

    def transport_gone(self) -> None:
        """The connection ends, and every channel with it. Later calls do nothing."""
        self._transport = None
        for channel in list(self._channels.values()):
            self._closed(channel)

    def _open_missing(self) -> None:
        if (carrier := self._carrier) is not None:
            for label in sorted(self._wanted - self._spent - self._channels.keys()):
                self._open(label, carrier)

    def _open(self, label: str, transport: SecureTransport) -> None:
        channel = transport.open_channel(label, ordered=True, max_packet_life_time=None, max_retransmits=None)
        self._channels[label] = channel
        channel.on("open", lambda: self._opened(channel))
        channel.on("message", lambda message: self._message(channel, message))
        channel.on("close", lambda: self._closed(channel))

    def _is_current(self, channel: DataChannel) -> bool:
        return self._channels.get(channel.label) is channel

    def _opened(self, channel: DataChannel) -> None:
        if self._is_current(channel):
            self._emit(ChannelOpened(label=channel.label))

    def _message(self, channel: DataChannel, message: Message) -> None:
        if not self._is_current(channel) or not isinstance(message, str) or len(message) > MOST_CHARACTERS:
            return
        if self._messages_allowed.take(monotonic()):
            self._emit(ChannelMessage(label=channel.label, text=message))

    def _closed(self, channel: DataChannel) -> None:
        if self._is_current(channel):
            del self._channels[channel.label]
            self._spent.add(channel.label)
            self._emit(ChannelClosed(label=channel.label))


_satisfies: type[DataPeer] = OwnChannels  # checked by mypy
